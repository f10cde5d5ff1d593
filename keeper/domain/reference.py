"""What an index is held against: a published rate. Too far from it, something is wrong, whoever is right."""

from __future__ import annotations

from dataclasses import dataclass

from keeper.domain.ids import SourceId
from keeper.domain.numbers import BPS
from keeper.domain.time import SECOND

_LONGEST_NS = 130 * 3600 * SECOND
"""From the fix before Easter to the one after it, and some patience."""


@dataclass(frozen=True, slots=True)
class ReferenceBand:
    """`source` is no vote. Silent, or older than `max_age_ns`, it is no yardstick either, and the index stands alone."""

    source: SourceId
    max_bps: int = 200
    withhold: bool = False
    max_age_ns: int = _LONGEST_NS

    def __post_init__(self) -> None:
        if not 0 < self.max_bps < BPS or self.max_age_ns <= 0:
            raise ValueError("reference: need 0 < max_bps < 10000 and max_age_s > 0")
