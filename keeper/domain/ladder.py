"""What becomes of an index when fewer sources are left than its quorum: one rung for two or more, for one and for none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from keeper.domain.numbers import BPS
from keeper.domain.time import SECOND


class Rung(StrEnum):
    WITHHOLD = "withhold"
    """No price."""
    USUAL = "usual"
    """As with all of them: the method."""
    EQUAL = "equal"
    """Their mean, each counting the same."""
    NEAR_LAST = "near_last"
    """The method, if each lies within reach of the last index; else that is held."""
    HOLD = "hold"
    """The last index."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """`two_reach_bps` and `one_reach_bps`: how far from the last index `near_last` lets two sources and one be.

    The last index is held for at most `hold_max_ns` since quotes last made one, and what is held keeps that age.
    """

    two: Rung = Rung.WITHHOLD
    one: Rung = Rung.WITHHOLD
    none: Rung = Rung.WITHHOLD
    two_reach_bps: int = 1250
    one_reach_bps: int = 2500
    hold_max_ns: int = 900 * SECOND

    def __post_init__(self) -> None:
        if self.none not in (Rung.WITHHOLD, Rung.HOLD):
            raise ValueError("none: without sources the index is withheld or held")
        rungs = (self.two, self.one, self.none)
        if any(more is Rung.WITHHOLD and fewer is not Rung.WITHHOLD for more, fewer in pairwise(rungs)):
            raise ValueError("upside down: fewer sources would price where more withhold")
        if not 0 < self.two_reach_bps < BPS or not 0 < self.one_reach_bps < BPS:
            raise ValueError("need 0 < two_reach_bps, one_reach_bps < 10000")
        if self.hold_max_ns <= 0:
            raise ValueError("hold_max must be positive")

    @property
    def takes_one(self) -> bool:
        """One source alone may make the price."""
        return self.one in (Rung.USUAL, Rung.EQUAL, Rung.NEAR_LAST)

    @property
    def takes_two(self) -> bool:
        return self.two in (Rung.USUAL, Rung.EQUAL, Rung.NEAR_LAST)

    @property
    def holds(self) -> bool:
        return bool({Rung.HOLD, Rung.NEAR_LAST} & {self.two, self.one, self.none})

    def of(self, sources: int) -> Rung:
        """The rung of so many sources, fewer than the quorum. What two may do, more may: they know more."""
        return (self.none, self.one, self.two)[min(sources, 2)]

    def reach_bps(self, sources: int) -> int:
        return self.two_reach_bps if sources >= 2 else self.one_reach_bps


LADDERS: Mapping[str, Ladder] = {
    "withhold": Ladder(),
    "okx": Ladder(two=Rung.EQUAL, one=Rung.USUAL, none=Rung.HOLD),
    "bitmex": Ladder(two=Rung.NEAR_LAST, one=Rung.NEAR_LAST, none=Rung.HOLD),
    "binance": Ladder(two=Rung.USUAL, one=Rung.USUAL),
}
"""OKX: https://www.okx.com/help/i-spot-index-prices. BitMEX: https://blog.bitmex.com/new-protections-bitmex-indices.

Binance (https://www.binance.com/en/support/faq/547ba48141474ab3bddc5d7898f97928) takes the one source for the index and
protects the mark instead, which it averages from its own trades until the index recovers: the flag `one_source` says when.
"""
