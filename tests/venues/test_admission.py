"""Venues that hand out their address: KuCoin's token, over real sockets, and how far its answer is believed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from keeper.adapters.admission import Entry, enter, is_allowed
from keeper.adapters.bench import BenchRules
from keeper.adapters.budget import Budget
from keeper.adapters.intake import Intake
from keeper.adapters.polling import RestClient
from keeper.adapters.sources.binance import Binance
from keeper.adapters.sources.kucoin import URL, Kucoin
from keeper.adapters.tuning import FeedTuning
from keeper.adapters.websocket import open_session
from keeper.devnet.market import HiddenMarket
from keeper.devnet.venues.kucoin import KucoinServer
from keeper.errors import FeedProtocolError, RateLimited
from keeper.ports.venue import Admission
from tests.venues.harness import HASTY, Heard, WallClock, moving, running, server_until

PATIENT = dataclasses.replace(HASTY, quiet_s=30.0)
HOSTS = ("kucoin.com",)
RECORDED = (
    b'{"code":"200000","data":{"instanceServers":[{"pingInterval":50000,"endpoint":"wss://push-private.kuc'
    b'oin.com/endpoint","protocol":"websocket","encrypt":true,"pingTimeout":10000}],"token":"2neAiuYvAU61Z'
    b"DXANAGAsiL4-iAExhsBXZxftpOeh_55i3Ysy2q2LEsEWU64mdzUOPusi34M_wGoSf7iNyEWJ1UQy47YbpY4zVdzilNP-Bj3iXzrj"
    b'jGlWtiYB9J6i9GjsxUuhPw3BlrzazF6ghq4Lzf7scStOz3KkxjwpsOBCH4=.WNQmhZQeUKIkh97KYgU0Lg=="}}'
)
"""Origin C (README.md)."""


@pytest.fixture
async def server() -> AsyncIterator[KucoinServer]:
    async with moving(HiddenMarket(WallClock())) as market, KucoinServer(market, rate_hz=20.0) as server:
        yield server


def public(server: KucoinServer) -> Kucoin:
    """Its address is not given: it must take the one that it is told."""
    return Kucoin(rest_url=server.rest_url)


def test_answer__as_recorded__names_endpoint_token_and_rhythm() -> None:
    grant = Kucoin().parse_admission(200, RECORDED)
    assert grant.endpoints == ["wss://push-private.kucoin.com/endpoint"]
    assert grant.params["token"] == json.loads(RECORDED)["data"]["token"]
    assert len(grant.params["connectId"]) == 16
    assert grant.ping_every_s == 50.0
    assert "2neAiuYv" not in repr(grant), "a token is not shown"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"code":"429000","msg":"Too many requests"}', RateLimited),
        (b'{"code":"400001","msg":"no"}', FeedProtocolError),
        (b'{"code":"200000","data":null}', FeedProtocolError),
        (b'{"code":"200000","data":{"token":"","instanceServers":[]}}', FeedProtocolError),
        (b'{"code":"200000","data":{"token":7,"instanceServers":[]}}', FeedProtocolError),
        (b"<html>", FeedProtocolError),
        (b"", FeedProtocolError),
    ],
)
def test_answer__of_any_other_kind__is_an_error(body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        Kucoin().parse_admission(200, body)


@pytest.mark.parametrize("interval", ["9" * 400, "-" + "9" * 400, "18000", "-1"])
def test_answer__with_an_interval_of_any_size__has_one_that_can_be_borne(interval: str) -> None:
    body = (
        f'{{"code":"200000","data":{{"token":"t","instanceServers":[{{"endpoint":"e","pingInterval":{interval}}}]}}}}'
    )
    grant = Kucoin().parse_admission(200, body.encode())
    assert grant.ping_every_s is not None
    assert (grant.ping_every_s > 0) == (not interval.startswith("-"))


@pytest.mark.parametrize(
    ("endpoint", "asked", "allowed"),
    [
        ("wss://ws-api-spot.kucoin.com/", "api.kucoin.com", True),
        ("wss://push-private.kucoin.com/endpoint", "api.kucoin.com", True),
        ("wss://kucoin.com:443", "api.kucoin.com", True),
        ("ws://ws-api-spot.kucoin.com/", "api.kucoin.com", False),
        ("https://ws-api-spot.kucoin.com/", "api.kucoin.com", False),
        ("wss://ws-api-spot.kucoin.com.evil.example/", "api.kucoin.com", False),
        ("wss://evilkucoin.com/", "api.kucoin.com", False),
        ("wss://kucoin.com@evil.example/", "api.kucoin.com", False),
        ("wss://evil.example/kucoin.com", "api.kucoin.com", False),
        ("wss://evil.example#.kucoin.com/", "api.kucoin.com", False),
        ("wss://evil.example\\.kucoin.com/", "api.kucoin.com", False),
        ("wss://ws.kucoin.com/?token=other", "api.kucoin.com", False),
        ("wss://ws.kucoin.com/\n", "api.kucoin.com", False),
        ("wss://127.0.0.1:9000/endpoint", "api.kucoin.com", False),
        ("wss://169.254.169.254/", "api.kucoin.com", False),
        ("", "api.kucoin.com", False),
        ("ws://127.0.0.1:9000/endpoint", "127.0.0.1", True),
        ("ws://localhost:9000/endpoint", "127.0.0.1", True),
        ("wss://evil.example/", "127.0.0.1", False),
    ],
)
def test_endpoint__granted__is_encrypted_and_the_venues_own(endpoint: str, asked: str, allowed: bool) -> None:
    assert is_allowed(endpoint, HOSTS, asked) == allowed


def client(venue: Any, session: aiohttp.ClientSession) -> RestClient:
    heard = Heard()
    intake = Intake(venue.name, heard.emit, heard.notify, 2.0, BenchRules())
    return RestClient(venue, session, WallClock(), Budget(venue.limits, 0.0), intake, 2.0, 65_536)


@dataclasses.dataclass(frozen=True, slots=True)
class Several(Kucoin):
    """Grants what it is given."""

    granted: tuple[str, ...] = ()

    def parse_admission(self, status: int, body: bytes) -> Admission:
        grant = Kucoin.parse_admission(self, status, body)
        return dataclasses.replace(grant, endpoints=self.granted)


async def test_endpoints__several__each_gets_its_turn_and_strangers_none(server: KucoinServer) -> None:
    granted = ("wss://one.kucoin.com/", "wss://evil.example/", "wss://two.kucoin.com/")
    venue = Several(rest_url=server.rest_url, granted=granted)
    async with open_session() as session:
        entries = [await enter(venue, URL, turn, client(venue, session)) for turn in range(3)]
    assert [entry.url for entry in entries] == [
        "wss://one.kucoin.com/",
        "wss://two.kucoin.com/",
        "wss://one.kucoin.com/",
    ]


async def test_endpoints__none_allowed__is_an_error_that_names_them(server: KucoinServer) -> None:
    venue = Several(rest_url=server.rest_url, granted=("wss://evil.example/",))
    async with open_session() as session:
        with pytest.raises(
            FeedProtocolError, match=r"sent to wss://evil\.example/, which is not wss:// on kucoin\.com"
        ):
            await enter(venue, URL, 0, client(venue, session))


@pytest.mark.parametrize(("stated_ms", "every_s"), [(18_000, 18.0), (5_000, 5.0), (1, 1.0), (600_000, 18.0)])
async def test_pings__as_stated__but_neither_hectic_nor_too_late(
    server: KucoinServer, stated_ms: int, every_s: float
) -> None:
    server.ping_interval_ms = stated_ms
    async with open_session() as session:
        entry = await enter(public(server), URL, 0, client(public(server), session))
    assert entry.ping_every_s == every_s


async def test_venue__that_admits_anybody__is_asked_nothing() -> None:
    async with open_session() as session:
        assert await enter(Binance(), "wss://x", 0, client(Binance(), session)) == Entry("wss://x")


async def test_token__asked_for_first__opens_the_granted_endpoint(server: KucoinServer) -> None:
    async with running(public(server), ("BTC-USDT", "ETH-USDT"), PATIENT) as heard:
        await heard.until(lambda: {q.source for q in heard.quotes} == {"kucoin:BTC-USDT", "kucoin:ETH-USDT"})
        assert server.requests[0] == "/api/v1/bullet-public"
        (token,) = server.tokens
        assert server.clients[0].request.query["token"] == token
        assert heard.told("connected")[0].detail == server.ws_url
        assert not any(token in str(notice) for notice in heard.notices)


async def test_each_connection__has_a_token_of_its_own(server: KucoinServer) -> None:
    async with running(public(server), ("BTC-USDT",), PATIENT) as heard:
        await heard.until(lambda: len(heard.quotes) > 3)
        server.faults.switch("drop")
        await heard.until(lambda: len(heard.told("connected")) == 2)
        await server_until(server, lambda: len(server.clients) == 1)
        assert len(server.tokens) == 2
        assert server.clients[0].request.query["token"] == list(server.tokens)[1]


async def test_refused_token__is_followed_by_a_new_one(server: KucoinServer) -> None:
    server.token_life_s = 0.0
    async with running(public(server), ("BTC-USDT",), PATIENT) as heard:
        await heard.until(lambda: len(heard.told("disconnected")) >= 2)
        assert not heard.quotes
        server.token_life_s = 86_400.0
        await heard.until(lambda: len(heard.quotes) > 3)
        assert len(server.tokens) >= 3


def test_refused_token__repeated_in_the_error__is_not_told() -> None:
    state, _ = Kucoin().open(("A-B",))
    frame = '{"id":"1","type":"error","code":401,"data":"token 2neAiuYvAU61 is expired"}'
    (event,) = Kucoin().step(state, frame, WallClock().now()).events
    assert event.kind == "reconnect_requested"
    assert "2neAiuYvAU61" not in str(event)


async def test_stranger__as_endpoint__is_not_dialled(server: KucoinServer) -> None:
    server.granted_url = "wss://kucoin.com.evil.example/"
    async with running(public(server), ("BTC-USDT",), PATIENT) as heard:
        await heard.until(lambda: heard.told("disconnected", "not_admitted"))
        assert "evil.example" in heard.told("disconnected")[0].detail
        assert not heard.told("connected")
        server.granted_url = None
        await heard.until(lambda: len(heard.quotes) > 3)


async def test_admission__refused_for_asking_too_often__waits_as_told(server: KucoinServer) -> None:
    server.faults.switch("rate_limit", retry_after_s=7)
    async with running(public(server), ("BTC-USDT",), PATIENT) as heard:
        await heard.until(lambda: heard.told("disconnected"))
        assert heard.told("disconnected")[0].retry_in_s == 7.0
        assert server.requests == ["/api/v1/bullet-public"]
        assert server.connects == 0


async def test_pings__at_the_stated_interval__come_before_the_documented_one(server: KucoinServer) -> None:
    server.ping_interval_ms = 1_000
    async with running(public(server), ("BTC-USDT",), PATIENT):
        await server_until(
            server, lambda: server.clients and server.clients[0].heard.count('{"id":"ping","type":"ping"}') >= 2
        )


def test_pings__of_a_venue_that_may_answer_no_websocket_ping__come_before_it_is_given_up() -> None:
    """Nothing says that KuCoin answers websocket pings, so a quiet line must live by its own."""
    every_s = Kucoin.limits.ping_every_s
    assert every_s is not None
    assert every_s < FeedTuning().protocol_ping_s * 1.5


def test_requests__wait_for_the_welcome__and_are_made_once() -> None:
    venue, now = Kucoin(), WallClock().now()
    state, opening = venue.open(("A-B", "C-D"))
    assert list(opening) == []
    step = venue.step(state, '{"id":"x","type":"welcome"}', now)
    topics = [json.loads(str(reply))["topic"] for reply in step.replies]
    assert topics == ["/market/ticker:A-B", "/market/ticker:C-D"]
    assert not venue.step(step.state, '{"id":"x","type":"welcome"}', now).replies  # type: ignore[arg-type]


async def test_many_requests__at_the_venues_pace__do_not_hold_up_the_reader(server: KucoinServer) -> None:
    """Defect seen elsewhere: a reader that waits for its own messages to leave."""
    symbols = ("BTC-USDT", *(f"NO{number}-USDT" for number in range(60)))
    async with running(public(server), symbols, PATIENT) as heard:
        await heard.until(lambda: len(heard.quotes) >= 5)
        assert len(server.clients[0].heard) < len(symbols) // 2


async def test_token__in_the_query_of_a_peer_that_talks_nonsense__appears_nowhere(server: KucoinServer) -> None:
    """Errors of the HTTP library state the URL, and so the token."""
    wanted: list[str] = []

    async def nonsense(request: web.Request) -> web.StreamResponse:
        wanted.append(request.query["token"])
        assert request.transport is not None
        request.transport.write(b"HTTP/1.1 999999 \x00\r\nnonsense\r\n\r\n")  # type: ignore[attr-defined]
        request.transport.close()
        return web.Response()

    app = web.Application()
    app.router.add_get("/endpoint", nonsense)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        server.granted_url = f"ws://127.0.0.1:{runner.addresses[0][1]}/endpoint"
        async with running(public(server), ("BTC-USDT",), PATIENT) as heard:
            await heard.until(lambda: wanted and heard.told("disconnected"))
            told = " ".join(str(notice) for notice in heard.notices)
    finally:
        await runner.cleanup()
    assert "http_400" in told
    assert not [token for token in wanted if token in told or token[:20] in told]
