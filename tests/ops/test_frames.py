"""Raw messages behind a record, looked up on a tape: found, altered, not there yet, or gone."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from keeper.adapters.references.ecb import fixed_at
from keeper.adapters.sources.coinbase import Coinbase
from keeper.adapters.sources.perp import Perp
from keeper.adapters.sources.wire import frame_hash
from keeper.adapters.tape.lines import FORMAT, framed, line
from keeper.app.provenance.command import _framed
from keeper.app.provenance.frames import look_up, wanted_of
from keeper.domain.ids import SourceId
from keeper.domain.provenance import _trade
from keeper.domain.quote import Quote, Trade
from keeper.domain.time import SECOND, Timestamp

RECORDED = Path(__file__).resolve().parents[1] / "venues" / "coinbase" / "frames.jsonl"
START = Timestamp(1_618_677_811 * SECOND)


@dataclass
class Heard:
    """Recorded messages, one each 100 ms, as one connection; what the venue's code reads from them."""

    frames: list[str] = field(default_factory=lambda: RECORDED.read_text().splitlines()[:8])

    def at(self, number: int) -> Timestamp:
        return Timestamp(START + number * SECOND // 10)

    def tape(self, directory: Path, last: int = 0, **altered: str) -> Path:
        """The messages, those of `altered` (m3="…") exchanged, and `last` tenths of a second of something else."""
        head = line(START, "head", {"format": FORMAT}) + line(START, "dial", "coinbase#1")
        said = [altered.get(f"m{number}", frame) for number, frame in enumerate(self.frames)]
        body = [framed(self.at(number), "coinbase#1", frame.encode()) for number, frame in enumerate(said)]
        rest = [line(self.at(len(said) + n), "paused", "BTC-USD", None) for n in range(last)]
        directory.mkdir(exist_ok=True)
        file = directory / f"tape-{START:020d}.jsonl.gz"
        file.write_bytes(gzip.compress(head + b"".join(body) + b"".join(rest)))
        return directory

    def quote(self, number: int) -> Quote:
        state, _ = Coinbase().open(["SKL-GBP"])
        found = [
            made
            for place, frame in enumerate(self.frames[: number + 1])
            for made in Coinbase().step(state, frame.encode(), self.at(place)).observations
        ]
        assert isinstance(found[-1], Quote)
        assert found[-1].frame_hash == frame_hash(self.frames[number].encode())
        return found[-1]

    def document(self, number: int, **changes: Any) -> dict[str, Any]:
        """A record that rests on one message, as far as it is looked at here."""
        quote = self.quote(number)
        stated = {
            "source": quote.source, "frame": quote.frame_hash, "bid": str(quote.bid_e18), "ask": str(quote.ask_e18),
            "last": str(quote.last_e18), "observed": str(quote.observed_at), "sequence": str(quote.sequence),
            "received": str(quote.received_at), "changed": str(quote.changed_at),
        }  # fmt: skip
        return {"book": None, "indices": [{"inputs": [stated | changes], "rejected": []}]}


OWN = [
    b'{"type":"trade","market":"BTC-USD","id":2,"ts":1618677811032,"price":"64000","size":"0.1","side":"buy"}',
    b'{"type":"trade","market":"BTC-USD","id":3,"ts":1618677811132,"price":"64001","size":"0.2","side":"buy"}',
]
BANK = Path(__file__).resolve().parents[1] / "references" / "ecb_2025-10-21.xml"


def _own(directory: Path, *frames: bytes) -> Path:
    said = [framed(Timestamp(START + n * SECOND // 10), "perp#1", frame) for n, frame in enumerate(frames)]
    rest = line(Timestamp(START + 20 * SECOND), "paused", "BTC-USD", None)
    head = line(START, "head", {"format": FORMAT}) + line(START, "dial", "perp#1")
    (directory / f"tape-{START:020d}.jsonl.gz").write_bytes(gzip.compress(head + b"".join(said) + rest))
    return directory


def _traded(**changes: Any) -> dict[str, Any]:
    """A record whose own last trade is the second of two."""
    (trade,) = Perp().step(None, OWN[1], Timestamp(START + SECOND // 10)).observations
    assert isinstance(trade, Trade)
    spelled = json.loads(_trade(trade)) | changes
    return {"book": None, "indices": [], "trade": spelled}


def test_look_up__the_own_last_trade__is_read_again_to_the_same(tmp_path: Path) -> None:
    (seen,) = look_up(_own(tmp_path, *OWN), wanted_of(_traded()))
    assert (seen.frame, seen.fault) == (OWN[1], "")
    assert status(tmp_path, _traded())[0] == "ok"


@pytest.mark.parametrize("name", ["price", "size", "observed", "id"])
def test_look_up__a_trade_with_another_digit__names_it(tmp_path: Path, name: str) -> None:
    document = _traded(**{name: "7"})
    (seen,) = look_up(_own(tmp_path, *OWN), wanted_of(document))
    assert seen.fault.startswith(f"{name}: ")
    assert status(tmp_path, document)[0] == "failed"


def test_look_up__a_trade_that_is_not_on_the_tape__is_missed(tmp_path: Path) -> None:
    assert status(_own(tmp_path, OWN[0]), _traded())[0] == "failed"


def test_wanted__of_a_record_that_told_no_frame_of_its_trade__is_nothing() -> None:
    older = _traded()
    del older["trade"]["frame"]
    assert wanted_of(older) == []


@pytest.mark.parametrize(("price", "wanted"), [("1160700000000000000", "ok"), ("1160700000000000001", "failed")])
def test_look_up__a_banks_fix__is_read_again_to_the_same(tmp_path: Path, price: str, wanted: str) -> None:
    body, at = BANK.read_bytes(), Timestamp(START + SECOND)
    said = line(at, "http", "ecb", "GET /daily.xml", 200, {}, body.decode("latin-1"))
    later = line(Timestamp(at + 9 * SECOND), "paused", "BTC-USD", None)
    packed = gzip.compress(line(START, "head", {"format": FORMAT}) + said + later)
    (tmp_path / f"tape-{START:020d}.jsonl.gz").write_bytes(packed)
    stated = {
        "source": "ecb:EUR/USD", "frame": frame_hash(body), "bid": None, "ask": None, "last": price, "sequence": None,
        "observed": str(fixed_at(date(2025, 10, 21))), "received": str(at + 10), "changed": str(at + 10),
    }  # fmt: skip
    refused = {"reason": "reference", "quote": stated}
    assert status(tmp_path, {"book": None, "indices": [{"inputs": [], "rejected": [refused]}]})[0] == wanted


def status(tape: Path, document: dict[str, Any]) -> tuple[str, str]:
    found = _framed(look_up(tape, wanted_of(document)))
    return found.status, found.detail


def test_look_up__as_it_came__is_read_again_to_the_same(tmp_path: Path) -> None:
    heard = Heard()
    document = heard.document(4)
    (seen,) = look_up(heard.tape(tmp_path, last=30), wanted_of(document))
    assert seen.frame == heard.frames[4].encode()
    assert (seen.at, seen.connection, seen.fault) == (heard.at(4), "coinbase#1", "")
    assert seen.wanted.source == SourceId(document["indices"][0]["inputs"][0]["source"])
    assert status(tmp_path, document)[0] == "ok"


@pytest.mark.parametrize("name", ["bid", "ask", "last", "observed", "sequence"])
def test_look_up__record_says_another_digit__names_it(tmp_path: Path, name: str) -> None:
    heard = Heard()
    told = heard.document(4)["indices"][0]["inputs"][0][name]
    other = told[:-1] + ("1" if told[-1] != "1" else "2")
    found, detail = status(heard.tape(tmp_path, last=30), heard.document(4, **{name: other}))
    assert found == "failed"
    assert f"{name}: {told} is read, {other} recorded" in detail


def test_look_up__message_altered_on_the_tape__is_missed(tmp_path: Path) -> None:
    heard = Heard()
    altered = heard.frames[4].replace('"price":"', '"price":"1')
    assert altered != heard.frames[4]
    assert status(heard.tape(tmp_path, last=30, m4=altered), heard.document(4))[0] == "failed"


def test_look_up__message_that_may_not_be_written_yet__is_no_failure(tmp_path: Path) -> None:
    """A running keeper's tape reaches the disk a second late."""
    heard = Heard()
    document = heard.document(7)
    heard.frames = heard.frames[:7]
    assert status(heard.tape(tmp_path), document)[0] == "unknown"
    assert status(heard.tape(tmp_path, last=1), document)[0] == "unknown"
    assert status(heard.tape(tmp_path, last=30), document)[0] == "failed"


def test_look_up__tape_that_began_later_or_is_not_there__is_no_failure(tmp_path: Path) -> None:
    heard, document = Heard(), Heard().document(4)
    early = Timestamp(START - 3600 * SECOND)
    stated = document["indices"][0]["inputs"][0] | {"received": str(early), "changed": str(early)}
    gone = {"book": None, "indices": [{"inputs": [stated], "rejected": []}]}
    assert status(heard.tape(tmp_path / "tape", last=30), gone)[0] == "unknown"
    assert status(tmp_path / "none", document)[0] == "unknown"
