"""How accepted prices become one: pure functions over votes, that is (price, weight) pairs sorted by price.

All are exact integers; a division rounds down. Each result lies between the lowest and the highest vote.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from keeper.domain.numbers import BPS, cdiv

Vote = tuple[int, int]
IndexMethod = Callable[[Sequence[Vote], int], int]
"""(votes sorted by price, not empty; clamp band in bps) → price."""


def middle(values: Sequence[int]) -> int:
    """Median of sorted values; of an even number the mean of the middle two, rounded down."""
    half = len(values) // 2
    return values[half] if len(values) % 2 else (values[half - 1] + values[half]) // 2


def median(votes: Sequence[Vote], _clamp_bps: int = 0) -> int:
    """Median by number: weights do not count."""
    half = len(votes) // 2
    return votes[half][0] if len(votes) % 2 else (votes[half - 1][0] + votes[half][0]) // 2


def weighted_median(votes: Sequence[Vote], _clamp_bps: int = 0) -> int:
    """First price whose cumulative weight exceeds half; at exactly half, the mean of it and the next, rounded down.

    https://github.com/bandprotocol/bothan/blob/main/bothan-lib/src/registry/processor/weighted_median.rs
    """
    total = 0
    for _, weight in votes:
        total += weight
    doubled = 0
    for position, (price, weight) in enumerate(votes):
        doubled += 2 * weight
        if doubled > total:
            return price
        if doubled == total:
            return (price + votes[position + 1][0]) // 2
    raise ValueError("no votes")


def clamped_weighted_mean(votes: Sequence[Vote], clamp_bps: int) -> int:
    """Weighted mean of the prices after each is moved to within `clamp_bps` of their median, rounded down.

    https://insights.deribit.com/exchange-updates/new-deribit-index
    """
    center = median(votes)
    low = cdiv(center * (BPS - clamp_bps), BPS)
    high = center * (BPS + clamp_bps) // BPS
    value = total = 0
    for price, weight in votes:
        value += weight * (low if price < low else min(price, high))
        total += weight
    return value // total


INDEX_METHODS: Mapping[str, IndexMethod] = {
    "median": median,
    "weighted_median": weighted_median,
    "clamped_weighted_mean": clamped_weighted_mean,
}
