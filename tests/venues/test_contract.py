"""What every venue in the registry must do, tried against its local server."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from keeper.adapters.sources import STREAM_VENUES
from keeper.devnet.market import HiddenMarket
from keeper.devnet.venues import DEVNET_VENUES
from keeper.devnet.venues.server import SocketServer
from keeper.devnet.venues.venue import VenueServer
from keeper.domain.time import SECOND
from keeper.errors import FeedProtocolError
from keeper.ports.venue import EventStreamVenue
from tests.venues.harness import HASTY, HERE, WallClock, e18, moving, running, server_until

KINDS = sorted(STREAM_VENUES)
PATIENT = dataclasses.replace(HASTY, quiet_s=30.0)
UNKNOWN = {"hyperliquid": "@99999", "pyth_hermes": "00" * 32}
"""A symbol that a venue does not have, where the name alone does not tell what it trades."""
TIMED = [kind for kind in KINDS if kind not in ("binance", "bitfinex")]
"""Venues that state a time."""
ANNOUNCING = [kind for kind in KINDS if DEVNET_VENUES[kind].farewell is not SocketServer.farewell]


def server_of(kind: str, market: HiddenMarket | None = None, rate_hz: float = 20.0) -> VenueServer:
    return DEVNET_VENUES[kind](market or HiddenMarket(WallClock()), rate_hz=rate_hz)


def hasty_hearted(server: VenueServer) -> VenueServer:
    """Its heartbeats come more often than a quiet symbol is tolerated."""
    if server.heartbeat_every_s is not None:
        server.heartbeat_every_s = 0.05
    return server


def test_registries__name_the_same_venues__and_each_has_its_recordings() -> None:
    assert set(STREAM_VENUES) == set(DEVNET_VENUES)
    for kind in STREAM_VENUES:
        for name in ("frames", "expected", "control", "rest"):
            assert (HERE / kind / f"{name}.jsonl").stat().st_size, kind


@pytest.mark.parametrize("kind", KINDS)
def test_description__is_frozen_data__with_documented_limits_and_public_defaults(kind: str) -> None:
    venue: Any = STREAM_VENUES[kind]()
    assert venue.name == kind == DEVNET_VENUES[kind].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        venue.url = "ws://elsewhere"
    assert venue.limits.doc.startswith("https://")
    encrypted = "https://" if isinstance(venue, EventStreamVenue) else "wss://"
    assert all(url.startswith(encrypted) for url in venue.endpoints)
    assert venue.rest("SYMBOL").url.startswith("https://")
    assert (venue.limits.ping_every_s is None) == (venue.ping() is None)
    silence_s, ping_s = venue.limits.silence_s, venue.limits.ping_every_s
    assert ping_s is None or silence_s is None or ping_s < silence_s or kind == "kraken"
    assert venue.limits.rotate_after_s is None or venue.limits.rotate_after_s < 24 * 3600


@pytest.mark.parametrize("kind", KINDS)
def test_own_url__given_by_the_operator__stands_alone(kind: str) -> None:
    venue = STREAM_VENUES[kind](url="ws://127.0.0.1:1/x", rest_url="http://127.0.0.1:1")
    assert venue.endpoints == ("ws://127.0.0.1:1/x",)
    request = venue.rest("SYMBOL")
    assert request is not None
    assert request.url.startswith("http://127.0.0.1:1/")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "frame", [b"", b"{", b"[]", b"[1]", b"null", b'"word"', b"{}", b"\xff\xfe", b"[" * 5_000, b"1e999"]
)
def test_garbage__instead_of_a_frame__is_a_protocol_error(kind: str, frame: bytes) -> None:
    venue = STREAM_VENUES[kind]()
    state, _ = venue.open(("A",))
    with pytest.raises(FeedProtocolError):
        venue.step(state, frame, WallClock().now())


@pytest.mark.parametrize("kind", KINDS)
async def test_live_stream__of_all_symbols__says_what_the_venue_sent_and_nothing_else(kind: str) -> None:
    async with moving(HiddenMarket(WallClock())) as market, server_of(kind, market) as server:
        symbols = tuple(server.listings)
        async with running(STREAM_VENUES[kind](**server.options()), symbols, PATIENT) as heard:
            await heard.until(lambda: all(sum(q.source == f"{kind}:{s}" for q in heard.quotes) >= 5 for s in symbols))
            acknowledged = {source for notice in heard.told("subscribed") for source in notice.sources}
            assert acknowledged == {f"{kind}:{symbol}" for symbol in symbols}
            assert not heard.told("frame_dropped")
        for symbol in symbols:
            sent = {(e18(str(s.bid)), e18(str(s.ask))) for s in server.tape.of(symbol)}
            assert {(q.bid_e18, q.ask_e18) for q in heard.quotes if q.source == f"{kind}:{symbol}"} <= sent


@pytest.mark.parametrize("kind", KINDS)
async def test_unknown_symbol__among_good_ones__is_refused_and_disturbs_nobody(kind: str) -> None:
    async with moving(HiddenMarket(WallClock())) as market, server_of(kind, market) as server:
        good = next(iter(server.listings))
        unknown = UNKNOWN.get(kind) or good.replace("BTC", "NOPE").replace("btc", "nope")
        async with running(STREAM_VENUES[kind](**server.options()), (unknown, good)) as heard:
            await heard.until(lambda: heard.told("symbol_refused") and len(heard.quotes) > 5)
            assert heard.told("symbol_refused")[0].sources == (f"{kind}:{unknown}",)
            assert {q.source for q in heard.quotes} == {f"{kind}:{good}"}
        assert server.connects == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_stall__while_heartbeats_go_on__is_found_by_rest_and_ends_in_a_new_connection(kind: str) -> None:
    async with moving(HiddenMarket(WallClock())) as market, hasty_hearted(server_of(kind, market)) as server:
        symbol = next(iter(server.listings))
        tuning = dataclasses.replace(HASTY, ping_s=0.05)
        async with running(STREAM_VENUES[kind](**server.options()), (symbol,), tuning) as heard:
            await heard.until(lambda: len(heard.quotes) > 3)
            server.faults.switch("stall")
            await heard.until(lambda: heard.told("disconnected", "stalled"))
            server.faults.switch("stall", on=False)
            after = len(heard.quotes)
            await heard.until(lambda: len(heard.told("connected")) == 2 and len(heard.quotes) > after + 3)


@pytest.mark.parametrize("kind", KINDS)
async def test_quiet_market__confirmed_by_rest__keeps_its_connection(kind: str) -> None:
    async with server_of(kind) as server:
        symbol = next(iter(server.listings))
        async with running(STREAM_VENUES[kind](**server.options()), (symbol,)) as heard:
            await heard.until(lambda: len(heard.quotes) > 3)
            server.faults.switch("quiet")
            await heard.until(lambda: len(heard.told("probed", "quiet")) >= 2)
            assert not heard.told("disconnected")
            assert heard.quotes[-1].changed_at < heard.quotes[-1].received_at
        assert server.connects == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_schema_drift__is_dropped_benched_and_readmitted(kind: str) -> None:
    async with moving(HiddenMarket(WallClock())) as market, server_of(kind, market) as server:
        symbol = next(iter(server.listings))
        async with running(STREAM_VENUES[kind](**server.options()), (symbol,), PATIENT) as heard:
            await heard.until(lambda: len(heard.quotes) > 3)
            server.faults.switch("schema_drift")
            await heard.until(lambda: heard.told("benched"))
            benched = heard.told("benched")[0]
            assert sum(n.at <= benched.at for n in heard.told("frame_dropped")) == HASTY.bench.limit
            server.faults.switch("schema_drift", on=False)
            await heard.until(lambda: heard.told("readmitted"))
            readmitted = heard.told("readmitted")[0]
            assert readmitted.at - benched.at >= HASTY.bench.readmit_s * SECOND
            assert not [q for q in heard.quotes if benched.at < q.received_at < readmitted.at]
            await heard.until(lambda: heard.quotes[-1].received_at > readmitted.at)
        assert server.connects == 1


@pytest.mark.parametrize("kind", ANNOUNCING)
async def test_announced_close__is_answered_by_a_new_connection_before_the_old_one_ends(kind: str) -> None:
    """Defect seen elsewhere: Bitstamp's `bts:request_reconnect` answered with the same message, instead of reconnecting."""
    async with moving(HiddenMarket(WallClock())) as market, server_of(kind, market) as server:
        symbols = tuple(server.listings)
        async with running(STREAM_VENUES[kind](**server.options()), symbols, PATIENT) as heard:
            await heard.until(lambda: len(heard.quotes) > 3)
            spoken = list(server.clients[0].heard)
            server.faults.switch("close_24h", notice_s=3)
            await heard.until(lambda: heard.told("rotated"))
            assert not heard.told("disconnected")
            assert server.connects == 2
            assert server.clients[0].heard in (spoken, server.clients[-1].heard)
            after = len(heard.quotes)
            await heard.until(lambda: len(heard.quotes) > after + 3)


