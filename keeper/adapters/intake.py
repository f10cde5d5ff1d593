"""The gate before the boards: order, no way back in time, no future, no benched source, and `changed_at`."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, field, replace

from keeper.adapters.bench import FRESH, Bench, BenchRules, judge
from keeper.adapters.causes import shortened
from keeper.adapters.liveness import unchanged
from keeper.domain.ids import SourceId
from keeper.domain.quote import Observation, Quote
from keeper.domain.time import SECOND, Timestamp
from keeper.ports.feed import Emit, FeedNotice, NoticeKind, Notify


@dataclass(slots=True)
class Order:
    """How far one connection has come, by source and kind. A new connection starts anew."""

    reached: dict[tuple[SourceId, type], tuple[Timestamp | None, int | None]] = field(default_factory=dict)

    def advance(self, observation: Observation) -> bool:
        """False when something newer already came. Decided by the venue's time, by its sequence where it has none."""
        key = (observation.source, type(observation))
        at = observation.observed_at
        sequence = None if not isinstance(observation, Quote) else observation.sequence
        last_at, last_sequence = self.reached.get(key, (None, None))
        if at is not None and last_at is not None:
            older = at < last_at
        else:
            untimed = at is None and last_at is None
            older = untimed and sequence is not None and last_sequence is not None and sequence < last_sequence
        if older:
            return False
        self.reached[key] = (at or last_at, sequence if sequence is not None else last_sequence)
        return True


@dataclass(slots=True)
class Doubling:
    """Counts what a venue may repeat for ever; worth telling whenever the number has doubled."""

    count: int = 0

    def one_more(self) -> bool:
        self.count += 1
        return self.count & (self.count - 1) == 0


@dataclass(slots=True)
class Strangers:
    """Symbols that a venue speaks of and nobody asked for: ignored, counted, and told now and then."""

    intake: Intake
    asked: Container[SourceId]
    number: Doubling = field(default_factory=Doubling)

    def without(self, sources: Iterable[SourceId], at: Timestamp) -> tuple[SourceId, ...]:
        """Those of `sources` that were asked for."""
        known = []
        for source in sources:
            if source in self.asked:
                known.append(source)
            else:
                self.heard(source, at)
        return tuple(known)

    def heard(self, source: SourceId, at: Timestamp) -> None:
        if self.number.one_more():
            detail = f"{self.number.count} about what was not asked for, the last about {source}"
            self.intake.tell("frame_dropped", (), at, reason="not_asked_for", detail=detail)


@dataclass(slots=True)
class Intake:
    """Written by the connections of one feed. `last` is what was emitted last, across connections.

    `newest` is the venue's latest time by source and kind, across connections: a new one may begin with what the venue had
    cached. Since a future time is refused, a clock that is put right mutes its source for no longer than `max_future_s`.
    """

    venue: str
    emit: Emit
    notify: Notify
    max_future_s: float
    rules: BenchRules
    last: dict[SourceId, Quote] = field(default_factory=dict)
    records: dict[SourceId, Bench] = field(default_factory=dict)
    newest: dict[tuple[SourceId, type], Timestamp] = field(default_factory=dict)

    def admit(self, observation: Observation, order: Order) -> bool:
        """Emits unless refused. A refused future stamp leaves no trace, so that it cannot mute its source."""
        at, received_at = observation.observed_at, observation.received_at
        if at is not None and at > received_at and at - received_at > self.max_future_s * SECOND:
            ahead_s = (at - received_at) / SECOND
            self.tell("future_refused", (observation.source,), received_at, detail=f"{ahead_s:.3f} s ahead")
            return False
        if self.records and self.is_benched(observation.source):
            return False
        if at is not None and at < self.newest.get((observation.source, type(observation)), at):
            return False
        if not order.advance(observation):
            return False
        if at is not None:
            self.newest[observation.source, type(observation)] = at
        if isinstance(observation, Quote):
            observation = self._dated(observation)
            self.last[observation.source] = observation
        self.emit(observation)
        return True

    def confirm(self, quote: Quote, order: Order) -> None:
        """A heartbeat found `quote` unchanged: its `received_at` moves, nothing else does."""
        last = self.last.get(quote.source)
        if last is not None and last.observed_at == quote.observed_at:
            self.admit(replace(last, received_at=quote.received_at), order)

    def is_benched(self, source: SourceId) -> bool:
        return self.records.get(source, FRESH).benched

    def good(self, sources: Iterable[SourceId], at: Timestamp) -> None:
        """Counts a good frame. To be asked only while some source has a bad one on `records`."""
        for source in sources:
            if (record := self.records.get(source)) is not None:
                self._settle(source, judge(record, True, at, self.rules), record.benched, at)

    def bad(self, sources: Iterable[SourceId], at: Timestamp, reason: str) -> None:
        """Counts a bad frame against those it concerns."""
        concerned = tuple(sources)
        self.tell("frame_dropped", concerned, at, reason="protocol", detail=reason)
        for source in concerned:
            record = self.records.get(source, FRESH)
            self._settle(source, judge(record, False, at, self.rules), record.benched, at, reason)

    def tell(
        self,
        kind: NoticeKind,
        sources: tuple[SourceId, ...],
        at: Timestamp,
        reason: str = "",
        detail: str = "",
        retry_in_s: float | None = None,
    ) -> None:
        self.notify(FeedNotice(kind, self.venue, sources, at, reason, shortened(detail), retry_in_s))

    def _dated(self, quote: Quote) -> Quote:
        last = self.last.get(quote.source)
        if last is None or not unchanged(last, quote):
            return quote
        # Not later than now: the clock may have been set back.
        return replace(quote, changed_at=min(last.changed_at, quote.received_at))

    def _settle(self, source: SourceId, record: Bench, before: bool, at: Timestamp, reason: str = "") -> None:
        if record.bad_bits or record.benched:
            self.records[source] = record
        else:
            self.records.pop(source, None)
        if record.benched and not before:
            self.tell("benched", (source,), at, reason="protocol", detail=reason)
        elif before and not record.benched:
            self.tell("readmitted", (source,), at)
