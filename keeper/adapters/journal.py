"""The keeper's memory on one machine: SQLite in WAL mode with synchronous=FULL, one writer, one process.

https://www.sqlite.org/wal.html · https://www.sqlite.org/pragma.html#pragma_synchronous
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from keeper.adapters import journal_files as files
from keeper.adapters.journal_database import Database
from keeper.adapters.journal_decisions import SqliteDecisions, SqliteSnapshots
from keeper.adapters.journal_ledger import SqliteLedger
from keeper.adapters.lock import StateLock
from keeper.domain.time import Timestamp, nanos
from keeper.errors import TransientError
from keeper.ports.clock import Clock
from keeper.ports.log import EventLog

_DAY_S = 86_400
_REAP_EVERY_S = 3600.0


@dataclass(frozen=True, slots=True)
class JournalLimits:
    """How long settled transactions and decisions are kept, and how many decisions at most."""

    keep_settled_s: float = 7 * _DAY_S
    keep_decisions_s: float = 7 * _DAY_S
    max_decisions: int = 500_000


class Journal:
    """`ledger` (intents and transactions), `decisions` and `snapshots` in one file. Use `with`, or open() and close()."""

    def __init__(self, database: Database, lock: StateLock, clock: Clock, limits: JournalLimits) -> None:
        self._database = database
        self.lock = lock
        self._clock = clock
        self._limits = limits
        self.ledger = SqliteLedger(database, clock)
        self.decisions = SqliteDecisions(database, clock)
        self.snapshots = SqliteSnapshots(database, clock)

    @classmethod
    def open(
        cls, directory: Path, clock: Clock, limits: JournalLimits | None = None, lock: StateLock | None = None
    ) -> Journal:
        """Makes what is missing and brings older files up to date. `lock`: the directory's, where it is held already.

        Raises AlreadyRunning when another process has the directory, StateCorrupt when the file cannot be trusted or is
        gone.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = lock or StateLock(directory / files.LOCK)
        lock.acquire()
        try:
            files.require_present(directory)
            if not (directory / files.JOURNAL).exists():
                files.make(directory, clock.now())
            database = Database(directory / files.JOURNAL, clock)
            files.mark(directory)
            return cls(database, lock, clock, limits or JournalLimits())
        except BaseException:
            lock.release()
            raise

    def close(self) -> None:
        self._database.close()
        self.lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def reap(self) -> None:
        """Forgets what is past its limits. Raises TransientError when nothing can be written."""
        now = self._clock.now()
        self.ledger.reap(Timestamp(now - nanos(self._limits.keep_settled_s)))
        self.decisions.reap(Timestamp(now - nanos(self._limits.keep_decisions_s)), self._limits.max_decisions)


@dataclass(frozen=True, slots=True)
class Reaper:
    """A service that keeps the file bounded. A full disk is told and tried again: what is pending is followed meanwhile."""

    journal: Journal
    log: EventLog
    name: str = "journal"

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_REAP_EVERY_S)
            try:
                self.journal.reap()
            except TransientError as error:
                self.log.warning("journal.unreaped", error=str(error))
