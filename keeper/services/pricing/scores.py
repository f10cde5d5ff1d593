"""The records of the sources of one component's indices: looked at once a second, a few indices at each tick."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from keeper.domain.ids import IndexId, SourceId
from keeper.domain.index import IndexPrice, IndexSpec, Withheld
from keeper.domain.quarantine import looks_of
from keeper.domain.scorecard import ScoreState, restored
from keeper.domain.time import Timestamp

_SHARES = 4
"""A tick looks at this part of the indices at most: a tick without quotes comes four times a second."""
_START = ScoreState()


class Turn(NamedTuple):
    """What a look at one index changed."""

    spec: IndexSpec
    before: ScoreState
    after: ScoreState


@dataclass(slots=True)
class Scores:
    """Written by its pricing service alone. `benched` has the indices with sources that sit out, for `price_component`."""

    specs: Sequence[IndexSpec] = ()
    states: dict[IndexId, ScoreState] = field(default_factory=dict)
    benched: dict[IndexId, frozenset[SourceId]] = field(default_factory=dict)
    _next: int = 0

    @classmethod
    def of(cls, specs: Sequence[IndexSpec]) -> Scores:
        return cls(tuple(spec for spec in specs if spec.scorecard is not None))

    def look(self, indices: Mapping[IndexId, IndexPrice | Withheld], now: Timestamp) -> list[Turn]:
        """At those that are due, going on where the tick before stopped."""
        turns: list[Turn] = []
        most = -(-len(self.specs) // _SHARES)
        for _ in self.specs:
            if len(turns) >= most:
                break
            spec = self.specs[self._next % len(self.specs)]
            self._next = (self._next + 1) % len(self.specs)
            before = self.states.get(spec.id, _START)
            if spec.scorecard is not None and spec.scorecard.is_due(before, now):
                looks = looks_of(spec, indices[spec.id])
                after = spec.scorecard.step(before, looks, now, spec.min_sources)
                self._put(spec.id, after)
                turns.append(Turn(spec, before, after))
        return turns

    def _put(self, index: IndexId, state: ScoreState) -> None:
        self.states[index] = state
        if state.benched:
            self.benched[index] = state.benched
        else:
            self.benched.pop(index, None)

    def to_plain(self) -> dict[str, Any]:
        return {str(index): state.to_plain() for index, state in sorted(self.states.items())}

    def restore(self, document: Mapping[str, Any], refused: Callable[[Exception], None]) -> None:
        """Each index with its own fence; a source that it has no more is forgotten, so that it takes nobody's place."""
        for spec in self.specs:
            if spec.id not in document:
                continue
            try:
                state, known = restored(document[spec.id]), {source.source for source in spec.sources}
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                refused(error)
                continue
            records = {source: record for source, record in state.records.items() if source in known}
            self._put(spec.id, ScoreState(records, state.looked_at, state.benched & known))
