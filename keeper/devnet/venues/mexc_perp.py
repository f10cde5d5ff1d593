"""MEXC's contract websocket and REST ticker: https://mexcdevelop.github.io/apidocs/contract_v1_en/"""

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


class MexcPerpServer(VenueServer):
    """An answer names no contract; a refusal does. Whoever was silent for a minute is disconnected."""

    name = "mexc_perp"
    ws_path = "/edge"
    idle_after_s = 60.0
    listings: ClassVar[Mapping[str, Listing]] = {
        "BTC_USDT": Listing("BTC", "USDT", Decimal("0.1")),
        "ETH_USDT": Listing("ETH", "USDT", Decimal("0.01")),
    }
    manner = Manner(spread_bps=0.5, noise_bps=0.9, lag_s=0.1)

    def rest_routes(self) -> Mapping[str, Handler]:
        return {"/api/v1/contract/ticker": self._rest_ticker}

    async def hear(self, client: Client, text: str) -> None:
        try:
            request = json.loads(text)
            method = str(request["method"])
            symbol = "" if method == "ping" else str(request["param"]["symbol"])
        except (ValueError, KeyError, TypeError):
            await self.say(client, (self._said("rs.error", "Invalid request"),))
            return
        if method == "ping":
            await self.say(client, (self._said("pong", self._now_ms()),))
        elif method != "sub.ticker":
            await self.say(client, (self._said("rs.error", f"Method [{method}] not exists"),))
        elif symbol not in self.listings:
            await self.say(client, (self._said("rs.error", f"Contract [{symbol}] not exists"),))
        else:
            await self.say(client, (self._said("rs.sub.ticker", "success"),))
            await self.subscribe(client, symbol, "push.ticker")

    def ticker(self, client: Client, tick: Tick) -> Iterable[str]:
        envelope = {"channel": client.channels[tick.symbol], "symbol": tick.symbol, "ts": tick.at // MILLISECOND}
        yield compact(envelope)[:-1] + f',"data":{_ticker(tick)}}}'

    def drifted(self, frame: str) -> str:
        return frame.replace('"bid1":', '"bid":').replace('"ask1":', '"ask":')

    def limited_body(self) -> str:
        return '{"success":false,"code":510,"message":"Requests are too frequent"}'

    def _said(self, channel: str, words: Any) -> str:
        return compact({"channel": channel, "data": words, "ts": self._now_ms()})

    def _now_ms(self) -> int:
        return self.clock.now() // MILLISECOND

    async def _rest_ticker(self, request: web.Request) -> web.Response:
        symbol = request.query.get("symbol", "")
        if symbol not in self.listings:
            return web.json_response({"success": False, "code": 1001, "message": "Contract does not exist!"})
        body = f'{{"success":true,"code":0,"data":{_ticker(self.rest_tick(symbol))}}}'
        return web.Response(text=body, content_type="application/json")


def _ticker(tick: Tick) -> str:
    """Prices as JSON numbers, digit by digit: Python's own would pass through a float."""
    prices = f'"lastPrice":{tick.last},"bid1":{tick.bid},"ask1":{tick.ask}'
    return f'{{"symbol":"{tick.symbol}",{prices},"volume24":164586129,"timestamp":{tick.at // MILLISECOND}}}'
