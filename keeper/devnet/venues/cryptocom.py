"""Crypto.com Exchange's market websocket v1 and REST ticker: https://exchange-docs.crypto.com/exchange/v1/rest-ws/"""

from __future__ import annotations

import asyncio
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


class CryptocomServer(VenueServer):
    """A heartbeat that is not answered with its own id within `patience_s` ends the connection.

    Of several channels in one request the good ones are subscribed to, and one error speaks for the rest.
    """

    name = "cryptocom"
    ws_path = "/exchange/v1/market"
    heartbeat_every_s = 30.0
    patience_s: float = 5.0
    listings: ClassVar[Mapping[str, Listing]] = {
        "BTC_USD": Listing("BTC", "USD", Decimal("0.01")),
        "ETH_USD": Listing("ETH", "USD", Decimal("0.01")),
        "BTC_USDT": Listing("BTC", "USDT", Decimal("0.01")),
    }
    manner = Manner(spread_bps=0.5, noise_bps=0.3, lag_s=0.05)

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._owed: set[tuple[Client, int]] = set()
        self._beats = 1_587_523_073_344

    def rest_routes(self) -> Mapping[str, Handler]:
        return {"/exchange/v1/public/get-tickers": self._rest_ticker}

    def heartbeat(self, client: Client) -> Iterable[str]:
        self._beats += 1
        owed = (client, self._beats)
        self._owed.add(owed)
        asyncio.get_running_loop().call_later(self.patience_s, self._call_in, owed)
        yield compact({"id": self._beats, "method": "public/heartbeat", "code": 0})

    def _call_in(self, owed: tuple[Client, int]) -> None:
        if owed in self._owed:
            self._owed.discard(owed)
            owed[0].cut()

    async def hear(self, client: Client, text: str) -> None:
        try:
            request = json.loads(text)
            number, method = int(request["id"]), request["method"]
            channels = [str(channel) for channel in request.get("params", {}).get("channels", [])]
        except (ValueError, KeyError, TypeError, AttributeError):
            await self.say(client, (compact({"id": -1, "method": "", "code": 40003, "message": "Malformed request"}),))
            return
        if method == "public/respond-heartbeat":
            self._owed.discard((client, number))
            return
        good = [c for c in channels if c.startswith("ticker.") and c.removeprefix("ticker.") in self.listings]
        if method != "subscribe" or len(good) < len(channels) or not channels:
            wrong = compact({"channels": [channel for channel in channels if channel not in good]})
            error = {"id": number, "code": 40003, "method": method, "message": f"invalid channel {wrong}"}
            await self.say(client, (compact(error),))
        else:
            await self.say(client, (compact({"id": number, "code": 0, "method": method}),))
        for channel in good:
            await self.subscribe(client, channel.removeprefix("ticker."), channel)

    def ticker(self, client: Client, tick: Tick) -> Iterable[str]:
        result = {
            "channel": "ticker",
            "instrument_name": tick.symbol,
            "subscription": client.channels[tick.symbol],
            "data": [_fields(tick)],
        }
        yield compact({"id": -1, "code": 0, "method": "subscribe", "result": result})

    def drifted(self, frame: str) -> str:
        return frame.replace('"b":', '"bid":').replace('"k":', '"ask":')

    def limited_body(self) -> str:
        return '{"id":-1,"method":"public/get-tickers","code":42901,"message":"RATE_LIMIT"}'

    async def _rest_ticker(self, request: web.Request) -> web.Response:
        symbol = request.query.get("instrument_name", "")
        envelope = {"id": -1, "method": "public/get-tickers", "code": 0}
        if symbol not in self.listings:
            error = {**envelope, "code": 40004, "message": "Missing or invalid argument"}
            return web.json_response(error, status=400)
        return web.json_response({**envelope, "result": {"data": [_fields(self.rest_tick(symbol))]}})


def _fields(tick: Tick) -> dict[str, Any]:
    return {
        "h": str(tick.last * 2),
        "l": str(tick.last / 2),
        "a": str(tick.last),
        "c": "0.0583",
        "b": str(tick.bid),
        "bs": str(tick.bid_size),
        "k": str(tick.ask),
        "ks": str(tick.ask_size),
        "i": tick.symbol,
        "v": "1767.8734",
        "vv": "52436726.42",
        "oi": "0",
        "t": tick.at // MILLISECOND,
    }
