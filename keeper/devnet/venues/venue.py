"""A local spot venue: follows the hidden market in its own manner, and keeps a tape of what it said."""

from __future__ import annotations

import asyncio
import json
import random
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from keeper.devnet.market import HiddenMarket
from keeper.devnet.venues.pricing import Listing, Manner, Pricer
from keeper.devnet.venues.server import Client, SocketServer
from keeper.devnet.venues.tape import Tape, Tick


class VenueServer(SocketServer):
    """Common part of the spot venues; a subclass adds the dialect.

    >>> async with BinanceServer(market) as server:
    ...     feed = WebsocketFeed(Binance(**server.options()), ("BTCUSDT",), clock, rng)
    ...     server.faults.switch("stall", symbol="BTCUSDT")

    Every symbol is told about `rate_hz` times a second. `tape` holds what was sent.
    """

    listings: ClassVar[Mapping[str, Listing]]
    manner: ClassVar[Manner] = Manner()

    def __init__(
        self, market: HiddenMarket, seed: int = 1, rate_hz: float = 8.0, port: int = 0, host: str = "127.0.0.1"
    ) -> None:
        super().__init__(market.clock, port, host)
        self.market, self.rate_hz = market, rate_hz
        self.rng = random.Random(f"{self.name}:{seed}")  # noqa: S311  a simulation that repeats
        self.pricer = Pricer(market, self.listings, self.manner, self.faults, self.rng)
        self.tape = Tape()

    @abstractmethod
    def ticker(self, client: Client, tick: Tick) -> Iterable[str]:
        """The data frames by which this client learns of `tick`."""

    @abstractmethod
    def drifted(self, frame: str) -> str:
        """The same frame after an unannounced change of schema."""

    async def subscribe(self, client: Client, symbol: str, channel: Any, snapshot: bool = True) -> None:
        """From now on the client is told about `symbol`, and where the venue does so at once."""
        client.channels[symbol] = channel
        if snapshot and not self.faults.active("stall", symbol):
            await self._tell(client, self.pricer.latest(symbol))

    async def publish(self) -> None:
        while True:
            for symbol in self.listings:
                if not self.replaying:
                    await self._spread(symbol)
            await asyncio.sleep(self.rng.uniform(0.7, 1.3) / self.rate_hz)

    def rest_tick(self, symbol: str) -> Tick:
        """What REST says now; goes on the tape."""
        tick = self.pricer.latest(symbol)
        self.tape.record(self.clock.now(), tick, "rest")
        return tick

    async def _spread(self, symbol: str) -> None:
        tick = self.pricer.next(symbol)
        if self.faults.active("stall", symbol) or self.faults.active("quiet", symbol):
            return
        for client in tuple(self.clients):
            if symbol in client.channels:
                await self._tell(client, tick)

    async def _tell(self, client: Client, tick: Tick) -> None:
        if await self.say(client, [self._spoiled(frame, tick.symbol) for frame in self.ticker(client, tick)]):
            self.tape.record(self.clock.now(), tick, "stream")

    def _spoiled(self, frame: str, symbol: str) -> str | bytes:
        if self.faults.active("bad_json", symbol):
            packed = self.packed(frame)
            return packed[: len(packed) // 2]
        return self.drifted(frame) if self.faults.active("schema_drift", symbol) else frame


def compact(message: object) -> str:
    """JSON as the venues send it."""
    return json.dumps(message, separators=(",", ":"))
