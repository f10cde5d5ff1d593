"""Kraken's websocket v2 and REST ticker: https://docs.kraken.com/api/docs/websocket-v2/ticker"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, ClassVar

from aiohttp import web

from keeper.devnet.venues.pricing import Listing, Manner
from keeper.devnet.venues.server import Client, Handler
from keeper.devnet.venues.tape import Tick
from keeper.devnet.venues.venue import VenueServer, compact
from keeper.domain.time import SECOND, Timestamp

_REST_KEYS = {"XBTUSD": "XXBTZUSD", "ETHUSD": "XETHZUSD", "USDTUSD": "USDTZUSD"}


class KrakenServer(VenueServer):
    """Prices are JSON numbers. One acknowledgement for each symbol; `vwap` is far from the price, as it may be."""

    name = "kraken"
    ws_path = "/v2"
    heartbeat_every_s = 1.0
    listings: ClassVar[Mapping[str, Listing]] = {
        "BTC/USD": Listing("BTC", "USD", Decimal("0.1")),
        "ETH/USD": Listing("ETH", "USD", Decimal("0.01")),
        "USDT/USD": Listing("USDT", "USD", Decimal("0.00001")),
    }
    manner = Manner(spread_bps=0.8, noise_bps=0.3, lag_s=0.1)

    def rest_routes(self) -> Mapping[str, Handler]:
        return {"/0/public/Ticker": self._rest_ticker}

    def greeting(self, _client: Client) -> Iterable[str]:
        state = {"version": "2.0.10", "system": "online", "api_version": "v2", "connection_id": 6447481662169813000}
        yield compact({"channel": "status", "type": "update", "data": [state]})

    async def hear(self, client: Client, text: str) -> None:
        now = _iso(self.clock.now())
        times = {"time_in": now, "time_out": now}
        try:
            request = json.loads(text)
            number = {"req_id": request["req_id"]} if "req_id" in request else {}
            if request["method"] == "ping":
                await self.say(client, (compact({"method": "pong", **number, **times}),))
                return
            params = request["params"]
            symbols = [str(symbol) for symbol in params["symbol"]]
        except (ValueError, KeyError, TypeError):
            error = {"error": "Malformed request", "method": "error", "success": False, **times}
            await self.say(client, (compact(error),))
            return
        for symbol in symbols:
            await self._answer(client, symbol, params, {**times, **number})

    async def _answer(self, client: Client, symbol: str, params: Any, envelope: Mapping[str, Any]) -> None:
        if symbol not in self.listings:
            error = f"Currency pair not supported {symbol}"
            refusal = {"error": error, "method": "subscribe", "success": False, "symbol": symbol, **envelope}
            await self.say(client, (compact(refusal),))
            return
        result = {"channel": params["channel"], "symbol": symbol, "snapshot": params.get("snapshot", True)}
        await self.say(client, (compact({"method": "subscribe", "result": result, "success": True, **envelope}),))
        await self.subscribe(client, symbol, "snapshot")

    def ticker(self, client: Client, tick: Tick) -> Iterable[str]:
        kind, client.channels[tick.symbol] = client.channels[tick.symbol], "update"
        vwap = f"{tick.last * Decimal('1.01'):.5f}"
        yield (
            f'{{"channel":"ticker","type":"{kind}","data":[{{"symbol":"{tick.symbol}","bid":{tick.bid:f},'
            f'"bid_qty":{tick.bid_size:f},"ask":{tick.ask:f},"ask_qty":{tick.ask_size:f},"last":{tick.last:f},'
            f'"volume":2158.32346723,"vwap":{vwap},"low":{tick.last:f},"high":{tick.last:f},"change":-2.9,'
            f'"change_pct":-0.41,"timestamp":"{_iso(tick.at)}"}}]}}'
        )

    def heartbeat(self, client: Client) -> Iterable[str]:
        if client.channels:
            yield '{"channel":"heartbeat"}'

    def drifted(self, frame: str) -> str:
        return frame.replace('"bid":', '"best_bid":').replace('"ask":', '"best_ask":')

    def limited_body(self) -> str:
        return '{"error":["EGeneral:Too many requests"]}'

    async def _rest_ticker(self, request: web.Request) -> web.Response:
        pair = request.query.get("pair", "")
        symbols = {"XBTUSD": "BTC/USD", "ETHUSD": "ETH/USD", "USDTUSD": "USDT/USD"}
        if pair not in symbols:
            return web.json_response({"error": ["EQuery:Unknown asset pair"]})
        tick = self.rest_tick(symbols[pair])
        ticker = {
            "a": [str(tick.ask), "1", str(tick.ask_size)],
            "b": [str(tick.bid), "1", str(tick.bid_size)],
            "c": [str(tick.last), "0.01026127"],
            "v": ["5866.14264484", "6251.33408493"],
            "p": [f"{tick.last * Decimal('1.01'):.5f}", f"{tick.last * Decimal('0.99'):.5f}"],
            "t": [56819, 62596],
        }
        return web.json_response({"error": [], "result": {_REST_KEYS[pair]: ticker}})


def _iso(at: Timestamp) -> str:
    micros = at % SECOND // 1_000
    return datetime.fromtimestamp(at // SECOND, UTC).replace(microsecond=micros).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
