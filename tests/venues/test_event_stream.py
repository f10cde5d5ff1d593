"""Server-sent events in the place of a websocket: cutting them, the same loop above them, and Pyth's prices in them."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest

from keeper.adapters.feeds import feed_of
from keeper.adapters.signers.secret_file import Secret
from keeper.adapters.sources.event_stream import Event, event_of
from keeper.adapters.sources.kraken import Kraken
from keeper.adapters.sources.pyth_hermes import PythHermes
from keeper.adapters.sse import EventSplitter, EventStreamFeed
from keeper.adapters.websocket import WebsocketFeed
from keeper.devnet.market import HiddenMarket
from keeper.devnet.venues.pyth_hermes import PythHermesServer
from keeper.domain.quote import Quote
from keeper.domain.screening import Refusal, Rejected, stated_price
from keeper.errors import ConfigError, FeedProtocolError
from tests.venues.harness import HASTY, HERE, Heard, WallClock, lines, moving, running, server_until

PATIENT = replace(HASTY, quiet_s=30.0)
BTC, ETH, _ = PythHermesServer.listings
KEY = "k3y-0f-the-operator"
NOW = WallClock().now()


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_events__cut_anywhere__come_out_whole_and_in_order(end: bytes) -> None:
    events = [b"data:1", b":", end.join([b"event:x", b"data:2", b"data: 3"]), b"data:\xc3\xa9", b"id:7"]
    stream = end + b"".join(event + end * 2 for event in events)
    rng = random.Random(7)
    for _ in range(300):
        splitter, found, at = EventSplitter(1_000), [], 0
        while at < len(stream):
            size = rng.choice([1, 1, 2, 3, 9, 50])
            found += splitter.feed(stream[at : at + size])
            at += size
        assert found == events


def test_events__in_one_chunk_or_unended__are_told_apart() -> None:
    splitter = EventSplitter(100)
    assert splitter.feed(b"\xef\xbb\xbfdata:1\n\ndata:2\n\ndata:") == [b"\xef\xbb\xbfdata:1", b"data:2"]
    assert splitter.feed(b"3\n") == []
    assert splitter.feed(b"\n\n\n") == [b"data:3"]


@pytest.mark.parametrize("chunks", [[b"data:" + b"x" * 120], [b"x"] * 101, [b"data:" + b"x" * 120 + b"\n\n"]])
def test_event__larger_than_allowed__is_refused(chunks: list[bytes]) -> None:
    splitter = EventSplitter(100)
    *fine, last = chunks
    for chunk in fine:
        assert splitter.feed(chunk) == []
    with pytest.raises(FeedProtocolError, match="more than 100 bytes"):
        splitter.feed(last)


def test_event_of__the_format__is_that_of_the_standard() -> None:
    assert event_of(b"data:a\ndata: b\r\ndata:  c\rdata") == Event("message", "a\nb\n c\n")
    assert event_of("event: error\ndata:x") == Event("error", "x")
    assert event_of(b": a comment\nretry: 5\nid") == Event("message", None)
    for garbage in (b"", b"dat:1", b"data:1\n{}", b"data:\xff"):
        with pytest.raises(FeedProtocolError):
            event_of(garbage)


def test_feed_of__a_venue__takes_its_transport() -> None:
    assert type(feed_of(Kraken(), ("BTC/USD",), WallClock(), random.Random(1))) is WebsocketFeed
    assert type(feed_of(PythHermes(), (BTC,), WallClock(), random.Random(1))) is EventStreamFeed


def quoted(price: str, confidence: str, exponent: int = -8) -> Quote:
    stated = {"price": price, "conf": confidence, "expo": exponent, "publish_time": 1714748300}
    frame = "data:" + json.dumps({"parsed": [{"id": BTC, "price": stated}]})
    venue = PythHermes()
    (quote,) = venue.step(venue.open((BTC,))[0], frame, NOW).observations
    assert isinstance(quote, Quote)
    return quote


def test_confidence__up_to_half_the_limit__gives_the_price_itself_and_beyond_it_a_refusal() -> None:
    """A limit of 100 bps on the whole interval is half a per cent to either side."""
    assert stated_price(quoted("6000000000000", "30000000000"), 100) == 60_000 * 10**18
    refused = stated_price(quoted("6000000000000", "30000000001"), 100)
    assert isinstance(refused, Refusal)
    assert refused.reason is Rejected.WIDE
    assert "59699.99999999" in refused.detail
    for price, confidence in (("100", "100"), ("100", "101"), ("-100", "1"), ("0", "0"), ("-1", "100")):
        assert isinstance(stated_price(quoted(price, confidence), 10_000), Refusal), (price, confidence)


@pytest.mark.parametrize(
    "stated",
    [
        {"price": "1.5"},
        {"price": ""},
        {"price": "9" * 21},
        {"price": "٣"},
        {"price": 5},
        {"conf": "-1"},
        {"conf": None},
        {"expo": 31},
        {"expo": -31},
        {"expo": "x"},
        {"expo": 1.5},
        {"publish_time": 1714748300000},
        {"publish_time": 0},
        {"publish_time": None},
    ],
)
def test_price__that_breaks_the_schema__is_a_protocol_error(stated: dict[str, object]) -> None:
    price = {"price": "1", "conf": "1", "expo": 0, "publish_time": 1714748300, **stated}
    venue = PythHermes()
    with pytest.raises(FeedProtocolError):
        venue.step(venue.open((BTC,))[0], "data:" + json.dumps({"parsed": [{"id": BTC, "price": price}]}), NOW)


def test_ids__written_in_another_case__keep_the_name_that_the_settings_gave_them() -> None:
    venue, spelled = PythHermes(), f"0x{BTC.upper()}"
    state, said = venue.open((spelled, "BTC"))
    assert said == ()
    assert f"%5B%5D={BTC}&" in venue.stream("https://x", (spelled, "BTC")).url
    assert "BTC&" not in venue.stream("https://x", (spelled, "BTC")).url
    step = venue.step(state, lines_of_btc(), NOW)
    assert [o.source for o in step.observations] == [f"pyth_hermes:{spelled}"]
    assert [e.symbols for e in step.events] == [(spelled,)]
    assert not venue.step(step.state, lines_of_btc(), NOW).events, "told once"


def lines_of_btc() -> str:
    return lines(HERE / "pyth_hermes" / "frames.jsonl")[2]


# The loop over it


async def test_stream__closed_by_the_server__is_asked_for_again() -> None:
    async with (
        moving(HiddenMarket(WallClock())) as market,
        PythHermesServer(market, rate_hz=20.0) as server,
        running(PythHermes(**server.options()), (BTC, ETH), PATIENT) as heard,
    ):
        await heard.until(lambda: heard.quotes)
        server.faults.switch("close_24h", notice_s=0.05)
        await heard.until(lambda: heard.told("disconnected", "closed"))
        await heard.until(lambda: len(heard.told("connected")) == 2)
        after = len(heard.quotes)
        await heard.until(lambda: len(heard.quotes) > after + 3)


async def test_stream__that_grows_old__is_replaced_before_the_server_ends_it_and_nothing_is_missed() -> None:
    assert PythHermes.limits.rotate_after_s is not None
    assert PythHermes.limits.rotate_after_s < 24 * 3600
    async with moving(HiddenMarket(WallClock())) as market, PythHermesServer(market, rate_hz=20.0) as server:
        tuning = replace(PATIENT, rotate_after_s=0.5)
        async with running(PythHermes(**server.options()), (BTC,), tuning) as heard:
            await heard.until(lambda: heard.told("rotated", "rotation"))
            assert not heard.told("disconnected")
            after = len(heard.quotes)
            await heard.until(lambda: len(heard.quotes) > after + 3)


async def test_stream__without_a_word_or_a_comment__is_left() -> None:
    async with (
        moving(HiddenMarket(WallClock())) as market,
        PythHermesServer(market, rate_hz=20.0) as server,
        running(PythHermes(**server.options()), (BTC,), replace(PATIENT, silence_s=0.4)) as heard,
    ):
        await heard.until(lambda: heard.quotes)
        server.faults.switch("half_open")
        await heard.until(lambda: heard.told("disconnected", "silent"))
        server.faults.switch("half_open", on=False)
        await heard.until(lambda: len(heard.told("connected")) >= 2)


async def test_stream__down__is_stood_in_for_by_rest() -> None:
    async with moving(HiddenMarket(WallClock())) as market, PythHermesServer(market, rate_hz=20.0) as server:
        tuning = replace(PATIENT, fallback_after_s=0.2, fallback_every_s=0.1)
        async with running(PythHermes(**server.options()), (BTC,), tuning) as heard:
            await heard.until(lambda: heard.quotes)
            server.faults.switch("drop", hold=True)
            await heard.until(lambda: len(heard.told("probed", "fallback")) >= 2)
            server.faults.switch("drop", on=False)
            connects = len(heard.told("connected"))
            # The venue's allowance of connects is spent meanwhile, and comes back within ten seconds.
            await heard.until(lambda: len(heard.told("connected")) > connects, within_s=20.0)


async def test_stream__outlives_the_total_timeout_of_its_session() -> None:
    """aiohttp ends every answer after five minutes unless told otherwise; a session of 0.2 s shows it sooner."""
    heard = Heard()
    async with moving(HiddenMarket(WallClock())) as market, PythHermesServer(market, rate_hz=50.0) as server:
        feed = feed_of(
            PythHermes(**server.options()),
            (BTC,),
            WallClock(),
            random.Random(7),
            lambda: aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.2)),
            PATIENT,
        )
        task = asyncio.create_task(feed.run(heard.emit, heard.notify))
        await heard.until(
            lambda: heard.quotes and heard.quotes[-1].received_at - heard.quotes[0].received_at > 6 * 10**8
        )
        task.cancel()
        assert not heard.told("disconnected")


async def test_rate_limit__on_the_stream__is_waited_out() -> None:
    async with PythHermesServer(HiddenMarket(WallClock())) as server:
        server.faults.switch("rate_limit", retry_after_s=1)
        async with running(PythHermes(**server.options()), (BTC,), PATIENT) as heard:
            await heard.until(lambda: heard.told("disconnected", "http_429"))
            assert heard.told("disconnected")[0].retry_in_s == 1.0
            server.faults.switch("rate_limit", on=False)
            await heard.until(lambda: heard.quotes)


async def test_answer__that_is_no_event_stream__is_no_connection() -> None:
    server = PythHermesServer(HiddenMarket(WallClock()))
    server.content_type = "text/html"  # type: ignore[misc]
    async with server, running(PythHermes(**server.options()), (BTC,), PATIENT) as heard:
        await heard.until(lambda: heard.told("disconnected", "connect_failed"))
        assert "text/html" in heard.told("disconnected")[0].detail
        assert not heard.told("connected")


# The key


async def test_key__from_the_settings__opens_stream_and_rest_and_shows_nowhere() -> None:
    server = PythHermesServer(HiddenMarket(WallClock()))
    server.key = KEY
    async with server:
        venue = PythHermes(**server.options(), key=Secret(f"{KEY}\n".encode()))
        async with running(venue, (BTC,)) as heard:
            await heard.until(lambda: heard.quotes)
            server.faults.switch("stall")
            await server_until(server, lambda: server.requests)
            server.faults.switch("stall", on=False)
            await heard.until(lambda: heard.told("probed"))
            assert KEY not in "".join(server.requests + server.clients[0].heard)
    shown = f"{venue!r} {venue.rest(BTC)!r} {venue.stream(venue.url, (BTC,))!r} {heard.notices!r}"
    assert KEY not in shown


async def test_key__missing__is_told_by_its_status_and_not_retried_hot() -> None:
    server = PythHermesServer(HiddenMarket(WallClock()))
    server.key = KEY
    async with server, running(PythHermes(**server.options()), (BTC,), PATIENT) as heard:
        await heard.until(lambda: len(heard.told("disconnected", "http_401")) >= 3)
        assert not heard.quotes


@asynccontextmanager
async def babbling(answer: bytes) -> AsyncIterator[str]:
    """An HTTP server that says one thing to everybody."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/9.9 nonsense\r\n\r\n",
        b"not http at all\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n",
        b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n\r\n",
    ],
)
async def test_key__where_the_server_talks_nonsense__does_not_reach_a_notice(answer: bytes) -> None:
    """An error of aiohttp repeats the request that failed, headers included."""
    async with babbling(answer) as url:
        venue = PythHermes(url=f"{url}/stream", rest_url=url, key=Secret(KEY.encode()))
        tuning = replace(HASTY, fallback_after_s=0.1, fallback_every_s=0.1)
        async with running(venue, (BTC,), tuning) as heard:
            await heard.until(lambda: heard.told("disconnected"))
            await heard.until(lambda: heard.told("rate_limited") or len(heard.told("disconnected")) >= 2)
        assert KEY not in repr(heard.notices)


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"a\nX-Evil: 1", b"\xff\xfe"])
def test_key__that_is_no_single_word__is_refused_without_being_repeated(content: bytes) -> None:
    with pytest.raises(ConfigError) as refused:
        PythHermes(key=Secret(content))
    assert str(refused.value) == "the key is not one line of printable characters"
