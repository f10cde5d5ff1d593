"""Drift: the difference of two hourly means, plus an offset, bounded by the market's tier, a 24th of it each hour.

https://docs.drift.trade , protocol-v2 controller/funding.rs. The offset is index/5000 (7.3 % a year) and in a later fork
index/3333 with a dead zone of index/2000, in which the offset alone is charged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keeper.domain.numbers import BPS, E18, clamp, exceeds_bps, tdiv
from keeper.domain.rates.method import DAY_S, Charge, RateFlag, Ratio, Span
from keeper.domain.rates.twaps import Twaps, TwoMeans, means
from keeper.domain.time import SECOND, Timestamp


def next_wait_s(interval_s: int, lateness_s: int) -> int:
    """How long an update that came `lateness_s` after its hour makes the next one wait.

    A third of the interval late or less: until the next hour. Later: until the one after that.
    """
    whole = interval_s if 3 * lateness_s <= interval_s else 2 * interval_s
    return whole - lateness_s


def refused(mark_e18: int, index_e18: int, band_bps: int, *, index_valid: bool) -> str | None:
    """Why the protocol would not update now, or None."""
    if not index_valid:
        return "the oracle's price is not valid"
    if exceeds_bps(mark_e18, index_e18, band_bps):
        return f"mark and oracle are more than {band_bps} bps apart"
    return None


@dataclass(frozen=True, slots=True)
class Spread(TwoMeans):
    """`offset_per` and `dead_zone_per` are the parts of the index that 1/n of it makes; 0: none.

    `max_spread` bounds the daily difference by the market's tier.
    """

    offset_per: int = 5_000
    dead_zone_per: int = 0
    max_spread: Ratio = Ratio(E18 // 33)

    formula: ClassVar[str] = "F = clamp(mean mark − mean index + offset, ±tier) / mean index · interval / day"

    def __post_init__(self) -> None:
        TwoMeans.__post_init__(self)
        if min(self.offset_per, self.dead_zone_per, self.max_spread) < 0:
            raise ValueError("offset_per, dead_zone_per and max_spread cannot be negative")

    def daily(self, mark_e18: int, index_e18: int) -> int:
        """The difference that a day charges, in the price's own scale."""
        offset = index_e18 // self.offset_per if self.offset_per else 0
        difference = mark_e18 - index_e18
        if self.dead_zone_per and abs(difference) <= index_e18 // self.dead_zone_per:
            difference = 0
        limit = index_e18 * self.max_spread // E18
        return clamp(difference + offset, -limit, limit)

    def charge(self, window: Twaps, span: Span, last_e18: int, now: Timestamp) -> Charge:  # noqa: ARG002
        pair = means(window, Timestamp(min(now, span.boundary_s * SECOND)), self.window_s * SECOND)
        if pair is None:
            return Charge(0, 0, 0, (RateFlag.THIN,))
        daily = self.daily(pair.mark_e18, pair.index_e18)
        premium = tdiv((pair.mark_e18 - pair.index_e18) * E18, pair.index_e18)
        rate = tdiv(daily * span.interval_s * E18, DAY_S * pair.index_e18)
        seen = self.seen_bps(pair)
        limit = pair.index_e18 * self.max_spread // E18
        flags = (RateFlag.THIN,) if 2 * seen < BPS else ()
        return Charge(rate, premium, seen, (*flags, RateFlag.CAPPED) if abs(daily) == limit else flags)
