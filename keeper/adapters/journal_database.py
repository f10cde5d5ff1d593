"""SQLite, opened so that what is written stays written, and its errors in our terms."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from keeper.adapters.journal_schema import MIGRATIONS
from keeper.adapters.lock import StateLock
from keeper.errors import InvariantBroken, StateCorrupt, TransientError
from keeper.ports.clock import Clock

_CANNOT_WRITE = ("full", "readonly", "read-only", "disk i/o", "locked")


Statements = Callable[[sqlite3.Connection], object]

_MOST_ATTACHED = 32


class Database:
    """One connection and its transactions; sqlite3's errors become ours.

    What is attached becomes durable with the next write, whatever that is, or not at all: one wait for the disk less.
    """

    def __init__(self, path: Path, lock: StateLock, clock: Clock) -> None:
        self._path = path
        self._lock = lock
        self._attached: list[Statements] = []
        # Made with its mode before SQLite opens it; the -wal and -shm files inherit it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
        with self._translated():
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=5.0)
        try:
            self._prepare(clock)
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Writes what is still attached, if that can be written."""
        with suppress(TransientError):
            self.flush()
        self._connection.close()
        self._lock.release()

    def attach(self, statements: Statements) -> None:
        """For what must not be missing once the next write is durable, and needs not be durable before.

        Raises TransientError when much is attached already and cannot be written.
        """
        if len(self._attached) >= _MOST_ATTACHED:
            self.flush()
        self._attached.append(statements)

    def flush(self) -> None:
        if self._attached:
            with self.write():
                """What is attached, and nothing besides."""

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, durable when it returns. Raises TransientError when nothing could be written."""
        with self._translated():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                attached = len(self._attached)
                for statements in self._attached:
                    statements(self._connection)
                yield self._connection
                self._connection.execute("COMMIT")
                del self._attached[:attached]
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Whoever wants to read what is attached, flushes first."""
        with self._translated():
            yield self._connection

    def _prepare(self, clock: Clock) -> None:
        with self._translated():
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute("PRAGMA foreign_keys=ON")
            found = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise self._corrupt(" ".join(str(found).split()))
        self._migrate(clock)

    def _migrate(self, clock: Clock) -> None:
        with self.write() as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS migration(number INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT"
            )
            done: int = connection.execute("SELECT COALESCE(MAX(number), 0) FROM migration").fetchone()[0]
            if done > len(MIGRATIONS):
                raise StateCorrupt(
                    f"{self._path} was written by a newer keeper (schema {done}, this one knows {len(MIGRATIONS)}): "
                    "run that version, or restore the backup from before the upgrade"
                )
            for number, statements in enumerate(MIGRATIONS[done:], start=done + 1):
                for statement in statements:
                    connection.execute(statement)
                connection.execute("INSERT INTO migration VALUES (?, ?)", (number, clock.now()))

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError as error:
            raise InvariantBroken(f"{self._path}: {error}") from error
        except sqlite3.DatabaseError as error:
            words = str(error)
            if isinstance(error, sqlite3.OperationalError) and any(each in words.lower() for each in _CANNOT_WRITE):
                raise TransientError(f"{self._path} cannot be written: {words}") from error
            raise self._corrupt(words) from error

    def _corrupt(self, reason: str) -> StateCorrupt:
        return StateCorrupt(
            f"{self._path} cannot be trusted: {reason}. Restore a backup, or move the file away: the keeper then takes "
            "the wallet's nonce from the chain and knows nothing of transactions still pending"
        )
