"""Gemini's websocket API of 2026 and REST ticker: https://developer.gemini.com/websocket/streams"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import ClassVar

from aiohttp import web

from keeper.devnet.venues.pricing import Listing, Manner
from keeper.devnet.venues.server import Client, Handler
from keeper.devnet.venues.tape import Tick
from keeper.devnet.venues.venue import VenueServer, compact
from keeper.domain.time import MILLISECOND

_STREAM = "@bookTicker"


class GeminiServer(VenueServer):
    """Times are nanoseconds. Without `snapshot=-1` in the query a subscription begins with the next change."""

    name = "gemini"
    ws_path = "/"
    listings: ClassVar[Mapping[str, Listing]] = {
        "btcusd": Listing("BTC", "USD", Decimal("0.01")),
        "ethusd": Listing("ETH", "USD", Decimal("0.01")),
        "usdtusd": Listing("USDT", "USD", Decimal("0.00001")),
    }
    manner = Manner(spread_bps=0.9, noise_bps=0.4, lag_s=0.08)

    def options(self) -> dict[str, str]:
        return {"url": f"{self.ws_url}?snapshot=-1", "rest_url": self.rest_url}

    def rest_routes(self) -> Mapping[str, Handler]:
        return {"/v1/pubticker/{symbol}": self._rest_ticker}

    async def hear(self, client: Client, text: str) -> None:
        try:
            request = json.loads(text)
            number, method = str(request["id"]), request["method"]
            streams = [str(stream) for stream in request.get("params", [])]
        except (ValueError, KeyError, TypeError, AttributeError):
            await self.say(client, (_failure("", -1102, "Malformed request"),))
            return
        if method == "ping":
            await self.say(client, (compact({"id": number, "status": 200, "result": {}}),))
            return
        symbols = [stream.removesuffix(_STREAM) for stream in streams]
        if (
            method != "SUBSCRIBE"
            or not streams
            or any(s + _STREAM not in streams or s not in self.listings for s in symbols)
        ):
            await self.say(client, (_failure(number, -1121, "Invalid symbol"),))
            return
        await self.say(client, (compact({"id": number, "status": 200}),))
        snapshot = client.request.query.get("snapshot") == "-1"
        for symbol in symbols:
            await self.subscribe(client, symbol, _STREAM, snapshot)

    def ticker(self, _client: Client, tick: Tick) -> Iterable[str]:
        yield compact(
            {
                "u": 1_764_549_594_000_000 + tick.sequence,
                "E": tick.at,
                "s": tick.symbol,
                "b": str(tick.bid),
                "B": str(tick.bid_size),
                "a": str(tick.ask),
                "A": str(tick.ask_size),
                "c": str(tick.last),
                "C": "0.01",
            }
        )

    def drifted(self, frame: str) -> str:
        return frame.replace('"b":', '"bid":').replace('"a":', '"ask":')

    def limited_body(self) -> str:
        return '{"result":"error","reason":"RateLimit","message":"Requests were made too frequently"}'

    async def _rest_ticker(self, request: web.Request) -> web.Response:
        symbol = request.match_info["symbol"]
        if symbol not in self.listings:
            message = f"Supplied value '{symbol}' is not a valid symbol"
            error = {"result": "error", "reason": "InvalidSymbol", "message": message}
            return web.json_response(error, status=400)
        tick = self.rest_tick(symbol)
        volume = {
            "BTC": "1615.46861748",
            "USD": "14727307.57",
            "timestamp": tick.at // MILLISECOND // 300_000 * 300_000,
        }
        return web.json_response({"bid": str(tick.bid), "ask": str(tick.ask), "volume": volume, "last": str(tick.last)})


def _failure(number: str, code: int, message: str) -> str:
    return compact({"id": number, "status": 400, "error": {"code": code, "msg": message}})
