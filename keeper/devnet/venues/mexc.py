"""MEXC's spot websocket v3, data as protocol buffers, and REST ticker: https://www.mexc.com/api-docs/spot-v3

Messages are written here in their JSON form (as protobuf's own JSON mapping has them) and travel as wire format. The
writer shares nothing with the keeper's reader.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, ClassVar

from aiohttp import web

from keeper.devnet.venues.pricing import Listing, Manner
from keeper.devnet.venues.server import Client, Handler
from keeper.devnet.venues.tape import Tick
from keeper.devnet.venues.venue import VenueServer, compact
from keeper.domain.time import MILLISECOND

_TOPIC = re.compile(r"spot@public\.aggre\.bookTicker\.v3\.api\.pb@(?:100|10)ms@([A-Z0-9]+)")
_ITEM = {"price": (1, str), "quantity": (2, str)}
_DEAL = {**_ITEM, "tradeType": (3, int), "time": (4, int), "tradeId": (5, str)}
_BOOK_TICKER = {"bidPrice": (1, str), "bidQuantity": (2, str), "askPrice": (3, str), "askQuantity": (4, str)}
_DEPTHS = {
    "asks": (1, _ITEM),
    "bids": (2, _ITEM),
    "eventType": (3, str),
    "fromVersion": (4, str),
    "toVersion": (5, str),
}
_WRAPPER: Mapping[str, tuple[int, Any]] = {
    "channel": (1, str),
    "symbol": (3, str),
    "symbolId": (4, str),
    "createTime": (5, int),
    "sendTime": (6, int),
    "publicBookTicker": (305, _BOOK_TICKER),
    "publicAggreDepths": (313, _DEPTHS),
    "publicAggreDeals": (314, {"deals": (1, _DEAL), "eventType": (2, str)}),
    "publicAggreBookTicker": (315, _BOOK_TICKER),
}
"""Name → number and kind, a mapping being a message. https://github.com/mexcdevelop/websocket-proto"""
_MOST = 30


class MexcServer(VenueServer):
    """At most 30 subscriptions to a connection; a client that is told nothing for a minute is disconnected."""

    name = "mexc"
    ws_path = "/ws"
    idle_after_s = 60.0
    listings: ClassVar[Mapping[str, Listing]] = {
        "BTCUSDT": Listing("BTC", "USDT", Decimal("0.01")),
        "ETHUSDT": Listing("ETH", "USDT", Decimal("0.01")),
    }
    manner = Manner(spread_bps=0.6, noise_bps=0.35, lag_s=0.08)

    @classmethod
    def packed(cls, frame: str) -> str | bytes:
        """Control stays text, and so does what is no push at all."""
        message = json.loads(frame)
        return encoded(message, _WRAPPER) if "channel" in message else frame

    def rest_routes(self) -> Mapping[str, Handler]:
        return {"/api/v3/ticker/bookTicker": self._book_ticker}

    async def hear(self, client: Client, text: str) -> None:
        try:
            request = json.loads(text)
            method, topics = request["method"], [str(topic) for topic in request.get("params", [])]
        except (ValueError, KeyError, TypeError, AttributeError):
            await self.say(client, (_control("msg is not in the right format"),))
            return
        if method == "PING":
            await self.say(client, (_control("PONG"),))
        elif method == "SUBSCRIPTION":
            for topic in topics:
                await self._subscribe(client, topic)

    async def _subscribe(self, client: Client, topic: str) -> None:
        found = _TOPIC.fullmatch(topic)
        if found is None or found[1] not in self.listings or len(client.channels) >= _MOST:
            await self.say(client, (_control(f"Not Subscribed successfully! [{topic}].  Reason： Blocked! "),))
            return
        await self.say(client, (_control(topic),))
        await self.subscribe(client, found[1], topic)

    def ticker(self, client: Client, tick: Tick) -> Iterable[str]:
        ticker = {
            "bidPrice": str(tick.bid),
            "bidQuantity": str(tick.bid_size),
            "askPrice": str(tick.ask),
            "askQuantity": str(tick.ask_size),
        }
        head = {"channel": client.channels[tick.symbol], "symbol": tick.symbol, "sendTime": str(tick.at // MILLISECOND)}
        yield compact({**head, "publicAggreBookTicker": ticker})

    def drifted(self, frame: str) -> str:
        """The body under another number."""
        return frame.replace('"publicAggreBookTicker":', '"publicBookTicker":')

    def limited_body(self) -> str:
        return '{"code":510,"msg":"Requests are too frequent, please try again later!"}'

    async def _book_ticker(self, request: web.Request) -> web.Response:
        symbol = request.query.get("symbol", "")
        if symbol not in self.listings:
            return web.json_response({"code": -1121, "msg": "Invalid symbol."}, status=400)
        tick = self.rest_tick(symbol)
        prices = {"bidPrice": str(tick.bid), "bidQty": str(tick.bid_size), "askPrice": str(tick.ask)}
        return web.json_response({"symbol": symbol, **prices, "askQty": str(tick.ask_size)})


def encoded(message: Mapping[str, Any], schema: Mapping[str, tuple[int, Any]]) -> bytes:
    """Wire format (https://protobuf.dev/programming-guides/encoding/): fields in the order of their numbers."""
    made = b""
    for number, kind, value in sorted((*schema[name], value) for name, value in message.items() if name in schema):
        for item in value if isinstance(value, list) else [value]:
            if kind is int:
                made += _base128(number << 3) + _base128(int(item))
            else:
                content = str(item).encode() if kind is str else encoded(item, kind)
                made += _base128(number << 3 | 2) + _base128(len(content)) + content
    return made


def _base128(value: int) -> bytes:
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([group | 0x80 for group in groups[:-1]] + groups[-1:])


def _control(message: str) -> str:
    return compact({"id": 0, "code": 0, "msg": message})
