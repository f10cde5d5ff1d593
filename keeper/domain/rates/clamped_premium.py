"""F = clamp(P, −c, c) / n + i: the premium is cut, and n is a count of intervals in a day, not a length.

It differs in kind from what exchanges do: there |F| never exceeds c/n + |i|, and the premium hardly matters. P = 1.6833 %,
c = 0.05 %, n = 3, i = 0.01 % give 0.000266667.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keeper.domain.numbers import clamp, tdiv
from keeper.domain.rates.limits import symmetric
from keeper.domain.rates.method import BASIS_POINT, DAY_S, Charge, RateFlag, Ratio, Span
from keeper.domain.rates.window import Averaged, Window
from keeper.domain.time import Timestamp


def daily_clamped(premium_e18: int, clamp_e18: int, interest_e18: int, intervals_per_day: int) -> int:
    """clamp(P, −c, c) / n + i, the quotient toward zero."""
    return tdiv(clamp(premium_e18, -clamp_e18, clamp_e18), intervals_per_day) + interest_e18


@dataclass(frozen=True, slots=True)
class ClampedPremium(Averaged):
    """`interest` is charged in each interval, whatever its length; the clamped premium is a day's."""

    interest: Ratio = Ratio(BASIS_POINT)
    clamp: Ratio = Ratio(5 * BASIS_POINT)
    cap: Ratio | None = None

    formula: ClassVar[str] = "F = clamp(P, ±c) · interval / day + i, capped"

    def __post_init__(self) -> None:
        Averaged.__post_init__(self)
        if min(self.clamp, self.cap or 0) < 0:
            raise ValueError("clamp and cap cannot be negative")

    def charge(self, window: Window, span: Span, last_e18: int, now: Timestamp) -> Charge:
        mean = self.mean(window, span, now)
        cut = clamp(mean.premium_e18, -self.clamp, self.clamp)
        rate, flags = symmetric(self.cap).apply(tdiv(cut * span.interval_s, DAY_S) + self.interest, last_e18)
        return Charge(rate, mean.premium_e18, mean.seen_bps, flags if mean.enough else (RateFlag.THIN, *flags))
