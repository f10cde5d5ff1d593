"""One connection of one feed, from dialling to its end."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp

from keeper.adapters.admission import Entry, enter
from keeper.adapters.budget import LIMITING, retry_after_s
from keeper.adapters.causes import cause
from keeper.adapters.intake import Doubling, Intake, Order, Strangers
from keeper.adapters.polling import RestClient
from keeper.adapters.tuning import FeedTuning
from keeper.adapters.watch import SilenceWatch
from keeper.domain.ids import SourceId, source_id
from keeper.domain.quote import Depth, Observation, Quote
from keeper.errors import FeedDisconnected, FeedProtocolError, RateLimited
from keeper.ports.clock import Clock
from keeper.ports.venue import Frame, Message, StreamVenue, VenueEvent

_PART = "[A-Za-z0-9/-]"
"""What may stand beside a symbol that is only part of a longer one."""
_TEXT, _BINARY = aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY
_STEADY = (Quote, Depth)
"""Kinds whose silence means something. Nobody owes us trades."""


class Incoming(Protocol):
    """What came: `data` is str or bytes for TEXT and BINARY, and the exception for ERROR."""

    @property
    def type(self) -> aiohttp.WSMsgType: ...

    @property
    def data(self) -> Any: ...


class Socket(Protocol):
    """What a connection asks of its transport: a websocket, or what behaves like one."""

    @property
    def close_code(self) -> int | None: ...

    async def receive(self) -> Incoming: ...

    async def send_str(self, data: str) -> None: ...

    async def ping(self) -> None: ...

    async def pong(self, message: bytes) -> None: ...

    async def close(self) -> object: ...


Dial = Callable[[Entry], Awaitable[Socket]]
"""Raises aiohttp.ClientError, TimeoutError, OSError or FeedDisconnected."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a connection is over. `wait_s` is the venue's own figure, where it gave one."""

    reason: str
    detail: str = ""
    wait_s: float | None = None


