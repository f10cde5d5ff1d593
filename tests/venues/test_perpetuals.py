"""Perpetuals: which names are, whose they are, and that nothing of spot passes for one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.adapters.sources import STREAM_VENUES
from keeper.adapters.sources.binance_perp import BinancePerp
from keeper.adapters.sources.mexc_perp import MexcPerp
from keeper.devnet.market import HiddenMarket
from keeper.devnet.venues.binance import BinanceServer
from keeper.devnet.venues.binance_perp import BinancePerpServer
from keeper.domain.operators import operator_of
from keeper.domain.time import SECOND, Timestamp
from keeper.ports.venue import HEARTBEAT, PerpetualVenue
from tests.venues.harness import HASTY, HERE, WallClock, documents, moving, running

NOW = Timestamp(1_795_300_740 * SECOND)
PERPETUAL = {kind: venue for kind, venue in STREAM_VENUES.items() if issubclass(venue, PerpetualVenue)}
NEAREST = [
    ("okx", "BTC-USDT", "BTC-USDT-SWAP"),
    ("okx", "BTC-USDT-261225", "BTC-USDT-SWAP"),
    ("cryptocom", "BTC_USD", "BTCUSD-PERP"),
    ("cryptocom", "BTCUSD-261225", "BTCUSD-PERP"),
    ("hyperliquid_perp", "BTC.mark", "BTC"),
    ("binance_perp", "BTCUSDT_261225", "BTCUSDT"),
    ("bybit_perp", "BTCUSDT-25DEC26", "BTCUSDT"),
    ("bybit_perp", "BTC-25DEC26", "BTCPERP"),
    ("gate_perp", "BTC_USDT_20261225", "BTC_USDT"),
]


@pytest.mark.parametrize(("kind", "symbol", "nearest"), NEAREST)
def test_name__that_is_no_perpetual__has_a_nearest_one_that_is(kind: str, symbol: str, nearest: str) -> None:
    name_of = PERPETUAL[kind].perpetual
    assert name_of(symbol) == nearest != symbol
    assert name_of(nearest) == nearest


@pytest.mark.parametrize("kind", sorted(kind for kind in PERPETUAL if kind.endswith("_perp")))
def test_kind__of_perpetuals_alone__is_of_its_spot_venue_and_names_what_it_recorded(kind: str) -> None:
    assert operator_of(kind) == operator_of(kind.removesuffix("_perp"))
    quoted = {row["quote"] for row in documents(HERE / kind / "expected.jsonl") if "quote" in row}
    assert {symbol for symbol in quoted if "." not in symbol} <= {PERPETUAL[kind].perpetual(each) for each in quoted}


async def test_spot__at_the_address_of_perpetuals__is_no_quote() -> None:
    """Its books state no time: every one of them breaks the schema."""
    quiet = replace(HASTY, quiet_s=30.0)
    async with moving(HiddenMarket(WallClock())) as market:

        class Spot(BinanceServer):
            ws_path = BinancePerpServer.ws_path

        async with (
            Spot(market, rate_hz=20.0) as server,
            running(BinancePerp(**server.options()), ("BTCUSDT",), quiet) as heard,
        ):
            await heard.until(lambda: len(heard.told("frame_dropped")) >= 3)
    assert not heard.quotes


def test_mexc__answers_without_a_name__are_those_to_the_oldest_requests() -> None:
    """A refusal has one, and a ticker answers for itself should answers come in another order."""
    venue, ack = MexcPerp(), '{"channel":"rs.sub.ticker","data":"success","ts":1}'
    state, said = venue.open(("A_USDT", "B_USDT", "C_USDT"))
    assert [message for message in said if '"A_USDT"' in message] == [said[0]]
    refused = venue.step(state, '{"channel":"rs.error","data":"Contract [B_USDT] not exists","ts":1}', NOW)
    first = venue.step(refused.state, ack, NOW)  # type: ignore[arg-type]
    assert (first.state, first.events[0].symbols) == (("C_USDT",), ("A_USDT",))
    ticker = (
        '{"channel":"push.ticker","data":{"symbol":"C_USDT","bid1":1,"ask1":2,"lastPrice":1,"timestamp":1795300737000}}'
    )
    told = venue.step(first.state, ticker, NOW)  # type: ignore[arg-type]
    assert (told.state, told.events[0].symbols, len(told.observations)) == ((), ("C_USDT",), 1)
    assert venue.step(told.state, ack, NOW).events == (HEARTBEAT,)  # type: ignore[arg-type]
    assert venue.step((), ticker, NOW).events == ()
