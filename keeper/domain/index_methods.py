"""Index methods by the name that an operator writes. A method's fields are its options; each says what it promises.

*Hostile* are votes that may say anything; the *honest range* runs from the lowest to the highest of the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

from keeper.domain.aggregation import (
    Vote,
    around,
    clamped_weighted_mean,
    lower_weighted_median,
    median,
    trimmed_mean,
    weighted_mean,
    weighted_median,
)
from keeper.domain.grade import Grade
from keeper.domain.numbers import BPS


class IndexMethod(Protocol):
    """A frozen dataclass whose fields are the method's options.

    `by_number`: weights do not count, and outliers are judged by the plain median. `by_group`: it combines the medians of the
    quote groups. `by_volume`: a vote is the average price of a source's trades, and its weight their volume; a venue that yields trades says so by
    `gives_trades = True`.
    """

    name: ClassVar[str]
    grade: ClassVar[Grade]
    by_number: ClassVar[bool]
    by_group: ClassVar[bool]
    by_volume: ClassVar[bool]

    def combine(self, votes: Sequence[Vote]) -> int:
        """The price of votes sorted by price; there is at least one."""
        ...


@dataclass(frozen=True, slots=True)
class Median:
    """By number. Fewer than half of the votes hostile: within the honest range."""

    name: ClassVar[str] = "median"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    by_number: ClassVar[bool] = True
    by_group: ClassVar[bool] = False
    by_volume: ClassVar[bool] = False

    def combine(self, votes: Sequence[Vote]) -> int:
        return median(votes)


@dataclass(frozen=True, slots=True)
class WeightedMedian:
    """Less than half of the weight hostile: within the honest range.

    `ties`: what lies at exactly half, the `mean` of the two beside it (bothan) or the `lower` (Connect, Slinky, dYdX v4).
    """

    ties: Literal["mean", "lower"] = "mean"

    name: ClassVar[str] = "weighted_median"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    by_number: ClassVar[bool] = False
    by_group: ClassVar[bool] = False
    by_volume: ClassVar[bool] = False

    def combine(self, votes: Sequence[Vote]) -> int:
        return weighted_median(votes) if self.ties == "mean" else lower_weighted_median(votes)


@dataclass(frozen=True, slots=True)
class WeightedMean:
    """Promises nothing by itself: one hostile vote moves it by its weight as far as the outlier rule lets it."""

    name: ClassVar[str] = "weighted_mean"
    grade: ClassVar[Grade] = Grade.REPRODUCED
    by_number: ClassVar[bool] = False
    by_group: ClassVar[bool] = False
    by_volume: ClassVar[bool] = False

    def combine(self, votes: Sequence[Vote]) -> int:
        return weighted_mean(votes)


@dataclass(frozen=True, slots=True)
class ClampedWeightedMean:
    """Fewer than half of the votes hostile: within the honest range widened by `clamp_bps` on both sides.

    The centre of the clamp is the median by number; with caps, the median of what they let each say.
    """

    clamp_bps: int = 50

    name: ClassVar[str] = "clamped_weighted_mean"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    by_number: ClassVar[bool] = False
    by_group: ClassVar[bool] = False
    by_volume: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 <= self.clamp_bps < BPS:
            raise ValueError("need 0 <= clamp_bps < 10000")

    def combine(self, votes: Sequence[Vote]) -> int:
        return clamped_weighted_mean(votes, self.clamp_bps)

    def combine_about(self, votes: Sequence[Vote], center: int) -> int:
        return clamped_weighted_mean(votes, self.clamp_bps, center)

    def limits(self, votes: Sequence[Vote], center: int) -> bool:
        """Some vote is moved."""
        low, high = around(center, self.clamp_bps)
        return votes[0][0] < low or votes[-1][0] > high


@dataclass(frozen=True, slots=True)
class TrimmedMean:
    """Weighted mean without the `trim` lowest and highest.

    At most `trim` of more than twice as many votes hostile: within the honest range.
    """

    trim: int = 1

    name: ClassVar[str] = "trimmed_mean"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    by_number: ClassVar[bool] = True
    by_group: ClassVar[bool] = False
    by_volume: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.trim < 1:
            raise ValueError("trim must be at least 1")

    def combine(self, votes: Sequence[Vote]) -> int:
        return trimmed_mean(votes, self.trim)


@dataclass(frozen=True, slots=True)
class Vwap:
    """Volume-weighted average price of each source's trades over `window_s`, combined by volume.

    With `combine_by: median` and less than half of the volume hostile: within the honest range. `mean` promises nothing.
    Volume is what a venue says of itself: caps bound what it can claim.
    """

    window_s: float = 60.0
    combine_by: Literal["median", "mean"] = "median"

    name: ClassVar[str] = "vwap"
    grade: ClassVar[Grade] = Grade.DOCUMENTED
    by_number: ClassVar[bool] = False
    by_group: ClassVar[bool] = False
    by_volume: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 1 <= self.window_s <= 86_400:
            raise ValueError("need 1 <= window_s <= 86400")

    def combine(self, votes: Sequence[Vote]) -> int:
        return weighted_median(votes) if self.combine_by == "median" else weighted_mean(votes)


@dataclass(frozen=True, slots=True)
class QuoteGroupMedian:
    """Median of the medians of the quote groups, each group in its own currency, *without* conversion.

    Fewer than half of the votes in each honest group hostile, and fewer than half of the groups: within the honest range.
    `max_group_spread_bps`: how far the groups may be apart. Where one of them is the index's own currency, that is how far
    the result may lie from it.
    """

    max_group_spread_bps: int = 100

    name: ClassVar[str] = "quote_group_median"
    grade: ClassVar[Grade] = Grade.CONSISTENT
    by_number: ClassVar[bool] = True
    by_group: ClassVar[bool] = True
    by_volume: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.max_group_spread_bps < 1:
            raise ValueError("max_group_spread_bps must be positive")

    def combine(self, votes: Sequence[Vote]) -> int:
        return median(votes)


INDEX_METHODS: Mapping[str, type[IndexMethod]] = {
    method.name: method
    for method in (Median, WeightedMedian, WeightedMean, ClampedWeightedMean, TrimmedMean, Vwap, QuoteGroupMedian)
}


def limits(method: IndexMethod, votes: Sequence[Vote]) -> bool:
    """The method takes some of these votes, sorted by price, for another price than they say."""
    return isinstance(method, ClampedWeightedMean) and method.limits(votes, median(votes))
