"""HTX's market websocket, every message gzipped, and REST ticker: https://www.htx.com/en-us/opend/newApiPages/"""

from __future__ import annotations

import asyncio
import gzip
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

_TOPIC = re.compile(r"market\.([a-z0-9]+)\.bbo")


class HtxServer(VenueServer):
    """Pings in the data, and hangs up on a client that leaves pings unanswered for twice their interval."""

    name = "htx"
    ws_path = "/ws"
    heartbeat_every_s = 5.0
    drop_after_s = 10.0
    listings: ClassVar[Mapping[str, Listing]] = {
        "btcusdt": Listing("BTC", "USDT", Decimal("0.01")),
        "ethusdt": Listing("ETH", "USDT", Decimal("0.01")),
    }
    manner = Manner(spread_bps=0.4, noise_bps=0.3, lag_s=0.06)

    _unanswered: dict[Client, float]
    """Loop time of the oldest ping that a client has not answered."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._unanswered = {}

    @classmethod
    def packed(cls, frame: str) -> bytes:
        return gzip.compress(frame.encode(), mtime=0)

    def rest_routes(self) -> Mapping[str, Handler]:
        return {"/market/detail/merged": self._merged}

    async def hear(self, client: Client, text: str) -> None:
        try:
            request = json.loads(text)
            if "pong" in request:
                self._unanswered.pop(client, None)
                return
            topic, number = str(request["sub"]), request.get("id")
        except (ValueError, KeyError, TypeError):
            await self.say(client, (self._error("bad-request", "invalid message", None),))
            return
        found = _TOPIC.fullmatch(topic)
        if found is None or found[1] not in self.listings:
            await self.say(client, (self._error("bad-request", f"invalid topic {topic}", number),))
            return
        await self.say(client, (compact({"id": number, "status": "ok", "subbed": topic, "ts": self._now_ms()}),))
        await self.subscribe(client, found[1], topic)

    def heartbeat(self, client: Client) -> Iterable[str]:
        if self.faults.active("half_open"):
            return
        now = asyncio.get_running_loop().time()
        if now - self._unanswered.setdefault(client, now) > self.drop_after_s:
            client.cut()
        for gone in set(self._unanswered) - set(self.clients):
            del self._unanswered[gone]
        yield compact({"ping": self._now_ms()})

    def ticker(self, client: Client, tick: Tick) -> Iterable[str]:
        at_ms = tick.at // MILLISECOND
        quote = {
            "seqId": 9_007_199_254_740_992 + tick.sequence,  # beyond what a double counts
            "ask": "ASK",
            "askSize": float(tick.ask_size),
            "bid": "BID",
            "bidSize": float(tick.bid_size),
            "quoteTime": at_ms,
            "symbol": tick.symbol,
        }
        text = compact({"ch": client.channels[tick.symbol], "ts": at_ms + 1, "tick": quote})
        yield text.replace('"ASK"', str(tick.ask)).replace('"BID"', str(tick.bid))

    def drifted(self, frame: str) -> str:
        return frame.replace('"bid":', '"bidPrice":').replace('"ask":', '"askPrice":')

    def limited_body(self) -> str:
        return compact(
            {"status": "error", "err-code": "api-too-many-requests", "err-msg": "too many requests", "ts": 0}
        )

    def _error(self, code: str, message: str, number: object) -> str:
        return compact({"ts": self._now_ms(), "status": "error", "err-code": code, "err-msg": message, "id": number})

    def _now_ms(self) -> int:
        return self.clock.now() // MILLISECOND

    async def _merged(self, request: web.Request) -> web.Response:
        symbol = request.query.get("symbol", "")
        if symbol not in self.listings:
            return web.json_response(
                {"ts": self._now_ms(), "status": "error", "err-code": "invalid-parameter", "err-msg": "invalid symbol"}
            )
        tick = self.rest_tick(symbol)
        merged = compact(
            {"id": tick.sequence, "close": "C", "bid": ["B", float(tick.bid_size)], "ask": ["A", float(tick.ask_size)]}
        )
        for mark, price in (("C", tick.last), ("B", tick.bid), ("A", tick.ask)):
            merged = merged.replace(f'"{mark}"', str(price))
        head = compact({"ch": f"market.{symbol}.detail.merged", "status": "ok", "ts": tick.at // MILLISECOND})
        return web.Response(text=f'{head[:-1]},"tick":{merged}}}', content_type="application/json")
