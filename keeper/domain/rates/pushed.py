"""dYdX v1: a keeper pushes the rate, and the contract bounds its size and how fast it may move.

The rate is per second, scaled 1e18. A new one is cut to what the time since the last one allows, then to the largest size
(https://github.com/dydxprotocol/perpetual, P1FundingOracle.sol: 0.75 % per 8 h, the full swing in 45 minutes).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from keeper.domain.numbers import E18, clamp, tdiv
from keeper.domain.rates.interest import interest_clamped
from keeper.domain.rates.method import BASIS_POINT, EIGHT_HOURS_S, HOUR_S, Charge, RateFlag, Ratio, Span
from keeper.domain.rates.window import Averaged, Window
from keeper.domain.time import Timestamp

MAX_ABS_VALUE = E18 * 75 // 10_000 // EIGHT_HOURS_S
MAX_ABS_DIFF_PER_SECOND = MAX_ABS_VALUE * 2 // 2_700


def bounded(old_e18: int, new_e18: int, elapsed_s: int) -> int:
    """What the contract stores when `new_e18` is pushed `elapsed_s` after `old_e18`. Both per second."""
    reach = MAX_ABS_DIFF_PER_SECOND * elapsed_s
    return clamp(clamp(new_e18, old_e18 - reach, old_e18 + reach), -MAX_ABS_VALUE, MAX_ABS_VALUE)


def index_growth(price_e18: int, rate_e18: int, elapsed_s: int) -> int:
    """What the global index grows by: price · rate · Δt, scaled 1e18, toward zero. Positive: longs pay."""
    return tdiv(price_e18 * rate_e18 * elapsed_s, E18)


@dataclass(frozen=True, slots=True)
class Pushed(Averaged):
    """The rate to push at the boundary: premium and interest of 8 hours as exchanges combine them, per second, bounded.

    What one interval's samples give is in force until the next boundary; `charge` gives that whole interval's worth.
    """

    interval_s: int = HOUR_S
    interest: Ratio = Ratio(BASIS_POINT)
    clamp: Ratio = Ratio(5 * BASIS_POINT)

    formula: ClassVar[str] = "per second: (P + clamp(i − P, ±c)) / 8 h, within old ± 192901234 · Δt and ±260416666666"

    def __post_init__(self) -> None:
        Averaged.__post_init__(self)
        if self.clamp < 0:
            raise ValueError("clamp cannot be negative")

    def per_second(self, premium_e18: int, old_e18: int, elapsed_s: int) -> int:
        """The rate that the contract would store."""
        wanted = tdiv(interest_clamped(premium_e18, self.interest, self.clamp), EIGHT_HOURS_S)
        return bounded(old_e18, wanted, elapsed_s)

    def charge(self, window: Window, span: Span, last_e18: int, now: Timestamp) -> Charge:
        mean = self.mean(window, span, now)
        stored = self.per_second(mean.premium_e18, tdiv(last_e18, span.interval_s), span.interval_s)
        wanted = tdiv(interest_clamped(mean.premium_e18, self.interest, self.clamp), EIGHT_HOURS_S)
        flags: tuple[RateFlag, ...] = () if mean.enough else (RateFlag.THIN,)
        if stored != wanted:
            flags += (RateFlag.CAPPED if abs(stored) == MAX_ABS_VALUE else RateFlag.STEPPED,)
        return Charge(stored * span.interval_s, mean.premium_e18, mean.seen_bps, flags)
