"""Messages that come packed: gzip from HTX, protocol buffers from MEXC."""

from __future__ import annotations

import base64
import gzip
import tracemalloc
import zlib
from dataclasses import replace

import aiohttp
import pytest

from keeper.adapters.sources import protobuf
from keeper.adapters.sources.gzip_frame import MAX_INFLATED, inflated
from keeper.adapters.sources.htx import Htx
from keeper.adapters.sources.mexc import Mexc
from keeper.devnet.market import HiddenMarket
from keeper.devnet.venues.htx import HtxServer
from keeper.devnet.venues.mexc import MexcServer
from keeper.errors import FeedProtocolError
from tests.venues.harness import HASTY, HERE, WallClock, documents, moving, running, server_until

RECORDED = documents(HERE / "htx" / "packed.jsonl")


@pytest.mark.parametrize("row", RECORDED, ids=lambda row: row["text"][:10])
def test_recorded_bytes__unpacked__are_the_message(row: dict[str, str]) -> None:
    assert inflated(base64.b64decode(row["packed"])) == row["text"].encode()


def test_bomb__of_a_gigabyte__is_refused_within_a_few_megabytes() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(1024)) + packer.flush()
    assert len(bomb) < 1 << 20, "fits into one frame"
    tracemalloc.start()
    with pytest.raises(FeedProtocolError, match="more than"):
        inflated(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * MAX_INFLATED


def test_packed__cut_off_extended_or_damaged__is_refused_exactly() -> None:
    whole = gzip.compress(b'{"ping":1}', mtime=0)
    assert inflated(whole) == b'{"ping":1}'
    for spoiled in (b"", whole[:-1], whole[:5], whole + b"x", whole * 2, b'{"ping":1}', whole[:-6] + bytes(6)):
        with pytest.raises(FeedProtocolError):
            inflated(spoiled)
    assert inflated(gzip.compress(bytes(7)), limit=7) == bytes(7)
    with pytest.raises(FeedProtocolError):
        inflated(gzip.compress(bytes(8)), limit=7)


def test_htx__a_frame_of_text__is_no_message_of_theirs() -> None:
    with pytest.raises(FeedProtocolError, match="text"):
        Htx().step(None, '{"ping":1}', WallClock().now())


def test_htx__a_ping_beyond_a_double__is_answered_by_the_same_number() -> None:
    number = 9_007_199_254_740_993
    step = Htx().step(None, HtxServer.packed(f'{{"ping":{number}}}'), WallClock().now())
    assert step.replies == (f'{{"pong":{number}}}',)


async def test_htx__a_schema_drift_of_one_symbol__is_blamed_on_it_though_the_frame_is_packed() -> None:
    async with moving(HiddenMarket(WallClock())) as market, HtxServer(market, rate_hz=20.0) as server:
        server.faults.switch("schema_drift", symbol="ethusdt")
        async with running(Htx(**server.options()), ("btcusdt", "ethusdt"), replace(HASTY, quiet_s=30.0)) as heard:
            await heard.until(lambda: heard.told("benched"))
            assert {source for notice in heard.told("frame_dropped") for source in notice.sources} == {"htx:ethusdt"}


async def test_htx__pings__are_answered_with_their_numbers() -> None:
    server = HtxServer(HiddenMarket(WallClock()))
    server.heartbeat_every_s = 0.05
    async with server, running(Htx(**server.options()), ("btcusdt",), replace(HASTY, quiet_s=30.0)):
        await server_until(server, lambda: server.clients and sum("pong" in t for t in server.clients[0].heard) >= 3)


async def test_htx__a_client_that_answers_no_ping__is_hung_up_on() -> None:
    server = HtxServer(HiddenMarket(WallClock()))
    server.heartbeat_every_s, server.drop_after_s = 0.05, 0.1
    async with server, aiohttp.ClientSession() as session, session.ws_connect(server.ws_url) as socket:
        async for message in socket:
            assert message.type is aiohttp.WSMsgType.BINARY
    assert socket.closed


async def test_htx__a_venue_without_pings__is_left_after_two_of_them_were_missed() -> None:
    assert Htx.limits.silence_s is not None
    assert 10.0 < Htx.limits.silence_s < 15.0
    async with HtxServer(HiddenMarket(WallClock())) as server:
        tuning = replace(HASTY, quiet_s=30.0, silence_s=0.3)
        async with running(Htx(**server.options()), ("btcusdt",), tuning) as heard:
            await heard.until(lambda: heard.quotes)
            server.faults.switch("half_open")
            await heard.until(lambda: heard.told("disconnected", "silent"))
            server.faults.switch("half_open", on=False)
            await heard.until(lambda: len(heard.told("connected")) >= 2)


@pytest.mark.parametrize(
    ("message", "meaning"),
    [
        ("", {}),
        ("089601", {1: 150}),
        ("120774657374696e67", {2: b"testing"}),
        ("1a03089601", {3: b"\x08\x96\x01"}),
        ("08010802", {1: 2}),
        ("0d01020304110102030405060708", {1: b"\x01\x02\x03\x04", 2: bytes(range(1, 9))}),
        ("08ffffffffffffffffff01", {1: (1 << 64) - 1}),
        ("088000", {1: 0}),
        ("f8ffffff0f01", {(1 << 29) - 1: 1}),
    ],
)
def test_protobuf__the_examples_of_its_documentation_and_the_edges__are_read(message: str, meaning: object) -> None:
    """First four: https://protobuf.dev/programming-guides/encoding/"""
    assert protobuf.fields(bytes.fromhex(message)) == meaning


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("08", "cut off"),
        ("0896", "cut off"),
        ("08ffffffffffffffffffff01", "ten bytes"),
        ("08ffffffffffffffffff02", "64 bits"),
        ("00", "no field number"),
        ("808080801000", "no field number"),
        ("120774657374", "ends after"),
        ("12ffffffffffffffffff01", "ends after"),
        ("0d010203", "ends after"),
        ("0b", "wire type 3"),
        ("0c", "wire type 4"),
        ("0e", "wire type 6"),
        ("0f", "wire type 7"),
        ("0800" * 4097, "more than 4096"),
    ],
)
def test_protobuf__malformed__says_how(message: str, reason: str) -> None:
    with pytest.raises(FeedProtocolError, match=reason):
        protobuf.fields(bytes.fromhex(message))


