"""The same acts as a program on web3 and eth-account writes them: the baseline of `tick_to_chain`."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import Web3

from keeper.adapters.encoding.addresses import checksum
from keeper.adapters.protocols.contracts import contracts, load_abi
from keeper.adapters.protocols.reference import ReferencePerp
from keeper.adapters.protocols.reference_events import word_topic
from keeper.adapters.protocols.reference_gas import push
from keeper.domain.chain import Call
from keeper.domain.ids import Address, address
from keeper.domain.report import PriceReport, Signature, SignedReport
from keeper.domain.transaction import Expectation
from keeper.ports.signer import SignedTransaction, UnsignedTransaction

_PARITY_BIT = 255


def _fields(text: str) -> list[dict[str, str]]:
    return [dict(zip(("type", "name"), pair.split(), strict=True)) for pair in text.split(",")]


TYPES = {
    "PriceBatch": _fields(
        "uint64 roundId,uint40 observedAt,uint40 validUntil,uint32 signerEpoch,bytes32 evidence,MarketPrice[] prices"
    ),
    "MarketPrice": _fields("uint32 marketId,uint96 index,uint96 mark,int64 premium"),
}


def domain_of(chain_id: int, oracle: Address) -> dict[str, Any]:
    return {"name": "PerpPriceOracle", "version": "1", "chainId": chain_id, "verifyingContract": oracle}


def message_of(report: PriceReport) -> dict[str, Any]:
    return {
        "roundId": report.round_id,
        "observedAt": report.observed_at_s,
        "validUntil": report.valid_until_s,
        "signerEpoch": report.signer_epoch,
        "evidence": report.evidence,
        "prices": [
            {"marketId": p.market_no, "index": p.index_e18, "mark": p.mark_e18, "premium": p.premium_e18}
            for p in report.prices
        ],
    }


class LibraryPerp(ReferencePerp):
    """Calldata from web3. The digest is computed where it is signed, and only there."""

    @cached_property
    def _contract(self) -> Any:
        return Web3().eth.contract(address=Web3.to_checksum_address(self.oracle), abi=load_abi("PriceOracle"))

    def digest(self, report: PriceReport) -> bytes:  # noqa: ARG002 - `LibraryReporter` computes it
        return b""

    def publish(self, signed: SignedReport) -> tuple[Call, tuple[Expectation, ...]]:
        message = message_of(signed.report)
        *head, prices = message.values()
        batch = (*head, [tuple(price.values()) for price in prices])
        pairs = [(signature.r, signature.vs) for signature in signed.signatures]
        data = self._contract.encode_abi("pushPrices", [batch, pairs])
        gas_limit = push(len(prices), len(pairs))
        pushed = contracts().oracle.events["BatchPushed"].topic0
        proof = Expectation(self.oracle, pushed, word_topic(signed.report.round_id))
        return Call(self.oracle, bytes.fromhex(data[2:]), 0, gas_limit), (proof,)


class LibraryReporter:
    """ReportSigner on eth-account."""

    remote = False

    def __init__(self, key: bytes, chain_id: int, oracle: Address) -> None:
        self._account: LocalAccount = Account.from_key(key)
        self._domain = domain_of(chain_id, oracle)
        self.address = address(self._account.address)

    async def sign_report(self, report: PriceReport, digest: bytes) -> Signature:  # noqa: ARG002
        signed = self._account.sign_typed_data(self._domain, TYPES, message_of(report))
        vs = signed.s | (signed.v - 27) << _PARITY_BIT
        return Signature(self.address, signed.r.to_bytes(32, "big"), vs.to_bytes(32, "big"))


class LibrarySender:
    """TransactionSigner on eth-account."""

    def __init__(self, key: bytes) -> None:
        self._account: LocalAccount = Account.from_key(key)
        self.address = address(self._account.address)

    async def sign_transaction(self, transaction: UnsignedTransaction) -> SignedTransaction:
        fields: dict[str, Any] = {
            "type": 2,
            "chainId": transaction.chain_id,
            "nonce": transaction.nonce,
            "to": checksum(transaction.call.to),
            "value": transaction.call.value_wei,
            "data": transaction.call.data,
            "gas": transaction.gas_limit,
            "maxFeePerGas": transaction.max_fee_wei,
            "maxPriorityFeePerGas": transaction.tip_wei,
        }
        signed = self._account.sign_transaction(fields)
        return SignedTransaction(bytes(signed.raw_transaction), "0x" + signed.hash.hex().removeprefix("0x"))
