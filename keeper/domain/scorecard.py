"""How well each source of an index behaves, and which of them sit out: benched by their record, let back by their record.

Screening judges a quote, the scorecard a source: one that is refused again and again, or that stands apart from the others
though never far enough to be refused, loses its vote for a while. It goes on being screened and compared meanwhile, so that
its way back is earned. Integers throughout, since a vote depends on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from keeper.domain.ids import SourceId
from keeper.domain.numbers import BPS
from keeper.domain.time import SECOND, Timestamp

_ONE = 1 << 20
"""A share of 1 in the averages below: exact enough, and the same on every machine."""


class Seen(NamedTuple):
    """One source at one look: whether its quote could be used, and how far it stood from the index (None: unknown)."""

    source: SourceId
    used: bool
    apart_bps: int | None


@dataclass(frozen=True, slots=True)
class Record:
    """`bad` is a moving share (of 2^20) of looks at which it could not be used, `apart` the moving mean of its distance in
    2^-20 basis points. `looks` counts up to the warm-up. `benched_at` while it sits out, `good_since` on its way back.
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

    def to_plain(self) -> dict[str, Any]:
        return {
            "apart": self.apart,
            "bad": self.bad,
            "benched_at": self.benched_at,
            "good_since": self.good_since,
            "looks": self.looks,
        }


FRESH = Record()


@dataclass(frozen=True, slots=True)
class ScoreState:
    """`looked_at`: the last look that was counted."""

    records: Mapping[SourceId, Record] = field(default_factory=dict)
    looked_at: Timestamp | None = None

    def benched(self) -> frozenset[SourceId]:
        return frozenset(source for source, record in self.records.items() if record.benched_at is not None)

    def to_plain(self) -> dict[str, Any]:
        records = {str(source): record.to_plain() for source, record in sorted(self.records.items())}
        return {"looked_at": self.looked_at, "records": records}


def restored(plain: Mapping[str, Any]) -> ScoreState:
    """The state that `to_plain` wrote. Raises ValueError, KeyError, TypeError or AttributeError on anything else."""
    records = {
        SourceId(source): Record(
            int(found["bad"]),
            int(found["apart"]),
            int(found["looks"]),
            _instant(found["benched_at"]),
            _instant(found["good_since"]),
        )
        for source, found in plain["records"].items()
    }
    return ScoreState(records, _instant(plain["looked_at"]))


def _instant(value: Any) -> Timestamp | None:
    return None if value is None else Timestamp(int(value))


@dataclass(frozen=True, slots=True)
class ScoreRules:
    """One look a `look_every_ns`; averages over about `memory_looks` of them.

    A source is benched when, warm, more than `bench_bad_pct` of its looks were bad or its mean distance exceeds
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

    def step(self, state: ScoreState, seen: Iterable[Seen], now: Timestamp) -> ScoreState:
        """One look at every source of the index. Looks that are not due change nothing."""
        if not self.is_due(state, now):
            return state
        looks = list(seen)
        records = {look.source: self._counted(state.records.get(look.source, FRESH), look, now) for look in looks}
        room = len(looks) * self.most_benched_pct // 100 - sum(each.benched_at is not None for each in records.values())
        worst = sorted(
            (source for source, record in records.items() if record.benched_at is None and self._is_bad(record)),
            key=lambda source: (-records[source].bad, -records[source].apart, source),
        )
        for source in worst[: max(0, room)]:
            found = records[source]
            records[source] = Record(found.bad, found.apart, found.looks, now, None)
        return ScoreState(records, now)

    def _counted(self, record: Record, look: Seen, now: Timestamp) -> Record:
        bad = _moved(record.bad, 0 if look.used else _ONE, self._weight(record))
        apart = (
            record.apart
            if look.apart_bps is None
            else _moved(record.apart, look.apart_bps * _ONE, self._weight(record))
        )
        looks = min(self.warm_looks, record.looks + 1)
        if record.benched_at is None:
            return Record(bad, apart, looks)
        good = look.used and look.apart_bps is not None and look.apart_bps <= self.bench_apart_bps
        since = (record.good_since or now) if good else None
        if since is not None and now - since >= self.readmit_ns:
            return FRESH
        return Record(bad, apart, looks, record.benched_at, since)

    def _weight(self, record: Record) -> int:
        """Looks over which the average runs: a young record weighs all of its looks alike."""
        return min(self.memory_looks, record.looks + 1)

    def _is_bad(self, record: Record) -> bool:
        warm = record.looks >= self.warm_looks
        return warm and (record.bad_pct >= self.bench_bad_pct or record.apart_bps > self.bench_apart_bps)


def _moved(mean: int, value: int, looks: int) -> int:
    """The mean moved toward `value` by the share of one look, rounded toward minus infinity."""
    return mean + (value - mean) // looks