@pytest.mark.parametrize("kind", TIMED)
async def test_future_stamp__is_refused_before_the_board_and_mutes_nobody(kind: str) -> None:
    async with moving(HiddenMarket(WallClock())) as market, server_of(kind, market) as server:
        symbol = next(iter(server.listings))
        async with running(STREAM_VENUES[kind](**server.options()), (symbol,), PATIENT) as heard:
            await heard.until(lambda: len(heard.quotes) > 3)
            server.faults.switch("future")
            await heard.until(lambda: heard.told("future_refused"))
            await heard.until(lambda: len(heard.told("future_refused")) > 3)
            first, last = heard.told("future_refused")[0].at, heard.told("future_refused")[-1].at
            assert not [q for q in heard.quotes if first <= q.received_at <= last]
            server.faults.switch("future", on=False)
            before = len(heard.quotes)
            await heard.until(lambda: len(heard.quotes) > before + 3)
            assert not heard.told("benched")


@pytest.mark.parametrize("kind", [k for k in KINDS if STREAM_VENUES[k]().limits.ping_every_s])
async def test_application_ping__while_no_frame_comes__is_sent_and_answered(kind: str) -> None:
    """Defect seen elsewhere: a reader that holds the connection while it waits, so that no ping leaves."""
    async with server_of(kind) as server:
        server.faults.switch("stall")
        venue = STREAM_VENUES[kind](**server.options())
        tuning = dataclasses.replace(PATIENT, ping_s=0.2, silence_s=1.5)
        async with running(venue, (next(iter(server.listings)),), tuning) as heard:
            await heard.until(lambda: heard.told("subscribed"))
            await server_until(server, lambda: server.clients[0].heard.count(str(venue.ping())) >= 5)
            assert not heard.told("disconnected")
