"""One source of an index, as an operator chose it."""

from __future__ import annotations

from dataclasses import dataclass

from keeper.domain.ids import SourceId
from keeper.domain.numbers import E18
from keeper.domain.operators import operator_of, venue_of
from keeper.domain.time import SECOND


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """One source of an index.

    `quote` names the currency that the venue quotes in and is the source's quote group. The price of one base unit is the
    venue's price × `multiplier_e18` / 1e18: 10**15 for a symbol that quotes 1000 units.
    A quote counts while it is at most `max_age_ns` old; one without a venue time that is merely repeated counts for
    `quiet_max_ns` since its content last changed. `operator` None: as the table of operators says.
    `fallback`: it votes only while fewer of the others are left than the index needs.
    """

    source: SourceId
    quote: str
    weight: int = 1
    max_age_ns: int = 10 * SECOND
    quiet_max_ns: int = 300 * SECOND
    multiplier_e18: int = E18
    operator: str | None = None
    fallback: bool = False

    def __post_init__(self) -> None:
        for name in ("weight", "max_age_ns", "quiet_max_ns", "multiplier_e18"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{self.source}: {name} must be positive")

    @property
    def venue(self) -> str:
        return venue_of(self.source)

    @property
    def run_by(self) -> str:
        """The company behind the venue."""
        return self.operator or operator_of(self.venue)
