"""Running a feed against a local venue, and waiting for what it tells. No polling: every emission wakes the waiter."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from keeper.adapters.bench import BenchRules
from keeper.adapters.feeds import feed_of
from keeper.adapters.tuning import FeedTuning
from keeper.devnet.market import HiddenMarket
from keeper.devnet.venues.server import SocketServer
from keeper.domain.quote import Depth, Observation, Quote, Trade
from keeper.domain.time import Timestamp
from keeper.ports.feed import FeedNotice
from keeper.ports.venue import StreamVenue

HERE = Path(__file__).parent
HASTY = FeedTuning(
    quiet_s=0.4,
    rest_every_s=0.02,
    bench=BenchRules(readmit_s=0.6),
    backoff_base_s=0.1,
    backoff_cap_s=0.4,
    overlap_s=3.0,
    confirm_s=0.1,
    settle_s=0.05,
    fallback_after_s=30.0,
    fallback_every_s=0.3,
    connect_timeout_s=3.0,
    rest_timeout_s=2.0,
    close_timeout_s=0.2,
)
"""Patience for tests."""


class WallClock:
    def now(self) -> Timestamp:
        return Timestamp(time.time_ns())


@dataclass(slots=True)
class Heard:
    """What a feed emitted and told, in order."""

    observations: list[Observation] = field(default_factory=list)
    notices: list[FeedNotice] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def quotes(self) -> list[Quote]:
        return [o for o in self.observations if isinstance(o, Quote)]

    @property
    def depths(self) -> list[Depth]:
        return [o for o in self.observations if isinstance(o, Depth)]

    @property
    def trades(self) -> list[Trade]:
        return [o for o in self.observations if isinstance(o, Trade)]

    def told(self, kind: str, reason: str | None = None) -> list[FeedNotice]:
        return [n for n in self.notices if n.kind == kind and reason in (None, n.reason)]

    def emit(self, observation: Observation) -> None:
        self.observations.append(observation)
        self.news.set()

    def notify(self, notice: FeedNotice) -> None:
        self.notices.append(notice)
        self.news.set()

    async def until(self, true: Callable[[], object], within_s: float = 30.0) -> None:
        async with asyncio.timeout(within_s):
            while not true():
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def running(
    venue: StreamVenue[Any], symbols: Sequence[str], tuning: FeedTuning = HASTY, seed: int = 7
) -> AsyncIterator[Heard]:
    """A feed at work; it is cancelled at the end, and an error of its own surfaces here."""
    heard = Heard()
    feed = feed_of(venue, symbols, WallClock(), random.Random(seed), tuning=tuning)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(feed.run(heard.emit, heard.notify))
        try:
            yield heard
        finally:
            task.cancel()


@asynccontextmanager
async def moving(market: HiddenMarket) -> AsyncIterator[HiddenMarket]:
    """A hidden market that walks."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(market.run())
        try:
            yield market
        finally:
            task.cancel()


async def server_until(server: SocketServer, true: Callable[[], object], within_s: float = 30.0) -> None:
    """Waits for something that the server hears."""
    async with asyncio.timeout(within_s):
        while not true():
            server.news.clear()
            await server.news.wait()


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def documents(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(path)]


def e18(text: str | None) -> int | None:
    """By Decimal, so not by the way that is tested."""
    return None if text is None else int(Decimal(text).scaleb(18))
