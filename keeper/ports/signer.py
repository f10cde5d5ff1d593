"""Signing, structured: a policy must see what it signs. Report keys hold no funds; sending keys sign no prices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from keeper.domain.chain import Call
from keeper.domain.ids import Address
from keeper.domain.report import PriceReport, Signature, SignedReport


@dataclass(frozen=True, slots=True)
class UnsignedTransaction:
    """An EIP-1559 transaction before its signature; a `legacy` one offers `max_fee_wei` as its only gas price."""

    chain_id: int
    nonce: int
    call: Call
    gas_limit: int
    max_fee_wei: int
    tip_wei: int
    legacy: bool = False


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    raw: bytes
    hash: str


class ReportSigner(Protocol):
    """`remote`: whether it asks another process, so that several are asked at the same time."""

    @property
    def address(self) -> Address: ...

    @property
    def remote(self) -> bool: ...

    async def sign_report(self, report: PriceReport, digest: bytes) -> Signature:
        """Raises SignerRefused (policy: rounds rise, never two reports with one (epoch, round)) or SignerUnavailable."""
        ...


class TransactionSigner(Protocol):
    @property
    def address(self) -> Address: ...

    async def sign_transaction(self, transaction: UnsignedTransaction) -> SignedTransaction: ...


class Attestor(Protocol):
    """Collects signatures for a report: now from local keys, later from other keepers."""

    async def collect(self, report: PriceReport, digest: bytes, need: int) -> SignedReport: ...


class Coordinator(Protocol):
    """Who may act. Now always us; later a fenced lease."""

    def is_leader(self, shard: str) -> bool: ...

    def fence(self) -> int: ...
