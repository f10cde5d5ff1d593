"""Files and directories that are closed to us, something else, or damaged: one sentence that names them, and no traceback."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from keeper.adapters.tape.lines import line
from keeper.domain.time import Timestamp
from tests.process.test_bad_input import keeper, written

pytestmark = pytest.mark.timeout(120)
LOOKS = ("explain BTC-USD@2026-01-31T12:00:00", "verify --last 2")


async def said(path: Path, words: str) -> tuple[int, str]:
    code, printed = await keeper(*words.split(), "--config", str(path))
    assert "Traceback" not in printed, printed
    return code, printed


def closed(state: Path) -> None:
    state.mkdir(0o700)
    state.chmod(0)


def plain(state: Path) -> None:
    state.write_text("a file\n")


@pytest.mark.parametrize(
    ("spoil", "words", "expected"),
    [(closed, words, 77) for words in ("run", "run --dry-run", "check --offline", "journal rebuild", *LOOKS)]
    + [(plain, words, 78) for words in ("run", "run --dry-run", "check --offline", "journal rebuild")]
    + [(plain, words, 1) for words in LOOKS],
)
async def test_state__closed_or_no_directory__one_sentence_names_it(
    tmp_path: Path, spoil: Callable[[Path], None], words: str, expected: int
) -> None:
    path = written(tmp_path)
    spoil(path.parent / "state")
    code, printed = await said(path, words)
    assert (code, str(path.parent / "state") in printed) == (expected, True), printed
    if words not in LOOKS:
        assert "state_dir" in printed


@pytest.mark.parametrize("words", ["run", "check --offline"])
async def test_keys__in_a_directory_closed_to_us__each_names_its_line_with_77(tmp_path: Path, words: str) -> None:
    path = written(tmp_path)
    (path.parent / "keys").chmod(0)
    code, printed = await said(path, words)
    assert code == 77, printed
    assert "signers.reports[0]: " in printed
    assert "cannot be read: Permission denied" in printed
    assert "keeper.yaml:" in printed


@pytest.mark.parametrize(("out", "expected"), [("/proc/foo", 77), ("{file}", 1)])
async def test_record__where_no_directory_can_be__is_refused_before_it_listens(
    tmp_path: Path, out: str, expected: int
) -> None:
    path = written(tmp_path)
    out = out.format(file=path)
    code, printed = await said(path, f"record --out {out} --for 1s")
    assert (code, f"--out {out}" in printed, "keeper.ready" in printed) == (expected, True, False), printed


@pytest.mark.parametrize(("report", "word"), [("/nope/x.html", "no directory /nope"), ("/tmp", "a directory")])
async def test_replay__whose_report_has_no_place__is_refused(tmp_path: Path, report: str, word: str) -> None:
    code, printed = await said(written(tmp_path), f"replay {tmp_path} --report {report}")
    assert (code, word in printed) == (1, True), printed


async def test_replay__of_a_tape_closed_to_us__77(tmp_path: Path) -> None:
    """Nothing of it knows why: the path is named all the same."""
    tape = tmp_path / "tape" / "tape-1.jsonl.gz"
    tape.parent.mkdir()
    tape.write_bytes(gzip.compress(line(Timestamp(1), "head", {"format": 1})))
    tape.chmod(0)
    code, printed = await said(written(tmp_path), f"replay {tape.parent}")
    assert (code, str(tape) in printed) == (77, True), printed


def random_bytes(journal: Path) -> None:
    journal.write_bytes(os.urandom(100_000))


def empty(journal: Path) -> None:
    journal.touch()


def nothing_in_it(journal: Path) -> None:
    """A database, with another's tables."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(journal)) as connection, connection:
        connection.execute("CREATE TABLE other(x)")
        connection.execute("CREATE TABLE migration(number INTEGER PRIMARY KEY, applied_at INTEGER)")
        connection.execute("INSERT INTO migration VALUES (1, 1), (2, 2)")


@pytest.mark.parametrize("words", ["run", "check --offline", "tx list", *LOOKS])
@pytest.mark.parametrize("spoil", [random_bytes, empty, nothing_in_it])
async def test_journal__damaged__is_judged_alike_by_all(
    tmp_path: Path, spoil: Callable[[Path], None], words: str
) -> None:
    path = written(tmp_path)
    journal = path.parent / "state" / "journal.sqlite"
    journal.parent.mkdir(0o700)
    spoil(journal)
    code, printed = await said(path, words)
    assert (code, str(journal) in printed) == (65, True), printed


async def test_rebuild__of_a_damaged_journal__names_it_and_no_copy(tmp_path: Path) -> None:
    path = written(tmp_path)
    journal = path.parent / "state" / "journal.sqlite"
    journal.parent.mkdir(0o700)
    random_bytes(journal)
    _, printed = await said(path, "journal rebuild")
    assert printed.startswith(f"{journal} cannot be trusted: file is not a database"), printed


async def test_check__of_a_sound_journal__says_nothing_against_it(tmp_path: Path) -> None:
    path = written(tmp_path)
    code, printed = await said(path, "check --offline")
    assert code == 0, printed


async def test_verify__without_any_state__names_where_it_looked(tmp_path: Path) -> None:
    path = written(tmp_path)
    code, printed = await said(path, "verify --last 20")
    assert (code, str(path.parent / "state") in printed) == (1, True), printed


@pytest.mark.parametrize(("market", "near"), [("btc-usd", "BTC-USD"), ("ETH-USDT", "ETH-USD"), ("NOPE", "BTC-USD")])
async def test_explain__of_a_market_that_is_none__names_the_nearest(tmp_path: Path, market: str, near: str) -> None:
    code, printed = await said(written(tmp_path), f"explain {market}@2026-01-31T12:00:00")
    assert (code, f"{market} is not a market" in printed, near in printed) == (1, True, True), printed
