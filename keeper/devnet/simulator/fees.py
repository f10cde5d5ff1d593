"""Base fees from block to block, where a test wants more than the chain's own formula."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

Walk = Callable[[int], int]
"""From the base fee of the block that was mined to that of the next."""
MAX_CHANGE = 8
"""A block moves it by an eighth at most: https://eips.ethereum.org/EIPS/eip-1559"""


def random_walk(chance: random.Random, lowest: int, highest: int) -> Walk:
    """Up or down by as much as a block can, within bounds."""

    def step(base_fee: int) -> int:
        most = base_fee // MAX_CHANGE
        return min(max(base_fee + chance.randint(-most, most), lowest), highest)

    return step


def scripted(base_fees: Sequence[int]) -> Walk:
    """One after the other, then the last for ever."""
    left = list(base_fees)

    def step(_base_fee: int) -> int:
        return left.pop(0) if len(left) > 1 else left[0]

    return step
