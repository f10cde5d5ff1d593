"""What an index remembers from tick to tick, where its rules ask for a memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from keeper.domain.ids import SourceId
from keeper.domain.time import Timestamp

Memory = Mapping[SourceId, Timestamp | None]
"""Sources that an outlier rule watches, and since when they have been what it waits for; None: they are not."""


@dataclass(frozen=True, slots=True)
class IndexState:
    """`watched` is the outlier rule's; `computed_at` when quotes last made a price; `stepped_at` the last look."""

    watched: Memory = field(default_factory=dict)
    computed_at: Timestamp | None = None
    stepped_at: Timestamp | None = None

    def to_plain(self) -> dict[str, Any]:
        return {
            "computed_at": self.computed_at,
            "stepped_at": self.stepped_at,
            "watched": {str(source): since for source, since in sorted(self.watched.items())},
        }


START = IndexState()


def restored_state(plain: Mapping[str, Any]) -> IndexState:
    """The state that `to_plain` wrote. Raises ValueError, KeyError, TypeError or AttributeError on anything else."""
    watched = {SourceId(source): _instant(since) for source, since in plain["watched"].items()}
    return IndexState(watched, _instant(plain["computed_at"]), _instant(plain["stepped_at"]))


def _instant(value: Any) -> Timestamp | None:
    return None if value is None else Timestamp(int(value))


class Traded(NamedTuple):
    """Volume-weighted average of one source's trades over a window, rounded down, and their volume."""

    price_e18: int
    volume_e18: int


class IndexFold(NamedTuple):
    """What an index was computed from besides quotes and last price, and the state that this left."""

    before: IndexState
    after: IndexState
    traded: Mapping[SourceId, Traded]
