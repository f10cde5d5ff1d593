"""Synthetix: the rate itself moves, as fast as the pool is one-sided, and both sides settle with the pool.

velocity = clamp(skew / scale, −1, 1) · largest velocity, a day and a day; rate(t) = rate + velocity · Δt; what accrues is the
mean of both rates times the time. Synthetix v3, PerpsMarket.sol. `flat` is v2's: the rate stands at the skew, without memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from keeper.domain.numbers import BPS, E18, clamp, tdiv
from keeper.domain.rates.method import DAY_S, HOUR_S, Charge, RateFlag, RateInputs, Ratio, Scheduled, Span
from keeper.domain.time import MILLISECOND, SECOND, Timestamp

DAY_MS = DAY_S * 1_000


def velocity(skew_e18: int, scale_e18: int, fastest_e18: int) -> int:
    """Change of the daily rate in a day. Positive skew: longs pay more and more."""
    return tdiv(clamp(tdiv(skew_e18 * E18, scale_e18), -E18, E18) * fastest_e18, E18)


def rate_after(rate_e18: int, velocity_e18: int, elapsed_ms: int) -> int:
    """The daily rate `elapsed_ms` later."""
    return rate_e18 + tdiv(velocity_e18 * elapsed_ms, DAY_MS)


def area(before_e18: int, after_e18: int, elapsed_ms: int) -> int:
    """Twice the area under the rate between two instants, in rate · ms: not divided, so that many small steps lose nothing."""
    return (before_e18 + after_e18) * elapsed_ms


def owed_of(area: int) -> int:
    """What a position owes for that area, as a part of its notional, toward zero. Positive: longs pay."""
    return tdiv(area, 2 * DAY_MS)


class Drifting(NamedTuple):
    """The daily rate at `at_ms`, how fast it moves since, and the area of the interval until then."""

    rate_e18: int = 0
    velocity_e18: int = 0
    at_ms: int | None = None
    area: int = 0
    seen_ms: int = 0

    def to_plain(self) -> dict[str, Any]:
        return self._asdict()


@dataclass(frozen=True, slots=True)
class Velocity(Scheduled):
    """`max_velocity` is the largest change of the daily rate in a day; `skew_scale` the skew, in base, that makes it."""

    interval_s: int = HOUR_S
    max_velocity: Ratio = Ratio(9 * E18)
    skew_scale: Ratio = Ratio(100_000 * E18)
    flat: bool = False
    hold_s: int = 60

    formula: ClassVar[str] = "∫ rate dt / day, rate moving by clamp(skew / scale, ±1) · velocity a day"

    def __post_init__(self) -> None:
        Scheduled.__post_init__(self)
        if self.max_velocity < 0 or self.skew_scale <= 0 or self.hold_s <= 0:
            raise ValueError("max_velocity cannot be negative; skew_scale and hold_s must be positive")

    def opened(self, before: Drifting | None) -> Drifting:
        """The rate runs on over the boundary; what it accrued does not."""
        return Drifting() if before is None else before._replace(area=0, seen_ms=0)

    def restored(self, plain: Mapping[str, Any]) -> Drifting:
        at = plain["at_ms"]
        return Drifting(
            int(plain["rate_e18"]),
            int(plain["velocity_e18"]),
            None if at is None else int(at),
            int(plain["area"]),
            int(plain["seen_ms"]),
        )

    def sampled(self, window: Drifting, span: Span, last_e18: int, inputs: RateInputs) -> Drifting:  # noqa: ARG002
        """Without a pool nothing is known of the skew: the rate stands still."""
        at_ms = inputs.now // MILLISECOND
        moved = self._until(window, span, at_ms)
        if inputs.pool is None:
            return moved._replace(velocity_e18=0)
        speed = velocity(inputs.pool.skew_e18, self.skew_scale, self.max_velocity)
        return moved._replace(rate_e18=speed, velocity_e18=0) if self.flat else moved._replace(velocity_e18=speed)

    def _until(self, window: Drifting, span: Span, at_ms: int) -> Drifting:
        """The rate moves from the last look on, over the boundary too; the area counts from the boundary."""
        if window.at_ms is None:
            return window._replace(at_ms=at_ms)
        hold, opened_ms = self.hold_s * 1_000, span.opened_s * 1_000
        until_ms = min(at_ms, window.at_ms + hold)
        earlier = max(0, min(opened_ms, until_ms) - window.at_ms)
        held = max(0, until_ms - max(window.at_ms, opened_ms))
        before = rate_after(window.rate_e18, window.velocity_e18, earlier)
        after = rate_after(before, window.velocity_e18, held)
        return Drifting(
            after,
            window.velocity_e18,
            max(at_ms, window.at_ms),
            window.area + area(before, after, held),
            window.seen_ms + held,
        )

    def charge(self, window: Drifting, span: Span, last_e18: int, now: Timestamp) -> Charge:  # noqa: ARG002
        until_ms = min(now, span.boundary_s * SECOND) // MILLISECOND
        found = window if window.at_ms is None else self._until(window, span, until_ms)
        elapsed_ms = span.elapsed_ns(now) // MILLISECOND
        seen = found.seen_ms * BPS // elapsed_ms if elapsed_ms > 0 else 0
        flags = (RateFlag.NO_POOL,) if found.velocity_e18 == 0 and found.rate_e18 == 0 else ()
        return Charge(owed_of(found.area), found.rate_e18, seen, flags)
