"""Records leave the journal for compressed files, and are found wherever they are."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from keeper.adapters.encoding.keccak import keccak
from keeper.adapters.evidence import configs
from keeper.adapters.evidence.archive import EvidenceArchive, EvidenceLimits
from keeper.adapters.evidence.reader import EvidenceReader
from keeper.adapters.evidence.segments import KEYS, SUFFIX, keys_of, read, segments
from keeper.adapters.journal import Journal
from keeper.adapters.journal_schema import MIGRATIONS
from keeper.domain.time import SECOND, Timestamp
from keeper.errors import TransientError
from keeper.ports.journal import DecisionRecord
from tests.services.fakes import Desk

START = Timestamp(1_700_000_000 * SECOND)


@dataclass
class Clock:
    at: Timestamp = START

    def now(self) -> Timestamp:
        return self.at

    def go(self, seconds: float) -> None:
        self.at = Timestamp(self.at + int(seconds * SECOND))


@dataclass
class Shelf:
    """A journal with its archive. Each `batch` is made a second after the one before."""

    state: Path
    clock: Clock = field(default_factory=Clock)
    limits: EvidenceLimits = field(default_factory=EvidenceLimits)

    def __post_init__(self) -> None:
        self.desk = Desk()
        self.journal = Journal.open(self.state, self.clock)
        self.archive = self.fresh()
        self.reader = EvidenceReader(self.state)
        self.made: list[DecisionRecord] = []

    def fresh(self) -> EvidenceArchive:
        state, desk = self.state, self.desk
        return EvidenceArchive(
            state / "journal.sqlite", state / "evidence", self.journal.decisions,
            self.clock, desk.log, desk.meter, self.limits,
        )  # fmt: skip

    def batch(self, *markets: str, text: str = "") -> str:
        number = len(self.made)
        records = [_record(f"{market} {number} {text}", market) for market in markets]
        root = "0x" + keccak("".join(each.leaf for each in records).encode()).hex()
        self.journal.decisions.attach(records, root)
        self.journal.snapshots.save("x", "flushes what is attached")
        self.made += records
        self.clock.go(1)
        return root

    def put_away(self) -> int:
        return asyncio.run(self.archive.put_away())

    def journalled(self) -> int:
        with sqlite3.connect(self.state / "journal.sqlite") as connection:
            return int(connection.execute("SELECT COUNT(*) FROM decision").fetchone()[0])


def _record(text: str, market: str) -> DecisionRecord:
    return DecisionRecord("0x" + keccak(text.encode()).hex(), "price", market, text)


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    found = Shelf(tmp_path)
    yield found
    found.journal.close()


def texts(records: Any) -> set[str]:
    return {record.text for record in records}


def test_put_away__only_what_is_old__and_everything_is_found_all_the_same(shelf: Shelf) -> None:
    roots = [shelf.batch("BTC-USD", "ETH-USD") for _ in range(5)]
    shelf.clock.go(600 - 2)
    assert shelf.put_away() == 6
    assert shelf.journalled() == 4
    for number, root in enumerate(roots):
        assert texts(shelf.reader.by_root(root)) == {f"BTC-USD {2 * number} ", f"ETH-USD {2 * number} "}
    for record in shelf.made:
        found = shelf.reader.by_leaf(record.leaf)
        assert found is not None
        assert found.text == record.canonical_json
    assert shelf.reader.by_leaf("0x" + "0" * 64) is None
    assert shelf.reader.by_root("0x" + "1" * 64) == ()


def test_by_market__the_last_at_that_time_or_before(shelf: Shelf) -> None:
    for market in ("BTC-USD", "ETH-USD", "BTC-USD", "BTC-USD"):
        shelf.batch(market)
    shelf.clock.go(598)
    assert shelf.put_away() == 2

    def at(second: int, market: str = "BTC-USD") -> str | None:
        found = shelf.reader.by_market(market, START + second * SECOND)
        return None if found is None else found.text

    assert [at(second) for second in (-1, 0, 1, 2, 3, 9)] == [
        None, "BTC-USD 0 ", "BTC-USD 0 ", "BTC-USD 2 ", "BTC-USD 3 ", "BTC-USD 3 ",
    ]  # fmt: skip
    assert at(9, "ETH-USD") == "ETH-USD 1 "
    assert at(9, "SOL-USD") is None


def test_since__newest_first_each_once(shelf: Shelf) -> None:
    for _ in range(4):
        shelf.batch("BTC-USD")
    shelf.clock.go(598)
    shelf.put_away()
    assert [each.text for each in shelf.reader.since(START + SECOND)] == [f"BTC-USD {n} " for n in (3, 2, 1)]


def test_crash__between_file_and_journal__is_in_both_and_told_once(shelf: Shelf) -> None:
    root = shelf.batch("BTC-USD")
    shelf.clock.go(700)
    shelf.archive._pass(shelf.clock.now())
    assert shelf.journalled() == 1
    assert len(list(read(segments(shelf.state / "evidence")[0]))) == 1
    assert len(shelf.reader.by_root(root)) == 1
    shelf.archive = shelf.fresh()
    assert shelf.put_away() == 1
    assert len(segments(shelf.state / "evidence")) == 2
    assert len(shelf.reader.by_root(root)) == 1


def test_crash__within_a_member__what_came_before_is_read_and_a_new_file_begun(shelf: Shelf) -> None:
    first = shelf.batch("BTC-USD")
    shelf.clock.go(700)
    shelf.put_away()
    (torn,) = segments(shelf.state / "evidence")
    shelf.batch("BTC-USD", text="lost " * 50)
    shelf.clock.go(700)
    shelf.put_away()
    torn.write_bytes(torn.read_bytes()[:-7])
    assert len(shelf.reader.by_root(first)) == 1
    shelf.archive = shelf.fresh()
    third = shelf.batch("BTC-USD")
    shelf.clock.go(700)
    shelf.put_away()
    assert texts(shelf.reader.by_root(third)) == {"BTC-USD 2 "}


def test_keys__missing__the_file_is_read_instead(shelf: Shelf) -> None:
    root = shelf.batch("BTC-USD")
    shelf.clock.go(700)
    shelf.put_away()
    keys_of(segments(shelf.state / "evidence")[0]).unlink()
    assert len(shelf.reader.by_root(root)) == 1


def test_since__a_file_gives_way_while_it_is_read__the_others_are_told(shelf: Shelf) -> None:
    for _ in range(2):
        shelf.batch("BTC-USD")
        shelf.clock.go(700)
        shelf.archive = shelf.fresh()
        shelf.put_away()
    oldest, _ = segments(shelf.archive.directory)
    told = shelf.reader.since(0)
    found = [next(told)]
    oldest.unlink()
    assert texts([*found, *told]) == {shelf.made[-1].canonical_json}


def test_bounds__the_oldest_files_give_way_to_size_and_age(tmp_path: Path) -> None:
    day = 86_400
    shelf = Shelf(tmp_path, limits=EvidenceLimits(keep_ns=10 * day * SECOND, max_bytes=3_000))
    try:
        roots = []
        for _ in range(4):
            roots.append(shelf.batch("BTC-USD", text=os.urandom(1_000).hex()))
            shelf.clock.go(day)
            shelf.archive = shelf.fresh()
            shelf.put_away()
        kept = segments(tmp_path / "evidence")
        assert sum(each.stat().st_size + keys_of(each).stat().st_size for each in kept) <= 3_000
        assert [bool(shelf.reader.by_root(root)) for root in roots] == [False, False, True, True]
        shelf.clock.go(11 * day)
        last = shelf.batch("BTC-USD")
        shelf.clock.go(700)
        shelf.archive = shelf.fresh()
        shelf.put_away()
        # The newest of the old is of age only when what follows it is: its end is the beginning of the next.
        assert [bool(shelf.reader.by_root(root)) for root in (*roots, last)] == [False, False, False, True, True]
        shelf.clock.go(11 * day)
        shelf.put_away()
        assert [bool(shelf.reader.by_root(root)) for root in (*roots, last)] == [False, False, False, False, True]
        assert list((tmp_path / "evidence").glob("*.keys")) == [
            keys_of(each) for each in segments(tmp_path / "evidence")
        ]
    finally:
        shelf.journal.close()


def test_disk__takes_nothing__records_stay_where_they_are(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.batch("BTC-USD")
    shelf.clock.go(700)
    (shelf.state / "evidence").write_text("in the way")
    shelf.archive.every_s = 0.01

    async def scenario() -> None:
        task = asyncio.create_task(shelf.archive.run())
        async with asyncio.timeout(5):
            while not shelf.desk.log.of("evidence.delayed"):  # noqa: ASYNC110 - another task does it
                await asyncio.sleep(0.01)
            (shelf.state / "evidence").unlink()
            while shelf.journalled():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(scenario())
    assert len(list(shelf.reader.since(0))) == 1


@pytest.mark.parametrize("full", [SUFFIX, KEYS])
def test_disk__full__keeps_no_half_of_a_file_and_what_is_of_age_makes_room(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    directory, day = shelf.state / "evidence", 86_400
    for _ in range(3):
        shelf.batch("BTC-USD")
        shelf.clock.go(700)
        shelf.archive = shelf.fresh()
        shelf.put_away()
    shelf.clock.go(31 * day)
    root = shelf.batch("BTC-USD", text="x" * 1_000)
    shelf.clock.go(700)
    written = os.write

    def takes_half(descriptor: int, added: bytes) -> int:
        if not Path(f"/proc/self/fd/{descriptor}").readlink().name.endswith(full):
            return written(descriptor, added)
        written(descriptor, added[:5])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", takes_half)
        for _ in range(3):
            shelf.archive = shelf.fresh()
            with pytest.raises(OSError, match="No space"):
                shelf.put_away()
    assert len(segments(directory)) == 1, "the newest, since nobody knows when it ends"
    assert [*directory.glob(f"*{KEYS}")] == [keys_of(each) for each in segments(directory)]
    assert shelf.put_away() == 1
    assert texts(shelf.reader.by_root(root)) == {shelf.made[-1].canonical_json}
    assert shelf.journalled() == 0


def test_journal__takes_no_deletion__records_are_put_away_once_and_bounded(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each half minute they went into another file, and none gave way: a journal that is full filled the disk."""
    for _ in range(2):
        shelf.batch("BTC-USD")
        shelf.clock.go(700)
        shelf.archive = shelf.fresh()
        shelf.put_away()
    shelf.clock.go(31 * 86_400)
    root = shelf.batch("BTC-USD", "ETH-USD")
    shelf.clock.go(700)

    def full(_leaves: Any) -> None:
        raise TransientError("the disk is full")

    async def passes() -> None:
        shelf.archive.every_s = 0.001
        task = asyncio.create_task(shelf.archive.run())
        while len(shelf.desk.log.of("evidence.delayed")) < 4:  # noqa: ASYNC110 - another task does it
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    with monkeypatch.context() as patched:
        patched.setattr(type(shelf.journal.decisions), "forget", lambda _self, leaves: full(leaves))
        asyncio.run(passes())
    kept = segments(shelf.archive.directory)
    wanted = [3]  # the file that is written to holds the last of the old
    assert [len(list(read(each))) for each in kept] == wanted
    assert len(shelf.reader.by_root(root)) == 2
    assert (shelf.put_away(), shelf.journalled()) == (2, 0)
    assert [len(list(read(each))) for each in segments(shelf.archive.directory)] == wanted


