"""Moves records that have become old out of the journal into compressed files, and keeps those within age and size.

A record is on the disk in its file before it is taken out of the journal: after a crash it may be in both, never in neither.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

from keeper.adapters.evidence import configs
from keeper.adapters.evidence.segments import StoredRecord, append, keys_of, segment_path, segments, starts_at
from keeper.domain.time import SECOND, Timestamp
from keeper.errors import TransientError
from keeper.ports.clock import Clock
from keeper.ports.journal import Decisions
from keeper.ports.log import EventLog
from keeper.ports.meter import Meter

_DAY_NS = 86_400 * SECOND
_DAY_S = 86_400
_FRESH_NS = 600 * SECOND
_EVERY_S = 30.0
_AT_ONCE = 200
"""Records of one member."""
_DELETED_AT_ONCE = 40
"""That many hold up the loop for about 4 ms; other work comes between."""
_BETWEEN_S = 0.01
_MOST_AT_ONCE = 5_000
"""Records of one pass: what is left waits for the next."""
_SEGMENT_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class EvidenceLimits:
    keep_ns: int = 30 * _DAY_NS
    max_bytes: int = 1024 << 20
    fresh_ns: int = _FRESH_NS
    """Records stay in the journal for so long."""


@dataclass(slots=True, eq=False)
class EvidenceArchive:
    """A service. `config` is the text of the configuration in force, kept for as long as records may name it."""

    journal: Path
    directory: Path
    decisions: Decisions
    clock: Clock
    log: EventLog
    meter: Meter
    limits: EvidenceLimits = field(default_factory=EvidenceLimits)
    every_s: float = _EVERY_S
    name: str = "evidence"
    _config: str = ""
    _segment: Path | None = None
    _written: int = 0
    _kept: set[str] = field(default_factory=set)
    """Leaves that are in a file and still in the journal."""

    def configured(self, text: str) -> None:
        """From now on decisions name this configuration. On the disk when it returns. Raises OSError."""
        configs.keep(self.directory, text)
        self._config = text

    async def run(self) -> None:
        """Trouble with the disk is told and tried again: until then records stay where they are."""
        while True:
            await asyncio.sleep(self.every_s)
            try:
                await self.put_away()
            except (OSError, sqlite3.Error, TransientError) as error:
                self._segment = None
                self.log.warning("evidence.delayed", error=repr(error))

    async def put_away(self) -> int:
        """One pass. Returns how many records it moved. Where the disk takes nothing, what is of age makes room all the same."""
        try:
            moved = await self._moved()
        except (OSError, sqlite3.Error, TransientError):
            await asyncio.to_thread(self._bounded)
            raise
        size = await asyncio.to_thread(self._bounded)
        self.meter.gauge("keeper_evidence_bytes", size)
        return moved

    async def _moved(self) -> int:
        moved, before = 0, Timestamp(self.clock.now() - self.limits.fresh_ns)
        while moved < _MOST_AT_ONCE:
            found = await asyncio.to_thread(self._pass, before)
            if not found:
                break
            for start in range(0, len(found), _DELETED_AT_ONCE):
                done = [record.leaf for record in found[start : start + _DELETED_AT_ONCE]]
                self.decisions.forget(done)
                self._kept.difference_update(done)
                await asyncio.sleep(_BETWEEN_S)
            moved += len(found)
        return moved

    def _pass(self, before: Timestamp) -> Sequence[StoredRecord]:
        found = self._older(before)
        # What the journal did not let go is in a file already.
        if added := [record for record in found if record.leaf not in self._kept]:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Each process begins a file of its own: behind a member that a crash cut off nothing could be read.
            if self._segment is None or self._written >= _SEGMENT_BYTES:
                self._segment, self._written = self._next(added[0]), 0
            self._written += append(self._segment, added)
            self._kept.update(record.leaf for record in added)
        return found

    def _next(self, first: StoredRecord) -> Path:
        path = segment_path(self.directory, first)
        while path.exists():
            first = first._replace(created_at=first.created_at + 1)
            path = segment_path(self.directory, first)
        return path

    def _older(self, before: Timestamp) -> Sequence[StoredRecord]:
        """A connection of its own, that only reads: the journal's belongs to the loop."""
        uri = f"file:{quote(str(self.journal))}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=2.0)) as connection:
            rows = connection.execute(
                "SELECT created_at, leaf, root, kind, market, json FROM decision WHERE created_at < ?"
                " ORDER BY created_at, rowid LIMIT ?",
                (before, _AT_ONCE),
            ).fetchall()
        return [StoredRecord(*row) for row in rows]

    def _bounded(self) -> int:
        """Bytes that are left."""
        kept = segments(self.directory)
        sizes = {each: sum(_size(file) for file in (each, keys_of(each))) for each in kept}
        left, oldest = sum(sizes.values()), self.clock.now() - self.limits.keep_ns
        for each, newer in pairwise(kept):
            if left <= self.limits.max_bytes and starts_at(newer) > oldest:
                break
            left -= sizes[each]
            each.unlink(missing_ok=True)
            keys_of(each).unlink(missing_ok=True)
        if self._config:
            configs.keep(self.directory, self._config)
        configs.forget(self.directory, (self.clock.now() - self.limits.keep_ns) / SECOND - _DAY_S)
        return left


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
