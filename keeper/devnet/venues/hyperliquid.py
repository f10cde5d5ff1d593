"""Hyperliquid's websocket and info requests: https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, ClassVar

from aiohttp import web

from keeper.devnet.venues.pricing import Listing, Manner
from keeper.devnet.venues.server import Client, Handler
from keeper.devnet.venues.tape import Tick
from keeper.devnet.venues.venue import VenueServer, compact
from keeper.domain.time import MILLISECOND

_BOOK, _CONTEXT = "bbo", "activeAssetCtx"


class HyperliquidServer(VenueServer):
    """Spot coins. Whoever was told nothing for a minute is disconnected; an unknown coin is an error with its words."""

    name = "hyperliquid"
    ws_path = "/ws"
    idle_after_s = 60.0
    listings: ClassVar[Mapping[str, Listing]] = {
        "@142": Listing("BTC", "USD", Decimal(1)),
        "@151": Listing("ETH", "USD", Decimal("0.1")),
    }
    manner = Manner(spread_bps=1.2, noise_bps=0.4, lag_s=0.2)

    def rest_routes(self) -> Mapping[str, Handler]:
        return {"/info": self._info}

    async def hear(self, client: Client, text: str) -> None:
        try:
            request = json.loads(text)
            method = request["method"]
            wanted = {} if method == "ping" else dict(request["subscription"])
            channel, coin = str(wanted.get("type", "")), str(wanted.get("coin", ""))
        except (ValueError, KeyError, TypeError):
            await self.say(client, (_error(f"Error parsing JSON into valid websocket request: {text}"),))
            return
        channels = client.channels.get(coin, ())
        if method == "ping":
            await self.say(client, ('{"channel":"pong"}',))
        elif method != "subscribe" or channel not in (_BOOK, _CONTEXT) or coin not in self.listings:
            await self.say(client, (_error(f"Invalid subscription {compact(wanted)}"),))
        elif channel in channels:
            await self.say(client, (_error(f"Already subscribed: {compact(wanted)}"),))
        else:
            answer = {"method": "subscribe", "subscription": wanted}
            await self.say(client, (compact({"channel": "subscriptionResponse", "data": answer}),))
            await self.subscribe(client, coin, (*channels, channel))

    def ticker(self, client: Client, tick: Tick) -> Iterable[str]:
        channels = client.channels[tick.symbol]
        if _BOOK in channels:
            best = {"coin": tick.symbol, "time": tick.at // MILLISECOND, "bbo": [level for (level,) in _levels(tick)]}
            yield compact({"channel": "bbo", "data": best})
        if _CONTEXT in channels:
            yield compact({"channel": _CONTEXT, "data": {"coin": tick.symbol, "ctx": _context(tick)}})

    def drifted(self, frame: str) -> str:
        return frame.replace('"bbo":[', '"levels":[').replace('"oraclePx":', '"oracle":')

    def limited_body(self) -> str:
        return "null"

    async def _info(self, request: web.Request) -> web.Response:
        try:
            question = json.loads(await request.text())
            kind, coin = question["type"], question.get("coin", "")
        except (ValueError, KeyError, TypeError):
            return web.Response(status=422, text="Failed to deserialize the JSON body into the target type")
        if kind == "metaAndAssetCtxs":
            ticks = [self.rest_tick(symbol) for symbol in self.listings]
            universe = [{"szDecimals": 5, "name": tick.symbol, "maxLeverage": 40} for tick in ticks]
            return web.json_response([{"universe": universe}, [_context(tick) for tick in ticks]])
        if kind != "l2Book" or coin not in self.listings:
            return web.json_response(None)
        tick = self.rest_tick(coin)
        return web.json_response({"coin": coin, "time": tick.at // MILLISECOND, "levels": _levels(tick)})


class HyperliquidPerpServer(HyperliquidServer):
    """Perpetuals on the same socket: their book, and the context with oracle and mark price."""

    name = "hyperliquid_perp"
    listings: ClassVar[Mapping[str, Listing]] = {
        "BTC": Listing("BTC", "USD", Decimal(1)),
        "ETH": Listing("ETH", "USD", Decimal("0.1")),
    }
    manner = Manner(spread_bps=0.6, noise_bps=0.8, lag_s=0.2)


def _levels(tick: Tick) -> list[list[dict[str, Any]]]:
    sides = ((tick.bid, tick.bid_size), (tick.ask, tick.ask_size))
    return [[{"px": str(price), "sz": str(size), "n": 3}] for price, size in sides]


def _context(tick: Tick) -> dict[str, Any]:
    """Oracle at the bid and mark at the ask, so that a test can tell them apart."""
    middle = str((tick.bid + tick.ask) / 2)
    return {
        "funding": "0.0000125",
        "openInterest": "18617460.0",
        "prevDayPx": middle,
        "dayNtlVlm": "7665220.55613",
        "premium": "0.0001",
        "oraclePx": str(tick.bid),
        "markPx": str(tick.ask),
        "midPx": middle,
        "impactPxs": [str(tick.bid), str(tick.ask)],
    }


def _error(words: str) -> str:
    return compact({"channel": "error", "data": words})
