"""One line of the table: a formula held against what a venue published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import median

from keeper.domain.grade import Grade


@dataclass(frozen=True, slots=True)
class Row:
    """`errors` one per observation, in `unit`, all within `threshold`.

    `grade` None: no formula that is known gives what was recorded, and the largest error lies beyond the threshold. Such a
    row stays, so that nobody claims otherwise.
    """

    venue: str
    data: str
    formula: str
    errors: Sequence[Decimal]
    threshold: Decimal
    unit: str = "relative"
    grade: Grade | None = Grade.REPRODUCED
    note: str = ""

    @property
    def median(self) -> Decimal:
        return median(self.errors)

    @property
    def worst(self) -> Decimal:
        return max(self.errors)

    @property
    def standing(self) -> str:
        return "not fitted" if self.grade is None else self.grade.value

    @property
    def holds(self) -> bool:
        return bool(self.errors) and (self.worst <= self.threshold) is (self.grade is not None)


def relative(got: Decimal, published: Decimal) -> Decimal:
    """|got / published − 1|."""
    return abs(got / published - 1)
