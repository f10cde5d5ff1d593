"""Maintenance margin by tiers of notional, in Binance's form: MM(n) = n · rate − amount of the tier that holds n.

    amount₁ = 0,  amount_k = floor_k · (rate_k − rate_k₋₁) + amount_k₋₁

The recursion makes MM continuous at the floors. With rates that do not fall MM is convex as well, hence the largest of its
tiers' lines; everything here rests on that, so a table is built only after both were verified.
https://www.binance.com/en/support/faq/b3c689c1f50a44cabb3a84e663b81d93
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from keeper.domain.margining.contracts import ceil


@dataclass(frozen=True, slots=True)
class Tier:
    """From `floor_e18` of notional on. `amount_e18` is what venues call maintenance amount, or "cum"."""

    floor_e18: int
    rate: Fraction
    amount_e18: Fraction


class Fault(StrEnum):
    EMPTY = "the table has no tier"
    FIRST_FLOOR = "the first tier does not begin at 0"
    FLOORS = "the floor is not above the one before"
    RATES = "the rate is below the one before"
    RATE_RANGE = "the rate is not between 0 and 1"
    DISCONTINUOUS = "the maintenance amount does not continue the tier before"


@dataclass(frozen=True, slots=True)
class Refused:
    """Why no table was built; `tier` counts from 1. `expected_e18` is the amount that would be continuous."""

    fault: Fault
    tier: int
    expected_e18: Fraction | None = None


@dataclass(frozen=True, slots=True)
class TierTable:
    """Made by `tier_table`, `published_table` or `one_rate`."""

    tiers: tuple[Tier, ...]

    def tier_of(self, notional_e18: int | Fraction) -> Tier:
        """The tier that holds a notional. A floor belongs to its own tier; by continuity either gives the same margin."""
        floors = [tier.floor_e18 for tier in self.tiers]
        return self.tiers[max(0, bisect_right(floors, notional_e18) - 1)]

    def exact(self, notional_e18: int | Fraction) -> Fraction:
        """Maintenance margin, not rounded."""
        tier = self.tier_of(notional_e18)
        return tier.rate * notional_e18 - tier.amount_e18

    def maintenance(self, notional_e18: int) -> int:
        """Rounded up: it is demanded of the account."""
        return ceil(self.exact(notional_e18))


def tier_table(rows: Sequence[tuple[int, Fraction]]) -> TierTable | Refused:
    """From (floor, rate) alone: the amounts follow."""
    built: list[Tier] = []
    for number, (floor, rate) in enumerate(rows, start=1):
        fault = _fault(floor, rate, built[-1] if built else None)
        if fault is not None:
            return Refused(fault, number)
        built.append(Tier(floor, rate, _continued(floor, rate, built[-1] if built else None)))
    return TierTable(tuple(built)) if built else Refused(Fault.EMPTY, 0)


def published_table(rows: Sequence[Tier]) -> TierTable | Refused:
    """As a venue published it, amounts included: refused at the first that the recursion does not give, exactly."""
    table = tier_table([(row.floor_e18, row.rate) for row in rows])
    if isinstance(table, Refused):
        return table
    for number, (row, made) in enumerate(zip(rows, table.tiers, strict=True), start=1):
        if row.amount_e18 != made.amount_e18:
            return Refused(Fault.DISCONTINUOUS, number, made.amount_e18)
    return table


def one_rate(rate: Fraction, amount_e18: int | Fraction = 0) -> TierTable:
    """One tier for every notional: a venue without tiers, or the tier that a venue says it used.

    Raises ValueError for a rate outside [0, 1).
    """
    if not 0 <= rate < 1:
        raise ValueError(f"rate: {rate} must be at least 0 and below 1")
    return TierTable((Tier(0, rate, Fraction(amount_e18)),))


NO_MAINTENANCE = one_rate(Fraction(0))
"""With it, the liquidation price is the bankruptcy price."""


def _fault(floor: int, rate: Fraction, before: Tier | None) -> Fault | None:
    if not 0 < rate < 1:
        return Fault.RATE_RANGE
    if before is None:
        return Fault.FIRST_FLOOR if floor != 0 else None
    if floor <= before.floor_e18:
        return Fault.FLOORS
    return Fault.RATES if rate < before.rate else None


def _continued(floor: int, rate: Fraction, before: Tier | None) -> Fraction:
    return floor * (rate - before.rate) + before.amount_e18 if before else Fraction(0)
