"""What collateral counts for: what it would really fetch, less a haircut that grows with its size.

    value = Σ over parts of the balance's worth: part · (1 − haircut of that part)

Haircuts are marginal, like tiers of maintenance: a larger balance never counts for less. Where a book is at hand, the price
is the one that selling the whole balance fetches (the bid side), and a debt's the one that buying it back costs (the ask
side). Magnitudes are configuration: https://support.btse.com (43000557589) names the method and no numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from keeper.domain.margining.contracts import ceil, floor
from keeper.domain.numbers import E18
from keeper.domain.quote import Level


@dataclass(frozen=True, slots=True)
class Step:
    """From `floor_e18` of worth on, `haircut` on the part above it."""

    floor_e18: int
    haircut: Fraction


@dataclass(frozen=True, slots=True)
class Haircuts:
    """Raises ValueError unless the floors begin at 0 and rise, and the haircuts lie within 0 … 1 and do not fall."""

    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        floors, cuts = [step.floor_e18 for step in self.steps], [step.haircut for step in self.steps]
        if floors[:1] != [0] or sorted(set(floors)) != floors:
            raise ValueError("steps: floors must begin at 0 and rise")
        if sorted(cuts) != cuts or not 0 <= cuts[0] <= cuts[-1] <= 1:
            raise ValueError("steps: haircuts must lie within 0 and 1 and not fall")

    def counted(self, worth_e18: Fraction) -> Fraction:
        """What is left of a worth."""
        total = Fraction(0)
        for step, ceiling in zip(self.steps, [*self.steps[1:], None], strict=True):
            top = worth_e18 if ceiling is None else min(worth_e18, Fraction(ceiling.floor_e18))
            total += max(Fraction(0), top - step.floor_e18) * (1 - step.haircut)
        return total


class Unpriced(StrEnum):
    THIN = "the book is not deep enough to buy the debt back"


def sale_proceeds(bids: Iterable[Level], amount_e18: int) -> Fraction:
    """What selling an amount into the bids fetches, scaled 1e18. What the book does not take counts for nothing."""
    left, proceeds = amount_e18, 0
    for level in bids:
        taken = min(left, level.size_e18)
        proceeds += taken * level.price_e18
        left -= taken
    return Fraction(proceeds, E18)


def purchase_cost(asks: Iterable[Level], amount_e18: int) -> Fraction | Unpriced:
    """What buying an amount from the asks costs; what the book does not offer has no price."""
    left, cost = amount_e18, 0
    for level in asks:
        taken = min(left, level.size_e18)
        cost += taken * level.price_e18
        left -= taken
    return Unpriced.THIN if left else Fraction(cost, E18)


def collateral_value(balance_e18: int, price_e18: int, haircuts: Haircuts, bids: Sequence[Level] | None = None) -> int:
    """Of a balance that is not a debt, rounded down. With a book, the lower of price and sale counts before the haircut.

    Raises ValueError for a balance below 0: a debt is `debt_value`'s.
    """
    if balance_e18 < 0:
        raise ValueError(f"balance_e18: {balance_e18} is a debt")
    worth = Fraction(balance_e18 * price_e18, E18)
    if bids is not None:
        worth = min(worth, sale_proceeds(bids, balance_e18))
    return floor(haircuts.counted(worth))


def debt_value(debt_e18: int, price_e18: int, asks: Sequence[Level] | None = None) -> int | Unpriced:
    """What a debt (a positive amount) takes from equity, rounded up, without a haircut: the higher of price and purchase."""
    if debt_e18 < 0:
        raise ValueError(f"debt_e18: {debt_e18} is a balance")
    worth = Fraction(debt_e18 * price_e18, E18)
    if asks is not None:
        cost = purchase_cost(asks, debt_e18)
        if isinstance(cost, Unpriced):
            return cost
        worth = max(worth, cost)
    return ceil(worth)
