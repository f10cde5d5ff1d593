"""What is left of a damaged journal is saved piece by piece, and only what proves itself."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from keeper.adapters import journal_files as files
from keeper.adapters.encoding.keccak import keccak
from keeper.adapters.journal import Journal
from keeper.adapters.journal_database import Database
from keeper.adapters.journal_ledger import SqliteLedger
from keeper.adapters.journal_salvage import Salvage, salvage
from keeper.domain.adoption import Adoption, adopted
from keeper.domain.ids import Hash
from keeper.domain.transaction import Attempt, Intent, IntentState, Outcome, TxRecord
from keeper.domain.txsteps import mined, signed
from keeper.errors import StateCorrupt, StateTooNew
from tests.chain.test_journal import CHAIN, ROOT, WALLET, Clock, attempt, decision, intent, receipt

PAGE = 4096
COUNT = 60


def bytes_of(number: int, wanted: Intent | None) -> Attempt:
    """An attempt whose hash is that of its bytes, which repeat what it calls."""
    to, data = (b"", b"") if wanted is None else (bytes.fromhex(wanted.call.to[2:]), wanted.call.data)
    raw = b"\x02" + number.to_bytes(4, "big") + to + data + bytes(300)
    return replace(attempt(number, wanted), hash=Hash("0x" + keccak(raw).hex()), raw=raw)


def wanted(number: int) -> Intent:
    plain = intent(str(number))
    return replace(plain, call=replace(plain.call, data=b"call" + number.to_bytes(4, "big") * 20))


def transaction(nonce: int) -> TxRecord:
    return signed(TxRecord(CHAIN, WALLET, nonce), bytes_of(nonce, wanted(nonce)))


def filled(directory: Path, clock: Clock, last: int = COUNT) -> list[TxRecord]:
    """A journal with so many transactions, with which decisions grow between them, closed."""
    saved = []
    with Journal.open(directory, clock) as journal:
        journal.snapshots.save("halted", '{"reason": "by hand"}')
        journal.snapshots.save("mirror:d:1:0x", "x" * 9000)
        for nonce in range(1, last + 1):
            journal.decisions.attach([decision(f"leaf{nonce}", "y" * 900)], ROOT)
            outcome = Outcome(f"old{nonce}", wanted(nonce).lane, "k", IntentState.CONFIRMED, clock.now())
            saved.append(transaction(nonce))
            journal.ledger.save(saved[-1], [outcome])
    return saved


def saved_from(directory: Path, clock: Clock) -> tuple[Salvage, tuple[TxRecord, ...]]:
    """What goes into a new journal, which is sound; the damaged file stays as it was."""
    path, place = directory / files.JOURNAL, directory / "copies"
    place.mkdir()
    before = path.read_bytes()
    new = files.fresh(directory, clock.now())
    with closing(sqlite3.connect(new)) as target:
        found = salvage(files.copied(path, place), target)
        target.commit()
    assert path.read_bytes() == before
    with closing(Database(new, clock)) as database:
        return found, SqliteLedger(database, clock).unfinished(CHAIN, WALLET)


def pages_of(path: Path, table: str) -> list[int]:
    """Numbers of the table's own leaf pages, from 0."""
    with closing(sqlite3.connect(path)) as connection:
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
    content = path.read_bytes()
    page = content[(root - 1) * PAGE : root * PAGE]
    if page[0] == 13:
        return [root - 1]
    cells = int.from_bytes(page[3:5], "big")
    places = [int.from_bytes(page[12 + 2 * n : 14 + 2 * n], "big") for n in range(cells)]
    return [int.from_bytes(page[place : place + 4], "big") - 1 for place in places]


