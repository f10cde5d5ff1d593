"""A small campaign with every run of the tests, and what larger ones have found."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from keeper.adapters.onchain.chainlink import Facts
from keeper.adapters.onchain.pyth import Pyth
from keeper.adapters.onchain.source import Unusable
from keeper.adapters.sources import BOOK_VENUES, STREAM_VENUES
from keeper.domain.quote import Quote
from keeper.errors import FeedProtocolError
from keeper.ports.venue import Step
from tests.fuzz.campaign import MAX_GROWTH, NO_VENUE, NOW, campaign, leg, sane_step
from tests.fuzz.corpus import READERS, prey
from tests.fuzz.published import HEAD, LINK, PUBLISHED, ROUND


def test_campaign__of_some_thousand_frames__ends_in_nothing_but_protocol_errors() -> None:
    outcome = campaign(6_000, seed=11, watch_memory=True)
    assert not outcome.faults, "\n".join(outcome.faults)
    assert outcome.counts.total() == 6_000
    for kind in {**STREAM_VENUES, **BOOK_VENUES}:
        refused, read = outcome.counts[kind, "refused"], outcome.counts[kind, "quotes"] + outcome.counts[kind, "events"]
        assert refused > 50, f"{kind} is hardly tried"
        assert read > 5, f"{kind}: nothing gets through, so what is behind the first look is not tried"
    for hunted in prey():
        if hunted.kind in STREAM_VENUES:
            tried = sum(count for (name, _), count in outcome.counts.items() if name == f"{hunted.kind}:rest")
            assert tried > 20, f"{hunted.kind}: its answers over HTTP are hardly tried"


def test_campaign__of_what_is_published__tries_every_reader_and_gets_behind_its_first_look() -> None:
    outcome = leg(NO_VENUE, 6_000, 7)
    assert not outcome.faults, "\n".join(outcome.faults)
    assert {name for name, _ in outcome.counts} == PUBLISHED.keys()
    for name in PUBLISHED:
        refused, read = outcome.counts[name, "refused"], outcome.counts[name, "nothing"]
        assert read > 20, f"{name}: nothing gets through"
        assert refused > 40 or name in ("pyth:refused", "uniswap_v3:refused", "revert words"), f"{name} is hardly tried"


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_published__unspoiled__is_understood(name: str) -> None:
    for sample in PUBLISHED[name].samples:
        assert PUBLISHED[name].read(sample) == ""


@pytest.mark.parametrize("defect", [KeyError("x"), FeedProtocolError("another reader's")])
def test_campaign__over_a_contracts_reader_that_leaks__finds_it(
    defect: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leaky(*_words: object) -> None:
        raise defect

    monkeypatch.setattr(Pyth, "read", leaky)
    faults = campaign(600, seed=1, only=NO_VENUE).faults
    assert faults
    assert all("pyth" in fault for fault in faults)


def test_campaign__again_with_its_seed__is_the_same() -> None:
    assert campaign(300, seed=3).counts == campaign(300, seed=3).counts != campaign(300, seed=4).counts


def test_leg__of_one_venue__tries_its_parsers_alone() -> None:
    outcome = leg("okx", 400, 5)
    assert not outcome.faults
    assert {name for name, _ in outcome.counts} <= {"okx", "okx:rest", *READERS}
    assert outcome.counts == campaign(400, 5, only="okx").counts != campaign(400, 6, only="okx").counts


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
    state: Any = venue.open(("A",))[0]
    state = state.given(7, "A") if kind == "bitfinex" else state
    sent = gzip.compress(frame.encode()) if kind == "htx" else frame.encode()
    with pytest.raises(FeedProtocolError, match=named):
        venue.step(state, sent, NOW)


def test_found__an_answer_that_vanishes_with_its_decimals__is_no_price() -> None:
    made = LINK.read(Facts(36, None, bounded=True), (ROUND,), HEAD)
    assert isinstance(made, Unusable)
    assert made.reason == "not_positive"


OTHERS: list[tuple[str, str]] = [
    (
        "okx",
        '{"code":"0","data":[{"instId":"X-Y","last":"1","askPx":"1","askSz":"1","bidPx":"1","bidSz":"1","ts":"1621440583784"}]}',
    ),
    (
        "bybit",
        (
            '{"retCode":0,"retMsg":"OK","time":1621440583784,"result":{"list":[{"symbol":"X-Y","bid1Price":"1","bid1Size":"1",'
            '"ask1Price":"1","ask1Size":"1","lastPrice":"1"}]}}'
        ),
    ),
    ("binance", '{"symbol":"X-Y","bidPrice":"1","bidQty":"1","askPrice":"1","askQty":"1"}'),
]


@pytest.mark.parametrize(("kind", "body"), OTHERS, ids=[kind for kind, _ in OTHERS])
def test_answer__about_another_symbol_than_asked__is_a_protocol_error(kind: str, body: str) -> None:
    venue = STREAM_VENUES[kind]()
    assert isinstance(venue.parse_rest("X-Y", 200, body.encode(), NOW), Quote)
    with pytest.raises(FeedProtocolError, match="X-Y"):
        venue.parse_rest("A-B", 200, body.encode(), NOW)
