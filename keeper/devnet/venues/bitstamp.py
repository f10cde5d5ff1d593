"""Bitstamp's websocket v2 and REST ticker: https://www.bitstamp.net/websocket/v2/"""

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
from keeper.domain.time import MICROSECOND, SECOND

_CHANNEL, _TRADES = "order_book_", "live_trades_"
_DEPTH = 10


class BitstampServer(VenueServer):
    """Order books of ten levels a side. A channel of a pair that does not exist is confirmed and stays silent."""

    name = "bitstamp"
    ws_path = "/"
    listings: ClassVar[Mapping[str, Listing]] = {
        "btcusd": Listing("BTC", "USD", Decimal(1)),
        "ethusd": Listing("ETH", "USD", Decimal("0.1")),
        "usdtusd": Listing("USDT", "USD", Decimal("0.00001")),
    }
    manner = Manner(spread_bps=1.5, noise_bps=0.4, lag_s=0.15)

    def rest_routes(self) -> Mapping[str, Handler]:
        return {"/api/v2/ticker/{pair}/": self._rest_ticker}

    async def hear(self, client: Client, text: str) -> None:
        try:
            request = json.loads(text)
            event = request["event"]
            channel = "" if event == "bts:heartbeat" else str(request["data"]["channel"])
        except (ValueError, KeyError, TypeError):
            await self.say(client, (_control("bts:error", {"code": None, "message": "Bad message."}),))
            return
        if event == "bts:heartbeat":
            await self.say(client, (_control("bts:heartbeat", {"status": "success"}),))
        elif event == "bts:subscribe":
            await self.say(client, (_control("bts:subscription_succeeded", {}, channel),))
            pair = channel.removeprefix(_CHANNEL)
            if channel.startswith(_CHANNEL) and pair in self.listings:
                await self.subscribe(client, pair, channel)
            elif channel.removeprefix(_TRADES) in self.listings:
                client.traded.add(channel.removeprefix(_TRADES))

    def ticker(self, client: Client, tick: Tick) -> Iterable[str]:
        step = self.listings[tick.symbol].price_step
        book = {
            "timestamp": str(tick.at // SECOND),
            "microtimestamp": str(tick.at // MICROSECOND),
            "bids": [[str(tick.bid - n * step), str(tick.bid_size)] for n in range(_DEPTH)],
            "asks": [[str(tick.ask + n * step), str(tick.ask_size)] for n in range(_DEPTH)],
        }
        yield compact({"data": book, "channel": client.channels[tick.symbol], "event": "data"})
        if tick.symbol in client.traded:
            trade = {
                "id": tick.trade_id,
                "timestamp": str(tick.at // SECOND),
                "amount": float(TRADE_SIZE),
                "amount_str": TRADE_SIZE,
                "price": float(tick.last),
                "price_str": str(tick.last),
                "type": int(tick.last == tick.bid),
                "microtimestamp": str(tick.at // MICROSECOND),
            }
            yield compact({"data": trade, "channel": _TRADES + tick.symbol, "event": "trade"})

    def farewell(self, _client: Client) -> Iterable[str]:
        yield _control("bts:request_reconnect", "")

    def drifted(self, frame: str) -> str:
        return frame.replace('"bids":', '"buy":').replace('"asks":', '"sell":')

    def limited_body(self) -> str:
        return '{"status":"error","reason":"Request rate limit exceeded.","code":"400.002"}'

    async def _rest_ticker(self, request: web.Request) -> web.Response:
        pair = request.match_info["pair"]
        if pair not in self.listings:
            return web.json_response({"error": "Invalid currency pair"}, status=404)
        tick = self.rest_tick(pair)
        return web.json_response(
            {
                "timestamp": str(tick.at // SECOND),
                "last": str(tick.last),
                "bid": str(tick.bid),
                "ask": str(tick.ask),
                "vwap": str(tick.last + 500 * self.listings[pair].price_step),
                "volume": "3563.13819902",
            }
        )


def _control(event: str, data: object, channel: str = "") -> str:
    return compact({"event": event, "channel": channel, "data": data})
