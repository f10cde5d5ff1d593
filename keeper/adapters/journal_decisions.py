"""Decisions by their evidence leaf, and small named snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from keeper.adapters.journal_database import Database
from keeper.domain.time import Timestamp
from keeper.errors import TransientError
from keeper.ports.clock import Clock
from keeper.ports.journal import DecisionRecord

_DECISION = "INSERT INTO decision(leaf, kind, market, json, created_at, root) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT(leaf) DO NOTHING"
_SNAPSHOT = """INSERT INTO snapshot VALUES (?, ?, ?)
    ON CONFLICT(name) DO UPDATE SET document = excluded.document, saved_at = excluded.saved_at"""


class SqliteDecisions:
    """The Decisions port."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def attach(self, records: Sequence[DecisionRecord], root: str) -> None:
        """Durable with the next write to the journal; the same decision again changes nothing."""
        now = self._clock.now()
        rows = [(*record, now, root) for record in records]
        self._database.attach(lambda connection: connection.executemany(_DECISION, rows))

    def find(self, leaf: str) -> str | None:
        self._database.flush()
        with self._database.read() as connection:
            row = connection.execute("SELECT json FROM decision WHERE leaf = ?", (leaf,)).fetchone()
        return None if row is None else str(row[0])

    def forget(self, leaves: Sequence[str]) -> None:
        with self._database.write() as connection:
            connection.executemany("DELETE FROM decision WHERE leaf = ?", [(leaf,) for leaf in leaves])

    def reap(self, before: Timestamp, keep_rows: int) -> int:
        """Forgets decisions made before, and the oldest beyond `keep_rows`."""
        with self._database.write() as connection:
            aged = connection.execute("DELETE FROM decision WHERE created_at < ?", (before,)).rowcount
            extra = connection.execute(
                "DELETE FROM decision WHERE rowid IN"
                " (SELECT rowid FROM decision ORDER BY created_at DESC, rowid DESC LIMIT -1 OFFSET ?)",
                (keep_rows,),
            ).rowcount
        return aged + extra


class SqliteSnapshots:
    """The StateStore port."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def save(self, name: str, document: str) -> None:
        with self._database.write() as connection:
            connection.execute(_SNAPSHOT, (name, document, self._clock.now()))

    def attach(self, name: str, document: str) -> None:
        """Durable with the next write to the journal."""
        row = (name, document, self._clock.now())
        self._database.attach(lambda connection: connection.execute(_SNAPSHOT, row))

    def load(self, name: str) -> str | None:
        """With what is attached, where that can be written: a full disk keeps nobody from what is on it."""
        with suppress(TransientError):
            self._database.flush()
        with self._database.read() as connection:
            row = connection.execute("SELECT document FROM snapshot WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])
