"""The perp exchange's own book stream, fed by the matching engine. The dialect is that of `adapters/sources/perp.py`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from keeper.devnet.venues.server import Client, Handler, SocketServer
from keeper.devnet.venues.venue import compact
from keeper.domain.time import MILLISECOND, Timestamp, nanos
from keeper.ports.clock import Clock

DEPTH = 20
Side = Sequence[tuple[Decimal, Decimal]]
"""Price and size, best first."""


class PerpServer(SocketServer):
    """Serves what `publish_book` and `publish_trade` are given; an unchanged book is restated every second.

    Of the faults those that concern the line apply, and `stall`, `late`, `future`, `bad_json`, `schema_drift`.
    """

    name = "perp"
    ws_path = "/book"
    heartbeat_every_s = 1.0
    restate_every_s = 1.0

    def __init__(self, clock: Clock, markets: Sequence[str], port: int = 0, host: str = "127.0.0.1") -> None:
        super().__init__(clock, port, host)
        self._books: dict[str, tuple[int, list[list[str]], list[list[str]]]] = {m: (0, [], []) for m in markets}
        self._trades = 0

    def options(self) -> dict[str, str]:
        return {"url": self.ws_url}

    def rest_routes(self) -> Mapping[str, Handler]:
        return {}

    async def publish_book(self, market: str, bids: Side, asks: Side) -> None:
        """Tells every subscriber of `market` the best 20 levels of each side."""
        sequence = self._books[market][0] + 1
        self._books[market] = (sequence, _levels(bids), _levels(asks))
        await self._spread(market, self._book(market))

    async def publish_trade(self, market: str, price: Decimal, size: Decimal, side: str) -> None:
        """`side` is the taker's: buy or sell."""
        self._trades += 1
        trade = {"type": "trade", "market": market, "id": self._trades, "ts": self._now_ms(market)}
        await self._spread(market, compact({**trade, "price": f"{price:f}", "size": f"{size:f}", "side": side}))

    async def publish(self) -> None:
        while True:
            await asyncio.sleep(self.restate_every_s)
            for market, (sequence, _, _) in self._books.items():
                if sequence and not self.replaying:
                    await self._spread(market, self._book(market))

    async def hear(self, client: Client, text: str) -> None:
        try:
            request = json.loads(text)
            markets = [str(market) for market in request["markets"]]
        except (ValueError, KeyError, TypeError):
            await self.say(client, (compact({"type": "error", "markets": [], "reason": "malformed request"}),))
            return
        known = [market for market in markets if market in self._books]
        if unknown := [market for market in markets if market not in self._books]:
            await self.say(client, (compact({"type": "error", "markets": unknown, "reason": "unknown market"}),))
        await self.say(client, (compact({"type": "subscribed", "markets": known}),))
        for market in known:
            client.channels[market] = market
            if self._books[market][0] and not self.faults.active("stall", market):
                await self.say(client, (self._book(market),))

    def heartbeat(self, _client: Client) -> Iterable[str]:
        yield compact({"type": "heartbeat", "ts": self.clock.now() // MILLISECOND})

    def _book(self, market: str) -> str:
        sequence, bids, asks = self._books[market]
        head = {"type": "book", "market": market, "seq": sequence, "ts": self._now_ms(market)}
        return compact({**head, "bids": bids, "asks": asks})

    async def _spread(self, market: str, frame: str) -> None:
        if self.faults.active("stall", market):
            return
        if self.faults.active("bad_json", market):
            frame = frame[: len(frame) // 2]
        elif self.faults.active("schema_drift", market):
            frame = frame.replace('"bids":', '"b":').replace('"price":', '"px":')
        for client in tuple(self.clients):
            if market in client.channels:
                await self.say(client, (frame,))

    def _now_ms(self, market: str) -> int:
        now = self.clock.now()
        if (late := self.faults.active("late", market)) is not None:
            now = Timestamp(now - nanos(late.number("lag_s", 30.0)))
        if (future := self.faults.active("future", market)) is not None:
            now = Timestamp(now + nanos(future.number("ahead_s", 3_600.0)))
        return now // MILLISECOND


def _levels(side: Side) -> list[list[str]]:
    return [[f"{price:f}", f"{size:f}"] for price, size in side[:DEPTH]]
