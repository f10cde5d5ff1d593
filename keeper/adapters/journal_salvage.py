"""What can still be read of a journal that cannot be trusted, put into a new one. Nothing is believed for having been there.

A signed transaction proves itself: its hash is that of its bytes. What it was for is believed as far as its bytes repeat
it. What fails is left out: a nonce without bytes is one that the chain alone can tell about.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec

from keeper.adapters.encoding.keccak import keccak
from keeper.adapters.journal_files import beginning
from keeper.adapters.journal_rows import records
from keeper.domain.transaction import INCLUDED, SETTLED, IntentState, TxState

_TABLES = ("intent", "outcome", "tx", "attempt", "receipt", "snapshot")
_KEPT = ("halted", "paused", "round:%")
"""Snapshots that nobody can compute anew: orders of the operator, and up to where prices were signed."""
_WAL = b"\x02\x02"
_LARGEST = 1 << 36
_LONGEST_LEAP = 40
_UNREADABLE = (sqlite3.DatabaseError, OverflowError, UnicodeDecodeError)


@dataclass(frozen=True, slots=True)
class Salvage:
    """How much of a journal was saved. `unread`: tables of which something could not be read; all, of a file that is none."""

    transactions: int = 0
    attempts: int = 0
    outcomes: int = 0
    orders: int = 0
    unread: tuple[str, ...] = _TABLES


def salvage(damaged: Path, target: sqlite3.Connection) -> Salvage:
    """Fills the empty journal behind `target` from a copy of the damaged one, which is changed on the way."""
    connection = _opened(damaged)
    if connection is None:
        return Salvage()
    with closing(connection):
        target.execute("PRAGMA foreign_keys=OFF")
        unread = tuple(table for table in _TABLES if not _copied(connection, target, table))
    _check(target)
    counts = [target.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in _TABLES]  # noqa: S608 - ours
    found = dict(zip(_TABLES, counts, strict=True))
    return Salvage(found["tx"], found["attempt"], found["outcome"], found["snapshot"], unread)


def _opened(damaged: Path) -> sqlite3.Connection | None:
    """The file as it is; else with the first page of an empty journal, which says where the tables are."""
    if not damaged.exists():
        return None
    _lengthen(damaged)
    for mend in (False, True):
        if mend:
            _mend(damaged)
        connection = sqlite3.connect(damaged, isolation_level=None)
        connection.text_factory = lambda text: text.decode(errors="replace")
        try:
            if connection.execute("SELECT COUNT(*) FROM sqlite_master WHERE name = 'attempt'").fetchone()[0]:
                return connection
        except _UNREADABLE:
            pass
        connection.close()
    return None


def _lengthen(damaged: Path) -> None:
    """A file that was cut off gets empty pages for those it lost: SQLite reads nothing of one that is too short."""
    size = damaged.stat().st_size
    with damaged.open("r+b") as file:
        header = file.read(32)
        wanted = int.from_bytes(header[16:18], "big") * int.from_bytes(header[28:32], "big")
        if header.startswith(b"SQLite format 3") and size < wanted <= _LARGEST:
            file.truncate(wanted)


def _mend(damaged: Path) -> None:
    first = bytearray(beginning())
    pages = damaged.stat().st_size // len(first)
    first[18:20] = (
        _WAL  # as every journal is written: https://www.sqlite.org/fileformat2.html#file_format_version_numbers
    )
    first[28:32] = pages.to_bytes(4, "big")
    with damaged.open("r+b") as file:
        file.write(first)


def _copied(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> bool:
    """Whether every row could be read. Each that has the right shape is copied."""
    columns = [row[1] for row in target.execute(f"PRAGMA table_info({table})")]
    insert = f"INSERT OR IGNORE INTO {table} VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - our own names
    reading = _Reading(source, table, columns)
    for row in reading.rows():
        try:
            target.execute(insert, row)
        except _UNREADABLE:
            reading.whole = False
    return reading.whole


@dataclass(slots=True)
class _Reading:
    """A table, with leaps over what cannot be read: a lookup by row number finds the pages behind a torn one."""

    source: sqlite3.Connection
    table: str
    columns: Sequence[str]
    whole: bool = True

    def rows(self) -> Iterator[tuple[object, ...]]:
        last = 0
        for rowid, row in self._asked("rowid > ?", 0):
            last = rowid
            yield row
        while not self.whole and (beyond := self._beyond(last)) is not None:
            yield from (row for _, row in self._asked("rowid <= ? AND rowid > ?", beyond, last, order="DESC"))
            last = beyond
            for rowid, row in self._asked("rowid > ?", beyond):
                last = rowid
                yield row

    def _beyond(self, last: int) -> int | None:
        """A row number with readable rows behind it, with what cannot be read before it. None: nothing is left."""
        for leap in (1 << power for power in range(_LONGEST_LEAP)):
            try:
                found = self.source.execute(
                    f"SELECT rowid FROM {self.table} WHERE rowid > ? LIMIT 1",  # noqa: S608 - our own names
                    (last + leap,),
                ).fetchone()
            except _UNREADABLE:
                continue
            return None if found is None else last + leap
        return None

    def _asked(self, where: str, *words: int, order: str = "ASC") -> Iterator[tuple[int, tuple[object, ...]]]:
        """Up to the first that cannot be read."""
        kept = f" AND ({' OR '.join(f'name LIKE {word!r}' for word in _KEPT)})" if self.table == "snapshot" else ""
        asked = f"SELECT rowid, {', '.join(self.columns)} FROM {self.table} WHERE {where}{kept} ORDER BY rowid {order}"  # noqa: S608
        try:
            for rowid, *row in self.source.execute(asked, words):
                yield rowid, tuple(row)
        except _UNREADABLE:
            self.whole = False


def _check(target: sqlite3.Connection) -> None:
    """Leaves what proves itself."""
    for tx_hash, raw in target.execute("SELECT hash, raw FROM attempt").fetchall():
        if "0x" + keccak(raw).hex() != tx_hash:
            target.execute("DELETE FROM attempt WHERE hash = ?", (tx_hash,))
    for tx_hash, raw, to, data in target.execute(
        "SELECT hash, raw, to_address, data FROM attempt LEFT JOIN intent ON intent.id = attempt.intent_id"
        " WHERE attempt.intent_id IS NOT NULL"
    ).fetchall():
        if to is None or not _repeats(raw, to, data):
            # The bytes stay what they are; what they were for is gone, and an empty transfer may take their place.
            target.execute("UPDATE attempt SET intent_id = NULL WHERE hash = ?", (tx_hash,))
    target.execute("DELETE FROM attempt WHERE tx_id NOT IN (SELECT id FROM tx)")
    included, settled = _words(INCLUDED), _words(SETTLED)
    target.execute(f"DELETE FROM tx WHERE state NOT IN ({settled}) AND id NOT IN (SELECT tx_id FROM attempt)")  # noqa: S608
    target.execute("DELETE FROM receipt WHERE tx_id NOT IN (SELECT id FROM tx)")
    target.execute(
        f"UPDATE tx SET state = '{TxState.BROADCAST}' WHERE state IN ({included})"  # noqa: S608 - our own words
        " AND id NOT IN (SELECT tx_id FROM receipt JOIN attempt USING (tx_id) WHERE receipt.tx_hash = attempt.hash)"
    )
    target.execute("DELETE FROM intent WHERE id NOT IN (SELECT intent_id FROM attempt WHERE intent_id IS NOT NULL)")
    for name, document in target.execute("SELECT name, document FROM snapshot").fetchall():
        if not _is_order(name, document):
            target.execute("DELETE FROM snapshot WHERE name = ?", (name,))
    target.execute(f"DELETE FROM outcome WHERE state NOT IN ({_words(frozenset(IntentState))})")  # noqa: S608
    for (tx_id,) in target.execute("SELECT id FROM tx").fetchall():
        if not _parses(target, tx_id):
            for table, key in (("receipt", "tx_id"), ("attempt", "tx_id"), ("tx", "id")):
                target.execute(f"DELETE FROM {table} WHERE {key} = ?", (tx_id,))  # noqa: S608 - our own names


def _is_order(name: str, document: str) -> bool:
    if name.startswith("round:"):
        return document.isdecimal()
    try:
        return isinstance(msgspec.json.decode(document), dict)
    except msgspec.DecodeError:
        return False


def _repeats(raw: bytes, to: str, data: bytes) -> bool:
    try:
        return bytes.fromhex(to.removeprefix("0x")) in raw and data in raw
    except ValueError:
        return False


def _parses(target: sqlite3.Connection, tx_id: int) -> bool:
    try:
        (tx,) = records(target, "id = ?", (tx_id,))
    except (ValueError, TypeError, msgspec.MsgspecError):
        return False
    return bool(tx.attempts) or tx.state in SETTLED


def _words(states: frozenset[TxState] | frozenset[IntentState]) -> str:
    return ", ".join(f"'{state}'" for state in sorted(states))
