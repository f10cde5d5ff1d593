"""Intents, nonces and attempts in SQLite. Signed bytes are on the disk when `save` returns, and only then may be sent."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from keeper.adapters.journal_database import Database
from keeper.adapters.journal_rows import records
from keeper.domain.chain import Receipt
from keeper.domain.ids import Address
from keeper.domain.time import Timestamp
from keeper.domain.transaction import (
    FAILED_INTENTS,
    OPEN_INTENTS,
    SETTLED,
    UNMINED,
    Attempt,
    Intent,
    IntentRecord,
    IntentState,
    Outcome,
    TxRecord,
)
from keeper.ports.clock import Clock

_SETTLED = ", ".join(f"'{state}'" for state in sorted(SETTLED))
_OPEN = ", ".join(f"'{state}'" for state in sorted(OPEN_INTENTS))
_UNMINED = ", ".join(f"'{state}'" for state in sorted(UNMINED))
_ELSEWHERE = f"""wallet <> ? AND state IN ({_UNMINED})
    AND id IN (SELECT tx_id FROM attempt WHERE intent_id = ?) ORDER BY wallet, nonce"""  # noqa: S608 - our own constants
_INTENT = """INSERT INTO intent VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT(id) DO UPDATE SET to_address = excluded.to_address, data = excluded.data, value_wei = excluded.value_wei,
    gas_limit = excluded.gas_limit, created_at = excluded.created_at, deadline = excluded.deadline, expects = excluded.expects
    WHERE excluded.created_at > intent.created_at"""
_TX = """INSERT INTO tx(chain_id, wallet, nonce, state, missing_since, changed_at) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT(chain_id, wallet, nonce) DO UPDATE
    SET state = excluded.state, missing_since = excluded.missing_since, changed_at = excluded.changed_at RETURNING id"""
_ATTEMPT = """INSERT INTO attempt VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT(hash) DO UPDATE SET position = excluded.position, intent_id = excluded.intent_id, purpose = excluded.purpose,
    signed_at = excluded.signed_at, signed_block = excluded.signed_block,
    answer = excluded.answer, sent_at = excluded.sent_at, sends = excluded.sends"""
_UNDER_WAY = f"""SELECT DISTINCT intent_id FROM attempt JOIN tx ON tx.id = attempt.tx_id
    WHERE tx.wallet != ? AND tx.state NOT IN ({_SETTLED}) AND intent_id IS NOT NULL"""  # noqa: S608 - our own constants
_WALLET = """INSERT INTO wallet VALUES (?, ?, ?)
    ON CONFLICT(chain_id, address) DO UPDATE SET next_nonce = MAX(next_nonce, excluded.next_nonce)"""
_OUTCOME = """INSERT INTO outcome VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT(intent_id) DO UPDATE SET state = excluded.state, tx_hash = excluded.tx_hash,
    reason = excluded.reason, failures = outcome.failures + excluded.failures, changed_at = excluded.changed_at"""


class SqliteLedger:
    """The Ledger port."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def intent(self, intent_id: str) -> IntentRecord | None:
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT state, failures, changed_at FROM outcome WHERE intent_id = ?", (intent_id,)
            ).fetchone()
        return None if row is None else IntentRecord(IntentState(row[0]), row[1], Timestamp(row[2]))

    def save(self, tx: TxRecord, outcomes: Sequence[Outcome] = ()) -> None:
        now = self._clock.now()
        with self._database.write() as connection:
            connection.executemany(_INTENT, [_intent_row(each) for each in _intents(tx)])
            words = (tx.chain_id, tx.wallet, tx.nonce, tx.state, tx.missing_since, now)
            tx_id: int = connection.execute(_TX, words).fetchone()[0]
            connection.executemany(
                _ATTEMPT, [_attempt_row(each, tx_id, place) for place, each in enumerate(tx.attempts)]
            )
            connection.execute("DELETE FROM receipt WHERE tx_id = ?", (tx_id,))
            if tx.receipt is not None:
                connection.execute("INSERT INTO receipt VALUES (?, ?, ?, ?, ?, ?, ?)", _receipt_row(tx.receipt, tx_id))
            connection.execute(_WALLET, (tx.chain_id, tx.wallet, tx.nonce + 1))
            connection.executemany(_OUTCOME, [_outcome_row(each) for each in outcomes])

    def settle(self, outcome: Outcome) -> None:
        with self._database.write() as connection:
            connection.execute(_OUTCOME, _outcome_row(outcome))

    def unfinished(self, chain_id: int, wallet: Address) -> tuple[TxRecord, ...]:
        with self._database.read() as connection:
            where = f"chain_id = ? AND wallet = ? AND state NOT IN ({_SETTLED}) ORDER BY nonce"
            return records(connection, where, (chain_id, wallet))

    def under_way_elsewhere(self, wallet: Address) -> frozenset[str]:
        with self._database.read() as connection:
            return frozenset(row[0] for row in connection.execute(_UNDER_WAY, (wallet,)))

    def elsewhere(self, intent_id: str, wallet: Address) -> tuple[TxRecord, ...]:
        with self._database.read() as connection:
            found = records(connection, _ELSEWHERE, (wallet, intent_id))
        return tuple(tx for tx in found if tx.intent is not None and tx.intent.id == intent_id)

    def next_nonce(self, chain_id: int, wallet: Address) -> int | None:
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT next_nonce FROM wallet WHERE chain_id = ? AND address = ?", (chain_id, wallet)
            ).fetchone()
        return None if row is None else int(row[0])

    def adopt(self, chain_id: int, wallet: Address, next_nonce: int) -> None:
        """The wallet's nonces go on at `next_nonce` at least, whatever is written of it."""
        with self._database.write() as connection:
            connection.execute(_WALLET, (chain_id, wallet, next_nonce))

    def reap(self, before: Timestamp) -> int:
        gone = f"SELECT id FROM tx WHERE state IN ({_SETTLED}) AND changed_at < ?"  # noqa: S608 - our own constants
        with self._database.write() as connection:
            connection.execute(f"DELETE FROM receipt WHERE tx_id IN ({gone})", (before,))  # noqa: S608
            connection.execute(f"DELETE FROM attempt WHERE tx_id IN ({gone})", (before,))  # noqa: S608
            count = connection.execute(f"DELETE FROM tx WHERE id IN ({gone})", (before,)).rowcount  # noqa: S608
            connection.execute(
                f"DELETE FROM outcome WHERE changed_at < ? AND state NOT IN ({_OPEN})",  # noqa: S608
                (before,),
            )
            connection.execute(
                "DELETE FROM intent WHERE created_at < ? AND id NOT IN"
                " (SELECT intent_id FROM attempt WHERE intent_id IS NOT NULL)",
                (before,),
            )
        return count


