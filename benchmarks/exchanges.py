"""Exchanges for the benchmarks: one websocket per symbol in the dialect of its venue, and many ticks a second.

Ticks are told round robin at a fixed rate, each with a little noise; a symbol's price changes when `move` says so.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

from aiohttp import web

NOISE_BPS = 0.5
BOOK_LEVELS, BOOK_STEP_BPS = 5, 2
SLICE_S = 0.002
"""Ticks that are due are sent this often."""


@dataclass(slots=True, eq=False)
class Feed:
    """One symbol on one connection. `base` is its price before the noise."""

    kind: str
    symbol: str
    base: float
    noise_bps: float = NOISE_BPS
    serial: int = 0
    sockets: list[web.WebSocketResponse] = field(default_factory=list)

    @property
    def path(self) -> str:
        """All books are on one connection."""
        return f"/{self.kind}" if self.kind == "perp" else f"/{self.kind}/{self.symbol}"

    def frame(self, dice: random.Random) -> str:
        self.serial += 1
        price = self.base * (1 + dice.uniform(-self.noise_bps, self.noise_bps) / 1e4)
        return DIALECTS[self.kind](self, price)


def _binance(feed: Feed, price: float) -> str:
    bid, ask = _spread(price)
    data = {"u": feed.serial, "s": feed.symbol, "b": bid, "B": "1.50000000", "a": ask, "A": "0.75000000"}
    return _compact({"stream": f"{feed.symbol.lower()}@bookTicker", "data": data})


def _okx(feed: Feed, price: float) -> str:
    bid, ask = _spread(price)
    ticker = {"instType": "SPOT", "instId": feed.symbol, "last": bid, "lastSz": "0.01", "askPx": ask, "askSz": "2.5"}
    more = {"bidPx": bid, "bidSz": "1.25", "open24h": bid, "high24h": ask, "low24h": bid, "vol24h": "123456.78"}
    ticker |= {**more, "ts": str(time.time_ns() // 10**6)}
    return _compact({"arg": {"channel": "tickers", "instId": feed.symbol}, "data": [ticker]})


def _coinbase(feed: Feed, price: float) -> str:
    bid, ask = _spread(price)
    at = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    ticker = {"type": "ticker", "sequence": feed.serial, "product_id": feed.symbol, "price": bid, "open_24h": bid}
    sides = {"best_bid": bid, "best_bid_size": "0.5", "best_ask": ask, "best_ask_size": "0.25", "side": "buy"}
    return _compact({**ticker, **sides, "time": at, "trade_id": feed.serial, "last_size": "0.002"})


def _perp(feed: Feed, price: float) -> str:
    steps = [step * BOOK_STEP_BPS / 1e4 for step in range(1, BOOK_LEVELS + 1)]
    size = f"{20_000 / price:.8f}"
    bids = [[f"{price * (1 - step):.10f}", size] for step in steps]
    asks = [[f"{price * (1 + step):.10f}", size] for step in steps]
    head = {"type": "book", "market": feed.symbol, "seq": feed.serial, "ts": time.time_ns() // 10**6}
    return _compact({**head, "bids": bids, "asks": asks})


DIALECTS: dict[str, Callable[[Feed, float], str]] = {
    "binance": _binance,
    "okx": _okx,
    "coinbase": _coinbase,
    "perp": _perp,
}


def _spread(price: float) -> tuple[str, str]:
    return f"{price * 0.99999:.10f}", f"{price * 1.00001:.10f}"


def _compact(message: object) -> str:
    return json.dumps(message, separators=(",", ":"))


class Exchanges:
    """All feeds on one port; `async with`. `told` counts frames, `url(feed)` is where a feed is."""

    def __init__(self, feeds: Sequence[Feed], per_s: float, tls: ssl.SSLContext | None = None) -> None:
        self.feeds, self.per_s, self.told = tuple(feeds), per_s, 0
        self._tls = tls
        self._dice = random.Random(3)
        self._port = 0
        self._runner: web.AppRunner | None = None
        self._talk: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """In front of every path."""
        return f"{'ws' if self._tls is None else 'wss'}://localhost:{self._port}"

    @property
    def paths(self) -> tuple[str, ...]:
        """One for each connection that a client should open."""
        return tuple(dict.fromkeys(feed.path for feed in self.feeds))

    @property
    def connected(self) -> int:
        return len({id(socket) for feed in self.feeds for socket in feed.sockets})

    async def move(self, feed: Feed, base: float) -> int:
        """Changes a price and tells it at once. Returns CLOCK_MONOTONIC in ns, just before the first byte."""
        feed.base = base
        frame, begun = feed.frame(self._dice), time.monotonic_ns()
        await self._say(feed, frame)
        return begun

    def put(self, feed: Feed, base: float) -> None:
        """Changes a price and tells it in its turn."""
        feed.base = base

    async def __aenter__(self) -> Self:
        app = web.Application()
        for path in self.paths:
            app.router.add_get(path, self._serving([feed for feed in self.feeds if feed.path == path]))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls).start()
        self._port = self._runner.addresses[0][1]
        self._talk = asyncio.create_task(self._tell())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._talk is not None:
            self._talk.cancel()
            with suppress(asyncio.CancelledError):
                await self._talk
        if self._runner is not None:
            await self._runner.cleanup()

    def _serving(self, feeds: Sequence[Feed]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            socket = web.WebSocketResponse(compress=False)
            await socket.prepare(request)
            for feed in feeds:
                feed.sockets.append(socket)
            try:
                async for _ in socket:  # what a client wishes is known already
                    pass
            finally:
                for feed in feeds:
                    feed.sockets.remove(socket)
            return socket

        return serve

    async def _tell(self) -> None:
        loop = asyncio.get_running_loop()
        begun, place = loop.time(), 0
        while True:
            due = int((loop.time() - begun) * self.per_s)
            while place < due:
                feed = self.feeds[place % len(self.feeds)]
                await self._say(feed, feed.frame(self._dice))
                place += 1
            await asyncio.sleep(SLICE_S)

    async def _say(self, feed: Feed, frame: str) -> None:
        for socket in tuple(feed.sockets):
            with suppress(ConnectionError):
                await socket.send_str(frame)
                self.told += 1
