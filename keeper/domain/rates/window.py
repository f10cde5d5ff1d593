"""Averages of samples on a grid that begins with the interval: one sample each `every_s` seconds, the first usable in it.

How often a tick is evaluated does not change the average. A sample that is missing is skipped, or counts as zero where the
venue says so; it is never invented. Linear weights are 1, 2, 3, … by the place in the grid, as Binance weighs: a skipped
sample does not move the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from keeper.domain.numbers import BPS, tdiv
from keeper.domain.rates.method import RateInputs, Scheduled, Span
from keeper.domain.rates.sample import AGAINST, SAMPLES, SampleOf, sample
from keeper.domain.time import SECOND, Timestamp

UNIFORM, LINEAR = "uniform", "linear"
SKIP, ZERO = "skip", "zero"


# Tuples and not dataclasses, because each tick may make them anew for each market.
class Window(NamedTuple):
    """`slot` is the last place of the grid that has a sample, −1 at first; sums of the samples times their weights."""

    slot: int = -1
    samples: int = 0
    weight: int = 0
    total_e18: int = 0

    def to_plain(self) -> dict[str, Any]:
        return {"samples": self.samples, "slot": self.slot, "total_e18": self.total_e18, "weight": self.weight}


def window_of(plain: Mapping[str, Any]) -> Window:
    """Raises KeyError or ValueError on a document that `to_plain` did not write."""
    return Window(int(plain["slot"]), int(plain["samples"]), int(plain["weight"]), int(plain["total_e18"]))


class Mean(NamedTuple):
    """`enough`: as many samples as the method wants. Without that many `premium_e18` is 0."""

    premium_e18: int
    seen_bps: int
    enough: bool


@dataclass(frozen=True, slots=True)
class Averaged(Scheduled):
    """Options of every method that averages premium samples over its interval.

    `sample`: `impact`, `impact_basis`, `impact_middle`, `middle` or `mark`; `against`: `index` or `mark`. `missing`: `skip`
    or `zero`. With fewer than `min_coverage_pct` percent of the samples so far, the interest alone is charged.
    """

    sample: str = "impact"
    against: str = "index"
    every_s: int = 5
    weights: str = UNIFORM
    missing: str = SKIP
    min_coverage_pct: int = 50

    def __post_init__(self) -> None:
        Scheduled.__post_init__(self)
        for key, value, choices in (
            ("sample", self.sample, sorted(SAMPLES)),
            ("against", self.against, AGAINST),
            ("weights", self.weights, (UNIFORM, LINEAR)),
            ("missing", self.missing, (SKIP, ZERO)),
        ):
            if value not in choices:
                raise ValueError(f"{key} must be one of {', '.join(choices)}")
        if not 0 < self.every_s <= self.interval_s:
            raise ValueError("need 0 < every_s <= interval_s")
        if not 0 <= self.min_coverage_pct <= 100:
            raise ValueError("need 0 <= min_coverage_pct <= 100")

    def opened(self, before: Window | None) -> Window:  # noqa: ARG002 - each interval averages its own samples
        return Window()

    def restored(self, plain: Mapping[str, Any]) -> Window:
        return window_of(plain)

    def sampled(self, window: Window, span: Span, last_e18: int, inputs: RateInputs) -> Window:
        slot = span.elapsed_ns(inputs.now) // (self.every_s * SECOND)
        if slot <= window.slot:
            return window
        found = sample(SampleOf(self.sample, self.against), inputs, span, last_e18)
        if found is None:
            return window
        weight = slot + 1 if self.weights == LINEAR else 1
        return Window(slot, window.samples + 1, window.weight + weight, window.total_e18 + weight * found)

    def mean(self, window: Window, span: Span, now: Timestamp) -> Mean:
        """Over the grid's places until `now`, or all of them once the boundary has passed."""
        step = self.every_s * SECOND
        places = -(-span.interval_s // self.every_s)
        begun = min(places, span.elapsed_ns(now) // step + 1) if span.boundary_s * SECOND > now else places
        seen = window.samples * BPS // begun
        if not window.samples or window.samples * 100 < self.min_coverage_pct * begun:
            return Mean(0, seen, self.min_coverage_pct == 0)
        weight = window.weight
        if self.missing == ZERO:
            weight = begun * (begun + 1) // 2 if self.weights == LINEAR else begun
        return Mean(tdiv(window.total_e18, weight), seen, True)
