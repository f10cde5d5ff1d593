"""A small campaign with every run of the tests, and what larger ones have found."""

from __future__ import annotations

import gzip
import json

import pytest

from keeper.adapters.sources import BOOK_VENUES, STREAM_VENUES
from keeper.errors import FeedProtocolError
from keeper.ports.venue import Step
from tests.fuzz.campaign import MAX_GROWTH, NOW, campaign, sane_step
from tests.fuzz.corpus import prey


def test_campaign__of_some_thousand_frames__ends_in_nothing_but_protocol_errors() -> None:
    outcome = campaign(6_000, seed=11, watch_memory=True)
    assert not outcome.faults, "\n".join(outcome.faults)
    assert outcome.counts.total() == 6_000
    for kind in {**STREAM_VENUES, **BOOK_VENUES}:
        refused, read = outcome.counts[kind, "refused"], outcome.counts[kind, "quotes"] + outcome.counts[kind, "events"]
        assert refused > 50, f"{kind} is hardly tried"
        assert read > 5, f"{kind}: nothing gets through, so what is behind the first look is not tried"


def test_campaign__again_with_its_seed__is_the_same() -> None:
    assert campaign(300, seed=3).counts == campaign(300, seed=3).counts != campaign(300, seed=4).counts


def test_corpus__unspoiled__is_understood_as_its_recordings_say() -> None:
    """Or else what is mutated would be garbage from the start."""
    for hunted in prey():
        state, _ = hunted.venue.open(hunted.symbols)
        said = []
        for frame in hunted.frames:
            try:
                step = hunted.venue.step(state, hunted.pack(frame), NOW)
            except FeedProtocolError:
                continue
            state = step.state
            said.append(sane_step(hunted.kind, step))
        assert said.count("quotes") >= min(10, len(hunted.frames) // 3), hunted.kind


@pytest.mark.parametrize("defect", [KeyError("x"), UnicodeDecodeError("ascii", b"", 0, 1, ""), OverflowError("big")])
def test_campaign__over_a_parser_that_leaks__finds_it(defect: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    kraken = type(STREAM_VENUES["kraken"]())
    sound = kraken.step

    def leaky(self: object, state: object, frame: bytes, now: object) -> Step:
        try:
            return sound(self, state, frame, now)
        except FeedProtocolError:
            raise defect from None

    monkeypatch.setattr(kraken, "step", leaky)
    faults = campaign(400, seed=1).faults
    assert faults
    assert all(f"kraken: {type(defect).__name__}" in fault for fault in faults)


def test_campaign__over_a_parser_that_keeps_what_it_read__finds_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    okx, kept = type(STREAM_VENUES["okx"]()), []
    sound = okx.step

    def hoarding(self: object, state: object, frame: bytes, now: object) -> Step:
        kept.append(bytes(1 << 20))
        return sound(self, state, frame, now)

    monkeypatch.setattr(okx, "step", hoarding)
    outcome = campaign(3_000, seed=1, watch_memory=True)
    assert outcome.grown > MAX_GROWTH
    assert "were kept" in outcome.faults[-1]


FOUND: list[tuple[str, str, str]] = [
    # kind, what was sent, what the error names
    (
        "bitstamp",
        '{"data":{"microtimestamp":"1641343695572693","bids":[["é","1"]],"asks":[]},"channel":"order_book_a","event":"data"}',
        "ASCII",
    ),
    ("kraken", '{"channel":"ticker","type":"update","data":[{"symbol":"A","bid":"é","ask":1,"last":1}]}', "ASCII"),
    ("bitfinex", '[7,["é",1,1,1,1,1,1,1,1,1]]', "ASCII"),
    ("htx", '{"ch":"market.a.bbo","tick":{"symbol":"a","bid":"é","ask":1,"quoteTime":1671941599612}}', "ASCII"),
    ("binance", '{"data":{"u":1,"s":"A","b":"1e999","B":"1","a":"2","A":"1"},"stream":"a"}', "larger"),
    ("binance", '{"data":{"u":' + "9" * 400 + ',"s":"A","b":"1","B":"1","a":"2","A":"1"},"stream":"a"}', "sequence"),
    (
        "htx",
        '{"ch":"market.a.bbo","tick":{"symbol":"a","seqId":-1,"bid":1,"ask":1,"quoteTime":1671941599612}}',
        "sequence",
    ),
    ("binance", json.dumps({"data": {"u": 1, "s": "A" * 101, "b": "1", "B": "1", "a": "2", "A": "1"}}), "longer"),
]


@pytest.mark.parametrize(("kind", "frame", "named"), FOUND, ids=[f"{kind}-{named}" for kind, _, named in FOUND])
def test_found__by_campaigns__is_a_protocol_error_now(kind: str, frame: str, named: str) -> None:
    venue = STREAM_VENUES[kind]()
    state = {7: "A"} if kind == "bitfinex" else venue.open(("A",))[0]
    sent = gzip.compress(frame.encode()) if kind == "htx" else frame.encode()
    with pytest.raises(FeedProtocolError, match=named):
        venue.step(state, sent, NOW)
