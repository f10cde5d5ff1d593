"""To what tick an index is rounded when it is told; what is computed next starts from the exact one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class RoundingMode(StrEnum):
    TRUNCATE = "truncate"
    """Down to the tick below."""
    HALF_UP = "half_up"
    HALF_EVEN = "half_even"
    """To the nearest; from the middle to the even multiple."""


@dataclass(frozen=True, slots=True)
class Rounding:
    mode: RoundingMode
    tick_e18: int

    def __post_init__(self) -> None:
        if self.tick_e18 <= 0:
            raise ValueError("tick must be positive")

    def rounded(self, price_e18: int) -> int:
        """A multiple of the tick."""
        ticks, rest = divmod(price_e18, self.tick_e18)
        over = 2 * rest - self.tick_e18
        up = over > 0 or (over == 0 and (self.mode is RoundingMode.HALF_UP or ticks % 2 == 1))
        return (ticks + (up and self.mode is not RoundingMode.TRUNCATE)) * self.tick_e18
