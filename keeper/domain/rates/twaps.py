"""Time-weighted means of mark and index side by side, for protocols that charge the difference of two means."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from keeper.domain.numbers import BPS
from keeper.domain.rates.method import HOUR_S, RateInputs, Scheduled, Span
from keeper.domain.time import SECOND, Timestamp


class Point(NamedTuple):
    """Sums of price · ns up to `at`, and the prices that hold from there."""

    at: Timestamp
    mark_sum: int
    index_sum: int
    mark_e18: int
    index_e18: int

    def until(self, at: Timestamp) -> Point:
        held = max(0, at - self.at)
        return Point(
            max(self.at, at),
            self.mark_sum + self.mark_e18 * held,
            self.index_sum + self.index_e18 * held,
            self.mark_e18,
            self.index_e18,
        )


class Twaps(NamedTuple):
    """Points, oldest first: one each `every` ns, and the newest. `growth_e18` is the method's own sum."""

    points: tuple[Point, ...] = ()
    growth_e18: int = 0

    def to_plain(self) -> dict[str, Any]:
        return {"growth_e18": self.growth_e18, "points": [list(point) for point in self.points]}


class Pair(NamedTuple):
    mark_e18: int
    index_e18: int
    covered_ns: int


def twaps_of(plain: Mapping[str, Any]) -> Twaps:
    """Raises KeyError, TypeError or ValueError on a document that `to_plain` did not write."""
    points = tuple(Point(Timestamp(int(at)), *(int(value) for value in rest)) for at, *rest in plain["points"])
    return Twaps(points, int(plain["growth_e18"]))


def added(twaps: Twaps, inputs: RateInputs, window_ns: int, every_ns: int) -> Twaps:
    """The prices of `inputs` hold from now on; points older than the window, but for one, are forgotten."""
    now = inputs.now
    if not twaps.points:
        return twaps._replace(points=(Point(now, 0, 0, inputs.mark_e18, inputs.index_e18),))
    newest = twaps.points[-1].until(now)._replace(mark_e18=inputs.mark_e18, index_e18=inputs.index_e18)
    older = twaps.points
    if len(older) > 1 and older[-1].at // every_ns == older[-2].at // every_ns:
        older = older[:-1]
    first = 0
    while first + 1 < len(older) and older[first + 1].at <= now - window_ns:
        first += 1
    return twaps._replace(points=(*older[first:], newest))


def means(twaps: Twaps, now: Timestamp, window_ns: int) -> Pair | None:
    """Over the last `window_ns`, or since the first price if that is younger. None before it."""
    if not twaps.points or now < twaps.points[0].at:
        return None
    start = Timestamp(max(twaps.points[0].at, now - window_ns))
    before, until = _latest(twaps, start), _latest(twaps, now).until(now)
    begun, elapsed = before.until(start), until.at - start
    if elapsed <= 0:
        return Pair(until.mark_e18, until.index_e18, 0)
    return Pair((until.mark_sum - begun.mark_sum) // elapsed, (until.index_sum - begun.index_sum) // elapsed, elapsed)


def _latest(twaps: Twaps, at: Timestamp) -> Point:
    """The newest point at or before `at`; there must be one."""
    return twaps.points[bisect_right(twaps.points, at, key=lambda point: point.at) - 1]


@dataclass(frozen=True, slots=True)
class TwoMeans(Scheduled):
    """Options of methods over two means: their window, and how finely it is kept."""

    interval_s: int = HOUR_S
    window_s: int = HOUR_S
    every_s: int = 15

    def __post_init__(self) -> None:
        Scheduled.__post_init__(self)
        if not 0 < self.every_s <= self.window_s:
            raise ValueError("need 0 < every_s <= window_s")

    def opened(self, before: Twaps | None) -> Twaps:
        """The means run on over the boundary."""
        return Twaps() if before is None else before._replace(growth_e18=0)

    def restored(self, plain: Mapping[str, Any]) -> Twaps:
        return twaps_of(plain)

    def sampled(self, window: Twaps, span: Span, last_e18: int, inputs: RateInputs) -> Twaps:  # noqa: ARG002
        return added(window, inputs, self.window_s * SECOND, self.every_s * SECOND)

    def seen_bps(self, pair: Pair) -> int:
        return pair.covered_ns * BPS // (self.window_s * SECOND)
