"""What is written stays written, is read back as it was, and is refused when it cannot be trusted."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from keeper.adapters.journal import Journal, JournalLimits, Reaper
from keeper.adapters.journal_schema import MIGRATIONS
from keeper.domain.chain import Call, Receipt
from keeper.domain.fees import Fees
from keeper.domain.ids import DeploymentId, Hash, address
from keeper.domain.time import SECOND, Timestamp
from keeper.domain.transaction import (
    Attempt,
    Expectation,
    Intent,
    IntentState,
    Lane,
    Outcome,
    Purpose,
    TxRecord,
    TxState,
)
from keeper.domain.txerrors import SendAnswer
from keeper.domain.txsteps import confirmed, final, mined, sent, signed
from keeper.errors import AlreadyRunning, StateCorrupt, TransientError
from keeper.ports.journal import DecisionRecord
from keeper.runtime.virtual import VirtualClock, run_virtual
from tests.chain.stage import Log

WALLET = address("0x" + "11" * 20)
CHAIN = 31337


class Clock:
    def __init__(self) -> None:
        self.at = Timestamp(1_000 * SECOND)

    def now(self) -> Timestamp:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


def intent(key: str = "7") -> Intent:
    return Intent(
        id=key.rjust(32, "0"),
        deployment=DeploymentId("d"),
        lane=Lane.PRICE,
        key=key,
        call=Call(WALLET, b"\x00\xff", 10**25, 99_000),
        created_at=Timestamp(5),
        deadline=Timestamp(9),
        expects=(Expectation(WALLET, Hash("0x" + "aa" * 32)), Expectation(WALLET, Hash("0x1"), Hash("0x2"))),
    )


def attempt(number: int, wanted: Intent | None) -> Attempt:
    purpose = Purpose.CALL if wanted else Purpose.CANCEL
    return Attempt(Hash(f"0x{number:064x}"), bytes([number]), purpose, wanted, Fees(10**19, 3), 21_000, Timestamp(6), 8)


def receipt(number: int) -> Receipt:
    return Receipt(Hash(f"0x{number:064x}"), 1, 77, Hash("0x" + "bb" * 32), 50_000, 10**18, logs=())


ROOT = "0x" + "7" * 64


def decision(leaf: str, document: str = "{}") -> DecisionRecord:
    return DecisionRecord(leaf, "price", "BTC-USD", document)


def record(nonce: int = 3, number: int = 1, wanted: Intent | None = None) -> TxRecord:
    return signed(TxRecord(CHAIN, WALLET, nonce), attempt(number, wanted or intent()))


def test_ledger__what_was_saved__comes_back_after_a_restart(tmp_path: Path, clock: Clock) -> None:
    tx = sent(record(), attempt(1, None).hash, SendAnswer.UNKNOWN, Timestamp(44))
    tx = signed(tx, attempt(2, None))
    mined_tx = mined(record(4, 3, intent("8")), receipt(3))
    with Journal.open(tmp_path, clock) as journal:
        journal.ledger.save(mined_tx)
        journal.ledger.save(tx)
    with Journal.open(tmp_path, clock) as journal:
        assert journal.ledger.unfinished(CHAIN, WALLET) == (tx, mined_tx)
        assert journal.ledger.next_nonce(CHAIN, WALLET) == 5
        assert journal.ledger.unfinished(1, WALLET) == ()
        assert journal.ledger.next_nonce(1, WALLET) is None


def test_ledger__under_way_with_another_wallet__is_known(tmp_path: Path, clock: Clock) -> None:
    other = address("0x" + "22" * 20)
    with Journal.open(tmp_path, clock) as journal:
        ledger, pending = journal.ledger, record(3, 1, intent("7"))
        ledger.save(pending)
        assert ledger.elsewhere(intent("7").id, other) == (pending,)
        assert ledger.elsewhere(intent("7").id, WALLET) == ()
        assert ledger.elsewhere(intent("8").id, other) == ()
        ledger.save(newer := signed(pending, attempt(2, intent("8"))))
        assert ledger.elsewhere(intent("7").id, other) == ()  # the nonce is wanted for the newer one
        assert ledger.elsewhere(intent("8").id, other) == (newer,)
        ledger.save(mined(newer, receipt(2)))
        assert ledger.elsewhere(intent("8").id, other) == ()


def test_ledger__one_nonce__is_one_row_however_often_it_is_saved(tmp_path: Path, clock: Clock) -> None:
    with Journal.open(tmp_path, clock) as journal:
        for _ in range(3):
            journal.ledger.save(record())
        journal.ledger.save(final(mined(record(), receipt(1))))
        assert journal.ledger.unfinished(CHAIN, WALLET) == ()
    with sqlite3.connect(tmp_path / "journal.sqlite") as connection:
        assert connection.execute("SELECT COUNT(*), COUNT(DISTINCT nonce) FROM tx").fetchone() == (1, 1)
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(
                "INSERT INTO tx(chain_id, wallet, nonce, state, changed_at) VALUES (?, ?, 3, 'signed', 0)",
                (CHAIN, WALLET),
            )
    connection.close()


def test_ledger__intent_decided_again__comes_back_as_it_was_decided_last(tmp_path: Path, clock: Clock) -> None:
    first = intent()
    again = replace(first, call=replace(first.call, data=b"\x02"), created_at=Timestamp(7), deadline=Timestamp(19))
    with Journal.open(tmp_path, clock) as journal:
        journal.ledger.save(record(3, 1, first))
        journal.ledger.save(newer := record(4, 2, again))
        journal.ledger.save(record(3, 1, first))
        assert journal.ledger.unfinished(CHAIN, WALLET)[1] == newer


def test_ledger__outcomes__count_failures(tmp_path: Path, clock: Clock) -> None:
    wanted = intent()
    with Journal.open(tmp_path, clock) as journal:
        assert journal.ledger.intent(wanted.id) is None
        for state in (IntentState.REVERTED, IntentState.NO_EFFECT, IntentState.MINED):
            journal.ledger.settle(Outcome(wanted.id, wanted.lane, wanted.key, state, clock.now()))
        found = journal.ledger.intent(wanted.id)
        assert found is not None
        assert (found.state, found.failures, found.changed_at) == (IntentState.MINED, 2, clock.now())


def test_reap__what_was_settled_long_ago__is_forgotten_and_the_nonce_is_not(tmp_path: Path, clock: Clock) -> None:
    limits = JournalLimits(keep_settled_s=100, keep_decisions_s=100, max_decisions=3)
    with Journal.open(tmp_path, clock, limits) as journal:
        done = final(confirmed(mined(record(3, 1, intent("7")), receipt(1))))
        pending = record(4, 2, intent("8"))
        for tx in (done, pending):
            journal.ledger.save(tx)
        for key, state in (("7", IntentState.CONFIRMED), ("8", IntentState.ACTIVE)):
            journal.ledger.settle(Outcome(intent(key).id, Lane.PRICE, key, state, clock.now()))
        for number in range(6):
            journal.decisions.attach([decision(f"leaf{number}")], ROOT)
        clock.at = Timestamp(clock.at + 50 * SECOND)
        journal.reap()
        assert journal.ledger.intent(intent("7").id) is not None
        assert [journal.decisions.find(f"leaf{number}") for number in range(6)] == [None] * 3 + ["{}"] * 3
        clock.at = Timestamp(clock.at + 51 * SECOND)
        journal.reap()
        assert journal.ledger.intent(intent("7").id) is None
        assert journal.ledger.intent(intent("8").id) is not None
        assert journal.ledger.unfinished(CHAIN, WALLET) == (pending,)
        assert journal.decisions.find("leaf5") is None
        assert journal.ledger.next_nonce(CHAIN, WALLET) == 5


def test_decisions__the_same_leaf_again__keeps_the_first(tmp_path: Path, clock: Clock) -> None:
    with Journal.open(tmp_path, clock) as journal:
        journal.decisions.attach([decision("leaf", '{"a":1}'), decision("next")], ROOT)
        journal.decisions.attach([decision("leaf", '{"a":2}')], ROOT)
        assert journal.decisions.find("leaf") == '{"a":1}'
        assert journal.decisions.find("other") is None


def written(directory: Path) -> list[str]:
    """The leaves that another connection sees: those that are durable."""
    with sqlite3.connect(directory / "journal.sqlite") as connection:
        return [row[0] for row in connection.execute("SELECT leaf FROM decision ORDER BY leaf")]


def test_attached__is_durable_with_the_next_write_and_not_before(tmp_path: Path, clock: Clock) -> None:
    with Journal.open(tmp_path, clock) as journal:
        journal.decisions.attach([decision("a"), decision("b")], ROOT)
        journal.snapshots.attach("round", "7")
        assert journal.ledger.intent("unknown") is None
        assert written(tmp_path) == []
        journal.ledger.save(record(3, 1))
        assert written(tmp_path) == ["a", "b"]
        assert journal.snapshots.load("round") == "7"
        journal.decisions.attach([decision("c")], ROOT)
    assert written(tmp_path) == ["a", "b", "c"]


def test_attached__with_a_write_that_fails__waits_for_one_that_does_not(tmp_path: Path, clock: Clock) -> None:
    with Journal.open(tmp_path, clock) as journal:
        journal.decisions.attach([decision("a")], ROOT)
        with pytest.raises(ZeroDivisionError), journal.ledger._database.write():
            raise ZeroDivisionError
        assert written(tmp_path) == []
        journal.ledger.save(record(3, 1))
        assert written(tmp_path) == ["a"]


def test_attached__more_and_more_without_a_write__is_written_by_itself(tmp_path: Path, clock: Clock) -> None:
    with Journal.open(tmp_path, clock) as journal:
        for number in range(100):
            journal.decisions.attach([decision(f"{number:03}")], ROOT)
        assert written(tmp_path) == [f"{number:03}" for number in range(96)]


def test_snapshots__the_newest__replaces_the_older(tmp_path: Path, clock: Clock) -> None:
    with Journal.open(tmp_path, clock) as journal:
        assert journal.snapshots.load("mark") is None
        journal.snapshots.save("mark", "old")
        journal.snapshots.save("mark", "new")
    with Journal.open(tmp_path, clock) as journal:
        assert journal.snapshots.load("mark") == "new"


def test_files__are_for_the_owner_alone(tmp_path: Path, clock: Clock) -> None:
    directory = tmp_path / "state"
    with Journal.open(directory, clock) as journal:
        journal.snapshots.save("mark", "x")
        assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o600}
        assert directory.stat().st_mode & 0o777 == 0o700


def test_second_process__is_refused_naming_the_first(tmp_path: Path, clock: Clock) -> None:
    script = (
        "import sys, pathlib; from keeper.adapters.journal import Journal; from keeper.adapters.clock import SystemClock\n"
        "from keeper.errors import AlreadyRunning\n"
        "try: Journal.open(pathlib.Path(sys.argv[1]), SystemClock())\n"
        "except AlreadyRunning as error: print(error); sys.exit(error.exit_code)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with Journal.open(tmp_path, clock):
        second = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert second.returncode == AlreadyRunning.exit_code == 75
        assert second.stdout.strip() == f"{tmp_path / 'journal.lock'} is held by process {os.getpid()}"
    assert subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0


@pytest.mark.parametrize("damage", ["not a database", "torn page", "empty page"])
def test_damaged_file__is_refused_with_what_to_do(tmp_path: Path, clock: Clock, damage: str) -> None:
    with Journal.open(tmp_path, clock) as journal:
        for number in range(200):
            journal.decisions.attach([decision(f"leaf{number}", "x" * 200)], ROOT)
    path = tmp_path / "journal.sqlite"
    content = bytearray(path.read_bytes())
    if damage == "not a database":
        content = bytearray(b"these are not the pages you are looking for" * 200)
    else:
        content[4096:8192] = bytes(4096) if damage == "empty page" else bytes(range(256)) * 16
    path.write_bytes(content)
    with pytest.raises(StateCorrupt, match=r"journal\.sqlite cannot be trusted: .*keeper journal rebuild"):
        Journal.open(tmp_path, clock)
    assert path.read_bytes() == content, "left as it was, for whoever can read it"


def test_newer_schema__is_not_touched(tmp_path: Path, clock: Clock) -> None:
    Journal.open(tmp_path, clock).close()
    connection = sqlite3.connect(tmp_path / "journal.sqlite")
    connection.execute("INSERT INTO migration VALUES (?, 0)", (len(MIGRATIONS) + 1,))
    connection.commit()
    connection.close()
    with pytest.raises(StateCorrupt, match="written by a newer keeper"):
        Journal.open(tmp_path, clock)


def test_snapshot__read_while_the_disk_is_full__is_what_was_written(tmp_path: Path, clock: Clock) -> None:
    """A reload of the settings reads the markets' memory: it ended the keeper, whose transactions were under way."""
    with Journal.open(tmp_path, clock) as journal:
        journal.snapshots.save("pricing", "1")
        with journal._database.read() as connection:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count={pages}")
        journal.decisions.attach([decision(f"leaf{number}", "x" * 500) for number in range(500)], ROOT)
        assert journal.snapshots.load("pricing") == "1"
        with pytest.raises(TransientError):
            journal.decisions.find("leaf1")
        with journal._database.read() as connection:
            connection.execute("PRAGMA max_page_count=1000000")
        assert journal.decisions.find("leaf1") is not None


