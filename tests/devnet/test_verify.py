"""The verifier finds what it is there to find: one sound recording, and what each way of spoiling it must be caught by."""

from __future__ import annotations

import asyncio
import gzip
import json
import shutil
import sqlite3
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from eth_utils.crypto import keccak

from keeper.devnet.verify import Outcome, verify
from keeper.devnet.verify.__main__ import main
from keeper.devnet.verify.acts import liquidation_latency
from keeper.devnet.verify.history import History, Snapshot, Tally
from keeper.devnet.verify.recording import Recording
from tests.devnet.miniature import NS, START, record

Line = dict[str, Any]
Edit = Callable[[Line], list[Line]]
FUNDING_SETTLED = keccak(
    text="FundingSettled(uint32,uint40,uint40,int64,uint40,int64,uint96,int256,int128,uint40,address)"
)
BATCH_PUSHED = keccak(text="BatchPushed(uint64,address,uint40,uint32,bytes32,uint32,uint8)")
MARGIN_CHANGED = keccak(text="MarginChanged(address,uint8,int128,int128)")
RATE, EVIDENCE, MARGIN = 4, 2, 2
"""Places of the words in the logs' data."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("sound")
    asyncio.run(record(directory))
    return directory


@pytest.fixture
def run(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "run"))


def judged(directory: Path) -> dict[str, Outcome]:
    return {found.name: found for found in verify(directory)}


def failed(directory: Path) -> set[str]:
    return {name for name, found in judged(directory).items() if not found.passed}


def edit(directory: Path, name: str, change: Edit) -> int:
    """Rewrites one file; answers how many lines the change touched."""
    path = directory / f"{name}.jsonl"
    before = [json.loads(line) for line in path.read_text().splitlines()]
    after = [change(deepcopy(line)) for line in before]
    path.write_text("".join(json.dumps(line) + "\n" for lines in after for line in lines))
    return sum(new != [old] for old, new in zip(before, after, strict=True))


def word(line: Line, place: int, value: int | None = None) -> int:
    """The word at `place` of a log's data, after setting it where a value is given."""
    raw = bytearray.fromhex(line["data"][2:])
    if value is not None:
        raw[32 * place : 32 * place + 32] = (value % 2**256).to_bytes(32, "big")
        line["data"] = "0x" + raw.hex()
    return int.from_bytes(raw[32 * place : 32 * place + 32], "big")


def is_event(line: Line, topic: bytes, market_no: int | None = None) -> bool:
    same = line["topics"][0] == "0x" + topic.hex()
    return same and (market_no is None or int(line["topics"][1], 16) == market_no)


def boundary(place: int) -> int:
    return START + 20 * place


def test_verify__sound_recording__every_check_passes_and_measures_something(sound: Path) -> None:
    found = judged(sound)
    assert {name for name, outcome in found.items() if not outcome.passed} == set()
    assert found["liquidations"].numbers["deleveraged_accounts"] == 1
    assert found["evidence-inputs"].numbers["inputs"] > 100
    assert found["mark-accuracy"].numbers["judged"] > 80


def test_verify__evidence_set_to_zero_on_chain__is_found(run: Path) -> None:
    def zero(line: Line) -> list[Line]:
        if is_event(line, BATCH_PUSHED):
            word(line, EVIDENCE, 0)
        return [line]

    assert edit(run, "logs", zero)
    assert failed(run) == {"evidence-root", "evidence-inputs", "pushes"}
    assert "evidence is zero" in judged(run)["evidence-root"].findings[0]


def test_verify__one_digit_of_a_record_changed_in_the_journal__is_found(run: Path) -> None:
    with sqlite3.connect(run / "journal.sqlite") as connection:
        leaf, text = connection.execute("SELECT leaf, json FROM decision WHERE market = 'BTC-USD' LIMIT 1").fetchone()
        place = text.index('"last":"') + len('"last":"')
        spoiled = text[:place] + ("1" if text[place] != "1" else "2") + text[place + 1 :]
        connection.execute("UPDATE decision SET json = ? WHERE leaf = ?", (spoiled, leaf))
    assert {"evidence-root"} <= failed(run)


def test_verify__records_moved_to_compressed_files__are_read_there(run: Path) -> None:
    with sqlite3.connect(run / "journal.sqlite") as connection:
        rows = connection.execute("SELECT leaf, kind, market, json FROM decision ORDER BY rowid").fetchall()
        connection.execute("DELETE FROM decision")
    assert "evidence-root" in failed(run)
    (run / "evidence").mkdir()
    lines = [json.dumps([0, leaf, None, kind, market, text]) + "\n" for leaf, kind, market, text in rows]
    for number, part in enumerate((lines[:2], lines[2:])):
        file = run / "evidence" / f"evidence-{number:020d}.jsonl.gz"
        file.write_bytes(gzip.compress("".join(part).encode()))
    assert failed(run) == set()


