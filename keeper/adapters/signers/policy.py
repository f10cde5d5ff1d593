"""What a key may sign, checked in front of any signer. Nothing that is not named here is allowed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from keeper.domain.chain import Call
from keeper.domain.ids import Address, DeploymentId
from keeper.domain.report import PriceReport, Signature
from keeper.errors import SignerRefused
from keeper.ports.signer import ReportSigner, SignedTransaction, TransactionSigner, UnsignedTransaction

_SELECTOR_SIZE = 4
_LARGEST_GAS = 2**24
"""No transaction may use more: https://eips.ethereum.org/EIPS/eip-7825"""


@dataclass(frozen=True, slots=True)
class SignedRound:
    """The last report that a key signed for a deployment.

    `digest` is None where only the round is known: then nothing more is signed for that round, whatever the epoch.
    """

    epoch: int
    round_id: int
    digest: bytes | None = None


Remember = Callable[[DeploymentId, SignedRound], None]


def forget(_deployment: DeploymentId, _signed: SignedRound) -> None:
    """Where the reports are recorded elsewhere before their signatures leave."""


class RisingRounds:
    """A ReportSigner that signs what it has checked: known deployments, rising rounds, one digest per (epoch, round).

    `digests` gives each deployment's own computation of the digest: what is signed is recomputed from the report.
    `last` is what was signed before the start. `remember` is called before each new signature leaves; if it raises,
    nothing is signed. Signing the same digest again is allowed: a batch may be pushed again with more signatures.
    """

    def __init__(
        self,
        signer: ReportSigner,
        digests: Mapping[DeploymentId, Callable[[PriceReport], bytes]],
        last: Mapping[DeploymentId, SignedRound],
        remember: Remember = forget,
    ) -> None:
        self._signer = signer
        self._digests = dict(digests)
        self._last = dict(last)
        self._remember = remember

    @property
    def address(self) -> Address:
        return self._signer.address

    @property
    def remote(self) -> bool:
        return self._signer.remote

    async def sign_report(self, report: PriceReport, digest: bytes) -> Signature:
        """Raises SignerRefused."""
        own_digest = self._digests.get(report.deployment)
        if own_digest is None or own_digest(report) != digest:
            what = f"round {report.round_id} of {report.deployment}"
            raise SignerRefused(f"{self.address}: the digest given is not that of {what}")
        wanted = SignedRound(report.signer_epoch, report.round_id, digest)
        # No await between the check and the note: two tasks cannot both pass with one round.
        last = self._last.get(report.deployment)
        if wanted != last:
            self._check_rising(report.deployment, last, wanted)
            self._remember(report.deployment, wanted)
            self._last[report.deployment] = wanted
        return await self._signer.sign_report(report, digest)

    def _check_rising(self, deployment: DeploymentId, last: SignedRound | None, wanted: SignedRound) -> None:
        if last is None or wanted.round_id > last.round_id:
            return
        if wanted.round_id < last.round_id:
            problem = f"round {wanted.round_id} after round {last.round_id}"
        elif wanted.epoch <= last.epoch or last.digest is None:
            problem = f"a second report with epoch {wanted.epoch}, round {wanted.round_id}"
        else:
            return
        raise SignerRefused(f"{self.address} does not sign {problem} for {deployment}")


@dataclass(frozen=True, slots=True)
class SendingRules:
    """`allowed`: (chain id, contract, 4-byte selector). `max_fee_wei` is a price per gas."""

    allowed: frozenset[tuple[int, Address, bytes]]
    max_fee_wei: int
    max_gas: int = _LARGEST_GAS
    max_value_wei: int = 0


class PermittedCalls:
    """A TransactionSigner that signs permitted calls, and empty transactions to itself, which cancel a nonce."""

    def __init__(self, signer: TransactionSigner, rules: SendingRules) -> None:
        self._signer = signer
        self._rules = rules

    @property
    def address(self) -> Address:
        return self._signer.address

    async def sign_transaction(self, transaction: UnsignedTransaction) -> SignedTransaction:
        """Raises SignerRefused."""
        self._check_call(transaction.chain_id, transaction.call)
        self._check_limits(transaction)
        return await self._signer.sign_transaction(transaction)

    def _check_call(self, chain_id: int, call: Call) -> None:
        permitted = (chain_id, call.to, call.data[:_SELECTOR_SIZE]) in self._rules.allowed
        known_chain = any(chain_id == known for known, _, _ in self._rules.allowed)
        cancels = known_chain and call == Call(self.address, b"", 0, call.gas_limit)
        if not permitted and not cancels:
            selector = call.data[:_SELECTOR_SIZE].hex()
            raise SignerRefused(f"{self.address} may not call 0x{selector} of {call.to} on chain {chain_id}")

    def _check_limits(self, transaction: UnsignedTransaction) -> None:
        rules, value = self._rules, transaction.call.value_wei
        if value > rules.max_value_wei:
            raise SignerRefused(f"{self.address} may not send {value} wei; the limit is {rules.max_value_wei}")
        if not transaction.tip_wei <= transaction.max_fee_wei <= rules.max_fee_wei:
            offer = f"{transaction.max_fee_wei} wei per gas with a tip of {transaction.tip_wei}"
            raise SignerRefused(f"{self.address} may not offer {offer}; the limit is {rules.max_fee_wei}")
        if transaction.gas_limit > rules.max_gas:
            raise SignerRefused(f"{self.address} may not use {transaction.gas_limit} gas; the limit is {rules.max_gas}")
