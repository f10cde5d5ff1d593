"""Signs reports and transactions with a key that lives in this process."""

from __future__ import annotations

from keeper.adapters.encoding.keccak import keccak
from keeper.adapters.encoding.legacy_transaction import (
    legacy_fields,
    legacy_raw_transaction,
    legacy_signing_payload,
)
from keeper.adapters.encoding.transaction import fields, raw_transaction, signing_payload
from keeper.adapters.signers.curve import SigningKey
from keeper.domain.ids import Address
from keeper.domain.report import PriceReport, Signature
from keeper.errors import SignerRefused
from keeper.ports.signer import SignedTransaction, UnsignedTransaction

_PARITY_BIT = 255
"""Where EIP-2098 puts the parity: https://eips.ethereum.org/EIPS/eip-2098"""


class KeySigner:
    """ReportSigner and TransactionSigner of one chain, without a policy: see `policy`."""

    __slots__ = ("_key", "address", "chain_id")
    remote = False

    def __init__(self, key: SigningKey, chain_id: int) -> None:
        self._key = key
        self.address: Address = key.address
        self.chain_id = chain_id

    async def sign_report(self, report: PriceReport, digest: bytes) -> Signature:  # noqa: ARG002 - policies read it
        parity, r, s = self._key.sign(digest)
        vs = int.from_bytes(s, "big") | parity << _PARITY_BIT
        return Signature(self.address, r, vs.to_bytes(32, "big"))

    async def sign_transaction(self, transaction: UnsignedTransaction) -> SignedTransaction:
        """Raises SignerRefused for another chain, ValueError or OverflowError for fields that cannot be encoded."""
        if transaction.chain_id != self.chain_id:
            raise SignerRefused(f"{self.address} signs for chain {self.chain_id}, not {transaction.chain_id}")
        raw = self._legacy(transaction) if transaction.legacy else self._dynamic(transaction)
        return SignedTransaction(raw, "0x" + keccak(raw).hex())

    def _dynamic(self, transaction: UnsignedTransaction) -> bytes:
        unsigned = fields(transaction)
        parity, r, s = self._key.sign(keccak(signing_payload(unsigned)))
        return raw_transaction(unsigned, parity, int.from_bytes(r, "big"), int.from_bytes(s, "big"))

    def _legacy(self, transaction: UnsignedTransaction) -> bytes:
        unsigned = legacy_fields(transaction)
        parity, r, s = self._key.sign(keccak(legacy_signing_payload(unsigned, self.chain_id)))
        return legacy_raw_transaction(
            unsigned, self.chain_id, parity, int.from_bytes(r, "big"), int.from_bytes(s, "big")
        )