def test_verify__venue_did_not_send_what_the_record_says__names_the_venue(run: Path) -> None:
    def other(line: Line) -> list[Line]:
        if line["venue"] == "coinbase" and line["symbol"] == "ETH-USD":
            line["bid"] = f"{float(line['bid']) - 0.01:.8f}"
        return [line]

    assert edit(run, "tape", other)
    found = judged(run)["evidence-inputs"]
    assert not found.passed
    assert [finding.partition(" ")[0] for finding in found.findings] == ["coinbase:ETH-USD:"]


def test_verify__own_book_and_trades_were_never_shown__are_named(run: Path) -> None:
    def thinner(line: Line) -> list[Line]:
        if line["symbol"] == "BTC-USD":
            line["asks"][0][1] = str(int(line["asks"][0][1]) + 1)
        return [line]

    assert edit(run, "books", thinner)
    assert edit(run, "trades", lambda line: [line] if line["symbol"] == "BTC-USD" else [])
    findings = judged(run)["evidence-inputs"].findings
    assert {finding.partition(" ")[0] for finding in findings} == {"perp:BTC-USD:", "perp:ETH-USD:"}


def test_verify__votes_of_one_venue_multiplied__only_the_inputs_fail_naming_it(tmp_path: Path) -> None:
    asyncio.run(record(tmp_path, falsified="okx"))
    found = judged(tmp_path)
    assert failed(tmp_path) == {"evidence-inputs"}
    assert [finding.partition(" ")[0] for finding in found["evidence-inputs"].findings] == ["okx:BTC-USDT:"]


def test_verify__market_was_elsewhere_than_the_mark_on_chain__is_found(run: Path) -> None:
    def higher(line: Line) -> list[Line]:
        if line["symbol"].upper().startswith("BTC"):
            line.update({side: str(float(line[side]) * 1.003) for side in ("bid", "ask", "last")})
        return [line]

    assert edit(run, "tape", higher)
    found = judged(run)["mark-accuracy"]
    assert not found.passed
    assert "BTC-USD" in found.findings[0]


def test_verify__boundary_without_a_settlement__is_found(run: Path) -> None:
    def skipped(line: Line) -> list[Line]:
        gone = is_event(line, FUNDING_SETTLED, 2) and word(line, 0) == boundary(1)
        return [] if gone else [line]

    assert edit(run, "logs", skipped) == 1
    found = judged(run)["funding-boundaries"]
    assert found.findings == (f"ETH-USD: boundary {boundary(1)} was skipped, swallowed by {boundary(2)}",)


def test_verify__boundary_passed_during_an_ordered_outage__may_wait_but_only_then(run: Path) -> None:
    def later(line: Line) -> list[Line]:
        if is_event(line, FUNDING_SETTLED) and word(line, 0) == boundary(1):
            line["block"] += 5
        return [line]

    assert edit(run, "logs", later) == 2
    document = json.loads((run / "run.json").read_text())
    document["requirements"]["boundaries"] = 1
    for outage, excused in (([18, 23], True), ([30, 35], False)):
        since, until = ((START + second) * NS for second in outage)
        document["troubles"] = [{"kind": "kill", "words": "killed", "since": since, "until": until}]
        (run / "run.json").write_text(json.dumps(document))
        assert judged(run)["funding-boundaries"].passed == excused


def test_verify__boundary_settled_twice__is_found(run: Path) -> None:
    def doubled(line: Line) -> list[Line]:
        return [line, line] if is_event(line, FUNDING_SETTLED, 1) and word(line, 0) == boundary(1) else [line]

    assert edit(run, "logs", doubled) == 1
    assert f"BTC-USD: boundary {boundary(1)} was settled 2 times" in judged(run)["funding-boundaries"].findings


def test_verify__boundary_settled_three_blocks_late__is_found(run: Path) -> None:
    def late(line: Line) -> list[Line]:
        if is_event(line, FUNDING_SETTLED) and word(line, 0) == boundary(2):
            line["block"] += 4
        return [line]

    assert edit(run, "logs", late) == 2
    assert any("blocks after it fell due" in finding for finding in judged(run)["funding-boundaries"].findings)


def test_verify__another_rate_charged_than_the_prices_give__is_found(run: Path) -> None:
    def dearer(line: Line) -> list[Line]:
        if is_event(line, FUNDING_SETTLED, 1) and word(line, 0) == boundary(2):
            word(line, RATE, word(line, RATE) + 1)
        return [line]

    assert edit(run, "logs", dearer) == 1
    assert "funding-rate" in failed(run)


def test_verify__nobody_liquidated_for_five_seconds__is_found_and_excused_by_a_shut_gate(tmp_path: Path) -> None:
    asyncio.run(record(tmp_path, idle_s=5))
    assert failed(tmp_path) == {"liquidation-latency"}

    def shut(line: Line) -> list[Line]:
        line["status"]["markets"]["BTC-USD"]["gate"]["open"] = line["t"] < (START + 30) * NS
        return [line]

    assert edit(tmp_path, "status", shut)
    assert failed(tmp_path) == set()


