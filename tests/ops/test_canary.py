"""The watch over the logs of the whole suite would notice."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.canary import URL_SECRET, assert_kept, forms, leaks, signed

KEY, RAW = bytes(range(32)), b"\x02" + bytes(range(100, 200))


@pytest.mark.parametrize("form", forms(KEY), ids=["hex", "number", "base64", "bytes"])
def test_leaks__a_key_however_written__is_found(form: str) -> None:
    assert leaks(f"ValueError: {form.upper() if form == KEY.hex() else form} is no address", [b"other" * 6, KEY]) == [
        "key 1"
    ]


def test_leaks__a_signed_transaction_or_a_url__is_found() -> None:
    assert leaks(f"sent 0x{RAW.hex()} to https://node/{URL_SECRET}", [KEY], [RAW]) == [
        "signed transaction 0",
        "url secret",
    ]
    with pytest.raises(AssertionError, match="url secret"):
        assert_kept(URL_SECRET, [])


def test_leaks__what_may_be_said__is_nothing() -> None:
    assert leaks("tx.signed 0xab, fee 7", [KEY], [RAW]) == []


def test_signed__no_journal_yet__is_nothing(tmp_path: Path) -> None:
    assert signed(tmp_path / "journal.sqlite") == []
    with sqlite3.connect(tmp_path / "journal.sqlite") as connection:
        connection.execute("CREATE TABLE attempt(raw BLOB)")
        connection.execute("INSERT INTO attempt VALUES (?)", (RAW,))
    assert signed(tmp_path / "journal.sqlite") == [RAW]
