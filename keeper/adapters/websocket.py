"""The one websocket loop: keeps a venue's symbols flowing over as many connections as the venue's limits ask for."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any, ClassVar

import aiohttp

from keeper.adapters.admission import Entry
from keeper.adapters.backoff import full_jitter_s
from keeper.adapters.budget import Budget
from keeper.adapters.connection import Connection, Ending, Socket
from keeper.adapters.intake import Intake
from keeper.adapters.polling import Fallback, RestClient
from keeper.adapters.tuning import FeedTuning
from keeper.domain.ids import SourceId
from keeper.errors import FeedDisconnected
from keeper.ports.clock import Clock
from keeper.ports.feed import Emit, Notify
from keeper.ports.venue import StreamVenue

SessionFactory = Callable[[], aiohttp.ClientSession]


async def _refuse_redirect(
    _session: aiohttp.ClientSession, _context: SimpleNamespace, params: aiohttp.TraceRequestRedirectParams
) -> None:
    raise FeedDisconnected(f"redirected away from {params.url.host}")


def open_session() -> aiohttp.ClientSession:
    """A session that follows no redirect, takes no proxy from the environment and keeps no cookie."""
    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(_refuse_redirect)
    return aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "perp-keeper"},
        trust_env=False,
        trace_configs=[trace],
    )


@dataclass(frozen=True, slots=True, eq=False)
class WebsocketFeed:
    """Streams `symbols` of one venue and heals its own connections. Implements QuoteFeed.

    >>> feed = WebsocketFeed(Binance(url="ws://127.0.0.1:9001/stream"), ("BTCUSDT",), clock, random.Random(7))
    >>> await feed.run(emit, notify)

    Sources are named `venue:symbol`. `rng` draws the jitter. `sessions` opens the feed's own HTTP session; it is closed
    with the feed.
    """

    venue: StreamVenue[Any]
    symbols: Sequence[str]
    clock: Clock
    rng: random.Random
    sessions: SessionFactory = open_session
    tuning: FeedTuning = field(default_factory=FeedTuning)

    pingable: ClassVar[bool] = True

    @property
    def name(self) -> str:
        return self.venue.name

    async def run(self, emit: Emit, notify: Notify) -> None:
        """Runs until cancelled. Trouble with the venue is told by notices and never raised."""
        symbols, size = tuple(self.symbols), self.tuning.shard_size(self.venue)
        intake = Intake(self.venue.name, emit, notify, self.tuning.max_future_s, self.tuning.bench)
        async with self.sessions() as session, asyncio.TaskGroup() as tasks:
            rest = RestClient(
                self.venue,
                session,
                self.clock,
                Budget(self.venue.limits, self.tuning.rest_every_s),
                intake,
                self.tuning.rest_timeout_s,
                self.tuning.max_frame_bytes,
            )
            for start in range(0, len(symbols), size):
                line = Line(self, symbols[start : start + size], rest)
                tasks.create_task(line.run(), name=f"{self.name}:{start // size}")

    async def dial(self, session: aiohttp.ClientSession, symbols: Sequence[str], entry: Entry) -> Socket:  # noqa: ARG002  what an event stream is asked for
        """One connection's transport. Raises as `Dial` says."""
        return await session.ws_connect(
            entry.url,
            params=entry.params or None,
            autoping=False,
            compress=0,
            max_msg_size=self.tuning.max_frame_bytes,
            timeout=aiohttp.ClientWSTimeout(ws_close=self.tuning.close_timeout_s),
            decode_text=False,
        )


