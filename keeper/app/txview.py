"""One nonce with everything about it as plain JSON: the same from a running keeper's desk and from its journal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from keeper.domain.time import MILLISECOND, SECOND, Timestamp
from keeper.domain.transaction import Attempt, Intent, TxRecord

Row = dict[str, Any]


def row(tx: TxRecord, now: Timestamp, block: int | None) -> Row:
    """A line of `keeper tx list`. `block` is the newest, if anybody knows it."""
    intent, shown = tx.intent, tx.winner or (tx.attempts[-1] if tx.attempts else None)
    first = tx.attempts[0] if tx.attempts else None
    return {
        "wallet": tx.wallet,
        "nonce": tx.nonce,
        "lane": tx.lane.name.lower(),
        "key": "" if intent is None else intent.key,
        "intent_id": "" if intent is None else intent.id,
        "state": tx.state.value,
        "attempts": len(tx.attempts),
        "max_fee_wei": None if shown is None else shown.fees.max_fee_wei,
        "tip_wei": None if shown is None else shown.fees.tip_wei,
        "age_s": None if first is None else round((now - first.signed_at) / SECOND, 1),
        "age_blocks": None if first is None or block is None else max(0, block - first.signed_block),
        "hash": None if shown is None else shown.hash,
        "answer": None if shown is None or shown.answer is None else shown.answer.value,
    }


def waiting(intent: Intent, now: Timestamp) -> Row:
    """An intent that has no nonce yet, as a line of the same table."""
    empty = dict.fromkeys(("wallet", "nonce", "max_fee_wei", "tip_wei", "age_blocks", "hash", "answer"))
    return {
        **empty,
        "lane": intent.lane.name.lower(),
        "key": intent.key,
        "intent_id": intent.id,
        "state": "queued",
        "attempts": 0,
        "age_s": round((now - intent.created_at) / SECOND, 1),
    }


def details(tx: TxRecord, now: Timestamp, block: int | None) -> Row:
    """A line, and all that `keeper tx show` adds to it from the record itself."""
    return {
        **row(tx, now, block),
        "intent": None if tx.intent is None else intent_row(tx.intent),
        "made": [_attempt(tx, each) for each in tx.attempts],
        "receipt": _receipt(tx),
    }


def intent_row(intent: Intent) -> Row:
    call = intent.call
    return {
        "id": intent.id,
        "deployment": intent.deployment,
        "lane": intent.lane.name.lower(),
        "key": intent.key,
        "to": call.to,
        "data": "0x" + call.data.hex(),
        "value_wei": call.value_wei,
        "created_at": moment(intent.created_at),
        "deadline": None if intent.deadline is None else moment(intent.deadline),
        "expects": [{"address": each.address, "topic0": each.topic0, "topic1": each.topic1} for each in intent.expects],
    }


def moment(at: Timestamp) -> str:
    """UTC to the millisecond."""
    whole = datetime.fromtimestamp(at // SECOND, UTC).replace(microsecond=at % SECOND // MILLISECOND * 1000)
    return whole.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _attempt(tx: TxRecord, attempt: Attempt) -> Row:
    return {
        "hash": attempt.hash,
        "purpose": attempt.purpose.value,
        "intent_id": None if attempt.intent is None else attempt.intent.id,
        "max_fee_wei": attempt.fees.max_fee_wei,
        "tip_wei": attempt.fees.tip_wei,
        "gas_limit": attempt.gas_limit,
        "signed_at": moment(attempt.signed_at),
        "signed_block": attempt.signed_block,
        "sends": attempt.sends,
        "sent_at": None if attempt.sent_at is None else moment(attempt.sent_at),
        "answer": None if attempt.answer is None else attempt.answer.value,
        "mined": tx.winner is not None and tx.winner.hash == attempt.hash,
    }


def _receipt(tx: TxRecord) -> Row | None:
    found = tx.receipt
    if found is None:
        return None
    return {
        "hash": found.tx_hash,
        "status": found.status,
        "block": found.block_number,
        "gas_used": found.gas_used,
        "gas_price_wei": found.effective_gas_price_wei,
        "fee_wei": found.gas_used * found.effective_gas_price_wei,
    }