@pytest.mark.parametrize(("cured_in", "longest"), [((), 6), ((3,), 3), ((2, 4), 2), ((5,), 5)])
def test_latency__account_made_healthy_in_between__is_counted_anew(
    sound: Path, cured_in: tuple[int, ...], longest: int
) -> None:
    recording = Recording(sound)
    snapshots = [
        Snapshot(
            block=block,
            prices={},
            liquidatable={"0xa": (1,)} if place < 6 else {},
            stale=frozenset(),
            cured=frozenset({"0xa"} if place in cured_in else ()),
            books_gap=0,
            held=0,
            fees=0,
            net_sizes={},
            accounts={},
        )
        for place, block in enumerate(recording.watched[:8])
    ]
    found = liquidation_latency(recording, History(snapshots, (), Tally()))
    assert found.numbers["longest_blocks"] == longest
    assert found.passed == (longest <= 3)


def test_verify__margin_in_a_log_one_unit_off__is_found(run: Path) -> None:
    seen = []

    def richer(line: Line) -> list[Line]:
        if is_event(line, MARGIN_CHANGED) and not seen:
            seen.append(word(line, MARGIN, word(line, MARGIN) + 1))
        return [line]

    assert edit(run, "logs", richer) == 1
    assert {"mirror", "invariants"} <= failed(run)


def test_verify__totals_of_the_contract_do_not_add_up__is_found(run: Path) -> None:
    def off(line: Line) -> list[Line]:
        if line["name"] == "totals":
            word(line, 5, word(line, 5) - 1)
        return [line]

    assert edit(run, "views", off)
    assert failed(run) == {"invariants"}


def test_verify__tokens_missing__is_found(run: Path) -> None:
    def stolen(line: Line) -> list[Line]:
        if line["name"] == "balance":
            line["data"] = hex(int(line["data"], 16) - 1)
        return [line]

    assert edit(run, "views", stolen)
    assert failed(run) == {"invariants"}


def test_verify__contract_and_arithmetic_disagree_on_who_is_liquidatable__is_found(run: Path) -> None:
    def flipped(line: Line) -> list[Line]:
        if line["name"] == "liquidatable":
            word(line, 2, word(line, 2) ^ 1 << 3)
        return [line]

    assert edit(run, "views", flipped)
    assert failed(run) == {"liquidatable-view"}


@pytest.mark.parametrize(
    ("name", "fails"),
    [
        ("views", {"invariants", "mirror", "liquidatable-view"}),
        ("tape", {"evidence-inputs", "mark-accuracy"}),
        ("pushes", {"evidence-root", "evidence-inputs", "pushes"}),
        ("transactions", {"transactions"}),
    ],
)
def test_verify__a_part_of_the_recording_is_missing__its_checks_fail(run: Path, name: str, fails: set[str]) -> None:
    """A check that has nothing to look at has not passed."""
    (run / f"{name}.jsonl").unlink()
    assert failed(run) == fails


def test_verify__journal_is_missing__the_checks_that_need_it_fail_and_the_others_still_tell(run: Path) -> None:
    (run / "journal.sqlite").unlink()
    assert failed(run) == {"evidence-root", "evidence-inputs", "evidence-result", "pushes"}


@pytest.mark.parametrize(
    ("line", "is_sound"),
    [
        ('{"event":"report.held","level":"warning"}', True),
        ('{"event":"feed.benched","level":"error","advice":"look"}', False),
        ('{"event":"crashed","level":"critical"}', False),
        ("Traceback (most recent call last):", False),
        ("Task was destroyed but it is pending!", False),
    ],
)
def test_verify__line_in_the_keepers_log__is_judged_by_its_level(run: Path, line: str, is_sound: bool) -> None:
    with (run / "keeper.stderr").open("a") as file:
        file.write(line + "\n")
    assert failed(run) == (set() if is_sound else {"keeper-log"})


@pytest.mark.parametrize(
    ("change", "fails"),
    [
        ({"exit_code": 1}, "keeper-exit"),
        ({"exit_code": -9}, "keeper-exit"),
        ({"ended_early": True}, "keeper-exit"),
        ({"hanging": 1}, "transactions"),
    ],
)
def test_verify__keeper_ended_badly__is_found(run: Path, change: dict[str, Any], fails: str) -> None:
    document = json.loads((run / "run.json").read_text())
    document["keeper"].update(change)
    (run / "run.json").write_text(json.dumps(document))
    assert failed(run) == {fails}


def test_verify__too_few_of_everything__each_shortfall_is_named(run: Path) -> None:
    document = json.loads((run / "run.json").read_text())
    document["requirements"] = {
        "pushes": 99, "boundaries": 9, "liquidations": 99, "bankruptcies": 9, "deleveragings": 9,
    }  # fmt: skip
    (run / "run.json").write_text(json.dumps(document))
    assert failed(run) == {"pushes", "funding-boundaries", "liquidations"}
    assert len(judged(run)["liquidations"].findings) == 3


def test_command__kept_run__judges_it_again_and_writes_the_summary(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(run)]) == 0
    assert json.loads((run / "summary.json").read_text())["passed"] is True
    (run / "tape.jsonl").unlink()
    assert main([str(run)]) == 1
    assert json.loads((run / "summary.json").read_text())["failed"] == ["evidence-inputs", "mark-accuracy"]
    assert "FAILED: evidence-inputs, mark-accuracy" in capsys.readouterr().out
    assert main([]) == 2
