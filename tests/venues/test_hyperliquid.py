"""Hyperliquid: spot and perpetuals share a socket and must not share an index."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from keeper.adapters.sources.hyperliquid import Hyperliquid, HyperliquidPerp
from keeper.devnet.market import HiddenMarket
from keeper.devnet.venues.hyperliquid import HyperliquidPerpServer, HyperliquidServer
from keeper.devnet.venues.pricing import Listing
from tests.venues.harness import HASTY, WallClock, e18, moving, running, server_until

PATIENT = replace(HASTY, quiet_s=30.0)


class Both(HyperliquidServer):
    """As the venue is: spot and perpetuals on one socket."""

    listings: ClassVar[Mapping[str, Listing]] = {**HyperliquidServer.listings, **HyperliquidPerpServer.listings}


async def test_perpetual__written_as_a_spot_source__is_refused_by_name_and_never_quoted() -> None:
    async with moving(HiddenMarket(WallClock())) as market, Both(market, rate_hz=20.0) as server:
        async with running(Hyperliquid(**server.options()), ("BTC", "@142"), PATIENT) as heard:
            await heard.until(lambda: len(heard.quotes) > 5 and heard.told("symbol_refused"))
            await server_until(server, lambda: len(server.tape.of("BTC")) > 5)
            after = len(heard.quotes)
            await heard.until(lambda: len(heard.quotes) > after)
        (refused,) = heard.told("symbol_refused")
        assert refused.sources == ("hyperliquid:BTC",)
        assert "hyperliquid_perp" in refused.detail
        assert {quote.source for quote in heard.quotes} == {"hyperliquid:@142"}


async def test_oracle_and_mark__of_a_perpetual__are_symbols_of_their_own_without_a_book() -> None:
    async with moving(HiddenMarket(WallClock())) as market, HyperliquidPerpServer(market, rate_hz=20.0) as server:
        symbols = ("BTC", "BTC.mark", "BTC.oracle", "ETH.oracle")
        async with running(HyperliquidPerp(**server.options()), symbols, PATIENT) as heard:
            sources = {f"hyperliquid_perp:{symbol}" for symbol in symbols}
            await heard.until(lambda: {quote.source for quote in heard.quotes} == sources)
            assert {source for notice in heard.told("subscribed") for source in notice.sources} == sources
            sent = [json.loads(text)["subscription"] for text in server.clients[0].heard]
        assert [(s["type"], s["coin"]) for s in sent] == [
            ("bbo", "BTC"),
            ("activeAssetCtx", "BTC"),
            ("activeAssetCtx", "ETH"),
        ]
        bids = {e18(str(tick.bid)) for tick in server.tape.of("BTC")}
        asks = {e18(str(tick.ask)) for tick in server.tape.of("BTC")}
        for name, prices in (("BTC.oracle", bids), ("BTC.mark", asks)):
            stated = [q for q in heard.quotes if q.source == f"hyperliquid_perp:{name}"]
            assert {q.last_e18 for q in stated} <= prices
            assert {(q.bid_e18, q.ask_e18, q.observed_at) for q in stated} == {(None, None, None)}


async def test_oracle__of_a_stalled_stream__is_found_by_rest() -> None:
    async with (
        moving(HiddenMarket(WallClock())) as market,
        HyperliquidPerpServer(market, rate_hz=20.0) as server,
        running(HyperliquidPerp(**server.options()), ("BTC.oracle",)) as heard,
    ):
        await heard.until(lambda: len(heard.quotes) > 3)
        server.faults.switch("stall")
        await heard.until(lambda: heard.told("disconnected", "stalled"))
        assert any(request.startswith('/info {"type":"metaAndAssetCtxs"') for request in server.requests)
        server.faults.switch("stall", on=False)
        await heard.until(lambda: len(heard.told("connected")) >= 2)