@dataclass(slots=True, eq=False)
class Line:
    """One share of a feed's symbols: one current connection, and a second one only while handing over.

    A reducer: whatever happens to a connection wakes it, and `_review` puts right what is wrong.
    """

    feed: WebsocketFeed
    symbols: Sequence[str]
    rest: RestClient
    current: Connection | None = None
    successor: Connection | None = None
    failures: int = 0
    dial_at: float = 0.0
    dials: int = 0
    overdue_at: float = 0.0
    flowed_at: float = 0.0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        self.dial_at, self.flowed_at = loop.time(), loop.time()
        tuning = self.feed.tuning
        fallback = Fallback(self.rest, self.rest.intake, self.symbols, tuning.fallback_every_s, self._dry)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fallback.run())
            while True:
                self.news.clear()
                due = self._review(tasks, loop.time())
                try:
                    async with asyncio.timeout_at(due):
                        await self.news.wait()
                except TimeoutError:
                    continue

    def _review(self, tasks: asyncio.TaskGroup, now: float) -> float | None:
        """Brings the line in order and returns when to look again."""
        self._bury(now)
        successor = self.successor
        if successor is not None and (successor.ready or self.current is None):
            self._promote(successor)
        if self.current is not None and self.current.delivering:
            self.failures = 0
        if self.successor is not None:
            return self._press(self.successor, now)
        if self.current is not None and not self.current.leaving:
            return None
        due = max(self.dial_at, self.rest.budget.connect_at(now))
        if now < due:
            return due
        replacing = self.current is not None
        self._dial(tasks, now)
        return self.overdue_at if replacing else None

    def _press(self, successor: Connection, now: float) -> float | None:
        """A replacement that is late is taken for what it delivers, or given up if that is nothing."""
        if now < self.overdue_at:
            return self.overdue_at
        if successor.delivering:
            self._promote(successor)
        else:
            successor.end("overdue", "delivered nothing in time")
        return None

    def _bury(self, now: float) -> None:
        """Takes note of connections that have ended."""
        if (spare := self.successor) is not None and spare.ending is not None:
            self.successor = None
            self._put_off(now, spare.ending, spare)
        if (gone := self.current) is not None and (ending := gone.ending) is not None:
            self.current = None
            if gone.delivering:
                self.flowed_at = now
            wait_s = 0.0 if self.successor is not None else self._put_off(now, ending, gone)
            self.rest.intake.tell(
                "disconnected", gone.sources, self.feed.clock.now(), ending.reason, ending.detail, retry_in_s=wait_s
            )

    def _put_off(self, now: float, ending: Ending, gone: Connection) -> float:
        """After an end the next attempt waits: as long as the venue says, else by backoff."""
        tuning, wait_s = self.feed.tuning, ending.wait_s
        if wait_s is None:
            draw = self.feed.rng.random()
            wait_s = full_jitter_s(self.failures, draw, tuning.backoff_base_s, tuning.backoff_cap_s)
        if gone.down:
            wait_s = max(wait_s, tuning.maintenance_wait_s)
        if not gone.delivering:
            self.failures += 1
        self.dial_at = now + wait_s
        return wait_s

    def _promote(self, successor: Connection) -> None:
        replaced, self.current, self.successor = self.current, successor, None
        successor.take_over()
        if replaced is not None:
            replaced.current = False
            self.rest.intake.tell("rotated", successor.sources, self.feed.clock.now(), reason=replaced.leaving)
            replaced.end("replaced")

    def _dial(self, tasks: asyncio.TaskGroup, now: float) -> None:
        feed, urls = self.feed, self.feed.venue.endpoints
        url = urls[self.dials % len(urls)] if self.failures else urls[0]
        self.dials += 1
        self.rest.budget.spend_connect(now)
        connection = Connection(
            feed.venue,
            url,
            self.symbols,
            partial(feed.dial, self.rest.session, self.symbols),
            feed.clock,
            self.rest.intake,
            self.rest,
            feed.tuning,
            self.news.set,
            self._max_age_s(),
            self.failures,
            feed.pingable,
        )
        if self.current is None:
            self.current = connection
            connection.current = True
        else:
            self.successor, self.overdue_at = connection, now + feed.tuning.overlap_s
        tasks.create_task(connection.run())

    def _max_age_s(self) -> float | None:
        """A little earlier each time, so that the connections of many keepers do not renew at once."""
        after_s = self.feed.tuning.rotate_of(self.feed.venue)
        return None if after_s is None else after_s * (1.0 - 0.04 * self.feed.rng.random())

    def _dry(self, source: SourceId) -> bool:
        """The stream has brought nothing for a while without the venue announcing it, or nothing of this source."""
        now, current = asyncio.get_running_loop().time(), self.current
        if current is not None and (current.delivering or current.down):
            self.flowed_at = now
            return source in current.watch.stalled
        return now - self.flowed_at >= self.feed.tuning.fallback_after_s
