"""What a perp protocol enforces and holds, as read from the chain at one block.

Prices, rates, premiums and sizes are scaled by 1e18, money is in units of the quote token (6 decimals), the cumulative
funding index by 1e36. The names follow docs/reference-protocol.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from keeper.domain.chain import BlockRef
from keeper.domain.ids import Address

ENGINE = Address("0x" + "e" * 40)
"""Stands for the exchange contract's own account, whose margin is the insurance fund."""

PAUSE_TRADE, PAUSE_WITHDRAW, PAUSE_LIQUIDATE, PAUSE_FUNDING = 1, 2, 4, 8


@dataclass(frozen=True, slots=True)
class Tier:
    """From `floor_units` of notional on, `mmr_bps` of maintenance margin on the part above it."""

    floor_units: int
    mmr_bps: int


@dataclass(frozen=True, slots=True)
class MarketParameters:
    """One market's rules on chain."""

    tiers: tuple[Tier, ...]
    im_factor_bps: int
    buffer_bps: int
    penalty_bps: int
    liquidator_bps: int
    lot_e18: int
    min_notional_units: int
    max_notional_units: int
    max_oi_e18: int
    maker_bps: int
    taker_bps: int
    band_bps: int
    max_price_age_s: int
    funding_kind: int
    interest_e18: int
    clamp_e18: int
    cap_e18: int


@dataclass(frozen=True, slots=True)
class MarketState:
    """Rules and funding of one market, as stored (boundaries that are due are not applied)."""

    market_no: int
    parameters: MarketParameters
    cum_e36: int
    funding_at_s: int
    snap_acc: int
    snap_covered: int
    open_interest_e18: int


@dataclass(frozen=True, slots=True)
class FeedState:
    """One feed of the price oracle: its rules, last price, premium accumulator and one checkpoint at a boundary."""

    market_no: int
    interval_s: int
    hold_s: int
    max_deviation_bps: int
    max_spread_bps: int
    premium_kind: int
    frozen: bool
    index_e18: int
    mark_e18: int
    premium_e18: int
    observed_at_s: int
    round_id: int
    acc: int
    covered: int
    checkpoint_at_s: int
    checkpoint_acc: int
    checkpoint_covered: int
    checkpoint_mark_e18: int


@dataclass(frozen=True, slots=True)
class OracleState:
    """Who may report, and how old a report may be."""

    signers: tuple[Address, ...]
    quorum: int
    super_quorum: int
    signer_epoch: int
    max_age_s: int
    max_validity_s: int
    paused: bool


@dataclass(frozen=True, slots=True)
class ChainState:
    """Everything of one deployment that decisions need besides its accounts, at `at`."""

    at: BlockRef
    oracle: OracleState
    feeds: Mapping[int, FeedState]
    markets: Mapping[int, MarketState]
    pause_mask: int
    account_count: int
    held_units: int
