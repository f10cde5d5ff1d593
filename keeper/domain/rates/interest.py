"""F = (P + clamp(i − P, −c, c)) · interval / period: the form of Binance, BitMEX, Bybit, Gate, Hyperliquid and many more.

While |P − i| ≤ c the rate is the interest; outside it follows the premium. i, c and P are those of one `period_s`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keeper.domain.numbers import E18, clamp, tdiv
from keeper.domain.rates.limits import symmetric
from keeper.domain.rates.method import BASIS_POINT, EIGHT_HOURS_S, Charge, RateFlag, Ratio, Span
from keeper.domain.rates.pace import Switching
from keeper.domain.rates.window import Averaged, Window
from keeper.domain.time import Timestamp


def interest_clamped(premium_e18: int, interest_e18: int, clamp_e18: int) -> int:
    """P + clamp(i − P, −c, c), for one period."""
    return premium_e18 + clamp(interest_e18 - premium_e18, -clamp_e18, clamp_e18)


@dataclass(frozen=True, slots=True)
class InterestClamp(Averaged):
    """`cap` and `max_change` bound one interval's rate; `multiplier` scales the premium (HIP-3: 0 to 10).

    With `capped_interval_s` the interval becomes that short at the cap, and `calm_interval_s` again after `calm_intervals`.
    """

    period_s: int = EIGHT_HOURS_S
    interest: Ratio = Ratio(BASIS_POINT)
    clamp: Ratio = Ratio(5 * BASIS_POINT)
    cap: Ratio | None = None
    max_change: Ratio | None = None
    multiplier: Ratio = Ratio(E18)
    capped_interval_s: int = 0
    calm_interval_s: int = 14_400
    calm_intervals: int = 16

    formula: ClassVar[str] = "F = (P + clamp(i − P, ±c)) · interval / period, capped"

    def __post_init__(self) -> None:
        Averaged.__post_init__(self)
        if self.period_s <= 0:
            raise ValueError("period_s must be positive")
        if min(self.clamp, self.cap or 0, self.max_change or 0) < 0:
            raise ValueError("clamp, cap and max_change cannot be negative")
        if not 0 <= self.multiplier <= 10 * E18:
            raise ValueError("need 0 <= multiplier <= 10")
        if min(self.capped_interval_s, self.calm_interval_s - 1, self.calm_intervals - 1) < 0:
            raise ValueError(
                "capped_interval_s cannot be negative; calm_interval_s and calm_intervals must be positive"
            )

    @property
    def switching(self) -> Switching | None:
        if not self.capped_interval_s:
            return None
        return Switching(self.capped_interval_s, self.calm_interval_s, self.calm_intervals)

    def charge(self, window: Window, span: Span, last_e18: int, now: Timestamp) -> Charge:
        mean = self.mean(window, span, now)
        premium = tdiv(mean.premium_e18 * self.multiplier, E18)
        whole = interest_clamped(premium, self.interest, self.clamp)
        rate, flags = symmetric(self.cap, self.max_change).apply(tdiv(whole * span.interval_s, self.period_s), last_e18)
        return Charge(rate, premium, mean.seen_bps, flags if mean.enough else (RateFlag.THIN, *flags))
