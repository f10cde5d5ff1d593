"""What must never stand in a log: keys, the secrets of RPC addresses, and transactions that are signed but may be unsent.

Every keeper that a test starts is looked through when its stage closes, whatever the test was about.
"""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

URL_SECRET = "c4n4ry-0f-the-rpc-pr0vider"
"""Part of the RPC address that process tests configure."""


def forms(key: bytes) -> tuple[str, ...]:
    """How 32 bytes can be written by accident."""
    return (key.hex(), str(int.from_bytes(key, "big")), base64.b64encode(key).decode(), repr(key)[2:-1])


def leaks(text: str, keys: Iterable[bytes], raws: Iterable[bytes] = ()) -> list[str]:
    """Which secrets `text` gives away, by what they are and not by what they say."""
    lower = text.lower()
    found = [f"key {place}" for place, key in enumerate(keys) if any(form.lower() in lower for form in forms(key))]
    found += [f"signed transaction {place}" for place, raw in enumerate(raws) if raw.hex() in lower]
    return found + (["url secret"] if URL_SECRET in lower else [])


def signed(journal: Path) -> list[bytes]:
    """Every transaction that a keeper signed, as its journal has it."""
    if not journal.exists():
        return []
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as connection:
        return [bytes(raw) for (raw,) in connection.execute("SELECT raw FROM attempt")]


def assert_kept(text: str, keys: Iterable[bytes], raws: Iterable[bytes] = ()) -> None:
    found = leaks(text, keys, raws)
    assert not found, f"the log gives away: {', '.join(found)}"
