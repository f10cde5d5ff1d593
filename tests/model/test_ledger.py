"""The ledger in memory, which the model uses, is what SQLite's is: the same episodes with both, and a reader beside them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from keeper.adapters.journal import Journal
from keeper.adapters.journal_reader import JournalReader
from keeper.domain.ids import Address, Hash
from keeper.domain.time import Timestamp
from keeper.domain.transaction import IntentRecord, Outcome, TxRecord
from keeper.services.outbox import OutboxRules
from tests.model.episode import live, script
from tests.model.memory_ledger import MemoryLedger
from tests.model.world import START, World


class Both:
    """A Ledger that writes to two and compares each answer. The clock of outcomes is their own `at`."""

    def __init__(self, one: MemoryLedger, other: Any) -> None:
        self.one, self.other = one, other

    def intent(self, intent_id: str) -> IntentRecord | None:
        return _same(self.one.intent(intent_id), self.other.intent(intent_id))

    def save(self, tx: TxRecord, outcomes: Sequence[Outcome] = ()) -> None:
        self.one.save(tx, outcomes)
        self.other.save(tx, outcomes)
        assert self.one.unfinished(tx.chain_id, tx.wallet) == self.other.unfinished(tx.chain_id, tx.wallet)

    def settle(self, outcome: Outcome) -> None:
        self.one.settle(outcome)
        self.other.settle(outcome)

    def unfinished(self, chain_id: int, wallet: Address) -> tuple[TxRecord, ...]:
        return _same(self.one.unfinished(chain_id, wallet), self.other.unfinished(chain_id, wallet))

    def under_way_elsewhere(self, wallet: Address) -> frozenset[str]:
        of_another = Address("0x" + "ee" * 20)
        _same(self.one.under_way_elsewhere(of_another), self.other.under_way_elsewhere(of_another))
        return _same(self.one.under_way_elsewhere(wallet), self.other.under_way_elsewhere(wallet))

    def elsewhere(self, intent_id: str, wallet: Address) -> tuple[TxRecord, ...]:
        of_another = Address("0x" + "ee" * 20)  # the model has one wallet: asked for another, all its own are elsewhere
        _same(self.one.elsewhere(intent_id, of_another), self.other.elsewhere(intent_id, of_another))
        return _same(self.one.elsewhere(intent_id, wallet), self.other.elsewhere(intent_id, wallet))

    def next_nonce(self, chain_id: int, wallet: Address) -> int | None:
        return _same(self.one.next_nonce(chain_id, wallet), self.other.next_nonce(chain_id, wallet))


class Still:
    """A Clock for what no answer shows: when a row was written."""

    def now(self) -> Timestamp:
        return START


def _same(one: Any, other: Any) -> Any:
    assert one == other
    return one


@pytest.mark.timeout(120)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("number", range(3))
def test_memory_ledger__beside_sqlite__answers_the_same(number: int, tmp_path: Path) -> None:
    with Journal.open(tmp_path, Still()) as journal:
        journal._database._connection.execute("PRAGMA synchronous=OFF")  # the machine survives, only the keeper dies
        reader = JournalReader(tmp_path / "journal.sqlite")

        def durable(_wallet: Address, _nonce: int, tx_hash: Hash) -> bool:
            return bool(reader.by_name(tx_hash))

        def make(chance: Random, rules: OutboxRules) -> World:
            return World(chance, rules, Both(MemoryLedger(), journal.ledger), durable)

        live(f"ledger.{number}", script(f"ledger.{number}", 200), make)


def test_reader__of_a_journal__sees_only_what_is_committed(tmp_path: Path) -> None:
    """What the comparison above rests on: another connection does not see what is under way."""
    path = tmp_path / "one.sqlite"
    with sqlite3.connect(path, isolation_level=None) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("CREATE TABLE row(number INTEGER)")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO row VALUES (1)")
        with sqlite3.connect(path) as reader:
            assert reader.execute("SELECT COUNT(*) FROM row").fetchone() == (0,)
        writer.execute("COMMIT")
    reader.close()
    writer.close()
