"""What excuses the keeper in a storm, and what does not: an outage exactly its own duration, and nothing beside it."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from keeper.devnet.verify import Outcome, verify
from keeper.devnet.verify.excuses import Excuses
from keeper.devnet.verify.process import complaints
from keeper.devnet.verify.recording import Recording
from keeper.devnet.verify.spans import common, merged, taken_back
from tests.devnet.miniature import FALL_AT, NS, START, record

Trouble = tuple[str, float, float]
"""Kind, and the seconds from START between which it lasted."""


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nobody is liquidated for eight seconds after the fall."""
    directory = tmp_path_factory.mktemp("idle")
    asyncio.run(record(directory, idle_s=8))
    return directory


@pytest.fixture
def run(idle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(idle, tmp_path / "run"))


def befall(directory: Path, *troubles: Trouble, storm: bool = True) -> None:
    document = json.loads((directory / "run.json").read_text())
    document["storm"] = storm
    document["troubles"] = [
        {"kind": kind, "words": kind, "since": int((START + a) * NS), "until": int((START + b) * NS)}
        for kind, a, b in troubles
    ]
    (directory / "run.json").write_text(json.dumps(document))


def judged(directory: Path, name: str) -> Outcome:
    return next(found for found in verify(directory) if found.name == name)


def silence(directory: Path, first: int, last: int) -> None:
    """No price between two seconds."""
    path = directory / "logs.jsonl"
    stamps = {block.number: block.timestamp_s - START for block in Recording(directory).blocks}
    oracle = json.loads((directory / "run.json").read_text())["oracle"]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    kept = [line for line in lines if line["address"] != oracle or not first <= stamps[line["block"]] <= last]
    assert len(kept) < len(lines)
    path.write_text("".join(json.dumps(line) + "\n" for line in kept))


@pytest.mark.parametrize(
    ("troubles", "passes"),
    [
        ((), False),
        ((("kill", FALL_AT, FALL_AT + 9),), True),
        ((("kill", FALL_AT, FALL_AT + 2),), False),
        ((("kill", FALL_AT - 12, FALL_AT - 2),), False),
        ((("hang", FALL_AT, FALL_AT + 9),), False),
        ((("dead", 0, FALL_AT + 9),), False),
        ((("hang", FALL_AT, FALL_AT + 9), ("dead", 0, FALL_AT + 9)), True),
        ((("lie", 0, 50), ("fees", FALL_AT, FALL_AT), ("reorg", FALL_AT, FALL_AT)), False),
    ],
)
def test_latency__eight_idle_seconds__are_excused_by_an_outage_only(
    run: Path, troubles: tuple[Trouble, ...], passes: bool
) -> None:
    befall(run, *troubles)
    found = judged(run, "liquidation-latency")
    assert found.passed == passes, found
    assert found.numbers["longest_with_excused"] >= 8  # type: ignore[operator]


def test_latency__outage_in_the_middle__does_not_begin_the_count_anew(run: Path) -> None:
    befall(run, ("kill", FALL_AT + 4.5, FALL_AT + 5.5))
    assert not judged(run, "liquidation-latency").passed


def test_latency__blocks_that_a_reorganisation_took_back__do_not_count(run: Path) -> None:
    befall(run)
    blocks = [block for block in Recording(run).blocks if block.seen_ns is not None]
    fallen = [block for block in blocks if FALL_AT < block.timestamp_s - START <= FALL_AT + 8]
    lines = [{"t": block.seen_ns, "number": block.number, "hash": "0xother"} for block in fallen]
    lines += [{"t": fallen[-1].seen_ns, "number": block.number, "hash": "0xthis"} for block in fallen]
    (run / "seen.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert Recording(run).taken_back.keys() == {block.number for block in fallen}
    assert judged(run, "liquidation-latency").passed


def test_price_age__no_price_for_twenty_seconds__is_found_and_excused_by_what_it_lasted(run: Path) -> None:
    silence(run, 11, 29)
    befall(run)
    found = judged(run, "price-age")
    assert not found.passed
    assert any("BTC-USD is 13 s old" in finding for finding in found.findings)
    for troubles, passes in (
        ((("halt", 12, 22),), True),
        ((("halt", 12, 18),), False),
        ((("halt", 31, 45),), False),
        ((("kill", 12, 17), ("halt", 16, 22)), True),
    ):
        befall(run, *troubles)
        assert judged(run, "price-age").passed == passes, troubles


def test_excuses__calm_run__are_none(run: Path) -> None:
    befall(run, storm=False)
    excuses = Excuses(Recording(run))
    assert excuses.spans == []
    assert not any(excuses.cover(block) for block in Recording(run).blocks)


def test_spans__overlapping__are_counted_once() -> None:
    assert merged([(5, 9), (1, 3), (2, 4), (9, 10)]) == [(1, 4), (5, 10)]
    assert common([(1, 5), (8, 12)], [(3, 9)]) == [(3, 5), (8, 9)]
    assert common([(1, 5)], [(5, 9)]) == []


def test_taken_back__same_number_with_another_hash__lasts_from_the_first_to_the_last() -> None:
    told = [(1, 7, "a"), (2, 8, "b"), (5, 7, "c"), (5, 8, "d"), (6, 9, "e"), (9, 8, "f"), (9, 9, "g")]
    sightings = [{"t": at, "number": number, "hash": block} for at, number, block in told]
    assert taken_back(sightings) == {7: (1, 5), 8: (2, 9), 9: (6, 9)}


@pytest.mark.parametrize(
    ("event", "at_s", "passes"),
    [
        ("tx.reverted", 20, True),
        ("tx.reverted", 27, False),
        ("tx.reverted", 5, False),
        ("signer.refused", 20, False),
        ("wallet.used_elsewhere", 20, False),
    ],
)
def test_log__error_that_a_liar_can_cause__is_excused_only_while_there_is_nobody_else(
    tmp_path: Path, event: str, at_s: int, passes: bool
) -> None:
    line = {"at": f"2027-01-15T08:00:{at_s:02}.500000Z", "level": "error", "event": event}
    (tmp_path / "keeper.stderr").write_text(json.dumps(line) + "\n")
    alone = [((START + 18) * NS, (START + 22) * NS)]
    assert complaints(tmp_path / "keeper.stderr", (), alone).passed == passes
    assert not complaints(tmp_path / "keeper.stderr").passed
