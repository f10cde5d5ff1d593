"""What a perp protocol says in its logs, as the keeper understands it. Units as in `keeper.domain.exchange`."""

from __future__ import annotations

from dataclasses import dataclass

from keeper.domain.ids import Address


@dataclass(frozen=True, slots=True)
class LogRef:
    block_number: int
    block_hash: str
    log_index: int
    tx_hash: str


@dataclass(frozen=True, slots=True)
class MarginChanged:
    """Causes: 1 deposit 2 withdraw 3 penalty 4 reward 5 cover 6 residue 7 seize 8 write-off 9 skim."""

    ref: LogRef
    account: Address
    cause: int
    delta_units: int
    margin_units: int


@dataclass(frozen=True, slots=True)
class PositionChanged:
    """Causes: 1 trade 2 liquidated 3 taken over 4 deleveraged. `size_e18`, `quote_units` and so on are the result."""

    ref: LogRef
    account: Address
    market_no: int
    cause: int
    delta_e18: int
    cash_units: int
    funding_units: int
    fee_units: int
    size_e18: int
    quote_units: int
    cum_entry_e36: int
    margin_units: int


@dataclass(frozen=True, slots=True)
class FundingSettled:
    ref: LogRef
    market_no: int
    boundary_s: int
    intervals: int
    premium_e18: int
    covered_s: int
    rate_e18: int
    mark_e18: int
    cum_e36: int
    snap_acc: int
    snap_covered: int
    caller: Address


@dataclass(frozen=True, slots=True)
class Liquidated:
    ref: LogRef
    account: Address
    market_no: int
    liquidator: Address
    size_e18: int
    mark_e18: int
    equity_units: int
    maintenance_units: int
    penalty_units: int
    reward_units: int
    loss_units: int


@dataclass(frozen=True, slots=True)
class LiquidationSkipped:
    """Reasons: 1 self or engine 2 no position 3 stale 4 healthy 5 size zero 6 fund short."""

    ref: LogRef
    account: Address
    market_no: int
    reason: int


@dataclass(frozen=True, slots=True)
class Deleveraged:
    ref: LogRef
    bankrupt: Address
    counterparty: Address
    market_no: int
    size_e18: int
    mark_e18: int
    loss_units: int
    cover_units: int


@dataclass(frozen=True, slots=True)
class PriceUpdated:
    ref: LogRef
    market_no: int
    round_id: int
    observed_at_s: int
    index_e18: int
    mark_e18: int
    premium_e18: int
    acc: int
    covered: int


@dataclass(frozen=True, slots=True)
class PriceSkipped:
    """Reasons: 1 unknown 2 zero 3 frozen 4 old round 5 deviation 6 spread 7 premium."""

    ref: LogRef
    market_no: int
    round_id: int
    reason: int


@dataclass(frozen=True, slots=True)
class BatchPushed:
    ref: LogRef
    round_id: int
    submitter: Address
    observed_at_s: int
    signer_epoch: int
    evidence: bytes
    signer_bitmap: int
    accepted: int


@dataclass(frozen=True, slots=True)
class RulesChanged:
    """Something that the chain enforces was configured, frozen or paused: read it again. `what` is the event's name."""

    ref: LogRef
    what: str


AccountEvent = MarginChanged | PositionChanged
ProtocolEvent = (
    MarginChanged
    | PositionChanged
    | FundingSettled
    | Liquidated
    | LiquidationSkipped
    | Deleveraged
    | PriceUpdated
    | PriceSkipped
    | BatchPushed
    | RulesChanged
)
