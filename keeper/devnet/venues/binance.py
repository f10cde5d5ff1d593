"""Binance's websocket streams and REST ticker: https://developers.binance.com/docs/binance-spot-api-docs"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import ClassVar

from aiohttp import web

from keeper.devnet.venues.pricing import Listing, Manner
from keeper.devnet.venues.server import Client, Handler
from keeper.devnet.venues.tape import Tick
from keeper.devnet.venues.venue import TRADE_SIZE, VenueServer, compact
from keeper.domain.time import MILLISECOND


class BinanceServer(VenueServer):
    """Combined streams. An unknown but well-formed stream is acknowledged and stays silent, as at the venue."""

    name = "binance"
    ws_path = "/stream"
    ticker_path = "/api/v3/ticker/bookTicker"
    listings: ClassVar[Mapping[str, Listing]] = {
        "BTCUSDT": Listing("BTC", "USDT", Decimal("0.01")),
        "ETHUSDT": Listing("ETH", "USDT", Decimal("0.01")),
    }
    manner = Manner(spread_bps=0.2, noise_bps=0.2, lag_s=0.02)

    def rest_routes(self) -> Mapping[str, Handler]:
        return {self.ticker_path: self._book_ticker}

    async def hear(self, client: Client, text: str) -> None:
        try:
            request = json.loads(text)
            streams = [str(stream) for stream in request["params"]]
        except (ValueError, KeyError, TypeError):
            await self.say(client, ('{"error":{"code":3,"msg":"Invalid JSON"},"id":null}',))
            return
        if any("@" not in stream for stream in streams):
            error = {"code": 2, "msg": "Invalid request: invalid stream"}
            await self.say(client, (compact({"error": error, "id": request["id"]}),))
            return
        await self.say(client, (compact({"result": None, "id": request["id"]}),))
        for stream in streams:
            symbol, _, channel = stream.partition("@")
            if channel == "bookTicker" and symbol.upper() in self.listings:
                await self.subscribe(client, symbol.upper(), stream, snapshot=False)
            elif channel == "aggTrade" and symbol.upper() in self.listings:
                client.traded.add(symbol.upper())

    def ticker(self, client: Client, tick: Tick) -> Iterable[str]:
        book = {
            "u": tick.sequence,
            "s": tick.symbol,
            "b": _padded(tick.bid),
            "B": _padded(tick.bid_size),
            "a": _padded(tick.ask),
            "A": _padded(tick.ask_size),
            **self.stamps(tick),
        }
        yield compact({"stream": client.channels[tick.symbol], "data": book})
        if tick.symbol in client.traded:
            yield compact({"stream": f"{tick.symbol.lower()}@aggTrade", "data": self._trade(tick)})

    def stamps(self, tick: Tick) -> Mapping[str, object]:  # noqa: ARG002  of no book of spot
        """The times that a book's message states."""
        return {}

    def _trade(self, tick: Tick) -> dict[str, object]:
        return {
            "e": "aggTrade",
            "E": self.clock.now() // MILLISECOND,
            "s": tick.symbol,
            "a": tick.trade_id,
            "p": _padded(tick.last),
            "q": _padded(Decimal(TRADE_SIZE)),
            "f": tick.trade_id,
            "l": tick.trade_id,
            "T": tick.at // MILLISECOND,
            "m": tick.last == tick.bid,
            "M": True,
        }

    def rest_stamps(self, tick: Tick) -> Mapping[str, object]:  # noqa: ARG002  nor here
        return {}

    def drifted(self, frame: str) -> str:
        return frame.replace('"b":', '"bp":').replace('"a":', '"ap":')

    def farewell(self, _client: Client) -> Iterable[str]:
        yield compact({"e": "serverShutdown", "E": self.clock.now() // MILLISECOND})

    def limited_body(self) -> str:
        return '{"code":-1003,"msg":"Too much request weight used; please use WebSocket Streams for live updates."}'

    async def _book_ticker(self, request: web.Request) -> web.Response:
        symbol = request.query.get("symbol", "")
        if symbol not in self.listings:
            return web.json_response({"code": -1121, "msg": "Invalid symbol."}, status=400)
        tick = self.rest_tick(symbol)
        return web.json_response(
            {
                "symbol": symbol,
                "bidPrice": _padded(tick.bid),
                "bidQty": _padded(tick.bid_size),
                "askPrice": _padded(tick.ask),
                "askQty": _padded(tick.ask_size),
                **self.rest_stamps(tick),
            }
        )


def _padded(value: Decimal) -> str:
    return f"{value:.8f}"
