"""What an operator chose for one index. A spec that could never work is refused when it is built, with its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from keeper.domain.aggregation import INDEX_METHODS
from keeper.domain.ids import IndexId, SourceId
from keeper.domain.numbers import E18
from keeper.domain.time import SECOND


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """One source of an index.

    `quote` names the currency that the venue quotes in and is the source's quote group. The price of one base unit is the
    venue's price × `multiplier_e18` / 1e18: 10**15 for a symbol that quotes 1000 units.
    A quote counts while it is at most `max_age_ns` old; one without a venue time that is merely repeated counts for
    `quiet_max_ns` since its content last changed.
    """

    source: SourceId
    quote: str
    weight: int = 1
    max_age_ns: int = 10 * SECOND
    quiet_max_ns: int = 300 * SECOND
    multiplier_e18: int = E18

    def __post_init__(self) -> None:
        for name in ("weight", "max_age_ns", "quiet_max_ns", "multiplier_e18"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{self.source}: {name} must be positive")


@dataclass(frozen=True, slots=True)
class PegSpec:
    """The index that converts a quote currency, and the band outside which nothing quoted in it is trusted."""

    index: IndexId
    low_e18: int = 9 * E18 // 10
    high_e18: int = 11 * E18 // 10

    def __post_init__(self) -> None:
        if not 0 < self.low_e18 <= self.high_e18:
            raise ValueError(f"{self.index}: the band {self.low_e18}…{self.high_e18} is empty")


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """One index, in units of `quote`.

    `max_deviation_bps`: distance from the median of the fresh quotes at which a source is an outlier. It widens to three
    median absolute deviations while the sources themselves spread (a fast move seen through different lags), but never
    beyond `max_dispersion_bps`.
    `min_sources` and `min_quote_groups` are counted after every rejection. `allow_two` lets exactly two sources do if they
    agree within `pair_bps` and each lies within `pair_last_bps` of the last index.
    `frozen_after_ns`: a source unchanged for longer, while most of the others changed, is refused; None switches this off.
    `clamp_bps` is the band of the clamped mean; the other methods ignore it.
    """

    id: IndexId
    sources: tuple[SourceSpec, ...]
    quote: str = "USD"
    method: str = "median"
    max_deviation_bps: int = 100
    max_dispersion_bps: int = 500
    clamp_bps: int = 50
    min_sources: int = 3
    min_quote_groups: int = 2
    allow_two: bool = False
    pair_bps: int = 50
    pair_last_bps: int = 100
    frozen_after_ns: int | None = None
    max_spread_bps: int = 100
    max_skew_ns: int = 2 * SECOND
    conversions: Mapping[str, PegSpec] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if problem := self._problem():
            raise ValueError(f"{self.id}: {problem}")

    def _problem(self) -> str | None:
        groups = {source.quote for source in self.sources}
        if self.method not in INDEX_METHODS:
            return f"method {self.method!r} is not one of {', '.join(sorted(INDEX_METHODS))}"
        if len({source.source for source in self.sources}) != len(self.sources):
            return "a source is named twice"
        if unknown := sorted(groups - {self.quote} - set(self.conversions)):
            return f"no conversion from {', '.join(unknown)} to {self.quote}"
        if self.quote in self.conversions:
            return f"{self.quote} is the index's own currency and must not be converted"
        return self._quorum_problem(len(self.sources), len(groups)) or self._limit_problem()

    def _quorum_problem(self, sources: int, groups: int) -> str | None:
        if self.min_sources < (2 if self.allow_two else 3):
            return "min_sources below 3 needs allow_two, and is never below 2"
        if self.allow_two and self.min_sources > 3:
            return "allow_two contradicts min_sources above 3"
        if self.min_sources > sources:
            return f"min_sources {self.min_sources} exceeds its {sources} sources"
        if not 1 <= self.min_quote_groups <= groups:
            return f"min_quote_groups {self.min_quote_groups} does not fit its {groups} quote groups"
        return None

    def _limit_problem(self) -> str | None:
        if not 0 < self.max_deviation_bps <= self.max_dispersion_bps < 10_000:
            return "need 0 < max_deviation_bps <= max_dispersion_bps < 10000"
        if not 0 <= self.clamp_bps < 10_000:
            return "need 0 <= clamp_bps < 10000"
        if min(self.max_spread_bps, self.pair_bps, self.pair_last_bps, self.max_skew_ns) < 0:
            return "limits must not be negative"
        if self.frozen_after_ns is not None and self.frozen_after_ns <= 0:
            return "frozen_after_ns must be positive"
        return None
