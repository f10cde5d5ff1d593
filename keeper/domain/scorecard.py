"""How well each source of an index behaves, and which of them sit out: benched by their record, let back by their record.

Screening judges a quote, the scorecard a source: one that is refused again and again, or that stands apart from the others
though never far enough to be refused, loses its vote for a while. It goes on being screened and compared meanwhile, so that
its way back is earned. Integers throughout, since a vote depends on it.

What a source says is judged, and not its silence: one that is silent has no vote anyway, and when our own line was down all
of them were.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from keeper.domain.ids import SourceId
from keeper.domain.numbers import BPS
from keeper.domain.time import SECOND, Timestamp

_ONE = 1 << 20
"""A share of 1 in the averages below: exact enough, and the same on every machine."""
_UNSEEN_LOOKS = 10
"""After so many that were left out nobody knows that a source was good meanwhile."""
_MOST_APART = 4
"""A look counts for no more than so many times the limit: one misprint is no record."""


class Look(NamedTuple):
    """One source at one look: whether its quote was fit to vote (None: there was nothing to judge, or nothing to judge by),
    how far it stood from the others, and the currency that it is quoted in.
    """

    source: SourceId
    fit: bool | None
    apart_bps: int | None
    group: str = ""


class Record(NamedTuple):
    """`bad` is a moving share (of 2^20) of looks at which it was not fit to vote, `apart` the moving mean of its distance in
    2^-20 basis points while it was. `looks` counts up to the memory. `benched_at` while it sits out, `good_since` on its way
    back.
    """

    bad: int = 0
    apart: int = 0
    looks: int = 0
    benched_at: Timestamp | None = None
    good_since: Timestamp | None = None

    @property
    def bad_pct(self) -> int:
        return self.bad * 100 // _ONE

    @property
    def apart_bps(self) -> int:
        return self.apart // _ONE

    def to_plain(self) -> list[int | None]:
        """In the order of the fields: there may be thousands."""
        return list(self)


FRESH = Record()
_NONE: Mapping[SourceId, Record] = MappingProxyType({})


class ScoreState(NamedTuple):
    """`looked_at`: the last look that was counted. `benched` are those of `records` that sit out."""

    records: Mapping[SourceId, Record] = _NONE
    looked_at: Timestamp | None = None
    benched: frozenset[SourceId] = frozenset()

    def to_plain(self) -> dict[str, Any]:
        records = {str(source): record.to_plain() for source, record in sorted(self.records.items())}
        return {"looked_at": self.looked_at, "records": records}


def restored(plain: Mapping[str, Any]) -> ScoreState:
    """The state that `to_plain` wrote. Raises ValueError, KeyError, TypeError or AttributeError on anything else."""
    records = {SourceId(source): _record(*found) for source, found in plain["records"].items()}
    return ScoreState(records, _instant(plain["looked_at"]), _benched(records))


def _record(bad: Any, apart: Any, looks: Any, benched_at: Any, good_since: Any) -> Record:
    return Record(int(bad), int(apart), int(looks), _instant(benched_at), _instant(good_since))


def _instant(value: Any) -> Timestamp | None:
    return None if value is None else Timestamp(int(value))


def _benched(records: Mapping[SourceId, Record]) -> frozenset[SourceId]:
    return frozenset(source for source, record in records.items() if record.benched_at is not None)


def _interrupted(records: Mapping[SourceId, Record]) -> Mapping[SourceId, Record]:
    return {source: record._replace(good_since=None) for source, record in records.items()}


@dataclass(frozen=True, slots=True)
class ScoreRules:
    """One look a `look_every_ns`; averages over about `memory_looks` of them.

    A source is benched when, warm, `bench_bad_pct` or more of its looks were bad, or its mean distance exceeds
    `bench_apart_bps`; it is back after it has been good for `readmit_ns` without a break. Never more than
    `most_benched_pct` of the sources sit out: when everybody looks bad, it is not them.
    """

    look_every_ns: int = SECOND
    memory_looks: int = 300
    warm_looks: int = 60
    bench_bad_pct: int = 50
    bench_apart_bps: int = 50
    readmit_ns: int = 300 * SECOND
    most_benched_pct: int = 34

    def __post_init__(self) -> None:
        if self.look_every_ns <= 0 or not 0 < self.warm_looks <= self.memory_looks:
            raise ValueError("need a positive interval of looks and 0 < warm_looks <= memory_looks")
        if not 0 < self.bench_bad_pct <= 100 or not 0 < self.bench_apart_bps < BPS or self.readmit_ns <= 0:
            raise ValueError("need 0 < bench_bad_pct <= 100, 0 < bench_apart_bps < 10000 and a positive readmit time")
        if not 0 <= self.most_benched_pct < 50:
            raise ValueError("need 0 <= most_benched_pct < 50: a majority is never benched")

    def is_due(self, state: ScoreState, now: Timestamp) -> bool:
        return state.looked_at is None or not 0 <= now - state.looked_at < self.look_every_ns

    def step(self, state: ScoreState, looks: Iterable[Look], now: Timestamp, least: int = 0) -> ScoreState:
        """One look at every source of the index. Looks that are not due change nothing.

        `least`: so many sources keep their vote whatever their record, and so does the last one of each currency: it is
        the only witness against the others' rate.
        """
        if not self.is_due(state, now):
            return state
        seen = list(looks)
        before = state.records if self._looked_on(state, now) else _interrupted(state.records)
        records = {look.source: self._counted(before.get(look.source, FRESH), look, now) for look in seen}
        worst = [source for source, record in records.items() if record.benched_at is None and self._is_bad(record)]
        if worst:
            worst.sort(key=lambda source: (-records[source].bad, -records[source].apart, source))
            self._bench(worst, records, {look.source: look.group for look in seen}, now, least)
        return ScoreState(records, now, _benched(records) if worst or state.benched else state.benched)

    def _looked_on(self, state: ScoreState, now: Timestamp) -> bool:
        return state.looked_at is not None and 0 <= now - state.looked_at <= _UNSEEN_LOOKS * self.look_every_ns

    def _bench(
        self,
        worst: Iterable[SourceId],
        records: dict[SourceId, Record],
        groups: Mapping[SourceId, str],
        now: Timestamp,
        least: int,
    ) -> None:
        voting = [source for source, record in records.items() if record.benched_at is None]
        room = min(len(records) * self.most_benched_pct // 100, len(records) - least) - (len(records) - len(voting))
        for source in worst:
            if room <= 0:
                return
            if sum(groups[other] == groups[source] for other in voting) > 1:
                records[source] = records[source]._replace(benched_at=now, good_since=None)
                voting.remove(source)
                room -= 1

    def _counted(self, record: Record, look: Look, now: Timestamp) -> Record:
        fit, distance, benched = look.fit, look.apart_bps, record.benched_at
        if fit is None:
            return record if record.good_since is None else record._replace(good_since=None)
        bad, apart, looks = record.bad, record.apart, record.looks
        looks = looks + 1 if looks < self.memory_looks else looks
        bad += ((0 if fit else _ONE) - bad) // looks
        if fit and distance is not None:
            apart += (min(distance, _MOST_APART * self.bench_apart_bps) * _ONE - apart) // looks
        if benched is None:
            return Record(bad, apart, looks)
        good = fit and distance is not None and distance <= self.bench_apart_bps
        since = (now if record.good_since is None else record.good_since) if good else None
        if since is not None and now - since >= self.readmit_ns:
            return FRESH
        return Record(bad, apart, looks, benched, since)

    def _is_bad(self, record: Record) -> bool:
        if record.looks < self.warm_looks:
            return False
        return record.bad_pct >= self.bench_bad_pct or record.apart_bps > self.bench_apart_bps
