"""OKX's public websocket v5 and REST ticker: https://www.okx.com/docs-v5/en/"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, ClassVar

from aiohttp import web

from keeper.devnet.venues.pricing import Listing, Manner
from keeper.devnet.venues.server import Client, Handler
from keeper.devnet.venues.tape import Tick
from keeper.devnet.venues.venue import TRADE_SIZE, VenueServer, compact
from keeper.domain.time import MILLISECOND


class OkxServer(VenueServer):
    """Times are milliseconds in text; `ping` and `pong` are bare words."""

    name = "okx"
    ws_path = "/ws/v5/public"
    listings: ClassVar[Mapping[str, Listing]] = {
        "BTC-USDT": Listing("BTC", "USDT", Decimal("0.1")),
        "ETH-USDT": Listing("ETH", "USDT", Decimal("0.01")),
    }
    manner = Manner(spread_bps=0.3, noise_bps=0.2, lag_s=0.03)

    def rest_routes(self) -> Mapping[str, Handler]:
        return {"/api/v5/market/ticker": self._rest_ticker}

    async def hear(self, client: Client, text: str) -> None:
        if text == "ping":
            await self.say(client, ("pong",))
            return
        try:
            request = json.loads(text)
            arguments = [(str(a["channel"]), str(a["instId"])) for a in request["args"]]
        except (ValueError, KeyError, TypeError):
            error = {"event": "error", "code": "60012", "msg": f"Invalid request: {text[:40]}", "connId": "a4d3ae55"}
            await self.say(client, (compact(error),))
            return
        for channel, instrument in arguments:
            await self._answer(client, channel, instrument)

    async def _answer(self, client: Client, channel: str, instrument: str) -> None:
        if channel not in ("tickers", "trades") or instrument not in self.listings:
            message = f"Wrong URL or channel:{channel},instId:{instrument} doesn't exist. Please use the correct URL."
            error = {"event": "error", "code": "60018", "msg": message, "connId": "a4d3ae55"}
            await self.say(client, (compact(error),))
            return
        argument = {"channel": channel, "instId": instrument}
        await self.say(client, (compact({"event": "subscribe", "arg": argument, "connId": "a4d3ae55"}),))
        if channel == "trades":
            client.traded.add(instrument)
        else:
            await self.subscribe(client, instrument, argument)

    def ticker(self, client: Client, tick: Tick) -> Iterable[str]:
        yield compact({"arg": client.channels[tick.symbol], "data": [_fields(tick)]})
        if tick.symbol in client.traded:
            argument = {"channel": "trades", "instId": tick.symbol}
            yield compact({"arg": argument, "data": [_trade(tick)]})

    def farewell(self, _client: Client) -> Iterable[str]:
        message = "The connection will soon be closed for a service upgrade. Please reconnect."
        yield compact({"event": "notice", "code": "64008", "msg": message, "connId": "a4d3ae55"})

    def drifted(self, frame: str) -> str:
        return frame.replace('"bidPx":', '"bidPrice":').replace('"askPx":', '"askPrice":')

    def limited_body(self) -> str:
        return '{"code":"50011","data":[],"msg":"Too Many Requests"}'

    async def _rest_ticker(self, request: web.Request) -> web.Response:
        instrument = request.query.get("instId", "")
        if instrument not in self.listings:
            answer = {
                "code": "51001",
                "msg": "Instrument ID, Instrument ID code, or Spread ID doesn't exist.",
                "data": [],
            }
            return web.json_response(answer)
        return web.json_response({"code": "0", "msg": "", "data": [_fields(self.rest_tick(instrument))]})


def _trade(tick: Tick) -> dict[str, Any]:
    return {
        "instId": tick.symbol,
        "tradeId": str(tick.trade_id),
        "px": str(tick.last),
        "sz": TRADE_SIZE,
        "side": "buy" if tick.last == tick.ask else "sell",
        "ts": str(tick.at // MILLISECOND),
    }


def _fields(tick: Tick) -> dict[str, Any]:
    return {
        "instType": "SPOT",
        "instId": tick.symbol,
        "last": str(tick.last),
        "lastSz": "0.0002",
        "askPx": str(tick.ask),
        "askSz": str(tick.ask_size),
        "bidPx": str(tick.bid),
        "bidSz": str(tick.bid_size),
        "open24h": str(tick.last),
        "ts": str(tick.at // MILLISECOND),
    }