def test_disk__full__writes_nothing_and_goes_on_when_there_is_room(tmp_path: Path, clock: Clock) -> None:
    with Journal.open(tmp_path, clock) as journal:
        journal.ledger.save(record(3, 1))
        with journal.ledger._database.write() as connection:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
        with journal.ledger._database.read() as connection:
            connection.execute(f"PRAGMA max_page_count={pages}")
        journal.decisions.attach([decision(f"leaf{number}", "x" * 500) for number in range(500)], ROOT)
        with pytest.raises(TransientError, match="cannot be written: database or disk is full"):
            journal.ledger.save(record(4, 2, intent("8")))
        assert [tx.nonce for tx in journal.ledger.unfinished(CHAIN, WALLET)] == [3]
        with journal.ledger._database.read() as connection:
            connection.execute("PRAGMA max_page_count=1000000")
        journal.ledger.save(record(4, 2, intent("8")))
        assert journal.decisions.find("leaf499") is not None
        assert [tx.nonce for tx in journal.ledger.unfinished(CHAIN, WALLET)] == [3, 4]
        assert all(tx.state is TxState.SIGNED for tx in journal.ledger.unfinished(CHAIN, WALLET))


STARVED = """
import os, pathlib, resource, sys
from keeper.adapters.clock import SystemClock
from keeper.adapters.journal import Journal
from keeper.errors import KeeperError
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
here = len(os.listdir("/proc/self/fd")) - 1
for spare in range(10):
    resource.setrlimit(resource.RLIMIT_NOFILE, (here + spare, hard))
    try:
        Journal.open(pathlib.Path(sys.argv[1]), SystemClock()).close()
        print("open")
    except (KeeperError, OSError) as error:
        print(type(error).__name__)
"""


