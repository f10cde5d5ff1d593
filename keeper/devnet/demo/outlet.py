"""From the engines to the exchange's own book server, in order, noting what was shown and when."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from decimal import Decimal

from keeper.devnet.demo.floor import Levels
from keeper.devnet.engine import BUY, Side
from keeper.devnet.recorder import Recorder
from keeper.devnet.venues.perp import PerpServer


@dataclass(frozen=True, slots=True)
class _Book:
    symbol: str
    bids: Levels
    asks: Levels


@dataclass(frozen=True, slots=True)
class _Trade:
    symbol: str
    price_e18: int
    size_e18: int
    side: Side


@dataclass(slots=True)
class BookOutlet:
    """The floor's Outlet. `run` sends what `show_book` and `show_trade` were given."""

    server: PerpServer
    recorder: Recorder
    _queue: asyncio.Queue[_Book | _Trade] = field(default_factory=asyncio.Queue)

    def show_book(self, symbol: str, bids: Levels, asks: Levels) -> None:
        self._queue.put_nowait(_Book(symbol, bids, asks))

    def show_trade(self, symbol: str, price_e18: int, size_e18: int, taker_side: Side) -> None:
        self._queue.put_nowait(_Trade(symbol, price_e18, size_e18, taker_side))

    async def run(self) -> None:
        while True:
            shown = await self._queue.get()
            if isinstance(shown, _Book):
                bids, asks = ([[str(price), str(size)] for price, size in side] for side in (shown.bids, shown.asks))
                self.recorder.note("books", symbol=shown.symbol, bids=bids, asks=asks)
                await self.server.publish_book(shown.symbol, _exact(shown.bids), _exact(shown.asks))
            else:
                record = {"symbol": shown.symbol, "price": str(shown.price_e18), "size": str(shown.size_e18)}
                self.recorder.note("trades", **record, side=shown.side)
                price, size = _decimal(shown.price_e18), _decimal(shown.size_e18)
                await self.server.publish_trade(shown.symbol, price, size, "buy" if shown.side == BUY else "sell")


def _decimal(value_e18: int) -> Decimal:
    return Decimal(value_e18).scaleb(-18)


def _exact(levels: Levels) -> list[tuple[Decimal, Decimal]]:
    return [(_decimal(price), _decimal(size)) for price, size in levels]
