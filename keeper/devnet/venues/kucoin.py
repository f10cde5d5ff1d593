"""KuCoin's spot websocket, the token before it, and the REST ticker.

https://www.kucoin.com/docs-new/websocket-api/base-info/introduction
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, ClassVar

from aiohttp import web

from keeper.devnet.venues.pricing import Listing, Manner
from keeper.devnet.venues.server import Client, Handler
from keeper.devnet.venues.tape import Tick
from keeper.devnet.venues.venue import VenueServer, compact
from keeper.domain.time import MILLISECOND, SECOND, Timestamp

_TOPIC = "/market/ticker:"


class KucoinServer(VenueServer):
    """A token by POST, good for `token_life_s`, admits; requests are heard after the welcome only.

    `granted_url` is the endpoint that the POST names, and `ping_interval_ms` the rhythm; both can be falsified.
    """

    name = "kucoin"
    ws_path = "/endpoint"
    speaks_first = True
    listings: ClassVar[Mapping[str, Listing]] = {
        "BTC-USDT": Listing("BTC", "USDT", Decimal("0.1")),
        "ETH-USDT": Listing("ETH", "USDT", Decimal("0.01")),
    }
    manner = Manner(spread_bps=0.4, noise_bps=0.3, lag_s=0.06)
    token_life_s: float = 86_400.0
    ping_interval_ms: int = 18_000
    granted_url: str | None = None

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.tokens: dict[str, Timestamp] = {}
        """When each was granted."""

    def rest_routes(self) -> Mapping[str, Handler]:
        return {"/api/v1/market/orderbook/level1": self._rest_ticker}

    def post_routes(self) -> Mapping[str, Handler]:
        return {"/api/v1/bullet-public": self._grant}

    async def _grant(self, _request: web.Request) -> web.Response:
        token = secrets.token_urlsafe(24) + "==." + secrets.token_urlsafe(8) + "=="
        self.tokens[token] = self.clock.now()
        server = {
            "endpoint": self.granted_url or self.ws_url,
            "encrypt": True,
            "protocol": "websocket",
            "pingInterval": self.ping_interval_ms,
            "pingTimeout": 10_000,
        }
        return web.json_response({"code": "200000", "data": {"token": token, "instanceServers": [server]}})

    async def admits(self, client: Client) -> bool:
        granted_at = self.tokens.get(client.request.query.get("token", ""))
        if granted_at is not None and self.clock.now() - granted_at < self.token_life_s * SECOND:
            return True
        reason = "token is invalid" if granted_at is None else "token is expired"
        await self.say(client, (_error(client.request.query.get("connectId", ""), 401, reason),))
        return False

    def greeting(self, client: Client) -> Iterable[str]:
        yield compact({"id": client.request.query.get("connectId", ""), "type": "welcome"})

    async def hear(self, client: Client, text: str) -> None:
        try:
            request = json.loads(text)
            number, kind, topic = request["id"], request["type"], request.get("topic", "")
        except (ValueError, KeyError, TypeError, AttributeError):
            await self.say(client, (_error("", 400, "bad request"),))
            return
        if kind == "ping":
            await self.say(client, (compact({"id": number, "type": "pong"}),))
            return
        symbols = topic.removeprefix(_TOPIC).split(",")
        if kind != "subscribe":
            await self.say(client, (_error(number, 415, "type is not supported"),))
        elif not topic.startswith(_TOPIC) or any(symbol not in self.listings for symbol in symbols):
            await self.say(client, (_error(number, 404, f"topic {topic} is not found"),))
        else:
            if request.get("response"):
                await self.say(client, (compact({"id": number, "type": "ack"}),))
            for symbol in symbols:
                await self.subscribe(client, symbol, _TOPIC + symbol)

    def ticker(self, client: Client, tick: Tick) -> Iterable[str]:
        topic = client.channels[tick.symbol]
        yield compact({"topic": topic, "type": "message", "subject": "trade.ticker", "data": _fields(tick)})

    def drifted(self, frame: str) -> str:
        return frame.replace('"bestBid":', '"bid":').replace('"bestAsk":', '"ask":')

    def limited_body(self) -> str:
        return '{"code":"429000","msg":"Too many requests in a short period of time, please retry later"}'

    async def _rest_ticker(self, request: web.Request) -> web.Response:
        symbol = request.query.get("symbol", "")
        if symbol not in self.listings:
            return web.json_response({"code": "200000", "data": None})
        return web.json_response({"code": "200000", "data": _fields(self.rest_tick(symbol))})


def _fields(tick: Tick) -> dict[str, Any]:
    return {
        "bestAsk": str(tick.ask),
        "bestAskSize": str(tick.ask_size),
        "bestBid": str(tick.bid),
        "bestBidSize": str(tick.bid_size),
        "price": str(tick.last),
        "sequence": str(tick.sequence),
        "size": "0.0021",
        "time": tick.at // MILLISECOND,
    }


def _error(number: str, code: int, reason: str) -> str:
    return compact({"id": number, "type": "error", "code": code, "data": reason})
