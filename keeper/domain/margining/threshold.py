"""Where equity meets maintenance margin, for positions of one market, everything else standing still.

On the coordinate y of the contract (`contracts`) equity is a line and maintenance margin is convex, so that the surplus
AV − MM is concave: the prices at which an account is healthy are one interval. A long alone has a lower end, a short alone
an upper one, a hedge (long and short in one market, each with its own margin) may have both. The crossing is looked for
between the points where a position changes tier, so it lies in the tier that holds there: what iterating tiers converges to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise

from keeper.domain.margining.contracts import Contract, Kind, ceil, floor
from keeper.domain.margining.tiers import TierTable


class Unreachable(StrEnum):
    """Why there is no such price."""

    NEVER = "never"
    """No positive price makes it so."""
    ALWAYS = "always"
    """Every positive price does."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One position on the coordinate: what its worth changes by, and what it must hold."""

    slope: Fraction
    table: TierTable

    def surplus(self, y: Fraction) -> Fraction:
        return self.slope * y - self.table.exact(abs(self.slope) * y)

    def turns(self) -> list[Fraction]:
        """Where its notional enters the next tier."""
        return [tier.floor_e18 / abs(self.slope) for tier in self.table.tiers[1:]]

    def last_slope(self) -> Fraction:
        return self.slope - abs(self.slope) * self.table.tiers[-1].rate


@dataclass(frozen=True, slots=True)
class Healthy:
    """The prices at which AV ≥ MM, both ends included; None where the interval is open.

    Both ends are rounded into the interval: at an end the account is healthy and one unit beyond it is liquidatable, so
    that a comparison with a mark in whole units is exact, and a printed price never promises more room than there is.
    """

    low_e18: int | None
    high_e18: int | None


def healthy_prices(contract: Contract, cash_e18: Fraction, legs: Sequence[Leg]) -> Healthy | Unreachable:
    """ALWAYS if no price is healthy. `cash_e18` is equity without the legs' worth, less the others' maintenance."""
    found = _healthy(cash_e18, legs)
    if found is None:
        return Unreachable.ALWAYS
    low, high = found
    if contract.kind is Kind.INVERSE:
        low, high = (1 / high if high is not None else None), (1 / low if low is not None else None)
    ends = Healthy(None if low is None else ceil(low), None if high is None else floor(high))
    return Unreachable.ALWAYS if _is_empty(ends) else ends


def one_sided(found: Healthy | Unreachable, size_e18: int) -> int | Unreachable:
    """Of a single position: the end on its losing side."""
    if isinstance(found, Unreachable):
        return found
    end = found.low_e18 if size_e18 > 0 else found.high_e18
    return Unreachable.NEVER if end is None or (size_e18 > 0 and end <= 1) else end


def _is_empty(ends: Healthy) -> bool:
    if ends.high_e18 is None:
        return False
    return ends.high_e18 < max(1, ends.low_e18 or 1)


def _healthy(cash: Fraction, legs: Sequence[Leg]) -> tuple[Fraction | None, Fraction | None] | None:
    """The interval of y > 0 with a surplus of 0 or more; None at an end that is open, None as a whole if there is none."""

    def surplus(y: Fraction) -> Fraction:
        return cash + sum((leg.surplus(y) for leg in legs), Fraction(0))

    turns = sorted({Fraction(0), *(turn for leg in legs for turn in leg.turns())})
    values = [surplus(y) for y in turns]
    tail = sum((leg.last_slope() for leg in legs), Fraction(0))
    low = high = None
    for (u, at_u), (v, at_v) in pairwise(zip(turns, values, strict=True)):
        crossing = u + (v - u) * at_u / (at_u - at_v) if (at_u < 0) != (at_v < 0) else None
        if crossing is not None and at_u < 0:
            low = crossing
        elif crossing is not None:
            high = crossing
    end, at_end = turns[-1], values[-1]
    if at_end < 0 < tail:
        low = end - at_end / tail
    elif at_end >= 0 > tail:
        high = end - at_end / tail
    healthy_somewhere = low is not None or values[0] >= 0
    return (low, high) if healthy_somewhere and high != 0 else None
