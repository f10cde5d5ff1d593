"""Finds records whether or not a keeper runs: in the journal first, then in the files, newest first."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from keeper.adapters.evidence import configs
from keeper.adapters.evidence.segments import StoredRecord, may_have, read, segments, starts_at
from keeper.domain.time import SECOND
from keeper.errors import KeyPermissionError, StateCorrupt

_COLUMNS = "SELECT created_at, leaf, {root}, kind, market, json FROM decision"
_EVER = 2**63 - 1
_LAG_NS = 60 * SECOND
"""A record is created within this time of the instant that it tells of."""


@dataclass(frozen=True, slots=True)
class EvidenceReader:
    """`state` is the state directory: its journal and its `evidence`."""

    state: Path

    @property
    def directory(self) -> Path:
        return self.state / "evidence"

    def by_leaf(self, leaf: str) -> StoredRecord | None:
        return next((found for found in self._matching(leaf) if found.leaf == leaf), None)

    def by_root(self, root: str) -> tuple[StoredRecord, ...]:
        """The records of a batch by its evidence on chain, in no particular order; empty when they are not kept."""
        return _once(found for found in self._matching(root) if found.root == root)

    def by_market(self, market: str, at: int) -> StoredRecord | None:
        """The last record of a market that was decided at that time (ns) or before."""
        for part in self._parts(at + _LAG_NS):
            newest = sorted((found for found in part if found.market == market), key=lambda found: -found.created_at)
            fitting = next((found for found in newest if _decided_at(found) <= at), None)
            if fitting is not None:
                return fitting
        return None

    def around(self, at: int) -> tuple[StoredRecord, ...]:
        """What was made within a minute after that time: the records of a round, and others."""
        parts = self._parts(at + _LAG_NS, at)
        return _once(found for part in parts for found in part if 0 <= found.created_at - at <= _LAG_NS)

    def since(self, at: int) -> Iterator[StoredRecord]:
        """Newest first; those of one batch follow one another."""
        seen: set[str] = set()
        for part in self._parts(None, at):
            for found in sorted(part, key=lambda each: (-each.created_at, each.root or "")):
                if found.created_at >= at and found.leaf not in seen:
                    seen.add(found.leaf)
                    yield found

    def config(self, named: str) -> str | None:
        """The configuration with this hash. Raises ValueError when its file says something else."""
        return configs.find(self.directory, named)

    def configs(self) -> tuple[str, ...]:
        """The hashes of those that are kept."""
        return configs.names(self.directory)

    def _matching(self, hash_: str) -> Iterator[StoredRecord]:
        yield from self._journal(" WHERE leaf = ? OR root = ?", (hash_, hash_))
        for segment in reversed(segments(self.directory)):
            if may_have(segment, hash_):
                yield from read(segment)

    def _parts(self, until: int | None, since: int = 0) -> Iterator[Sequence[StoredRecord]]:
        """Journal and segments, newest first, without segments that begin after `until` or end before `since`."""
        yield self._journal(" WHERE created_at >= ? AND created_at <= ?", (since, _EVER if until is None else until))
        for segment in reversed(segments(self.directory)):
            if until is None or starts_at(segment) <= until:
                yield list(read(segment))
            if starts_at(segment) < since:
                return

    def _journal(self, where: str, words: tuple[str | int, ...]) -> Sequence[StoredRecord]:
        path = self.state / "journal.sqlite"
        if not path.exists():
            return []
        try:
            with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=2.0)) as connection:
                old = "root" not in {row[1] for row in connection.execute("PRAGMA table_info(decision)")}
                columns = _COLUMNS.format(root="NULL AS root" if old else "root")
                if old and "root" in where:
                    where, words = " WHERE leaf = ?", words[:1]
                rows = connection.execute(columns + where, words).fetchall()
        except sqlite3.OperationalError as error:
            if any(word in str(error) for word in ("unable to open", "readonly", "locked")):
                raise KeyPermissionError(f"{path}: {error}; ask as the keeper's own user") from None
            raise StateCorrupt(f"{path} cannot be read as a journal: {error}") from None
        except sqlite3.DatabaseError as error:
            raise StateCorrupt(f"{path} cannot be read as a journal: {error}") from None
        return [StoredRecord(*row) for row in rows]


def _decided_at(record: StoredRecord) -> int:
    """The record's own `now`, a little before it was written."""
    _, _, rest = record.text.rpartition('"now":"')
    digits = rest.partition('"')[0]
    return int(digits) if digits.isdecimal() else record.created_at


def _once(records: Iterator[StoredRecord]) -> tuple[StoredRecord, ...]:
    """After a crash a record may be in the journal and in a file."""
    return tuple({found.leaf: found for found in records}.values())
