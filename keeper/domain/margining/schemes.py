"""How much single venues close, and at what price, where they say so by a formula. Parameters are theirs, as arguments.

Venues that only describe a procedure (BitMEX: down one risk limit at a time; FTX and BTSE: orders at a pace of their own;
Drift: a share that grows over slots) have none here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from fractions import Fraction

from keeper.domain.margining.contracts import ceil, floor
from keeper.domain.margining.cross import Standing
from keeper.domain.numbers import E18, clamp

PPM = 1_000_000


class Route(StrEnum):
    NONE = "none"
    BOOK = "book"
    """Market orders."""
    BACKSTOP = "backstop"
    """The venue's vault takes everything over; maintenance margin is not returned."""


@dataclass(frozen=True, slots=True)
class HyperliquidRules:
    large_e18: int = 100_000 * E18
    slice_share: Fraction = Fraction(1, 5)
    cooldown_s: int = 30
    backstop_below: Fraction = Fraction(2, 3)


def hyperliquid_closing(
    state: Standing, position_notional_e18: int, since_slice_s: int | None, rules: HyperliquidRules | None = None
) -> tuple[Route, Fraction]:
    """Where a position goes, and which share of it; `since_slice_s` is None if none of the user's was sliced before.

    Of a large position first a slice; whatever follows within the cooldown is for the whole of it.
    https://hyperliquid.gitbook.io/hyperliquid-docs/trading/liquidations
    """
    rules = rules or HyperliquidRules()
    if not state.is_liquidatable:
        return Route.NONE, Fraction(0)
    if state.equity_e18 < rules.backstop_below * state.maintenance_e18:
        return Route.BACKSTOP, Fraction(1)
    cooling = since_slice_s is not None and since_slice_s < rules.cooldown_s
    sliced = position_notional_e18 > rules.large_e18 and not cooling
    return Route.BOOK, rules.slice_share if sliced else Fraction(1)


def curie_size(
    size_e18: int, position_value_e18: int, total_value_e18: int, state: Standing, small_e18: int = 100 * E18
) -> int:
    """Perpetual Protocol v2: the whole of a small or deeply unhealthy position, else Σ|value| / (2·|value|) of it, at most all.

    The share is cut to whole millionths and the size toward zero, as the contract does. Values are absolute.
    https://github.com/perpetual-protocol/perp-curie-contract/blob/main/contracts/AccountBalance.sol
    """
    if not state.is_liquidatable or size_e18 == 0:
        return 0
    if position_value_e18 <= small_e18 or state.equity_e18 < state.maintenance_e18 // 2:
        return abs(size_e18)
    ratio_ppm = min(PPM, total_value_e18 * PPM // (2 * position_value_e18))
    return abs(size_e18) * ratio_ppm // PPM


@dataclass(frozen=True, slots=True)
class FillableRules:
    """dYdX v4: `spread` is SMMR, `adjustment` BA, `rate` the market's MMF."""

    rate: Fraction
    spread: Fraction = Fraction(3, 2)
    adjustment: Fraction = Fraction(1)


def fillable_price(size_e18: int, oracle_e18: int, state: Standing, rules: FillableRules) -> int:
    """P · (1 − s · SMMR · MMF · min(1, BA·(1 − AV/MM))): the worst price at which dYdX v4 matches a liquidation.

    Rounded toward the oracle price: the account is never filled at a worse price than the formula's.
    https://github.com/dydxprotocol/v4-chain (liquidations keeper, GetFillablePrice)
    """
    lost = rules.adjustment * (1 - Fraction(state.equity_e18, max(1, state.maintenance_e18)))
    rating = min(Fraction(1), max(Fraction(0), lost))
    side = 1 if size_e18 > 0 else -1
    exact = oracle_e18 * (1 - side * rules.spread * rules.rate * rating)
    return ceil(exact) if side > 0 else floor(exact)


def synthetix_window_cap(
    maker: Fraction, taker: Fraction, skew_scale_e18: int, multiplier: Fraction, window_s: int
) -> int:
    """Synthetix v3: the most size that may be liquidated within one window, rounded down.

    (maker + taker) · skew scale · multiplier · window. https://github.com/Synthetixio/synthetix-v3 (PerpsMarketConfiguration)
    """
    return floor((maker + taker) * skew_scale_e18 * multiplier * window_s)


def synthetix_closable(size_e18: int, cap_e18: int, used_e18: int) -> int:
    """What of a flagged position may be closed now, `used_e18` having been closed within the window."""
    return clamp(cap_e18 - used_e18, 0, abs(size_e18))


class GmxState(IntEnum):
    HEALTHY = 0
    CLOSE = 1
    """Loss or fees exceed the collateral: all of it is closed and what is left kept."""
    DECREASE = 2
    """Only above the largest leverage: closed as an owner would, the rest returned."""


def gmx_state(
    size_e18: int,
    collateral_e18: int,
    pnl_e18: int,
    margin_fees_e18: int,
    liquidation_fee_e18: int,
    max_leverage_bps: int = 500_000,
) -> GmxState:
    """GMX v1. `size_e18` is notional in USD. A profit does not count as collateral.

    https://github.com/gmx-io/gmx-contracts/blob/master/contracts/core/VaultUtils.sol
    """
    left = collateral_e18 + min(0, pnl_e18)
    if left < margin_fees_e18 + liquidation_fee_e18:
        return GmxState.CLOSE
    return GmxState.DECREASE if left * max_leverage_bps < size_e18 * 10_000 else GmxState.HEALTHY