def damage(path: Path, page: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(page * PAGE)
        file.write(content)


def test_header__garbage__everything_is_saved(tmp_path: Path, clock: Clock) -> None:
    before = filled(tmp_path, clock)
    damage(tmp_path / files.JOURNAL, 0, bytes(range(256)) * 16)
    with pytest.raises(StateCorrupt, match=r"file is not a database.*keeper journal rebuild"):
        Journal.open(tmp_path, clock)
    found, after = saved_from(tmp_path, clock)
    assert list(after) == before
    assert found == Salvage(COUNT, COUNT, COUNT, 1, ())


def test_page__of_attempts_flipped__the_others_are_saved_and_a_nonce_without_bytes_is_left_out(
    tmp_path: Path, clock: Clock
) -> None:
    before = filled(tmp_path, clock)
    leaves = pages_of(tmp_path / files.JOURNAL, "attempt")
    assert len(leaves) > 3
    damage(tmp_path / files.JOURNAL, leaves[1], bytes(PAGE))
    with pytest.raises(StateCorrupt, match="keeper journal rebuild"):
        Journal.open(tmp_path, clock)
    found, after = saved_from(tmp_path, clock)
    assert "attempt" in found.unread
    assert set(after) < set(before)
    assert {after[0].nonce, after[-1].nonce} == {1, COUNT}, "from the beginning and from the end"
    assert COUNT - 20 < len(after) < COUNT


def test_page__of_decisions_flipped__costs_no_transaction(tmp_path: Path, clock: Clock) -> None:
    before = filled(tmp_path, clock)
    damage(tmp_path / files.JOURNAL, pages_of(tmp_path / files.JOURNAL, "decision")[2], bytes(PAGE))
    with pytest.raises(StateCorrupt):
        Journal.open(tmp_path, clock)
    assert list(saved_from(tmp_path, clock)[1]) == before


def test_file__cut_off__what_is_left_of_it_is_saved(tmp_path: Path, clock: Clock) -> None:
    before = filled(tmp_path, clock, 3 * COUNT)
    path = tmp_path / files.JOURNAL
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 5 * 4)
    with pytest.raises(StateCorrupt, match="keeper journal rebuild"):
        Journal.open(tmp_path, clock)
    _, after = saved_from(tmp_path, clock)
    assert COUNT < len(after) < 3 * COUNT
    assert set(after) < set(before)


@pytest.mark.parametrize("content", [b"", b"not a journal, and never was one" * 999], ids=["empty", "garbage"])
def test_file__without_anything_in_it__saves_nothing_and_is_refused(
    tmp_path: Path, clock: Clock, content: bytes
) -> None:
    filled(tmp_path, clock)
    (tmp_path / files.JOURNAL).write_bytes(content)
    with pytest.raises(StateCorrupt, match="keeper journal rebuild"):
        Journal.open(tmp_path, clock)
    found, after = saved_from(tmp_path, clock)
    assert (after, found.attempts) == ((), 0)
    assert "attempt" in found.unread


def test_file__gone__is_refused_and_a_first_start_is_not(tmp_path: Path, clock: Clock) -> None:
    filled(tmp_path, clock, 1)
    (tmp_path / files.JOURNAL).unlink()
    with pytest.raises(StateCorrupt, match="is gone, and a keeper has run here"):
        Journal.open(tmp_path, clock)
    Journal.open(tmp_path / "another", clock).close()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("DROP TABLE receipt", "its receipt is missing"),
        ("DROP INDEX attempt_by_tx", "its attempt_by_tx is missing"),
        ("ALTER TABLE wallet ADD COLUMN more TEXT", "its wallet is not as this keeper made it"),
    ],
)
def test_tables__not_as_they_should_be__are_refused_and_their_transactions_saved(
    tmp_path: Path, clock: Clock, change: str, words: str
) -> None:
    before = filled(tmp_path, clock, 3)
    with closing(sqlite3.connect(tmp_path / files.JOURNAL)) as connection:
        connection.execute(change)
        connection.commit()
    with pytest.raises(StateCorrupt, match=words):
        Journal.open(tmp_path, clock)
    assert list(saved_from(tmp_path, clock)[1]) == before


def test_newer_schema__is_sound_and_says_so(tmp_path: Path, clock: Clock) -> None:
    filled(tmp_path, clock, 1)
    with closing(sqlite3.connect(tmp_path / files.JOURNAL)) as connection:
        connection.execute("INSERT INTO migration VALUES (99, 0)")
        connection.commit()
    with pytest.raises(StateTooNew, match="written by a newer keeper"):
        Journal.open(tmp_path, clock)


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ("UPDATE attempt SET raw = zeroblob(300) WHERE hash = (SELECT min(hash) FROM attempt)", 2),
        ("UPDATE tx SET state = 'brodacast' WHERE nonce = 2", 2),
        ("UPDATE attempt SET max_fee_wei = '12x' WHERE tx_id = (SELECT id FROM tx WHERE nonce = 1)", 2),
        ("UPDATE intent SET expects = '[[' WHERE key = '3'", 2),
    ],
)
def test_row__that_does_not_hold_together__is_left_out(tmp_path: Path, clock: Clock, change: str, left: int) -> None:
    before = filled(tmp_path, clock, 3)
    with closing(sqlite3.connect(tmp_path / files.JOURNAL)) as connection:
        connection.execute(change)
        connection.commit()
    _, after = saved_from(tmp_path, clock)
    assert len(after) == left
    assert set(after) < set(before)


