"""Venues' text: exact numbers, times in their unit, quotes built the short way."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.adapters.sources import wire
from keeper.adapters.sources.binance_perp import BinancePerp
from keeper.adapters.sources.bitfinex import Bitfinex, State
from keeper.adapters.sources.coinbase import Coinbase
from keeper.adapters.sources.kraken import Kraken
from keeper.domain.ids import SourceId
from keeper.domain.quote import Quote
from keeper.domain.time import SECOND, Timestamp
from keeper.errors import FeedProtocolError
from tests.venues.harness import HERE, lines

NOW = Timestamp(1_700_000_000 * SECOND)


@given(st.decimals(min_value=0, max_value=10**12, allow_nan=False, allow_infinity=False, places=12))
def test_e18__of_any_plain_decimal__is_exact(value: Decimal) -> None:
    assert wire.e18(f"{value:f}") == int(value * 10**18)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1e-7", 10**11), ("2E+3", 2000 * 10**18), ("0.1234567890123456789", 123456789012345678), ("007.50", 75 * 10**17)],
)
def test_e18__of_uncommon_spellings__is_exact(text: str, expected: int) -> None:
    assert wire.e18(text) == expected


@pytest.mark.parametrize(
    "text", ["", ".", ".5", "-1", "+1", "1_000", "NaN", "Infinity", "0x10", " 1", "1 ", "1.2.3", "٣", "²"]
)
def test_e18__of_anything_else__is_a_protocol_error(text: str) -> None:
    with pytest.raises(FeedProtocolError):
        wire.e18(text)


def test_e18__of_a_number_of_thousands_of_digits__is_a_protocol_error() -> None:
    with pytest.raises(FeedProtocolError):
        wire.e18("9" * 5_000)


def test_json_number__keeps_its_own_digits() -> None:
    raw = msgspec.json.decode(b"[19203.444049780002,1.7023900800000002,0,null]", type=list[msgspec.Raw])
    assert [wire.number_e18(r) for r in raw] == [19203444049780002 * 10**6, 17023900800000002 * 10**2, None, None]


@given(st.integers(1_483_300_000 * 10**6, 4_102_300_000 * 10**6))
def test_iso_time__to_the_microsecond__is_exact(micros: int) -> None:
    moment = datetime.fromtimestamp(micros // 10**6, UTC).replace(microsecond=micros % 10**6)
    assert wire.from_iso(moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")) == micros * 1_000


@pytest.mark.parametrize(
    ("text", "nanos"),
    [("2023-11-14T22:13:20Z", 0), ("2023-11-14T22:13:20.1Z", 10**8), ("2023-11-14T22:13:20.123456789Z", 123456789)],
)
def test_iso_time__of_other_lengths__is_exact(text: str, nanos: int) -> None:
    assert wire.from_iso(text) == NOW + nanos


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2023-11-14",
        "2023-11-14T22:13:20.123456+02:00",
        "2023-11-14T22:13:2x.123456Z",
        "2023-11-14T22:13:2².123456Z",
        "2023-11-14T22:13:20.12345²Z",
        "Z",
    ],
)
def test_iso_time__of_another_form__is_a_protocol_error(text: str) -> None:
    with pytest.raises(FeedProtocolError):
        wire.from_iso(text)


@pytest.mark.parametrize("millis", [1_700_000_000, 1_700_000_000_000_000, 0, -5])
def test_time_in_the_wrong_unit__is_a_protocol_error(millis: int) -> None:
    """Defect seen elsewhere: seconds taken for milliseconds left a staleness check without effect."""
    with pytest.raises(FeedProtocolError):
        wire.from_millis(millis)


@pytest.mark.parametrize("digits", [30, 4_299])
@pytest.mark.parametrize("sign", ["", "-"])
def test_time__of_more_digits_than_any__is_a_protocol_error(sign: str, digits: int) -> None:
    frame = f'{{"stream":"s","data":{{"u":1,"s":"A","b":"1","B":"1","a":"1","A":"1","T":{sign}{"9" * digits}}}}}'
    with pytest.raises(FeedProtocolError, match="outside 2017 to 2100"):
        BinancePerp().step((), frame.encode(), NOW)


def test_quote__built_the_short_way__equals_the_long_one() -> None:
    short = wire.quote(SourceId("v:S"), NOW, Timestamp(NOW - 1), 1, 2, 3, 4, 5, 6, "ab")
    assert short == Quote(SourceId("v:S"), NOW, NOW, Timestamp(NOW - 1), 1, 2, 3, 4, 5, 6, "ab")
    assert hash(short) == hash(Quote(SourceId("v:S"), NOW, NOW, Timestamp(NOW - 1), 1, 2, 3, 4, 5, 6, "ab"))


def test_kraken_price__is_the_last_trade__never_the_days_average() -> None:
    """Defect seen elsewhere: the first number of `p`, today's vwap, taken for the price."""
    frame = next(f for f in lines(HERE / "kraken" / "frames.jsonl") if '"vwap"' in f)
    (quote,) = Kraken().step(None, frame, NOW).observations
    assert isinstance(quote, Quote)
    stated = msgspec.json.decode(frame)["data"][0]
    assert (quote.last_e18, stated["vwap"]) == (1083598 * 10**17, 108894.5)
    assert quote.last_e18 != wire.e18("108894.5")


