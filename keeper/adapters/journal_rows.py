"""Transactions as the journal has them, put together from its tables."""

from __future__ import annotations

import sqlite3

import msgspec

from keeper.domain.chain import Call, Receipt
from keeper.domain.fees import Fees
from keeper.domain.ids import Address, DeploymentId, Hash
from keeper.domain.time import Timestamp
from keeper.domain.transaction import Attempt, Expectation, Intent, Lane, Purpose, TxRecord, TxState
from keeper.domain.txerrors import SendAnswer


def records(connection: sqlite3.Connection, where: str, words: tuple[object, ...]) -> tuple[TxRecord, ...]:
    """Those that `where` chooses, our own text with `words` in it. Their receipts come without logs."""
    rows = connection.execute(
        f"SELECT id, chain_id, wallet, nonce, state, missing_since FROM tx WHERE {where}",  # noqa: S608 - never foreign
        words,
    ).fetchall()
    return tuple(
        TxRecord(
            chain_id=chain_id,
            wallet=Address(wallet),
            nonce=nonce,
            state=TxState(state),
            attempts=_attempts(connection, tx_id),
            receipt=_receipt(connection, tx_id),
            missing_since=missing_since,
        )
        for tx_id, chain_id, wallet, nonce, state, missing_since in rows
    )


def _attempts(connection: sqlite3.Connection, tx_id: int) -> tuple[Attempt, ...]:
    rows = connection.execute(
        "SELECT hash, intent_id, purpose, raw, max_fee_wei, tip_wei, gas_limit, signed_at, signed_block,"
        " answer, sent_at, sends FROM attempt WHERE tx_id = ? ORDER BY position",
        (tx_id,),
    ).fetchall()
    return tuple(
        Attempt(
            hash=Hash(row[0]),
            raw=row[3],
            purpose=Purpose(row[2]),
            intent=_intent(connection, row[1]),
            fees=Fees(int(row[4]), int(row[5])),
            gas_limit=row[6],
            signed_at=Timestamp(row[7]),
            signed_block=row[8],
            answer=None if row[9] is None else SendAnswer(row[9]),
            sent_at=None if row[10] is None else Timestamp(row[10]),
            sends=row[11],
        )
        for row in rows
    )


def _intent(connection: sqlite3.Connection, intent_id: str | None) -> Intent | None:
    if intent_id is None:
        return None
    row = connection.execute(
        "SELECT deployment, lane, key, to_address, data, value_wei, gas_limit, created_at, deadline, expects"
        " FROM intent WHERE id = ?",
        (intent_id,),
    ).fetchone()
    return Intent(
        id=intent_id,
        deployment=DeploymentId(row[0]),
        lane=Lane(row[1]),
        key=row[2],
        call=Call(Address(row[3]), row[4], int(row[5]), row[6]),
        created_at=Timestamp(row[7]),
        deadline=None if row[8] is None else Timestamp(row[8]),
        expects=tuple(Expectation(*each) for each in msgspec.json.decode(row[9])),
    )


def _receipt(connection: sqlite3.Connection, tx_id: int) -> Receipt | None:
    row = connection.execute(
        "SELECT tx_hash, status, block_number, block_hash, gas_used, gas_price_wei FROM receipt WHERE tx_id = ?",
        (tx_id,),
    ).fetchone()
    if row is None:
        return None
    return Receipt(Hash(row[0]), row[1], row[2], Hash(row[3]), row[4], int(row[5]), logs=())
