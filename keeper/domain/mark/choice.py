"""What a median of three does while its inputs are missing: one table for every method of that form."""

from __future__ import annotations

from keeper.domain.aggregation import middle
from keeper.domain.mark.method import MarkFlag
from keeper.domain.numbers import exceeds_bps

Choice = tuple[int, tuple[MarkFlag, ...]]


def choose(fair: int, shifted: int, last: int | None, warm: bool, apart_bps: int, correct_bps: int = 0) -> Choice:
    """Cold average: the funding-fair price. No trade: the mean of the two left, or the basis price if they are apart.

    `correct_bps`: one of three prices further than that from their median is left out, and the mean of the others taken; 0: never.
    """
    if not warm:
        return fair, (MarkFlag.COLD,)
    if last is not None:
        return _corrected(sorted((fair, shifted, last)), correct_bps)
    if exceeds_bps(fair, shifted, apart_bps):
        return shifted, (MarkFlag.NO_TRADE, MarkFlag.APART)
    return (fair + shifted) // 2, (MarkFlag.NO_TRADE,)


def _corrected(prices: list[int], correct_bps: int) -> Choice:
    median = middle(prices)
    near = [price for price in prices if not correct_bps or not exceeds_bps(price, median, correct_bps)]
    return (median, ()) if len(near) != 2 else (middle(near), (MarkFlag.CORRECTED,))