def _outcome_row(outcome: Outcome) -> tuple[object, ...]:
    failed = int(outcome.state in FAILED_INTENTS)
    return (
        *(outcome.intent_id, outcome.lane, outcome.key, outcome.state, outcome.tx_hash, outcome.reason),
        *(failed, outcome.at),
    )


def _intents(tx: TxRecord) -> list[Intent]:
    return [each.intent for each in tx.attempts if each.intent is not None]


def _intent_row(intent: Intent) -> tuple[object, ...]:
    call = intent.call
    expects = msgspec.json.encode([(each.address, each.topic0, each.topic1) for each in intent.expects]).decode()
    return (
        *(intent.id, intent.deployment, intent.lane, intent.key, call.to, call.data, str(call.value_wei)),
        *(call.gas_limit, intent.created_at, intent.deadline, expects),
    )


def _attempt_row(attempt: Attempt, tx_id: int, position: int) -> tuple[object, ...]:
    fees, intent = attempt.fees, attempt.intent
    return (
        *(attempt.hash, tx_id, position, None if intent is None else intent.id, attempt.purpose, attempt.raw),
        *(str(fees.max_fee_wei), str(fees.tip_wei), attempt.gas_limit, attempt.signed_at, attempt.signed_block),
        *(attempt.answer, attempt.sent_at, attempt.sends),
    )


def _receipt_row(receipt: Receipt, tx_id: int) -> tuple[object, ...]:
    return (
        *(tx_id, receipt.tx_hash, receipt.status, receipt.block_number, receipt.block_hash),
        *(receipt.gas_used, str(receipt.effective_gas_price_wei)),
    )
