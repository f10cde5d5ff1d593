"""What is signed and pushed: one batch of prices for all due markets of one deployment."""

from __future__ import annotations

from dataclasses import dataclass

from keeper.domain.ids import Address, DeploymentId, MarketId


@dataclass(frozen=True, slots=True)
class MarketPrice:
    """One market's entry. `market_no` is the market's number on chain."""

    market: MarketId
    market_no: int
    index_e18: int
    mark_e18: int
    premium_e18: int


@dataclass(frozen=True, slots=True)
class PriceReport:
    """`round_id` is the instant of the decision in unix milliseconds and `observed_at_s` the second that contains it."""

    deployment: DeploymentId
    round_id: int
    observed_at_s: int
    valid_until_s: int
    signer_epoch: int
    evidence: bytes
    prices: tuple[MarketPrice, ...]


@dataclass(frozen=True, slots=True)
class Signature:
    """EIP-2098 compact form: 32-byte `r`, and `vs` with the parity in its top bit."""

    signer: Address
    r: bytes
    vs: bytes


@dataclass(frozen=True, slots=True)
class SignedReport:
    report: PriceReport
    signatures: tuple[Signature, ...]


@dataclass(frozen=True, slots=True)
class SeenReport:
    """A push as the chain shows it: its signatures, 32 bytes each of `r` and `vs`, name no signer."""

    report: PriceReport
    signatures: tuple[tuple[bytes, bytes], ...]
