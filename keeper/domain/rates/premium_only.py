"""F = (P + i) · interval / period, without a dead zone: OKX, FTX, Kraken, BTSE, dYdX v3, Coinbase International."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keeper.domain.numbers import E18, tdiv
from keeper.domain.rates.limits import Limits
from keeper.domain.rates.method import EIGHT_HOURS_S, Charge, RateFlag, Ratio, Span
from keeper.domain.rates.window import Averaged, Window
from keeper.domain.time import Timestamp


def smoothed(rate_e18: int, last_e18: int, fresh_e18: int) -> int:
    """rate · α + last · (1 − α), toward zero."""
    return tdiv(rate_e18 * fresh_e18 + last_e18 * (E18 - fresh_e18), E18)


@dataclass(frozen=True, slots=True)
class PremiumOnly(Averaged):
    """P and `interest` are those of one `period_s`; `low`, `high` and `least` bound one interval's rate.

    `fresh` is the new rate's share in the one charged; the rest is the last one's.
    """

    period_s: int = EIGHT_HOURS_S
    interest: Ratio = Ratio(0)
    low: Ratio | None = None
    high: Ratio | None = None
    least: Ratio | None = None
    fresh: Ratio = Ratio(E18)

    formula: ClassVar[str] = "F = α · (P + i) · interval / period + (1 − α) · last, bounded"

    def __post_init__(self) -> None:
        Averaged.__post_init__(self)
        if self.period_s <= 0:
            raise ValueError("period_s must be positive")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError("low lies above high")
        if (self.least or 0) < 0 or not 0 < self.fresh <= E18:
            raise ValueError("need least >= 0 and 0 < fresh <= 1")

    def charge(self, window: Window, span: Span, last_e18: int, now: Timestamp) -> Charge:
        mean = self.mean(window, span, now)
        rate = tdiv((mean.premium_e18 + self.interest) * span.interval_s, self.period_s)
        limits = Limits(self.low, self.high, None, self.least)
        rate, flags = limits.apply(smoothed(rate, last_e18, self.fresh), last_e18)
        return Charge(rate, mean.premium_e18, mean.seen_bps, flags if mean.enough else (RateFlag.THIN, *flags))
