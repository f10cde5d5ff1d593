"""The journal's tables, as numbered steps that are never edited once released. Wei is text: it outgrows 64 bits."""

from __future__ import annotations

import sqlite3

from keeper.domain.time import Timestamp

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE intent(
            id TEXT PRIMARY KEY, deployment TEXT NOT NULL, lane INTEGER NOT NULL, key TEXT NOT NULL,
            to_address TEXT NOT NULL, data BLOB NOT NULL, value_wei TEXT NOT NULL, gas_limit INTEGER,
            created_at INTEGER NOT NULL, deadline INTEGER, expects TEXT NOT NULL) STRICT""",
        """CREATE TABLE outcome(
            intent_id TEXT PRIMARY KEY, lane INTEGER NOT NULL, key TEXT NOT NULL, state TEXT NOT NULL,
            tx_hash TEXT, reason TEXT NOT NULL, failures INTEGER NOT NULL, changed_at INTEGER NOT NULL) STRICT""",
        """CREATE TABLE tx(
            id INTEGER PRIMARY KEY, chain_id INTEGER NOT NULL, wallet TEXT NOT NULL, nonce INTEGER NOT NULL,
            state TEXT NOT NULL, missing_since INTEGER, changed_at INTEGER NOT NULL,
            UNIQUE(chain_id, wallet, nonce)) STRICT""",
        "CREATE INDEX tx_by_state ON tx(chain_id, wallet, state)",
        """CREATE TABLE attempt(
            hash TEXT PRIMARY KEY, tx_id INTEGER NOT NULL REFERENCES tx(id), position INTEGER NOT NULL,
            intent_id TEXT REFERENCES intent(id), purpose TEXT NOT NULL, raw BLOB NOT NULL,
            max_fee_wei TEXT NOT NULL, tip_wei TEXT NOT NULL, gas_limit INTEGER NOT NULL,
            signed_at INTEGER NOT NULL, signed_block INTEGER NOT NULL,
            answer TEXT, sent_at INTEGER, sends INTEGER NOT NULL) STRICT""",
        "CREATE INDEX attempt_by_tx ON attempt(tx_id, position)",
        "CREATE INDEX attempt_by_intent ON attempt(intent_id)",
        """CREATE TABLE receipt(
            tx_id INTEGER PRIMARY KEY REFERENCES tx(id), tx_hash TEXT NOT NULL, status INTEGER NOT NULL,
            block_number INTEGER NOT NULL, block_hash TEXT NOT NULL,
            gas_used INTEGER NOT NULL, gas_price_wei TEXT NOT NULL) STRICT""",
        """CREATE TABLE wallet(
            chain_id INTEGER NOT NULL, address TEXT NOT NULL, next_nonce INTEGER NOT NULL,
            PRIMARY KEY(chain_id, address)) STRICT""",
        """CREATE TABLE decision(
            leaf TEXT PRIMARY KEY, kind TEXT NOT NULL, market TEXT NOT NULL, json TEXT NOT NULL,
            created_at INTEGER NOT NULL) STRICT""",
        "CREATE INDEX decision_by_age ON decision(created_at)",
        "CREATE TABLE snapshot(name TEXT PRIMARY KEY, document TEXT NOT NULL, saved_at INTEGER NOT NULL) STRICT",
    ),
    ("ALTER TABLE decision ADD COLUMN root TEXT",),
)

_MIGRATION = "CREATE TABLE IF NOT EXISTS migration(number INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT"


def applied(connection: sqlite3.Connection) -> int:
    """How many of the steps the file has seen; more than there are, when a newer keeper wrote it."""
    connection.execute(_MIGRATION)
    done: int = connection.execute("SELECT COALESCE(MAX(number), 0) FROM migration").fetchone()[0]
    return done


def made(connection: sqlite3.Connection, now: Timestamp) -> None:
    """Takes the steps that the file has not seen. The caller commits."""
    done = applied(connection)
    for number, statements in enumerate(MIGRATIONS[done:], start=done + 1):
        for statement in statements:
            connection.execute(statement)
        connection.execute("INSERT INTO migration VALUES (?, ?)", (number, now))
