"""Trades, of the venues that tell them: recorded messages, the local servers, and nothing where nobody asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keeper.adapters.sources import STREAM_VENUES
from keeper.adapters.sources.wire import frame_hash
from keeper.devnet.market import HiddenMarket
from keeper.devnet.venues import DEVNET_VENUES
from keeper.domain.ids import source_id
from keeper.domain.quote import Trade
from keeper.domain.tape import Tape
from keeper.domain.time import SECOND, Timestamp
from keeper.errors import FeedProtocolError
from keeper.ports.venue import TradeVenue
from tests.venues.harness import HASTY, HERE, WallClock, documents, e18, moving, running

TRADING = sorted(kind for kind, venue in STREAM_VENUES.items() if getattr(venue, "gives_trades", False))
PATIENT = replace(HASTY, quiet_s=30.0)
NOW = Timestamp(1_795_300_000 * SECOND)


def rows(kind: str) -> list[dict[str, Any]]:
    return documents(HERE / kind / "trades.jsonl")


def symbols(kind: str) -> tuple[str, ...]:
    return tuple(sorted({told["symbol"] for row in rows(kind) for told in row["trades"]}))


def written(kind: str, told: dict[str, Any], frame: str) -> Trade:
    price, size = e18(told["price"]), e18(told["size"])
    assert price is not None
    assert size is not None
    return Trade(
        source_id(kind, told["symbol"]), NOW, told.get("observed_at"), price, size, told.get("id"), frame_hash(frame)
    )


def test_venues__that_tell_trades__are_these() -> None:
    assert TRADING == ["binance", "bitstamp", "coinbase", "okx"]
    assert all(isinstance(STREAM_VENUES[kind](), TradeVenue) for kind in TRADING)


@pytest.mark.parametrize("kind", TRADING)
def test_recorded_trades__are_what_is_written_beside_them(kind: str) -> None:
    venue = STREAM_VENUES[kind](trades=frozenset(symbols(kind)))
    state, _ = venue.open(symbols(kind))
    found = rows(kind)
    assert any(row["origin"] == "R" for row in found)
    for row in found:
        for frame in (row["frame"], row["frame"].encode()):
            step = venue.step(state, frame, NOW)
            assert list(step.observations) == [written(kind, told, row["frame"]) for told in row["trades"]]
            assert step.state == state
            assert not step.events


@pytest.mark.parametrize("kind", TRADING)
def test_trades__that_nobody_asked_for__are_a_protocol_error_as_before(kind: str) -> None:
    plain, partly = STREAM_VENUES[kind](), STREAM_VENUES[kind](trades=frozenset({"another"}))
    for venue in (plain, partly):
        state, _ = venue.open(symbols(kind))
        for row in rows(kind):
            with pytest.raises(FeedProtocolError):
                venue.step(state, row["frame"], NOW)


@pytest.mark.parametrize("kind", TRADING)
def test_requests__without_trades__say_nothing_of_them(kind: str) -> None:
    asked = symbols(kind)
    plain, all_of_them = STREAM_VENUES[kind](), STREAM_VENUES[kind](trades=frozenset(asked))
    said, more = plain.open(asked)[1], all_of_them.open(asked)[1]
    assert said == STREAM_VENUES[kind](trades=frozenset({"another"})).open(asked)[1]
    assert len("".join(map(str, more))) > len("".join(map(str, said)))
    assert not any(word in str(said) for word in ("aggTrade", "live_trades", "matches", "trades"))


@pytest.mark.parametrize("kind", TRADING)
async def test_trades__of_the_local_venue__come_beside_its_quotes(kind: str) -> None:
    """Of one symbol; the other one is quoted only."""
    async with moving(HiddenMarket(WallClock())) as market, DEVNET_VENUES[kind](market, rate_hz=40.0) as server:
        traded, quoted = list(server.listings)[:2]
        venue = STREAM_VENUES[kind](**server.options(), trades=frozenset({traded}))
        async with running(venue, (traded, quoted), PATIENT) as heard:
            await heard.until(lambda: len({t.trade_id for t in heard.trades}) >= 5 and len(heard.quotes) >= 5)
    assert {trade.source for trade in heard.trades} == {source_id(kind, traded)}
    assert {quote.source for quote in heard.quotes} == {source_id(kind, traded), source_id(kind, quoted)}
    lasts = {sent.last for sent in server.tape.of(traded)}
    tape = Tape(60 * SECOND)
    for trade in heard.trades:
        assert trade.price_e18 in {e18(str(last)) for last in lasts}
        assert trade.size_e18 == 10**16
        assert trade.observed_at is not None
        tape.add(trade)
    told = tape.traded(heard.trades[-1].received_at)
    assert told is not None
    assert told.volume_e18 == 10**16 * len({trade.trade_id for trade in heard.trades})
    assert not heard.told("frame_dropped")
