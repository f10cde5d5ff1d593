"""The one websocket loop, against local venues that misbehave on command. Real sockets, real time."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import WSMsgType, web

from keeper.adapters.sources.binance import Binance
from keeper.adapters.sources.coinbase import Coinbase
from keeper.adapters.sources.kraken import Kraken
from keeper.adapters.sources.okx import Okx
from keeper.devnet.market import HiddenMarket
from keeper.devnet.venues.binance import BinanceServer
from keeper.devnet.venues.coinbase import CoinbaseServer
from keeper.devnet.venues.kraken import KrakenServer
from keeper.devnet.venues.okx import OkxServer
from keeper.domain.quote import Quote
from keeper.domain.time import SECOND
from tests.venues.harness import HASTY, WallClock, moving, running, server_until

PATIENT = dataclasses.replace(HASTY, quiet_s=30.0)
STATES = ("connected", "disconnected", "rotated")
BOTH = ("BTCUSDT", "ETHUSDT")
BTC, ETH = "binance:BTCUSDT", "binance:ETHUSDT"


@pytest.fixture
async def market() -> AsyncIterator[HiddenMarket]:
    async with moving(HiddenMarket(WallClock())) as market:
        yield market


@pytest.fixture
async def server(market: HiddenMarket) -> AsyncIterator[BinanceServer]:
    async with BinanceServer(market, rate_hz=20.0) as server:
        yield server


async def test_drop__is_told_and_healed__with_the_backoff_of_a_first_failure(server: BinanceServer) -> None:
    async with running(Binance(**server.options()), BOTH, PATIENT) as heard:
        for round_no in (1, 2, 3):
            await heard.until(lambda: len(heard.told("connected")) > len(heard.told("disconnected")))
            before = len(heard.quotes)
            await heard.until(lambda before=before: len(heard.quotes) > before + 3)
            server.faults.switch("drop")
            await heard.until(lambda n=round_no: len(heard.told("disconnected")) == n)
        for notice in heard.told("disconnected"):
            assert set(notice.sources) == {BTC, ETH}
            assert notice.retry_in_s is not None
            assert notice.retry_in_s <= PATIENT.backoff_base_s, "data had come, so the count starts anew"


async def test_refused_connects__one_after_another__wait_longer_within_the_cap(server: BinanceServer) -> None:
    server.faults.switch("drop", hold=True)
    async with running(Binance(**server.options()), BOTH, dataclasses.replace(PATIENT, backoff_base_s=0.01)) as heard:
        await heard.until(lambda: len(heard.told("disconnected")) >= 8)
        waits = [n.retry_in_s or 0.0 for n in heard.told("disconnected")]
        assert all(wait_s <= min(0.4, 0.01 * 2**failures) for failures, wait_s in enumerate(waits))
        assert max(waits) > 0.01


async def test_half_open_line__answers_no_ping__and_is_given_up(server: BinanceServer) -> None:
    tuning = dataclasses.replace(PATIENT, protocol_ping_s=0.4)
    async with running(Binance(**server.options()), BOTH, tuning) as heard:
        await heard.until(lambda: len(heard.quotes) > 3)
        server.faults.switch("half_open")
        await heard.until(lambda: heard.told("disconnected", "broken"))
        server.faults.switch("half_open", on=False)
        await heard.until(lambda: len(heard.told("subscribed")) >= 2)


async def test_line_without_data__lives_by_its_pongs__and_answers_pings() -> None:
    said: list[tuple[WSMsgType, bytes]] = []

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        await socket.ping(b"still there?")
        async for message in socket:
            said.append((message.type, message.data))
            if message.type is WSMsgType.PING:
                await socket.pong(message.data)
        return socket

    async with Serving(serve) as port:
        venue = Binance(url=f"ws://127.0.0.1:{port}/stream", rest_url=f"http://127.0.0.1:{port}")
        async with running(venue, BOTH, dataclasses.replace(PATIENT, protocol_ping_s=2.0)) as heard:
            async with asyncio.timeout(30):
                while sum(kind is WSMsgType.PING for kind, _ in said) < 2:  # noqa: ASYNC110 - it has no event
                    await asyncio.sleep(0.02)
            assert len(heard.told("connected")) == 1
            assert not heard.told("disconnected")
    assert (WSMsgType.PONG, b"still there?") in said


async def test_half_open_line__without_the_venues_heartbeats__is_silent(market: HiddenMarket) -> None:
    async with CoinbaseServer(market, rate_hz=20.0) as server:
        tuning = dataclasses.replace(PATIENT, silence_s=0.5)
        async with running(Coinbase(**server.options()), ("BTC-USD",), tuning) as heard:
            await heard.until(lambda: len(heard.quotes) > 3)
            server.faults.switch("half_open")
            await heard.until(lambda: heard.told("disconnected", "silent"))


async def test_stall_of_one_symbol__leaves_the_other_flowing__and_is_bridged_by_rest(server: BinanceServer) -> None:
    """Liveness is per symbol: frames of another one, and pongs, are no sign of life."""
    tuning = dataclasses.replace(HASTY, fallback_every_s=0.1, overlap_s=0.5)
    async with idle() as late, running(Binance(**server.options()), BOTH, tuning) as heard:
        await heard.until(lambda: {q.source for q in heard.quotes} == {BTC, ETH})
        server.faults.switch("stall", symbol="BTCUSDT")
        await heard.until(lambda: heard.told("disconnected", "stalled"))
        assert heard.told("disconnected")[0].sources == (BTC,)
        await heard.until(lambda: len(heard.told("probed", "fallback")) > 3)
        assert {s for n in heard.told("probed", "fallback") for s in n.sources} == {BTC}
        server.faults.switch("stall", on=False, symbol="BTCUSDT")
        before = len(heard.quotes)
        await heard.until(lambda: sum(q.source == BTC and q.sequence is not None for q in heard.quotes[before:]) > 3)
        assert all(n.sources == (BTC,) for n in heard.told("disconnected"))
        assert [n.kind for n in heard.notices if BTC in n.sources and n.kind in STATES][-1] != "disconnected"
        assert longest_gap_s(heard.quotes, ETH) < 0.5 + sum(late)


async def test_rotation__warms_up_the_replacement_first__so_that_there_is_no_gap(server: BinanceServer) -> None:
    tuning = dataclasses.replace(PATIENT, rotate_after_s=0.6)
    async with idle() as late, running(Binance(**server.options()), BOTH, tuning) as heard:
        await heard.until(lambda: len(heard.told("rotated", "rotation")) >= 3)
        assert not heard.told("disconnected")
        assert max(longest_gap_s(heard.quotes, BTC), longest_gap_s(heard.quotes, ETH)) < 0.4 + sum(late)
        kinds = [n.kind for n in heard.notices if n.kind in ("connected", "subscribed", "rotated")]
        assert kinds[:6] == ["connected", "subscribed", "connected", "subscribed", "rotated", "connected"]
    assert server.connects >= 4


def longest_gap_s(quotes: list[Quote], source: str) -> float:
    at = [q.received_at for q in quotes if q.source == source]
    return max((b - a) / SECOND for a, b in itertools.pairwise(at))


@asynccontextmanager
async def idle() -> AsyncIterator[list[float]]:
    """Seconds by which this process, and so venue and feed alike, came late: no gap of theirs."""
    late, loop = list[float](), asyncio.get_running_loop()

    async def tick() -> None:
        while True:
            due = loop.time() + 0.01
            await asyncio.sleep(0.01)
            if (behind_s := loop.time() - due) > 0.05:
                late.append(behind_s)

    task = asyncio.create_task(tick())
    try:
        yield late
    finally:
        task.cancel()


async def test_replacement__that_cannot_be_had__leaves_the_old_connection_at_work(server: BinanceServer) -> None:
    async with running(Binance(**server.options()), BOTH, PATIENT) as heard:
        await heard.until(lambda: len(heard.quotes) > 3)
        server.faults.switch("rate_limit", retry_after_s=30)
        server.faults.switch("close_24h", notice_s=1.0)
        await heard.until(lambda: heard.told("rate_limited"))
        before = len(heard.quotes)
        await heard.until(lambda: len(heard.quotes) > before + 5)
        assert not heard.told("disconnected")
        await heard.until(lambda: heard.told("disconnected", "closed"))


async def test_retry_after__on_the_handshake__is_waited_for_exactly(server: BinanceServer) -> None:
    server.faults.switch("rate_limit", retry_after_s=1)
    async with running(Binance(**server.options()), BOTH, PATIENT) as heard:
        await heard.until(lambda: len(heard.told("disconnected", "http_429")) >= 3)
        assert [n.retry_in_s for n in heard.told("rate_limited", "http_429")][:3] == [1.0] * 3
        refused = heard.told("disconnected", "http_429")[:3]
        assert [n.retry_in_s for n in refused] == [1.0] * 3
    assert all(b.at - a.at > 0.99 * SECOND for a, b in itertools.pairwise(refused))
    assert not server.requests, "REST waits as well"


@pytest.mark.parametrize(("status", "wait_s"), [(451, 3600.0), (418, 120.0), (403, 300.0)])
async def test_ban_or_geo_block__is_not_retried_hot(status: int, wait_s: float) -> None:
    """Without Retry-After the venue's documented figure holds, for every endpoint and for REST."""
    asked = 0

    async def refuse(_request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.json_response({"code": 0, "msg": "Service unavailable from a restricted location"}, status=status)

    async with Serving(refuse) as port:
        venue = Binance(url=f"ws://127.0.0.1:{port}/stream", rest_url=f"http://127.0.0.1:{port}")
        tuning = dataclasses.replace(PATIENT, fallback_after_s=0.1, fallback_every_s=0.05)
        async with running(venue, BOTH, tuning) as heard:
            await heard.until(lambda: heard.told("disconnected"))
            assert heard.told("disconnected")[0].retry_in_s == wait_s
            await asyncio.sleep(0.4)
    assert asked == 1


class Serving:
    """One handler for every path, on a free port."""

    def __init__(self, handler: Callable[[web.Request], object]) -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", handler)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)

    async def __aenter__(self) -> int:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self._runner.addresses[0][1]

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()


async def test_redirect__is_not_followed(server: BinanceServer) -> None:
    async def redirect(_request: web.Request) -> web.Response:
        raise web.HTTPFound(server.ws_url.replace("ws:", "http:"))

    async with Serving(redirect) as port:
        venue = Binance(url=f"ws://127.0.0.1:{port}/stream", rest_url="http://127.0.0.1:1")
        async with running(venue, BOTH, PATIENT) as heard:
            await heard.until(lambda: heard.told("disconnected", "connect_failed"))
            assert "redirected" in heard.told("disconnected")[0].detail
    assert server.connects == 0


@dataclasses.dataclass(frozen=True, slots=True)
class TwoDoors(Binance):
    second: str = ""

    @property
    def endpoints(self) -> tuple[str, ...]:
        return (self.url, self.second)


async def test_second_endpoint__is_tried_when_the_first_refuses(server: BinanceServer) -> None:
    """Defect seen elsewhere: only the first endpoint of the list was ever dialled."""
    venue = TwoDoors(url="ws://127.0.0.1:1/stream", rest_url=server.rest_url, second=server.ws_url)
    async with running(venue, BOTH, PATIENT) as heard:
        await heard.until(lambda: len(heard.quotes) > 3)
        refused = heard.told("disconnected")[0]
        assert (refused.reason, refused.detail) == ("connect_failed", "connection refused")
        assert heard.told("connected")[0].detail == server.ws_url


async def test_oversized_frame__ends_the_connection_unread(server: BinanceServer) -> None:
    quote = '{"u":1,"s":"BTCUSDT","b":"1","B":"1","a":"2","A":"1"}'
    server.replay([f'{{"stream":"{"x" * 5_000}","data":{quote}}}'])
    async with running(Binance(**server.options()), BOTH, dataclasses.replace(PATIENT, max_frame_bytes=2_000)) as heard:
        await heard.until(lambda: heard.told("disconnected"))
        assert not heard.quotes


async def test_symbols__beyond_the_limit_of_a_connection__go_on_another(server: BinanceServer) -> None:
    tuning = dataclasses.replace(PATIENT, symbols_per_connection=1)
    async with running(Binance(**server.options()), BOTH, tuning) as heard:
        await heard.until(lambda: {q.source for q in heard.quotes} == {BTC, ETH})
        assert sorted(tuple(client.channels) for client in server.clients) == [("BTCUSDT",), ("ETHUSDT",)]


async def test_cancelled_feed__closes_its_sockets(server: BinanceServer) -> None:
    async with running(Binance(**server.options()), BOTH, PATIENT) as heard:
        await heard.until(lambda: len(heard.quotes) > 3)
        client = server.clients[0]
    await server_until(server, lambda: not server.clients)
    assert client.socket.closed


async def test_stream_that_is_down__is_replaced_by_rest__until_it_is_back(server: BinanceServer) -> None:
    server.faults.switch("drop", hold=True)
    tuning = dataclasses.replace(PATIENT, fallback_after_s=0.2, fallback_every_s=0.05)
    async with running(Binance(**server.options()), BOTH, tuning) as heard:
        await heard.until(lambda: len(heard.told("probed", "fallback")) >= 6)
        assert {q.source for q in heard.quotes} == {BTC, ETH}
        assert len(heard.quotes) == len(heard.told("probed", "fallback")), "every polled quote is marked"
        server.faults.switch("drop", on=False, hold=True)
        await heard.until(lambda: heard.told("subscribed"))
        await heard.until(lambda: {q.source for q in heard.quotes if q.sequence is not None} == {BTC, ETH})
        polls = len(heard.told("probed", "fallback"))
        before = len(heard.quotes)
        await heard.until(lambda: len(heard.quotes) > before + 20)
        assert len(heard.told("probed", "fallback")) <= polls + 1


async def test_bad_frames_of_one_symbol__bench_that_source_alone(server: BinanceServer) -> None:
    async with running(Binance(**server.options()), BOTH, PATIENT) as heard:
        await heard.until(lambda: {q.source for q in heard.quotes} == {BTC, ETH})
        server.faults.switch("schema_drift", symbol="BTCUSDT")
        await heard.until(lambda: heard.told("benched"))
        benched_at = heard.told("benched")[0].at
        before = len(heard.quotes)
        await heard.until(lambda: len(heard.quotes) > before + 5)
        assert heard.told("benched")[0].sources == (BTC,)
        assert {q.source for q in heard.quotes if q.received_at > benched_at} == {ETH}


def okx_ticker(millis: int, last: str) -> str:
    fields = f'"instId":"BTC-USDT","last":"{last}","askPx":"3","askSz":"1","bidPx":"1","bidSz":"1","ts":"{millis}"'
    return f'{{"arg":{{"channel":"tickers","instId":"BTC-USDT"}},"data":[{{{fields}}}]}}'


async def test_older_time__never_replaces_a_newer_one__on_a_new_connection_neither(
    market: HiddenMarket,
) -> None:
    t = 1_700_000_000_000
    async with OkxServer(market) as server:
        server.replay([okx_ticker(t + 10, "2.0"), okx_ticker(t + 5, "1.9"), okx_ticker(t + 10, "2.1")])
        async with running(Okx(**server.options()), ("BTC-USDT",), PATIENT) as heard:
            await heard.until(lambda: len(heard.quotes) == 2)
            assert [q.last_e18 for q in heard.quotes] == [2 * 10**18, 21 * 10**17]
            server.replay([okx_ticker(t, "1.5"), okx_ticker(t + 11, "2.2")])
            server.faults.switch("drop")
            await heard.until(lambda: len(heard.quotes) == 3)
            assert heard.quotes[-1].last_e18 == 22 * 10**17, "1.5 is what the venue had cached"


def kraken_frames(*systems: str) -> list[str]:
    """After each state of the system a ticker, priced 1, 2, 3…"""
    head = '{"channel":"status","type":"update","data":[{"version":"2.0.10","system":"%s","api_version":"v2"}]}'
    tail = '{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","bid":%d,"ask":9,"last":9}]}'
    return [frame for price, system in enumerate(systems, 1) for frame in (head % system, tail % price)]


async def test_maintenance__silences_the_source__until_the_venue_is_online_again(market: HiddenMarket) -> None:
    async with KrakenServer(market) as server:
        server.replay(kraken_frames("online", "maintenance", "cancel_only", "online"))
        async with running(Kraken(**server.options()), ("BTC/USD",), PATIENT) as heard:
            await heard.until(lambda: len(heard.quotes) == 2)
            assert [q.bid_e18 for q in heard.quotes] == [10**18, 4 * 10**18]
            assert [n.detail for n in heard.told("disconnected", "maintenance")] == ["maintenance"]
            assert len(heard.told("connected", "maintenance_over")) == 1


async def test_connection_that_ends_in_maintenance__is_not_dialled_again_at_once(market: HiddenMarket) -> None:
    async with KrakenServer(market) as server:
        server.replay(kraken_frames("online", "maintenance"))
        tuning = dataclasses.replace(PATIENT, maintenance_wait_s=20.0)
        async with running(Kraken(**server.options()), ("BTC/USD",), tuning) as heard:
            await heard.until(lambda: heard.told("disconnected", "maintenance"))
            server.faults.switch("drop")
            await heard.until(lambda: heard.told("disconnected", "closed"))
            assert heard.told("disconnected", "closed")[0].retry_in_s == 20.0


async def test_unchanged_content__keeps_its_changed_at__across_connections(market: HiddenMarket) -> None:
    t = 1_700_000_000_000
    async with OkxServer(market) as server:
        server.replay([okx_ticker(t, "2"), okx_ticker(t + 1, "2")])
        async with running(Okx(**server.options()), ("BTC-USDT",), PATIENT) as heard:
            await heard.until(lambda: len(heard.quotes) == 2)
            server.replay([okx_ticker(t + 2, "2"), okx_ticker(t + 3, "2.5")])
            server.faults.switch("drop")
            await heard.until(lambda: len(heard.quotes) == 4)
            first, second, third, moved = heard.quotes
            assert first.changed_at == second.changed_at == third.changed_at == first.received_at
            assert moved.changed_at == moved.received_at


class Fluttering(CoinbaseServer):
    heartbeat_every_s = 0.1


async def test_quiet_coinbase_market__is_confirmed_by_heartbeats__for_a_bounded_time(market: HiddenMarket) -> None:
    async with Fluttering(market, rate_hz=20.0) as server:
        venue = Coinbase(**server.options(), max_quiet_s=0.6)
        async with running(venue, ("BTC-USD",), PATIENT) as heard:
            await heard.until(lambda: len(heard.quotes) > 3)
            server.faults.switch("quiet")
            await heard.until(lambda: len({q.observed_at for q in heard.quotes[-4:]}) == 1)
            spoken = next(q for q in heard.quotes if q.observed_at == heard.quotes[-1].observed_at)
            await asyncio.sleep(1.0)
            confirmed = [q for q in heard.quotes if q.observed_at == spoken.observed_at]
            assert {q.changed_at for q in confirmed} == {spoken.changed_at}
            assert len(confirmed) > 1
            assert confirmed[-1].received_at - spoken.received_at <= venue.max_quiet_s * SECOND
            assert not heard.told("disconnected")
