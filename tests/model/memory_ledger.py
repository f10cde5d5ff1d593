"""The journal's ledger without a disk: what is in here would have been on it. Compared with SQLite in test_ledger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from keeper.domain.chain import Receipt
from keeper.domain.ids import Address, Hash
from keeper.domain.transaction import (
    FAILED_INTENTS,
    SETTLED,
    UNMINED,
    Attempt,
    Intent,
    IntentRecord,
    Outcome,
    TxRecord,
    TxState,
)


@dataclass(slots=True)
class Row:
    """One nonce. Attempts stay in the order of their `position`, as the table has them."""

    state: TxState
    missing_since: int | None
    receipt: Receipt | None
    attempts: dict[Hash, tuple[int, Attempt]] = field(default_factory=dict)


class MemoryLedger:
    """The Ledger port."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, Address, int], Row] = {}
        self.intents: dict[str, Intent] = {}
        self.outcomes: dict[str, IntentRecord] = {}
        self.next: dict[tuple[int, Address], int] = {}

    def intent(self, intent_id: str) -> IntentRecord | None:
        return self.outcomes.get(intent_id)

    def save(self, tx: TxRecord, outcomes: Sequence[Outcome] = ()) -> None:
        for outcome in outcomes:
            self.settle(outcome)
        row = self.rows.setdefault((tx.chain_id, tx.wallet, tx.nonce), Row(tx.state, None, None))
        row.state, row.missing_since = tx.state, tx.missing_since
        row.receipt = None if tx.receipt is None else replace(tx.receipt, logs=())
        for position, each in enumerate(tx.attempts):
            known = None if each.intent is None else self.intents.get(each.intent.id)
            if each.intent is not None and (known is None or each.intent.created_at > known.created_at):
                self.intents[each.intent.id] = each.intent
            row.attempts[each.hash] = (position, each)
        key = (tx.chain_id, tx.wallet)
        self.next[key] = max(self.next.get(key, 0), tx.nonce + 1)

    def settle(self, outcome: Outcome) -> None:
        old = self.outcomes.get(outcome.intent_id)
        failures = int(outcome.state in FAILED_INTENTS) + (0 if old is None else old.failures)
        self.outcomes[outcome.intent_id] = IntentRecord(outcome.state, failures, outcome.at)

    def unfinished(self, chain_id: int, wallet: Address) -> tuple[TxRecord, ...]:
        found = sorted((key, row) for key, row in self.rows.items() if key[:2] == (chain_id, wallet))
        return tuple(self._record(key, row) for key, row in found if row.state not in SETTLED)

    def under_way_elsewhere(self, wallet: Address) -> frozenset[str]:
        others = [row for key, row in self.rows.items() if key[1] != wallet and row.state not in SETTLED]
        wanted = [each.intent for row in others for _, each in row.attempts.values()]
        return frozenset(each.id for each in wanted if each is not None)

    def elsewhere(self, intent_id: str, wallet: Address) -> tuple[TxRecord, ...]:
        found = [self._record(key, row) for key, row in sorted(self.rows.items()) if key[1] != wallet]
        wanted = [(tx, tx.intent) for tx in found if tx.state in UNMINED]
        return tuple(tx for tx, intent in wanted if intent is not None and intent.id == intent_id)

    def next_nonce(self, chain_id: int, wallet: Address) -> int | None:
        return self.next.get((chain_id, wallet))

    def has(self, chain_id: int, wallet: Address, nonce: int, tx_hash: Hash) -> bool:
        """Whether these signed bytes would survive now."""
        row = self.rows.get((chain_id, wallet, nonce))
        return row is not None and tx_hash in row.attempts

    def _record(self, key: tuple[int, Address, int], row: Row) -> TxRecord:
        ranked = sorted(row.attempts.values(), key=lambda each: each[0])
        attempts = tuple(
            each if each.intent is None else replace(each, intent=self.intents[each.intent.id]) for _, each in ranked
        )
        return TxRecord(*key, row.state, attempts, row.receipt, row.missing_since)


class Killed(BaseException):
    """The process ends here, whatever it was doing."""


@dataclass(slots=True)
class Disk:
    """Ledger as one life of the keeper sees it: it can refuse, and the process can die before or after a write."""

    ledger: MemoryLedger
    guard: Callable[[str], None]
    """Called before and after each write with "before" or "after"; raises what shall happen then."""

    def intent(self, intent_id: str) -> IntentRecord | None:
        return self.ledger.intent(intent_id)

    def save(self, tx: TxRecord, outcomes: Sequence[Outcome] = ()) -> None:
        self.guard("before")
        self.ledger.save(tx, outcomes)
        self.guard("after")

    def settle(self, outcome: Outcome) -> None:
        self.guard("before")
        self.ledger.settle(outcome)
        self.guard("after")

    def unfinished(self, chain_id: int, wallet: Address) -> tuple[TxRecord, ...]:
        return self.ledger.unfinished(chain_id, wallet)

    def under_way_elsewhere(self, wallet: Address) -> frozenset[str]:
        return self.ledger.under_way_elsewhere(wallet)

    def elsewhere(self, intent_id: str, wallet: Address) -> tuple[TxRecord, ...]:
        return self.ledger.elsewhere(intent_id, wallet)

    def next_nonce(self, chain_id: int, wallet: Address) -> int | None:
        return self.ledger.next_nonce(chain_id, wallet)
