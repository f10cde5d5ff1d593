"""What an operator chose for one index. A spec that could never work is refused when it is built, with its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from keeper.domain.caps import Caps
from keeper.domain.ids import IndexId
from keeper.domain.index_methods import IndexMethod, Median, TrimmedMean
from keeper.domain.ladder import Ladder
from keeper.domain.numbers import BPS, E18, text_of
from keeper.domain.operators import operator_of
from keeper.domain.outlier_rules import OutlierRule
from keeper.domain.reference import ReferenceBand
from keeper.domain.rounding import Rounding
from keeper.domain.scorecard import ScoreRules
from keeper.domain.source_spec import SourceSpec
from keeper.domain.time import SECOND

__all__ = ["CrossCheck", "IndexSpec", "OnDepeg", "PegSpec", "SourceSpec"]


class OnDepeg(StrEnum):
    """What a rate that is withheld or outside its band does to the index that it would convert for."""

    DROP_GROUP = "drop_group"
    """Nothing quoted in the currency votes; the others decide."""
    WITHHOLD = "withhold"
    """No index: the others' witness is not believed either."""


@dataclass(frozen=True, slots=True)
class PegSpec:
    """The index that converts a quote currency, and the band outside which nothing quoted in it is trusted.

    `alert_bps`: further from par the rate is told of and used all the same; None: never.
    """

    index: IndexId
    low_e18: int = 9 * E18 // 10
    high_e18: int = 11 * E18 // 10
    alert_bps: int | None = None
    on_depeg: OnDepeg = OnDepeg.DROP_GROUP

    def __post_init__(self) -> None:
        if not 0 < self.low_e18 <= self.high_e18:
            raise ValueError(f"{self.index}: the band {self.low_e18}…{self.high_e18} is empty")
        if self.alert_bps is not None and self.alert_bps < 1:
            raise ValueError(f"{self.index}: alert_bps must be positive")


