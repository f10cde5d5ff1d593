"""SQLite, opened so that what is written stays written, and its errors in our terms."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from keeper.adapters.journal_files import ADVICE, schema_fault
from keeper.adapters.journal_schema import MIGRATIONS, applied, made
from keeper.errors import InvariantBroken, StateCorrupt, StateTooNew, TransientError
from keeper.ports.clock import Clock

_CANNOT_WRITE = ("full", "readonly", "read-only", "disk i/o", "locked", "unable to open", "locking protocol")
"""What SQLite says of a disk or a process that is short of something, and not of a damaged file."""

Statements = Callable[[sqlite3.Connection], object]

_MOST_ATTACHED = 32


class Database:
    """One connection and its transactions; sqlite3's errors become ours.

    What is attached becomes durable with the next write, whatever that is, or not at all: one wait for the disk less.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._attached: list[Statements] = []
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
            done = applied(connection)
            if done > len(MIGRATIONS):
                raise StateTooNew(
                    f"{self._path} was written by a newer keeper (schema {done}, this one knows {len(MIGRATIONS)}): "
                    "run that version, or restore the backup from before the upgrade"
                )
            made(connection, clock.now())
            fault = schema_fault(connection)
            if fault:
                raise self._corrupt(fault)

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
        return StateCorrupt(f"{self._path} cannot be trusted: {reason}. {ADVICE}")
