"""Deribit: funding runs all the time, and the premium counts only where it leaves a band of ±d around zero.

rate of 8 h = max(d, p) + min(−d, p) with p = (mark − index) / index; paid = rate · time / 8 h, per millisecond.
https://www.deribit.com/pages/docs/perpetual . The band was ±0.05 % in 2019 and is ±0.025 % in recordings of 2025.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from keeper.domain.numbers import BPS, E18, tdiv
from keeper.domain.rates.limits import symmetric
from keeper.domain.rates.method import EIGHT_HOURS_S, Charge, RateInputs, Ratio, Scheduled, Span
from keeper.domain.rates.sample import mark_premium
from keeper.domain.time import MILLISECOND, Timestamp


def damped(premium_e18: int, damper_e18: int) -> int:
    """max(d, p) + min(−d, p): p moved toward zero by d, and zero within ±d."""
    return max(damper_e18, premium_e18) + min(-damper_e18, premium_e18)


class Accrued(NamedTuple):
    """Rate of 8 h times the milliseconds that it held, and the rate that holds since `at_ms`; None before the first."""

    sum_e18: int = 0
    rate_e18: int | None = None
    premium_e18: int = 0
    at_ms: int = 0
    seen_ms: int = 0

    def to_plain(self) -> dict[str, Any]:
        return {
            "at_ms": self.at_ms,
            "premium_e18": self.premium_e18,
            "rate_e18": self.rate_e18,
            "seen_ms": self.seen_ms,
            "sum_e18": self.sum_e18,
        }


@dataclass(frozen=True, slots=True)
class Damper(Scheduled):
    """`interval_s` is only how long one figure is shown for: what is owed runs on without boundaries.

    Time before the first look, and after `hold_s` without one, counts neither way.
    """

    damper: Ratio = Ratio(E18 * 25 // 100_000)
    cap: Ratio | None = None
    hold_s: int = 60

    formula: ClassVar[str] = "∫ (max(d, p) + min(−d, p)) dt / 8 h, by the millisecond"

    def __post_init__(self) -> None:
        Scheduled.__post_init__(self)
        if min(self.damper, self.cap or 0) < 0 or self.hold_s <= 0:
            raise ValueError("damper and cap cannot be negative, hold_s must be positive")

    def opened(self, before: Accrued | None) -> Accrued:
        """The rate holds on over the boundary; what it accrued does not."""
        return Accrued() if before is None else before._replace(sum_e18=0, seen_ms=0)

    def restored(self, plain: Mapping[str, Any]) -> Accrued:
        rate = plain["rate_e18"]
        return Accrued(
            int(plain["sum_e18"]),
            None if rate is None else int(rate),
            int(plain["premium_e18"]),
            int(plain["at_ms"]),
            int(plain["seen_ms"]),
        )

    def rate_8h(self, premium_e18: int) -> int:
        return symmetric(self.cap).apply(damped(premium_e18, self.damper), 0)[0]

    def sampled(self, window: Accrued, span: Span, last_e18: int, inputs: RateInputs) -> Accrued:  # noqa: ARG002
        at_ms = inputs.now // MILLISECOND
        premium = mark_premium(inputs.mark_e18, inputs.index_e18)
        total, seen = self._until(window, span, at_ms)
        return Accrued(total, self.rate_8h(premium), premium, max(window.at_ms, at_ms), seen)

    def charge(self, window: Accrued, span: Span, last_e18: int, now: Timestamp) -> Charge:  # noqa: ARG002
        """What the interval has accrued so far: the rate that holds counts until `now`, not until the boundary."""
        elapsed_ms = span.elapsed_ns(now) // MILLISECOND
        total, seen = self._until(window, span, span.opened_s * 1_000 + elapsed_ms)
        return Charge(
            tdiv(total, EIGHT_HOURS_S * 1_000), window.premium_e18, seen * BPS // elapsed_ms if elapsed_ms > 0 else 0
        )

    def _until(self, window: Accrued, span: Span, at_ms: int) -> tuple[int, int]:
        if window.rate_e18 is None:
            return window.sum_e18, window.seen_ms
        until_ms = min(at_ms, window.at_ms + self.hold_s * 1_000)
        held = max(0, until_ms - max(window.at_ms, span.opened_s * 1_000))
        return window.sum_e18 + window.rate_e18 * held, window.seen_ms + held
