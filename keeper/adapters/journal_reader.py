"""A journal opened so that nothing in it can change: for people who look, whether or not its keeper runs.

https://www.sqlite.org/uri.html#urimode · https://www.sqlite.org/wal.html#readonly
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from keeper.adapters.journal_rows import records
from keeper.domain.transaction import SETTLED, TxRecord
from keeper.errors import KeyPermissionError, StateCorrupt

_OPEN = ", ".join(f"'{state}'" for state in sorted(SETTLED))
_BY_NAME = """id IN (SELECT tx_id FROM attempt WHERE substr(hash, 1, ?) = ? OR substr(intent_id, 1, ?) = ?)
    ORDER BY id DESC LIMIT 8"""

_BY_KEY = """id IN (SELECT tx_id FROM attempt JOIN intent ON intent.id = attempt.intent_id WHERE intent.key = ?)
    ORDER BY id DESC LIMIT 8"""


@dataclass(frozen=True, slots=True)
class JournalReader:
    """Each question opens the file anew and closes it: nobody who watches keeps the keeper from checkpointing."""

    path: Path

    def unfinished(self) -> tuple[TxRecord, ...]:
        """Of all wallets, by nonce: all that are neither final nor orphaned."""
        with self._connection() as connection:
            return records(connection, f"state NOT IN ({_OPEN}) ORDER BY wallet, nonce", ())

    def newest(self, limit: int) -> tuple[TxRecord, ...]:
        """The last `limit` nonces that anything was signed for, whatever became of them; the newest first."""
        with self._connection() as connection:
            return records(connection, "1 ORDER BY id DESC LIMIT ?", (limit,))

    def by_nonce(self, nonce: int) -> tuple[TxRecord, ...]:
        """One for each wallet that used it."""
        with self._connection() as connection:
            return records(connection, "nonce = ? ORDER BY wallet", (nonce,))

    def by_name(self, beginning: str) -> tuple[TxRecord, ...]:
        """Those with an attempt or an intent whose hash or id begins so, the newest first."""
        with self._connection() as connection:
            return records(connection, _BY_NAME, (len(beginning), beginning, len(beginning), beginning))

    def by_key(self, key: str) -> tuple[TxRecord, ...]:
        """Those with an attempt at what has this key, such as a round; the newest first."""
        with self._connection() as connection:
            return records(connection, _BY_KEY, (key,))

    def outcome(self, intent_id: str) -> Mapping[str, Any] | None:
        """What was last told of an intent: state, reason, failures."""
        with self._connection() as connection:
            row = connection.execute(
                "SELECT state, reason, failures FROM outcome WHERE intent_id = ?", (intent_id,)
            ).fetchone()
        return None if row is None else dict(zip(("state", "reason", "failures"), row, strict=True))

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """Raises KeyPermissionError for a file that is not ours to read, StateCorrupt for one that is no journal."""
        try:
            connection = sqlite3.connect(f"file:{quote(str(self.path))}?mode=ro", uri=True, timeout=2.0)
        except sqlite3.OperationalError as error:
            raise KeyPermissionError(f"{self.path}: {error}; ask as the keeper's own user") from None
        try:
            yield connection
        except sqlite3.OperationalError as error:
            if "unable to open" in str(error) or "readonly" in str(error):
                raise KeyPermissionError(f"{self.path}: {error}; ask as the keeper's own user") from None
            raise StateCorrupt(f"{self.path} cannot be read as a journal: {error}") from None
        except sqlite3.DatabaseError as error:
            raise StateCorrupt(f"{self.path} cannot be read as a journal: {error}") from None
        finally:
            connection.close()
