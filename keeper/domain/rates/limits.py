"""What a rate may not exceed, and how far it may move from one interval to the next."""

from __future__ import annotations

from typing import NamedTuple

from keeper.domain.numbers import clamp
from keeper.domain.rates.method import RateFlag


class Limits(NamedTuple):
    """All per interval, scaled 1e18; None: no such limit. `least` is the smallest rate charged, by size, zero aside."""

    low_e18: int | None = None
    high_e18: int | None = None
    step_e18: int | None = None
    least_e18: int | None = None

    def apply(self, rate_e18: int, last_e18: int) -> tuple[int, tuple[RateFlag, ...]]:
        """First the change against the last rate is cut, then the cap, so that the cap always holds."""
        rate, flags = rate_e18, []
        if self.least_e18 is not None and 0 < abs(rate) < self.least_e18:
            rate = self.least_e18 if rate > 0 else -self.least_e18
            flags.append(RateFlag.RAISED)
        if self.step_e18 is not None and abs(rate - last_e18) > self.step_e18:
            rate = clamp(rate, last_e18 - self.step_e18, last_e18 + self.step_e18)
            flags.append(RateFlag.STEPPED)
        capped = rate if self.low_e18 is None else max(self.low_e18, rate)
        capped = capped if self.high_e18 is None else min(self.high_e18, capped)
        if capped != rate or (capped != 0 and capped in (self.low_e18, self.high_e18)):
            flags.append(RateFlag.CAPPED)
        return capped, tuple(flags)


def symmetric(cap_e18: int | None, step_e18: int | None = None, least_e18: int | None = None) -> Limits:
    return Limits(None if cap_e18 is None else -cap_e18, cap_e18, step_e18, least_e18)


def margin_cap(initial_e18: int, maintenance_e18: int, share_bps: int) -> int:
    """A share of (initial − maintenance margin), rounded down: BitMEX caps at 7,500 bps of it, dYdX v4 at 60,000 per 8 h."""
    return (initial_e18 - maintenance_e18) * share_bps // 10_000
