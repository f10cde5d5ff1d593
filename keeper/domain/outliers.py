"""Which votes are too far from the others. The measure is the others, never the last index: a real crash must pass."""

from __future__ import annotations

from collections.abc import Sequence

from keeper.domain.aggregation import Vote, median, middle, weighted_median
from keeper.domain.index_methods import Median
from keeper.domain.index_spec import IndexSpec
from keeper.domain.numbers import BPS, deviation_bps
from keeper.domain.screening import PricedQuote, Rejected, Rejection

MADS = 3
"""Median absolute deviations to which the band may widen."""


def reference(spec: IndexSpec, votes: Sequence[Vote]) -> int:
    """Median as the method itself counts: a light majority must not outvote the weights here either."""
    return median(votes) if spec.method.by_number else weighted_median(votes)


def band(spec: IndexSpec, distances: Sequence[Vote], center: int) -> int:
    """Largest accepted distance from `center`, given those of all votes, sorted.

    The configured deviation; or three median absolute deviations if that is more, up to the configured dispersion: while
    every venue falls, each with its own lag, the honest spread of prices is wide and its ends are no outliers. A minority,
    however far off, does not move the median absolute deviation
    (https://www.itl.nist.gov/div898/handbook/eda/section3/eda35h.htm).
    """
    spread = reference(spec, distances)
    base = spec.max_deviation_bps * center // BPS
    return min(max(base, MADS * spread), spec.max_dispersion_bps * center // BPS)


def unanimous(spec: IndexSpec, inputs: Sequence[PricedQuote]) -> int | None:
    """The plain median of three or more votes that all lie near it. None: to be found out vote by vote.

    What happens to nearly every index at nearly every tick: nobody is dropped, and this is its price.
    """
    if type(spec.method) is not Median or len(inputs) < 3:
        return None
    prices = sorted([vote.price_e18 for vote in inputs])
    center = middle(prices)
    near = spec.max_deviation_bps * center // BPS
    return center if prices[-1] - center <= near and center - prices[0] <= near else None


def without_outliers(
    spec: IndexSpec, inputs: list[PricedQuote], votes: Sequence[Vote], rejected: list[Rejection]
) -> list[PricedQuote]:
    """Votes within the band around their median; the dropped are appended to `rejected`.

    `votes` are those of `inputs`, sorted. Two votes or one are left alone: there is no majority to judge them by. If
    nobody lies near the median, it is the middle between two camps and nobody's price: all are dropped.
    """
    if len(votes) < 3:
        return inputs
    center = reference(spec, votes)
    near = spec.max_deviation_bps * center // BPS
    if votes[-1][0] - center <= near and center - votes[0][0] <= near:
        return inputs
    distances = sorted([(abs(price - center), weight) for price, weight in votes])
    width = band(spec, distances, center) if distances[0][0] <= near else -1
    kept = []
    for vote in inputs:
        if abs(vote.price_e18 - center) <= width:
            kept.append(vote)
        else:
            detail = f"{deviation_bps(vote.price_e18, center)} bps from the median of {len(votes)}"
            rejected.append(Rejection(vote.source, Rejected.OUTLIER, detail, vote.price_e18))
    return kept