def test_protobuf__a_field_of_another_kind__is_named() -> None:
    found = protobuf.fields(bytes.fromhex("0896011202fffe18ffffffffffffffffff01"))
    assert protobuf.whole(found, 3, "time") == -1
    cases = [
        (lambda: protobuf.text(found, 1, "price"), "price is no text"),
        (lambda: protobuf.text(found, 9, "price"), "price is missing"),
        (lambda: protobuf.text(found, 2, "price"), "price is no UTF-8"),
        (lambda: protobuf.whole(found, 2, "time"), "time is no number"),
        (lambda: protobuf.whole(found, 9, "time"), "time is missing"),
        (lambda: protobuf.inner(found, 1, "body"), "body is no message"),
        (lambda: protobuf.inner(found, 9, "body"), "body is missing"),
    ]
    for read, reason in cases:
        with pytest.raises(FeedProtocolError, match=reason):
            read()


def test_mexc__a_frame_written_out_by_hand__is_read_and_is_what_the_local_server_writes() -> None:
    """Tags: 1, 3 and the inner 1 to 4 are texts (n << 3 | 2), 6 is a varint, and 315 << 3 | 2 = 2522 is DA 13."""
    channel = b"spot@public.aggre.bookTicker.v3.api.pb@100ms@BTCUSDT"
    body = b"\x0a\x0862383.56\x12\x030.5\x1a\x0862383.57\x22\x011"
    time_ms = bytes.fromhex("a28c809fef33")
    frame = b"\x0a\x34" + channel + b"\x1a\x07BTCUSDT" + b"\x30" + time_ms + b"\xda\x13\x1c" + body
    (quote,) = Mexc().step(None, frame, WallClock().now()).observations
    assert (quote.bid_e18, quote.ask_e18) == (62_383_56 * 10**16, 62_383_57 * 10**16)
    assert (quote.bid_size_e18, quote.ask_size_e18) == (5 * 10**17, 10**18)
    assert quote.observed_at == 1_782_208_005_666 * 10**6
    decoded = (
        f'{{"channel":"{channel.decode()}","symbol":"BTCUSDT","sendTime":"1782208005666","publicAggreBookTicker":'
        '{"bidPrice":"62383.56","bidQuantity":"0.5","askPrice":"62383.57","askQuantity":"1"}}'
    )
    assert MexcServer.packed(decoded) == frame


async def test_mexc__more_symbols_than_a_connection_may_have__are_spread_over_several() -> None:
    async with MexcServer(HiddenMarket(WallClock())) as server:
        symbols = ("BTCUSDT", "ETHUSDT", *(f"NOPE{n}USDT" for n in range(29)))
        async with running(Mexc(**server.options()), symbols, replace(HASTY, quiet_s=30.0)) as heard:
            await server_until(server, lambda: sum(len(c.heard) for c in server.clients) == 31)
            assert sorted(len(c.heard) for c in server.clients) == [1, 30]
            await heard.until(lambda: {q.source for q in heard.quotes} == {"mexc:BTCUSDT", "mexc:ETHUSDT"})


async def test_mexc__a_client_that_subscribes_to_nothing__is_hung_up_on() -> None:
    server = MexcServer(HiddenMarket(WallClock()))
    server.idle_after_s = 0.2
    async with server, aiohttp.ClientSession() as session, session.ws_connect(server.ws_url) as socket:
        message = await socket.receive(timeout=8)
    assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.ERROR)
