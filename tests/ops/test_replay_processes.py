"""A tape of several processes, one of which was killed, and tapes that are damaged: what is replayed, and what is said of it."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path

import pytest

from keeper.adapters.tape.lines import line, parsed
from keeper.adapters.tape.reader import TapeUnreadable
from keeper.app.exitcodes import sentences
from keeper.app.replay import command
from keeper.app.replay.play import Replayed, replay
from keeper.domain.ids import MarketId
from keeper.domain.time import SECOND, Timestamp
from keeper.settings.load import load
from keeper.settings.models import Settings
from tests.incidents.wire import BTC, MARKET, Tape, now_of
from tests.settings.examples import written

BTC_USD = MarketId("BTC-USD")
SECONDS, LATER_S = 5, 6
"""The frames of a later process keep their stamps: not yet too old."""


def dearer(_second: float) -> Decimal:
    return BTC + 100


def published(second: float, price: Decimal) -> bytes:
    e18 = str(int(price * 10**18))
    return line(now_of(second), "said", "main", 1, "0x00", {BTC_USD: [e18, e18, "0"]})


def process(later_s: int, tape: Tape) -> list[bytes]:
    """Its lines as of a process that began so much later."""
    lines = [raw for _, raw in sorted(tape.lines(), key=lambda each: each[0])]
    lines.append(published(SECONDS - 2, tape.price(0)))
    found = [parsed(raw) for raw in lines]
    moved = [each._replace(at=Timestamp(each.at + later_s * SECOND)) for each in found]
    named = (json.dumps([each.at, each.kind, *each.words]).replace("#0.", f"#{later_s}000.") for each in moved)
    return sorted((each.encode() + b"\n" for each in named), key=lambda raw: parsed(raw).at)


def packed(lines: list[bytes], each: int = 40) -> list[bytes]:
    """Members of so many lines, as a writer adds one each second."""
    return [gzip.compress(b"".join(lines[at : at + each]), 1, mtime=0) for at in range(0, len(lines), each)]


def kept(directory: Path, start: int, members: list[bytes]) -> Path:
    directory.mkdir(exist_ok=True)
    file = directory / f"tape-{start:020d}.jsonl.gz"
    file.write_bytes(b"".join(members))
    return file


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "config").mkdir()
    return load(written(tmp_path / "config", BTC=MARKET))


def looks_from(played: Replayed, second: float) -> list[object]:
    return [look for look in played.series.looks[BTC_USD] if look.at >= now_of(second)]


def test_replay__after_a_killed_process__goes_on_as_the_next_did(tmp_path: Path, settings: Settings) -> None:
    first, second = process(0, Tape(SECONDS)), process(LATER_S, Tape(SECONDS, price=dearer))
    kept(tmp_path / "tape", 1, packed(first))
    alone = kept(tmp_path / "tape", 2, packed(second))
    whole, later = replay(tmp_path / "tape", settings), replay(alone, settings)
    assert looks_from(whole, LATER_S) == looks_from(later, LATER_S)
    assert [(each.start, each.end) for each in whole.processes] == [
        (parsed(lines[0]).at, parsed(lines[-1]).at) for lines in (first, second)
    ]
    assert command.run(tmp_path / "tape", settings, None, verify=True, as_json=False) == 0


def test_replay__of_one_process_in_two_files__is_that_of_one_file(tmp_path: Path, settings: Settings) -> None:
    lines = process(0, Tape(SECONDS))
    dials = [raw for raw in lines if b'"dial"' in raw or b'"sent"' in raw]
    again = [raw.replace(b' "', b' "~', 1) for raw in dials]
    half = len(lines) // 2
    head = line(parsed(lines[half]).at, "head", parsed(lines[0]).words[0])
    kept(tmp_path / "two", 1, packed(lines[:half]))
    kept(tmp_path / "two", 2, packed([head, *again, *lines[half:]]))
    one = replay(kept(tmp_path / "one", 1, packed(lines)), settings)
    two = replay(tmp_path / "two", settings)
    assert len(two.processes) == 1
    assert (two.hash, two.decisions) == (one.hash, one.decisions)


@pytest.mark.parametrize("kind", ["state", "held", "sequencer"])
def test_replay__of_what_the_chain_never_says__is_refused_with_a_sentence(
    tmp_path: Path, settings: Settings, kind: str
) -> None:
    lines = process(0, Tape(SECONDS))
    words = ["main", {"oracle": 5}] if kind == "state" else [{}]
    lines.insert(1, line(parsed(lines[1]).at, kind, *words))
    with pytest.raises((TapeUnreadable, BaseExceptionGroup)) as raised:
        replay(kept(tmp_path / "tape", 1, packed(lines)), settings)
    (words_of,) = sentences(raised.value)
    assert words_of.startswith("what the tape tells is not a ")


def test_verify__with_prices_of_a_process_before__are_not_near_those_of_the_next(
    tmp_path: Path, settings: Settings
) -> None:
    """What was published in a process is held against what that process could have computed."""
    second = process(LATER_S, Tape(SECONDS, price=dearer))
    at = parsed(second[0]).at + SECOND // 10
    e18 = str(int(BTC * 10**18))
    said = line(Timestamp(at), "said", "main", 2, "0x00", {BTC_USD: [e18, e18, "0"]})
    kept(tmp_path / "tape", 1, packed(process(0, Tape(SECONDS))))
    kept(tmp_path / "tape", 2, packed([second[0], said, *second[1:]]))
    assert command.run(tmp_path / "tape", settings, None, verify=True, as_json=False) == 1


def test_verify__of_a_tape_damaged_in_its_middle__fails_and_says_where(
    tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    members = packed(process(0, Tape(SECONDS)))
    middle = len(members) // 2
    at = sum(map(len, members[:middle]))
    members[middle] = members[middle][:30] + bytes(200) + members[middle][230:]
    file = kept(tmp_path / "tape", 1, members)
    assert command.run(tmp_path / "tape", settings, None, verify=True, as_json=False) == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert (file.name in printed, f"byte {at}" in printed) == (True, True), printed
    assert command.run(file, settings, None, verify=True, as_json=True) == 1
    found = json.loads(capsys.readouterr().out)
    assert [(each["file"], each["byte"]) for each in found["damaged"]] == [(str(file), at)]
    assert found["until"] == "2023-11-14T22:13:24.850+00:00"
    assert command.run(file, settings, None, verify=False, as_json=True) == 0


def test_verify__of_a_tape_that_a_kill_cut_off__passes(tmp_path: Path, settings: Settings) -> None:
    first = packed(process(0, Tape(SECONDS)))
    first[-1] = first[-1][: len(first[-1]) // 2]
    kept(tmp_path / "tape", 1, first)
    kept(tmp_path / "tape", 2, packed(process(LATER_S, Tape(SECONDS, price=dearer))))
    assert command.run(tmp_path / "tape", settings, None, verify=True, as_json=False) == 0


def test_verify__of_a_last_member_with_other_bytes__fails(tmp_path: Path, settings: Settings) -> None:
    """Cut off it is shorter, not another."""
    members = packed(process(0, Tape(SECONDS)))
    members[-1] = members[-1][:40] + bytes(40) + members[-1][80:]
    assert command.run(kept(tmp_path / "tape", 1, members), settings, None, verify=True, as_json=False) == 1


def test_verify__of_a_file_cut_off_before_another_of_its_process__fails(tmp_path: Path, settings: Settings) -> None:
    lines = process(0, Tape(SECONDS))
    dials = [raw.replace(b' "', b' "~', 1) for raw in lines if b'"dial"' in raw]
    half = len(lines) // 2
    first = packed(lines[:half])
    head = line(parsed(lines[half]).at, "head", parsed(lines[0]).words[0])
    kept(tmp_path / "tape", 1, [*first[:-1], first[-1][:60]])
    kept(tmp_path / "tape", 2, packed([head, *dials, *lines[half:]]))
    assert command.run(tmp_path / "tape", settings, None, verify=True, as_json=False) == 1


@pytest.mark.parametrize("place", ["{tmp}/none/x.html", "{tmp}"])
def test_report__where_nothing_can_be_written__is_refused_before_the_replay(
    tmp_path: Path, settings: Settings, place: str
) -> None:
    """The tape is none: had it been played first, it would say that."""
    report = Path(place.format(tmp=tmp_path))
    with pytest.raises(command.NoPlace, match=str(report)):
        command.run(tmp_path / "no-tape", settings, report, verify=False, as_json=False)
