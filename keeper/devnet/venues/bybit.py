"""Bybit's public spot websocket v5 and REST ticker: https://bybit-exchange.github.io/docs/v5/ws/connect"""

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

_TOPIC = "orderbook.1."


class BybitServer(VenueServer):
    """Best levels as snapshots. A bad topic fails its whole request."""

    name = "bybit"
    ws_path = "/v5/public/spot"
    category = "spot"
    limited_status = 403
    listings: ClassVar[Mapping[str, Listing]] = {
        "BTCUSDT": Listing("BTC", "USDT", Decimal("0.01")),
        "ETHUSDT": Listing("ETH", "USDT", Decimal("0.01")),
    }
    manner = Manner(spread_bps=0.4, noise_bps=0.25, lag_s=0.04)

    def rest_routes(self) -> Mapping[str, Handler]:
        return {"/v5/market/tickers": self._rest_ticker}

    async def hear(self, client: Client, text: str) -> None:
        try:
            request = json.loads(text)
            operation, number = request["op"], request.get("req_id", "")
            topics = [str(topic) for topic in request.get("args", [])]
        except (ValueError, KeyError, TypeError, AttributeError):
            await self.say(client, (_answer("", success=False, message="error:invalid op"),))
            return
        if operation == "ping":
            await self.say(client, (_answer("ping", success=True, message="pong", number=number),))
            return
        wrong = [t for t in topics if not t.startswith(_TOPIC) or t.removeprefix(_TOPIC) not in self.listings]
        if operation != "subscribe" or wrong or len(topics) > 10:
            reason = f"Invalid topic: {wrong[0]}" if wrong else "error:handler not found"
            await self.say(client, (_answer(operation, success=False, message=reason, number=number),))
            return
        await self.say(client, (_answer(operation, success=True, message="", number=number),))
        for topic in topics:
            await self.subscribe(client, topic.removeprefix(_TOPIC), topic)

    def ticker(self, client: Client, tick: Tick) -> Iterable[str]:
        book = {
            "s": tick.symbol,
            "b": [[str(tick.bid), str(tick.bid_size)]],
            "a": [[str(tick.ask), str(tick.ask_size)]],
            "u": tick.sequence,
            "seq": tick.sequence + 4_000_000_000,
        }
        ts = tick.at // MILLISECOND
        topic = client.channels[tick.symbol]
        yield compact({"topic": topic, "ts": ts, "type": "snapshot", "data": book, "cts": ts - 2})

    def drifted(self, frame: str) -> str:
        return frame.replace('"b":', '"bids":').replace('"a":', '"asks":')

    def limited_body(self) -> str:
        return '{"retCode":10006,"retMsg":"access too frequent","result":{},"retExtInfo":{},"time":0}'

    async def _rest_ticker(self, request: web.Request) -> web.Response:
        symbol, now_ms = request.query.get("symbol", ""), self.clock.now() // MILLISECOND
        envelope: dict[str, Any] = {"retCode": 0, "retMsg": "OK", "retExtInfo": {}, "time": now_ms}
        if request.query.get("category") != self.category or symbol not in self.listings:
            return web.json_response({**envelope, "retCode": 10001, "retMsg": "Not supported symbols", "result": {}})
        tick = self.rest_tick(symbol)
        ticker = {
            "symbol": symbol,
            "bid1Price": str(tick.bid),
            "bid1Size": str(tick.bid_size),
            "ask1Price": str(tick.ask),
            "ask1Size": str(tick.ask_size),
            "lastPrice": str(tick.last),
        }
        result = {"category": self.category, "list": [ticker]}
        return web.json_response({**envelope, "result": result, "time": tick.at // MILLISECOND})


def _answer(operation: str, *, success: bool, message: str, number: str = "") -> str:
    named = {"req_id": number} if number else {}
    return compact({"success": success, "ret_msg": message, "conn_id": "cejreaspqfm9", **named, "op": operation})
