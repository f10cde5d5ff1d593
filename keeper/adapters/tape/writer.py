"""Writes a tape: lines are kept for a second, compressed beside the loop, and the oldest files give way to new ones."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from keeper.adapters.whole_file import whole
from keeper.domain.time import Timestamp
from keeper.ports.clock import Clock
from keeper.ports.log import EventLog
from keeper.ports.meter import Meter

_FLUSH_EVERY_S = 1.0
_MOST_WAITING_BYTES = 32 << 20
"""A disk that takes nothing must not fill the memory: what comes beyond is lost, and counted."""
_LEVEL = 1
SUFFIX = ".jsonl.gz"


@dataclass(slots=True, eq=False)
class TapeWriter:
    """A service. `max_bytes` None: nothing gives way. `prologue` says what a file must begin with to be read alone."""

    directory: Path
    clock: Clock
    log: EventLog
    meter: Meter
    max_bytes: int | None = 256 << 20
    file_bytes: int = 16 << 20
    prologue: Callable[[], Iterator[bytes]] = lambda: iter(())
    name: str = "tape"
    lost: int = 0
    _waiting: list[bytes] = field(default_factory=list)
    _waiting_bytes: int = 0
    _file: Path | None = None
    _written: int = 0
    _failing: bool = False

    def put(self, line: bytes) -> None:
        """Never waits and never raises: a keeper goes on without its tape."""
        if self._waiting_bytes > _MOST_WAITING_BYTES:
            self.lost += 1
            return
        if self._file is None:
            self._file, self._written = self._next(self.clock.now()), 0
            self._waiting.extend(self.prologue())
        self._waiting.append(line)
        self._waiting_bytes += len(line)

    async def run(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            while True:
                await asyncio.sleep(_FLUSH_EVERY_S)
                await self._flush()
        finally:
            if (taken := self._taken()) is not None:
                self._write(*taken)

    async def _flush(self) -> None:
        if (taken := self._taken()) is None:
            return
        await asyncio.to_thread(self._write, *taken)
        self._told()
        self.meter.gauge("keeper_tape_bytes", sum(each.stat().st_size for each in files(self.directory)))
        self.meter.gauge("keeper_tape_lines_lost", self.lost)

    def _taken(self) -> tuple[Path, list[bytes]] | None:
        """What is waiting, and where it belongs. After a full file the next line begins another, with its prologue."""
        if self._file is None or not self._waiting:
            return None
        file, lines = self._file, self._waiting
        self._waiting, self._waiting_bytes = [], 0
        if self._failing:  # the beginning of the file may be in what the disk did not take
            file = self._file = self._next(self.clock.now())
            lines, self._written = [*self.prologue(), *lines], 0
        if self._written >= self.file_bytes:
            self._file = None
        return file, lines

    def _next(self, now: Timestamp) -> Path:
        return self.directory / f"tape-{now:020d}{SUFFIX}"

    def _write(self, file: Path, lines: list[bytes]) -> None:
        """One gzip member: whole, or cut off at the end of the file by a crash. A disk that is full keeps no part of it."""
        packed = gzip.compress(b"".join(lines), _LEVEL, mtime=0)
        try:
            with whole(file), file.open("ab") as opened:
                opened.write(packed)
            file.chmod(0o600)
            self._give_way()
            self._failing = False
        except OSError:
            self.lost += len(lines)
            self._failing = True
        self._written += len(packed)

    def _give_way(self) -> None:
        if self.max_bytes is None:
            return
        kept = files(self.directory)
        left = sum(each.stat().st_size for each in kept)
        for oldest in kept[:-1]:
            if left <= self.max_bytes:
                return
            left -= oldest.stat().st_size
            oldest.unlink()

    def _told(self) -> None:
        if self._failing and self.lost:
            self.log.warning("tape.lost", lines=self.lost, file=str(self._file))


def files(directory: Path) -> list[Path]:
    """Oldest first."""
    return sorted(directory.glob(f"tape-*{SUFFIX}"))