def test_config__once_by_its_hash__and_for_as_long_as_records_may_name_it(shelf: Shelf) -> None:
    shelf.archive.configured('{"a":1}')
    made = [*shelf.archive.directory.rglob("*"), shelf.archive.directory]
    assert {path.stat().st_mode & 0o777 for path in made if path.is_dir()} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in made if path.is_file()} == {0o600}
    named = configs.keep(shelf.archive.directory, '{"a":1}')
    old = configs.keep(shelf.archive.directory, '{"a":0}')
    assert shelf.reader.config(named) == '{"a":1}'
    assert shelf.reader.config(old) == '{"a":0}'
    assert shelf.reader.config("f" * 64) is None
    assert shelf.reader.config("../../journal") is None
    for each in (shelf.archive.directory / "config").iterdir():
        os.utime(each, (0, 0))
    shelf.put_away()
    assert shelf.reader.config(named) == '{"a":1}'
    assert shelf.reader.config(old) is None


def test_config__another_text_by_its_name__is_not_believed(shelf: Shelf) -> None:
    named = configs.keep(shelf.archive.directory, '{"a":1}')
    other = configs.keep(shelf.archive.directory, '{"a":2}')
    directory = shelf.archive.directory / "config"
    (directory / f"{other}.json.gz").replace(directory / f"{named}.json.gz")
    with pytest.raises(ValueError, match="does not have the hash"):
        shelf.reader.config(named)


def test_journal__of_the_version_before__is_read_as_it_is_and_brought_up_to_date(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "journal.sqlite")
    connection.execute("CREATE TABLE migration(number INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT")
    for statement in MIGRATIONS[0]:
        connection.execute(statement)
    connection.execute("INSERT INTO migration VALUES (1, 0)")
    record = _record("old", "BTC-USD")
    connection.execute("INSERT INTO decision VALUES (?, ?, ?, ?, ?)", (*record, START))
    connection.commit()
    connection.close()
    reader = EvidenceReader(tmp_path)
    found = reader.by_leaf(record.leaf)
    assert found is not None
    assert (found.text, found.root) == ("old", None)
    with Journal.open(tmp_path, Clock()) as journal:
        assert journal.decisions.find(record.leaf) == "old"
    assert reader.by_leaf(record.leaf) == found
