"""How accepted prices become one: pure functions over votes, that is (price, weight) pairs sorted by price.

All are exact integers; a division rounds down. Each result lies between the lowest and the highest vote. What a name in
the settings stands for is in `keeper.domain.index_methods`.
"""

from __future__ import annotations

from collections.abc import Sequence

from keeper.domain.numbers import BPS, cdiv

Vote = tuple[int, int]


def middle(values: Sequence[int]) -> int:
    """Median of sorted values; of an even number the mean of the middle two, rounded down."""
    half = len(values) // 2
    return values[half] if len(values) % 2 else (values[half - 1] + values[half]) // 2


def median(votes: Sequence[Vote]) -> int:
    """Median by number: weights do not count."""
    half = len(votes) // 2
    return votes[half][0] if len(votes) % 2 else (votes[half - 1][0] + votes[half][0]) // 2


def weighted_median(votes: Sequence[Vote]) -> int:
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


def lower_weighted_median(votes: Sequence[Vote]) -> int:
    """First price whose cumulative weight reaches half: of two at exactly half, the lower.

    Connect and dYdX v4 (https://github.com/skip-mev/connect) also halve an odd total downward. With stakes for weights that
    is nothing; of three equal venues it would be the lowest, so that here half is exact.
    """
    total = 0
    for _, weight in votes:
        total += weight
    doubled = 0
    for price, weight in votes:
        doubled += 2 * weight
        if doubled >= total:
            return price
    raise ValueError("no votes")


def weighted_mean(votes: Sequence[Vote]) -> int:
    """Σ price · weight / Σ weight, rounded down."""
    value = total = 0
    for price, weight in votes:
        value += weight * price
        total += weight
    return value // total


def clamped_weighted_mean(votes: Sequence[Vote], clamp_bps: int, center: int | None = None) -> int:
    """Weighted mean of the prices after each is moved to within `clamp_bps` of `center`, or of their median, rounded down.

    https://insights.deribit.com/exchange-updates/new-deribit-index
    """
    low, high = around(median(votes) if center is None else center, clamp_bps)
    value = total = 0
    for price, weight in votes:
        value += weight * (low if price < low else min(price, high))
        total += weight
    return value // total


def trimmed_mean(votes: Sequence[Vote], trim: int) -> int:
    """Weighted mean without the `trim` lowest and the `trim` highest votes; of fewer, as many as leave one or two."""
    cut = min(trim, (len(votes) - 1) // 2)
    return weighted_mean(votes[cut : len(votes) - cut])


def around(center: int, band_bps: int) -> tuple[int, int]:
    """Lowest and highest price within `band_bps` of `center`, exactly."""
    return cdiv(center * (BPS - band_bps), BPS), center * (BPS + band_bps) // BPS