@dataclass(frozen=True, slots=True)
class CrossCheck:
    """The converted index against the median of the quote groups without conversion.

    Further apart than `max_bps` it is flagged, or withheld.
    """

    max_bps: int = 100
    withhold: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.max_bps < BPS:
            raise ValueError("need 0 < max_bps < 10000")


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """One index, in units of `quote`.

    `max_deviation_bps`: distance from the median of the fresh quotes at which a source is an outlier. It widens to three
    median absolute deviations while the sources themselves spread (a fast move seen through different lags), but never
    beyond `max_dispersion_bps`. `outliers` is another rule in place of this.
    `min_sources`, `min_quote_groups` and `min_operators` are counted after every rejection. `allow_two` lets exactly two sources do if they
    agree within `pair_bps` and each lies within `pair_last_bps` of the last index.
    `frozen_after_ns`: a source unchanged for longer, while most of the others changed, is refused; None switches this off.
    `ladder` says what fewer than `min_sources` may do, `caps` bound the shares of the weight, `rounding` comes last.
    `reference` is a published rate that the result is held against.
    `own_venue` is the market's own exchange: neither it nor another venue of its operator may be a source.
    `scorecard` says which record takes a source its vote; None: none does.
    """

    id: IndexId
    sources: tuple[SourceSpec, ...]
    quote: str = "USD"
    method: IndexMethod = field(default_factory=Median)
    max_deviation_bps: int = 100
    max_dispersion_bps: int = 500
    min_sources: int = 3
    min_quote_groups: int = 2
    min_operators: int = 1
    allow_two: bool = False
    pair_bps: int = 50
    pair_last_bps: int = 100
    frozen_after_ns: int | None = None
    max_spread_bps: int = 100
    max_skew_ns: int = 2 * SECOND
    conversions: Mapping[str, PegSpec] = field(default_factory=dict)
    outliers: OutlierRule | None = None
    ladder: Ladder = field(default_factory=Ladder)
    rounding: Rounding | None = None
    caps: Caps | None = None
    cross_check: CrossCheck | None = None
    own_venue: str | None = None
    scorecard: ScoreRules | None = None
    reference: ReferenceBand | None = None
    falls_back: bool = field(init=False, repr=False, compare=False, default=False)
    """Some source votes only for want of others."""
    composed: bool = field(init=False, repr=False, compare=False, default=False)
    """Some choice asks for more than the plain way: screening, band, quorum, method."""

    def __post_init__(self) -> None:
        if problem := self._problem():
            raise ValueError(f"{self.id}: {problem}")
        object.__setattr__(self, "composed", self._is_composed())
        object.__setattr__(self, "falls_back", any(source.fallback for source in self.sources))

    @property
    def remembers(self) -> bool:
        """Its result depends on what was before the tick, beyond the last price."""
        return self.ladder.holds or (self.outliers is not None and self.outliers.remembers)

    def _is_composed(self) -> bool:
        chosen = (self.outliers, self.rounding, self.caps, self.cross_check)
        strict = any(peg.on_depeg is OnDepeg.WITHHOLD for peg in self.conversions.values())
        unusual = self.method.by_group or self.method.by_volume or self.min_operators > 1 or self.ladder != Ladder()
        return strict or unusual or any(choice is not None for choice in chosen)

    def _problem(self) -> str | None:
        groups = {source.quote for source in self.sources}
        if len({source.source for source in self.sources}) != len(self.sources):
            return "a source is named twice"
        if self.quote in self.conversions:
            return f"{self.quote} is the index's own currency and must not be converted"
        if self.method.by_group and self.conversions:
            return f"{self.method.name} compares the groups without conversion: leave `conversions` out"
        if (unknown := sorted(groups - {self.quote} - set(self.conversions))) and not self.method.by_group:
            return f"no conversion from {', '.join(unknown)} to {self.quote}"
        return (
            self._quorum_problem(len(self.sources), len(groups))
            or self._limit_problem()
            or self._ladder_problem()
            or self._method_problem()
            or self._owner_problem()
            or self._last_resort_problem()
        )

    def _last_resort_problem(self) -> str | None:
        if self.reference is not None and any(
            s.source == self.reference.source and not s.fallback for s in self.sources
        ):
            return "reference: an index cannot be held against one of its own votes"
        others = sum(not source.fallback for source in self.sources)
        return None if others >= 2 else "fallback sources need at least two others to stand in for"

    def _quorum_problem(self, sources: int, groups: int) -> str | None:
        if self.min_sources < (2 if self.allow_two else 3):
            return "min_sources below 3 needs allow_two, and is never below 2"
        if self.allow_two and self.min_sources > 3:
            return "allow_two contradicts min_sources above 3"
        if self.min_sources > sources:
            return f"min_sources {self.min_sources} exceeds its {sources} sources"
        if not 1 <= self.min_quote_groups <= groups:
            return f"min_quote_groups {self.min_quote_groups} does not fit its {groups} quote groups"
        operators = len({source.run_by for source in self.sources})
        if not 1 <= self.min_operators <= operators:
            return f"min_operators {self.min_operators} does not fit its {operators} operators"
        return None

    def _limit_problem(self) -> str | None:
        if not 0 < self.max_deviation_bps <= self.max_dispersion_bps < BPS:
            return "need 0 < max_deviation_bps <= max_dispersion_bps < 10000"
        if min(self.max_spread_bps, self.pair_bps, self.pair_last_bps, self.max_skew_ns) < 0:
            return "limits must not be negative"
        if self.frozen_after_ns is not None and self.frozen_after_ns <= 0:
            return "frozen_after_ns must be positive"
        return None

    def _ladder_problem(self) -> str | None:
        ladder, need = self.ladder, max(self.min_quote_groups, self.min_operators)
        if (ladder.takes_two or ladder.takes_one) and self.min_sources > 3:
            return "ladder: pricing on two or one contradicts min_sources above 3"
        if self.allow_two and ladder != Ladder():
            return "ladder: it says what two sources do, and so does allow_two"
        if ladder.takes_one and need > 1:
            return "ladder: pricing on one source contradicts min_quote_groups or min_operators above 1"
        if ladder.takes_two and need > 2:
            return "ladder: pricing on two sources contradicts min_quote_groups or min_operators above 2"
        if self.caps is not None and (ladder.takes_one or (ladder.takes_two and self.caps.lowest_bps < BPS // 2)):
            return "ladder: pricing on so few sources contradicts caps: one of them has more of the weight"
        return None

    def _method_problem(self) -> str | None:
        method = self.method
        if isinstance(method, TrimmedMean) and self.min_sources <= 2 * method.trim:
            return f"{method.name}: trim {method.trim} needs min_sources above {2 * method.trim}"
        if method.by_number and self.caps is not None:
            return f"caps: {method.name} counts by number, so that there are no weights to cap"
        if method.by_group and self.min_quote_groups < 2:
            return f"{method.name} holds groups against each other: min_quote_groups must be at least 2"
        if method.by_group and self.cross_check is not None:
            return f"cross_check: it is the same as {method.name}"
        for quote, peg in self.conversions.items() if self.cross_check is not None else ():
            if not peg.low_e18 <= E18 <= peg.high_e18:
                band = f"{text_of(peg.low_e18)}…{text_of(peg.high_e18)}"
                return f"cross_check: {quote} is not held at par ({band}): without conversion the groups cannot be compared"
        return self.caps.problem(self.sources) if self.caps is not None else None

    def _owner_problem(self) -> str | None:
        if self.own_venue is None:
            return None
        owner = operator_of(self.own_venue)
        own = [each.source for each in self.sources if owner == each.run_by or self.own_venue == each.venue]
        return f"{own[0]} is the market's own venue: it must not price its own index" if own else None