def test_bitfinex_channels__of_what_nobody_asked_for__are_ignored_and_not_kept() -> None:
    state, _ = Bitfinex().open(("tX",))
    with pytest.raises(FeedProtocolError, match="channel 7"):
        Bitfinex().step(state, b"[7,[1,2,3,4,5,6,7,8,9,10]]", NOW)
    for number, symbol in ((7, "tX"), (8, "tSTRANGE"), (9, "tODD")):
        ack = f'{{"event":"subscribed","channel":"ticker","chanId":{number},"symbol":"{symbol}"}}'
        state = Bitfinex().step(state, ack, NOW).state
    assert state.channels == {7: "tX"}
    assert not Bitfinex().step(state, b"[8,[1,2,3,4,5,6,7,8,9,10]]", NOW).observations
    again = Bitfinex().step(state, '{"event":"subscribed","channel":"ticker","chanId":7,"symbol":"tODD"}', NOW).state
    assert not again.channels, "the number is another's now"


TOLD = State(frozenset({"tX"}), {7: "tX"})


def test_bitfinex_last__is_index_six__of_a_ticker_of_any_length() -> None:
    (quote,) = Bitfinex().step(TOLD, b"[7,[1,2,3,4,5,6,8,9]]", NOW).observations
    assert isinstance(quote, Quote)
    assert (quote.bid_e18, quote.ask_e18, quote.last_e18) == (10**18, 3 * 10**18, 8 * 10**18)
    with pytest.raises(FeedProtocolError):
        Bitfinex().step(TOLD, b"[7,[1,2,3,4,5,6]]", NOW)


TICKER = (
    b'{"type":"ticker","sequence":5,"product_id":"A-USD","price":"2","best_bid":"1","best_ask":"3",'
    b'"time":"2023-11-14T22:13:10.000000Z","trade_id":20}'
)


def heartbeat(last_trade_id: int) -> bytes:
    return b'{"type":"heartbeat","sequence":90,"last_trade_id":%d,"product_id":"A-USD"}' % last_trade_id


@pytest.mark.parametrize(
    ("after_s", "trade_id", "confirmed"), [(1, 20, True), (60, 20, True), (61, 20, False), (1, 21, False)]
)
def test_coinbase_heartbeat__confirms_the_same_trade__for_a_bounded_time(
    after_s: int, trade_id: int, confirmed: bool
) -> None:
    """Defect seen elsewhere: a heartbeat that refreshed a stalled venue for ever."""
    venue = Coinbase()
    state, observations, *_ = venue.step(venue.open(("A-USD",))[0], TICKER, NOW)
    later = Timestamp(NOW + after_s * SECOND)
    step = venue.step(state, heartbeat(trade_id), later)
    assert not step.observations
    assert [q.received_at for q in step.confirmations] == ([later] if confirmed else [])
    assert [q.observed_at for q in step.confirmations] == [q.observed_at for q in observations if confirmed]
    again = venue.step(step.state, heartbeat(trade_id), Timestamp(NOW + 61 * SECOND))
    assert not again.confirmations, "a confirmation does not prolong itself"
