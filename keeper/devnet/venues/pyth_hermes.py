"""A Hermes server's event stream and latest prices: https://docs.pyth.network/price-feeds/core/api-reference"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, ClassVar

from aiohttp import web

from keeper.devnet.venues.event_server import EventStreamServer
from keeper.devnet.venues.pricing import Listing, Manner
from keeper.devnet.venues.server import Client, Handler
from keeper.devnet.venues.tape import Tick
from keeper.devnet.venues.venue import compact
from keeper.domain.time import SECOND

_ID = re.compile(r"(?:0x)?([0-9a-f]{64})")
_EXPONENT = -8


class PythHermesServer(EventStreamServer):
    """Prices with half the spread as their confidence. With a `key`, requests without it are turned away."""

    name = "pyth_hermes"
    ws_path = "/v2/updates/price/stream"
    heartbeat_every_s = 15.0
    key: str | None = None
    listings: ClassVar[Mapping[str, Listing]] = {
        "e62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43": Listing("BTC", "USD", Decimal("0.01")),
        "ff61491a931112ddf1bd8147cd1b641375f79f5825126d665480874634fd0ace": Listing("ETH", "USD", Decimal("0.01")),
        "2b89b9dc8fdf9f34709a5b106b472f0f39bb6ca9ce04b0fd7f2e971688e2e53b": Listing("USDT", "USD", Decimal("0.00001")),
    }
    manner = Manner(spread_bps=3.0, noise_bps=0.3, lag_s=0.4)

    def rest_routes(self) -> Mapping[str, Handler]:
        return {"/v2/updates/price/latest": self._latest}

    async def hear(self, client: Client, text: str) -> None:
        """Nothing can be said on an event stream."""

    async def accept(self, client: Client) -> web.Response | None:
        if (refused := self._unauthorised(client.request)) is not None:
            return refused
        asked = client.request.query.getall("ids[]", [])
        ids = [found[1] if (found := _ID.fullmatch(text)) else "" for text in asked]
        if not ids or not all(ids):
            return web.Response(status=400, text="Failed to deserialize query string: invalid price feed id")
        unknown = [number for number in ids if number not in self.listings]
        if unknown and client.request.query.get("ignore_invalid_price_ids") != "true":
            return _not_found(unknown)
        client.channels.update((number, number) for number in ids if number in self.listings)
        return None

    async def greet(self, client: Client) -> None:
        for number in tuple(client.channels):
            await self.subscribe(client, number, number)

    def heartbeat(self, _client: Client) -> Iterable[str]:
        yield ":"

    def ticker(self, _client: Client, tick: Tick) -> Iterable[str]:
        yield f"data:{_update(tick)}"

    def drifted(self, frame: str) -> str:
        return frame.replace('"conf":', '"confidence":').replace('"expo":', '"exponent":')

    def limited_body(self) -> str:
        return "Rate limit exceeded"

    def _unauthorised(self, request: web.Request) -> web.Response | None:
        if self.key is None or request.headers.get("Authorization") == f"Bearer {self.key}":
            return None
        return web.Response(status=401, text="Unauthorized")

    async def _latest(self, request: web.Request) -> web.Response:
        if (refused := self._unauthorised(request)) is not None:
            return refused
        found = _ID.fullmatch(request.query.get("ids[]", ""))
        if found is None:
            return web.Response(status=400, text="Failed to deserialize query string: invalid price feed id")
        if found[1] not in self.listings:
            return _not_found([found[1]])
        return web.Response(text=_update(self.rest_tick(found[1])), content_type="application/json")


def _not_found(ids: Iterable[str]) -> web.Response:
    return web.Response(status=404, text=f"Price ids not found: {', '.join(f'0x{number}' for number in ids)}")


def _update(tick: Tick) -> str:
    """One price. The binary part is what a contract would verify; here it is only there."""
    middle, half = (tick.bid + tick.ask) / 2, (tick.ask - tick.bid) / 2
    price: dict[str, Any] = {
        "price": str(int(middle.scaleb(-_EXPONENT))),
        "conf": str(int(half.scaleb(-_EXPONENT))),
        "expo": _EXPONENT,
        "publish_time": tick.at // SECOND,
    }
    metadata = {
        "slot": tick.sequence,
        "proof_available_time": tick.at // SECOND,
        "prev_publish_time": tick.at // SECOND,
    }
    parsed = {"id": tick.symbol, "price": price, "ema_price": price, "metadata": metadata}
    return compact({"binary": {"encoding": "hex", "data": ["504e4155"]}, "parsed": [parsed]})