def test_open__without_descriptors__is_no_damage_and_leads_to_no_rebuild(tmp_path: Path, clock: Clock) -> None:
    Journal.open(tmp_path, clock).close()
    command = [sys.executable, "-c", STARVED, str(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.split()
    assert told[-1] == "open"
    assert "TransientError" in told
    assert set(told) <= {"OSError", "TransientError", "open"}


def test_reaper__on_a_disk_that_refuses__tells_it_and_tries_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock, log = VirtualClock(Timestamp(30 * 86_400 * SECOND)), Log()
        with Journal.open(tmp_path, clock) as journal:
            journal.ledger.settle(Outcome("a" * 32, Lane.PRICE, "k", IntentState.CONFIRMED, Timestamp(1)))
            with journal.ledger._database.write() as connection:
                connection.execute("UPDATE outcome SET changed_at = 1")
            task = asyncio.create_task(Reaper(journal, log).run())
            with journal.ledger._database.read() as connection:
                connection.execute("PRAGMA query_only=1")
            await asyncio.sleep(2.5 * 3600)
            assert [level for level, event, _ in log.events if event == "journal.unreaped"] == ["warning"] * 2
            assert journal.ledger.intent("a" * 32) is not None
            with journal.ledger._database.read() as connection:
                connection.execute("PRAGMA query_only=0")
            await asyncio.sleep(3600)
            assert journal.ledger.intent("a" * 32) is None
            assert len(log.events) == 2
            assert not task.done()
            task.cancel()

    run_virtual(scenario)
