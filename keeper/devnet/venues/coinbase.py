"""Coinbase Exchange's feed and REST ticker: https://docs.cdp.coinbase.com/exchange/websocket-feed/overview"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import ClassVar

from aiohttp import web

from keeper.devnet.venues.pricing import Listing, Manner
from keeper.devnet.venues.server import Client, Handler
from keeper.devnet.venues.tape import Tick
from keeper.devnet.venues.venue import TRADE_SIZE, VenueServer, compact
from keeper.domain.time import SECOND, Timestamp


class CoinbaseServer(VenueServer):
    """Every tick is a trade. A heartbeat a second names the last one; an unknown product fails its whole message."""

    name = "coinbase"
    ws_path = "/"
    heartbeat_every_s = 1.0
    listings: ClassVar[Mapping[str, Listing]] = {
        "BTC-USD": Listing("BTC", "USD", Decimal("0.01")),
        "ETH-USD": Listing("ETH", "USD", Decimal("0.01")),
        "USDT-USD": Listing("USDT", "USD", Decimal("0.00001")),
    }
    manner = Manner(spread_bps=0.5, noise_bps=0.3, lag_s=0.05)

    def rest_routes(self) -> Mapping[str, Handler]:
        return {"/products/{product}/ticker": self._rest_ticker}

    async def hear(self, client: Client, text: str) -> None:
        try:
            request = json.loads(text)
            products = [str(product) for product in request["product_ids"]]
            channels = [str(channel) for channel in request["channels"]]
        except (ValueError, KeyError, TypeError):
            await self.say(client, (_error("Malformed JSON"),))
            return
        if unknown := [product for product in products if product not in self.listings]:
            await self.say(client, (_error(f"{unknown[0]} is not a valid product"),))
            return
        names = [*client.channels, *(p for p in products if p not in client.channels)]
        subscribed = [{"name": channel, "product_ids": names} for channel in channels]
        await self.say(client, (compact({"type": "subscriptions", "channels": subscribed}),))
        for product in products:
            await self.subscribe(client, product, channels)

    def ticker(self, client: Client, tick: Tick) -> Iterable[str]:
        if "ticker" not in client.channels[tick.symbol]:
            return
        yield compact(
            {
                "type": "ticker",
                "sequence": tick.sequence,
                "product_id": tick.symbol,
                "price": str(tick.last),
                "open_24h": str(tick.last),
                "volume_24h": "8012.11270542",
                "best_bid": str(tick.bid),
                "best_bid_size": str(tick.bid_size),
                "best_ask": str(tick.ask),
                "best_ask_size": str(tick.ask_size),
                "side": "buy" if tick.last == tick.ask else "sell",
                "time": _iso(tick.at),
                "trade_id": tick.trade_id,
                "last_size": TRADE_SIZE,
            }
        )
        if "matches" in client.channels[tick.symbol]:
            yield compact(
                {
                    "type": "match",
                    "trade_id": tick.trade_id,
                    "side": "sell" if tick.last == tick.ask else "buy",
                    "size": TRADE_SIZE,
                    "price": str(tick.last),
                    "product_id": tick.symbol,
                    "sequence": tick.sequence,
                    "time": _iso(tick.at),
                }
            )

    def heartbeat(self, client: Client) -> Iterable[str]:
        for product in client.channels:
            tick = self.pricer.latest(product)
            yield compact(
                {
                    "type": "heartbeat",
                    "sequence": tick.sequence,
                    "last_trade_id": tick.trade_id,
                    "product_id": product,
                    "time": _iso(self.clock.now()),
                }
            )

    def drifted(self, frame: str) -> str:
        return frame.replace('"best_bid":', '"bid_price":').replace('"best_ask":', '"ask_price":')

    def limited_body(self) -> str:
        return '{"message":"Public rate limit exceeded"}'

    async def _rest_ticker(self, request: web.Request) -> web.Response:
        product = request.match_info["product"]
        if product not in self.listings:
            return web.json_response({"message": "NotFound"}, status=404)
        tick = self.rest_tick(product)
        return web.json_response(
            {
                "trade_id": tick.trade_id,
                "price": str(tick.last),
                "size": "0.01",
                "time": _iso(tick.at),
                "bid": str(tick.bid),
                "ask": str(tick.ask),
                "volume": "8012.11270542",
            }
        )


def _error(reason: str) -> str:
    return compact({"type": "error", "message": "Failed to subscribe", "reason": reason})


def _iso(at: Timestamp) -> str:
    micros = at % SECOND // 1_000
    return datetime.fromtimestamp(at // SECOND, UTC).replace(microsecond=micros).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