def test_intent__whose_call_is_not_that_of_its_bytes__is_not_signed_again(tmp_path: Path, clock: Clock) -> None:
    """Its bytes are what they were; what would be bumped is not what was decided."""
    filled(tmp_path, clock, 2)
    with closing(sqlite3.connect(tmp_path / files.JOURNAL)) as connection:
        connection.execute("UPDATE intent SET data = x'66' WHERE key = '2'")
        connection.commit()
    _, (first, second) = saved_from(tmp_path, clock)
    assert first == transaction(1)
    assert second.intent is None
    assert second.last.raw == transaction(2).last.raw


def test_orders__of_the_operator_and_the_last_round__are_saved_if_they_make_sense(tmp_path: Path, clock: Clock) -> None:
    kept = {"halted": '{"reason": "by hand"}', "round:main": "1700000000000"}
    with Journal.open(tmp_path, clock) as journal:
        for name, document in {**kept, "paused": '{"BTC-US', "round:other": "17x", "prices": "{}"}.items():
            journal.snapshots.save(name, document)
    damage(tmp_path / files.JOURNAL, 0, bytes(PAGE))
    saved_from(tmp_path, clock)
    with closing(sqlite3.connect(tmp_path / "journal.sqlite.new")) as connection:
        assert dict(connection.execute("SELECT name, document FROM snapshot").fetchall()) == kept


def test_mined__with_its_receipt_lost__is_looked_up_again(tmp_path: Path, clock: Clock) -> None:
    plain = transaction(1)
    done = replace(receipt(1), tx_hash=plain.last.hash)
    with Journal.open(tmp_path, clock) as journal:
        journal.ledger.save(mined(plain, done))
    with closing(sqlite3.connect(tmp_path / files.JOURNAL)) as connection:
        connection.execute("DROP TABLE receipt")
        connection.commit()
    _, (after,) = saved_from(tmp_path, clock)
    assert (after.state, after.receipt, after.attempts) == ("broadcast", None, plain.attempts)


def test_newest__only_in_the_wal__is_saved(tmp_path: Path, clock: Clock) -> None:
    """As a kill leaves it: the database lacks what was written last."""
    with Journal.open(tmp_path, clock) as journal:
        for nonce in (1, 2):
            journal.ledger.save(transaction(nonce))
        for ending in ("", "-wal"):
            (tmp_path / "killed").mkdir(exist_ok=True)
            (tmp_path / f"killed/{files.JOURNAL}{ending}").write_bytes(
                (tmp_path / f"{files.JOURNAL}{ending}").read_bytes()
            )
    _, after = saved_from(tmp_path / "killed", clock)
    assert after == (transaction(1), transaction(2))


def test_aside__nothing_is_deleted_and_an_interruption_is_continued(tmp_path: Path) -> None:
    for ending in ("", "-wal"):
        (tmp_path / f"{files.JOURNAL}{ending}").write_bytes(b"1" + ending.encode())
    first = files.move_aside(tmp_path)
    assert (first.read_bytes(), Path(f"{first}-wal").read_bytes()) == (b"1", b"1-wal")
    (tmp_path / "journal.damaged-2.sqlite-wal").write_bytes(b"moved before it was interrupted")
    (tmp_path / files.JOURNAL).write_bytes(b"2")
    second = files.move_aside(tmp_path)
    assert (second.name, files.newest_aside(tmp_path)) == ("journal.damaged-2.sqlite", second)
    assert Path(f"{second}-wal").read_bytes() == b"moved before it was interrupted"
    assert first.read_bytes() == b"1"


@pytest.mark.parametrize(
    ("counts", "known", "expected"),
    [
        ({"a": (0, 0)}, (), Adoption(0, 0)),
        ({"a": (5, 5)}, (), Adoption(5, 5)),
        ({"a": (5, 8)}, (), Adoption(5, 8, unknown=(5, 6, 7))),
        ({"a": (5, 8)}, (5, 7), Adoption(5, 8, unknown=(6,))),
        ({"a": (5, 5)}, (5, 6), Adoption(5, 7)),
        ({"a": (5, 5)}, (3, 7), Adoption(5, 8, vacant=(5, 6))),
        ({"a": (5, 6), "lags": (4, 4), "forgot": (5, 5)}, (8,), Adoption(5, 9, unknown=(5,), vacant=(6, 7))),
        ({"a": (5, 4)}, (), Adoption(5, 5)),
    ],
)
def test_adopted__from_what_endpoints_say_and_what_is_known(
    counts: dict[str, tuple[int, int]], known: tuple[int, ...], expected: Adoption
) -> None:
    assert adopted(counts, known) == expected


@pytest.fixture
def clock() -> Clock:
    return Clock()