@dataclass(slots=True, eq=False)
class Connection:
    """Reads, pings and watches one socket; knows nothing of its successors.

    Until `current` it keeps what it hears to itself, so that a replacement can be warmed up beside the connection it
    replaces. `changed` is called after each change of `ready`, `leaving`, `delivering` or `ending`.
    """

    venue: StreamVenue[object]
    url: str
    symbols: Sequence[str]
    dial: Dial
    clock: Clock
    intake: Intake
    rest: RestClient
    tuning: FeedTuning
    changed: Callable[[], None]
    max_age_s: float | None = None
    turn: int = 0
    """Attempts since the last success."""
    pingable: bool = True
    """The transport has pings of its own, which the peer answers."""

    current: bool = False
    delivering: bool = False
    """Data came on this connection."""
    leaving: str = ""
    """Why a replacement is wanted, while this one still works."""
    ending: Ending | None = None
    down: bool = False
    """The venue said that it is in maintenance."""
    refused: set[SourceId] = field(default_factory=set)
    watch: SilenceWatch = field(init=False)
    strangers: Strangers = field(init=False)

    _unnamed: Doubling = field(default_factory=Doubling)
    """Refusals that do not say of what."""
    _order: Order = field(default_factory=Order)
    _held: dict[tuple[SourceId, type], Observation] = field(default_factory=dict)
    _state: object = None
    _entry: Entry = field(init=False)
    _framed_at: float = 0.0
    """Loop time of the last frame."""
    _alive_at: float = 0.0
    """Loop time of the last sign of life: a frame, a ping or a pong."""
    _leash: asyncio.Timeout | None = None
    _forced: Ending | None = None
    _helpers: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        named = {source_id(self.venue.name, symbol): symbol for symbol in self.symbols}
        self._entry, self.strangers = Entry(self.url), Strangers(self.intake, named)
        self.watch = SilenceWatch(self, self.rest, self.intake, self._order, named, self.tuning)

    @property
    def sources(self) -> tuple[SourceId, ...]:
        return tuple(self.watch.symbols)

    @property
    def ready(self) -> bool:
        """Every symbol that was not refused has data."""
        return self.delivering and all(s in self.watch.heard_at or s in self.refused for s in self.sources)

    async def run(self) -> None:
        """Ends when the connection does; `ending` then says why."""
        try:
            self.ending = await self._talk()
        finally:
            self.changed()

    def take_over(self) -> None:
        """From now on what it hears is emitted, and first what it has heard last."""
        self.current = True
        held, self._held = self._held, {}
        for observation in held.values():
            last = self.intake.last.get(observation.source)
            stale = isinstance(observation, Quote) and last is not None and _older(observation, last)
            if not stale:
                self.intake.admit(observation, self._order)

    def end(self, reason: str, detail: str = "", wait_s: float | None = None) -> None:
        """Closes soon; the first reason stands."""
        if self._forced is None:
            self._forced = Ending(reason, detail, wait_s)
            if self._leash is not None:
                self._leash.reschedule(asyncio.get_running_loop().time())

    def leave(self, reason: str) -> None:
        """Asks for a replacement and goes on until it is there."""
        self.leaving = self.leaving or reason
        self.changed()

    async def _talk(self) -> Ending:
        try:
            async with asyncio.timeout(self.tuning.connect_timeout_s):
                self._entry = await enter(self.venue, self.url, self.turn, self.rest)
                socket = await self.dial(self._entry)
        except aiohttp.ClientResponseError as error:
            return self._turned_away(error)
        except RateLimited as error:
            return Ending("rate_limited", str(error), error.retry_after_s)
        except FeedProtocolError as error:
            return Ending("not_admitted", str(error))
        except (aiohttp.ClientError, TimeoutError, OSError, FeedDisconnected) as error:
            return Ending("connect_failed", self._entry.veiled(cause(error)))
        try:
            return await self._converse(socket)
        finally:
            await socket.close()

    def _turned_away(self, error: aiohttp.ClientResponseError) -> Ending:
        """Told by status and message alone: the error's own words repeat our request's headers."""
        reason = f"http_{error.status}"
        if error.status not in LIMITING:
            return Ending(reason, error.message)
        named = retry_after_s(error.headers or {}, self.clock.now())
        wait_s = self.rest.budget.status_wait_s(error.status) if named is None else named
        self.rest.slow_down(wait_s, reason, "connecting")
        return Ending(reason, error.message, wait_s)

    async def _converse(self, socket: Socket) -> Ending:
        self.intake.tell("connected", self.sources, self.clock.now(), detail=self._entry.url)
        try:
            async with asyncio.timeout(None) as self._leash, asyncio.TaskGroup() as tasks:
                self._framed_at = self._alive_at = asyncio.get_running_loop().time()
                self._state, opening = self.venue.open(self.symbols)
                self._helpers = [
                    tasks.create_task(self._greet(socket, opening)),
                    tasks.create_task(self._ping(socket)),
                    tasks.create_task(self._probe(socket)),
                    tasks.create_task(self._listen()),
                    tasks.create_task(self.watch.run()),
                    tasks.create_task(self._age()),
                ]
                try:
                    await self._read(socket, tasks)
                finally:
                    for helper in self._helpers:
                        helper.cancel()
        except TimeoutError:
            pass  # `end` pulled the leash
        finally:
            self._leash = None
        return self._forced or Ending("closed", f"code {socket.close_code}")

    async def _read(self, socket: Socket, tasks: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        while self._forced is None:
            message = await socket.receive()
            kind, self._alive_at = message.type, loop.time()
            if kind is _TEXT or kind is _BINARY:
                self._framed_at = self._alive_at
                replies = self._hear(message.data, self._framed_at)
                if len(replies) == 1:
                    await self._say(socket, replies)
                elif replies:  # at the venue's pace, which the reader cannot wait for
                    self._helpers.append(tasks.create_task(self._say(socket, replies)))
            elif kind is aiohttp.WSMsgType.PING:
                await self._send(socket.pong(message.data))
            elif kind is not aiohttp.WSMsgType.PONG:
                if kind is aiohttp.WSMsgType.ERROR:
                    self._forced = Ending("broken", cause(message.data))
                return

    def _hear(self, frame: Frame, heard_at: float) -> Sequence[Message]:
        """Takes in one frame and returns what to answer."""
        received_at = self.clock.now()
        try:
            step = self.venue.step(self._state, frame, received_at)
        except FeedProtocolError as error:
            self._misheard(error.unpacked or frame, heard_at, str(error))
            return ()
        self._state = step.state
        if step.observations:
            self._take(step.observations, heard_at)
        for quote in step.confirmations:
            if self.current and not self.down:
                self.intake.confirm(quote, self._order)
        for event in step.events:
            self._obey(event)
        return step.replies

    def _take(self, observations: Sequence[Observation], heard_at: float) -> None:
        watch, intake, ours = self.watch, self.intake, False
        for observation in observations:
            source = observation.source
            if source not in watch.symbols:
                self.strangers.heard(source, observation.received_at)
                continue
            ours = True
            if isinstance(observation, _STEADY):
                watch.hear(source, heard_at)
            if intake.records:
                intake.good((source,), observation.received_at)
            if self.down:
                continue
            if self.current:
                intake.admit(observation, self._order)
            else:
                self._held[source, type(observation)] = observation
        if ours and not (self.delivering and self.current):
            self.delivering = True
            self.changed()

    def _misheard(self, frame: Frame, heard_at: float, reason: str) -> None:
        """A frame that we do not understand is no silence: it counts against the sources that it names, or all."""
        text = frame if isinstance(frame, str) else frame.decode(errors="replace")
        named = [s for s in self.symbols if re.search(rf"(?<!{_PART}){re.escape(s)}(?!{_PART})", text)]
        blamed = tuple(source_id(self.venue.name, symbol) for symbol in named) or self.sources
        self.watch.excuse(blamed, heard_at)
        self.intake.bad(blamed, self.clock.now(), reason)

    def _obey(self, event: VenueEvent) -> None:
        now = self.clock.now()
        named = [source_id(self.venue.name, symbol) for symbol in event.symbols]
        sources = self.strangers.without(named, now)
        match event.kind:
            case "subscribed" | "symbol_refused" if named and not sources:
                pass  # said of others, and so not of ours
            case "subscribed":
                self.intake.tell("subscribed", sources or self.sources, now)
            case "symbol_refused":
                self.refuse(sources, event.reason)
            case "reconnect_requested":
                self.leave(event.reason)
            case "maintenance":
                self._halt(event.reason)
            case "online":
                if self.down:
                    self.down = False
                    self.intake.tell("connected", self.sources, now, reason="maintenance_over")
            case "rate_limited":
                wait_s = event.retry_in_s or self.rest.budget.status_wait_s(429)
                self.rest.slow_down(wait_s, "stream", event.reason)
                self.end("rate_limited", event.reason, wait_s)
            case "heartbeat":
                pass

    def _halt(self, reason: str) -> None:
        if not self.down:
            self.down = True
            self.intake.tell("disconnected", self.sources, self.clock.now(), reason="maintenance", detail=reason)

    def refuse(self, sources: Iterable[SourceId], reason: str) -> None:
        """The venue does not know these; the others go on."""
        named = tuple(sources)
        fresh = tuple(s for s in named if s not in self.refused)
        if fresh or (not named and self._unnamed.one_more()):
            self.refused.update(fresh)
            self.intake.tell("symbol_refused", fresh, self.clock.now(), detail=reason)
            self.changed()

    async def _greet(self, socket: Socket, opening: Iterable[Message]) -> None:
        await asyncio.sleep(self.tuning.settle_of(self.venue))
        await self._say(socket, opening)

    async def _say(self, socket: Socket, messages: Iterable[Message]) -> None:
        """Within the venue's message rate."""
        pause_s = 1.0 / self.venue.limits.frames_per_s
        for number, message in enumerate(messages):
            if number:
                await asyncio.sleep(pause_s)
            text = message if isinstance(message, str) else message(self.clock.now())
            if not await self._send(socket.send_str(text)):
                return

    async def _send(self, sending: Awaitable[None]) -> bool:
        """False when nothing can be sent any more: the connection then ends."""
        try:
            async with asyncio.timeout(self.tuning.send_timeout_s):
                await sending
        except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
            self.end("send_failed", cause(error))
            return False
        return True

    async def _ping(self, socket: Socket) -> None:
        """Its own task: a reader that waits for a frame must not hold up a ping."""
        stated_s = self._entry.ping_every_s if self.tuning.ping_s is None else None
        every_s = stated_s or self.tuning.ping_of(self.venue)
        while every_s is not None and (frame := self.venue.ping()) is not None:
            await asyncio.sleep(every_s)
            await self._say(socket, (frame,))

    async def _probe(self, socket: Socket) -> None:
        """Pings a line on which nothing came for a while, and ends it if nothing comes then either.

        aiohttp would do so too, but it moves a timer with each frame. Here a frame leaves its time and nothing else.
        """
        loop, patience_s = asyncio.get_running_loop(), self.tuning.protocol_ping_s
        while self.pingable:
            await _reached(lambda: self._alive_at + patience_s)
            asked_at = loop.time()
            await self._send(socket.ping())
            await asyncio.sleep(patience_s / 2)
            if self._alive_at < asked_at:
                self.end("broken", f"no pong within {patience_s / 2} s")
                return

    async def _listen(self) -> None:
        """Ends a line without a frame for too long; pings and pongs are none."""
        silence_s = self.tuning.silence_of(self.venue)
        if silence_s is not None:
            await _reached(lambda: self._framed_at + silence_s)
            self.end("silent", "no frame at all")

    async def _age(self) -> None:
        """Asks for a replacement ahead of the venue's cut."""
        if self.max_age_s is not None:
            await asyncio.sleep(self.max_age_s)
            self.leave("rotation")


async def _reached(moment: Callable[[], float]) -> None:
    """Sleeps until a moment in loop time that may move away meanwhile."""
    loop = asyncio.get_running_loop()
    while (left_s := moment() - loop.time()) > 0:  # noqa: ASYNC110 - time passes by itself
        await asyncio.sleep(left_s)


def _older(held: Quote, last: Quote) -> bool:
    if held.observed_at is not None and last.observed_at is not None:
        return held.observed_at < last.observed_at
    return held.received_at < last.received_at
