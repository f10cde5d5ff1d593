"""Sessions that answer from a tape, on a virtual loop: feeds dial, say, hear and ask as they did, without a network."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace, TracebackType
from typing import Any, NamedTuple, Self

import aiohttp
from yarl import URL

from keeper.adapters.tape.lines import Line, frame_of
from keeper.adapters.tape.sessions import asked_key
from keeper.domain.time import SECOND, Timestamp
from keeper.ports.clock import Clock

_BIND_S = 0.05
"""How long a connection that says nothing is waited for to say something: by that it is known."""
_PATIENCE_NS = 2 * SECOND
"""An answer that came later than this after the question is none of it."""


class Message(NamedTuple):
    type: aiohttp.WSMsgType
    data: bytes


@dataclass(slots=True)
class Recorded:
    """One connection as it was: `frames` with their times; `said` is what we said first on it."""

    dialled_at: Timestamp
    said: str | None = None
    frames: list[tuple[Timestamp, bytes]] = field(default_factory=list)
    shut_at: Timestamp | None = None
    code: int | None = None


class Answer(NamedTuple):
    at: Timestamp
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class VenueTape:
    """What one venue did. Connections are taken in the order in which they were made."""

    connections: list[Recorded] = field(default_factory=list)
    failures: list[tuple[Timestamp, str]] = field(default_factory=list)
    answers: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))

    def taken(self, said: str | None) -> Recorded | None:
        """The next connection that began with the same words; without one, the next that nobody has taken."""
        alike = (each for each in self.connections if said is not None and each.said == said)
        found = next(alike, None) or next(iter(self.connections), None)
        if found is not None:
            self.connections.remove(found)
        return found


def venues_of(lines: Iterable[Line]) -> dict[str, VenueTape]:
    """The tape, sorted by venue."""
    venues: dict[str, VenueTape] = defaultdict(VenueTape)
    named: dict[str, Recorded] = {}
    for found in lines:
        if found.kind == "fail":
            venues[found.words[0]].failures.append((found.at, str(found.words[1])))
        elif found.kind == "http":
            venue, asked, status, headers, body = found.words
            venues[venue].answers[asked].append(Answer(found.at, status, headers, body.encode("latin-1")))
        elif found.kind == "dial":
            named[found.words[0]] = recorded = Recorded(found.at)
            venues[found.words[0].partition("#")[0]].connections.append(recorded)
        elif found.words and (known := named.get(str(found.words[0]))) is not None:
            _note(known, found)
    return venues


def _note(connection: Recorded, found: Line) -> None:
    if found.kind == "sent" and connection.said is None:
        connection.said = str(found.words[1])
    elif found.kind in ("text", "data"):
        connection.frames.append((found.at, frame_of(found)))
    elif found.kind == "shut":
        connection.shut_at, connection.code = found.at, found.words[1]


@dataclass(slots=True, eq=False)
class PlayingSession:
    tape: VenueTape
    clock: Clock

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def ws_connect(self, _url: str, **_options: Any) -> PlayingSocket:
        if not self.tape.connections:
            await asyncio.get_running_loop().create_future()  # nobody answers: the caller has a timeout
        return PlayingSocket(self.tape, self.clock)

    def request(self, method: str, url: str, **options: Any) -> Any:
        return self._asked(asked_key(method, URL(url).path, options.get("params"), options.get("data")), url)

    async def get(self, url: str, **options: Any) -> PlayingStream:
        """An answer that never ends: a connection that began with these words."""
        socket = await self.ws_connect(url)
        await socket.send_str(asked_key("GET", URL(url).path, options.get("params")))
        return PlayingStream(PlayingChunks(socket))

    @asynccontextmanager
    async def _asked(self, asked: str, url: str) -> AsyncIterator[Any]:
        answers, now = self.tape.answers.get(asked, []), self.clock.now()
        next_ = bisect_right(answers, now, key=lambda each: each.at)
        if next_ < len(answers) and answers[next_].at - now <= _PATIENCE_NS:
            await _until(self.clock, answers[next_].at)
            found = answers[next_]
        elif next_ > 0 and now - answers[next_ - 1].at <= _PATIENCE_NS:
            found = answers[next_ - 1]
        else:
            raise aiohttp.ClientConnectionError("not on the tape")
        yield SimpleNamespace(
            status=found.status,
            headers=found.headers,
            url=URL(url),
            content=_Content(found.body),
            content_length=len(found.body),
        )


@dataclass(frozen=True, slots=True)
class _Content:
    body: bytes

    async def iter_chunked(self, _size: int) -> AsyncIterator[bytes]:
        yield self.body

    async def iter_any(self) -> AsyncIterator[bytes]:
        yield self.body


@dataclass(frozen=True, slots=True)
class PlayingChunks:
    socket: PlayingSocket

    async def readany(self) -> bytes:
        return (await self.socket.receive()).data


@dataclass(frozen=True, slots=True)
class PlayingStream:
    content: PlayingChunks
    status: int = 200
    content_type: str = "text/event-stream"
    headers: Mapping[str, str] = field(default_factory=dict)

    def close(self) -> None:
        """The tape goes on without anybody who listens."""


@dataclass(slots=True, eq=False)
class PlayingSocket:
    """Frames come when they came; those of before come at once, in their order."""

    tape: VenueTape
    clock: Clock
    close_code: int | None = None
    _first: asyncio.Future[str] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    _recorded: Recorded | None = None
    _next: int = 0
    _pinged: asyncio.Event = field(default_factory=asyncio.Event)

    async def receive(self) -> Message:
        if self._recorded is None:
            self._recorded = await self._found()
        if self._pinged.is_set():
            self._pinged.clear()
            return Message(aiohttp.WSMsgType.PONG, b"")
        recorded = self._recorded
        if recorded is None:
            await self._until(None)
        elif self._next < len(recorded.frames):
            at, frame = recorded.frames[self._next]
            if not await self._until(at):
                return Message(aiohttp.WSMsgType.PONG, b"")
            self._next += 1
            return Message(aiohttp.WSMsgType.BINARY if _is_binary(frame) else aiohttp.WSMsgType.TEXT, frame)
        elif not await self._until(recorded.shut_at):
            return Message(aiohttp.WSMsgType.PONG, b"")
        self.close_code = None if recorded is None else recorded.code
        return Message(aiohttp.WSMsgType.CLOSED, b"")

    async def send_str(self, text: str) -> None:
        if not self._first.done():
            self._first.set_result(text)

    async def ping(self, _payload: bytes = b"") -> None:
        self._pinged.set()

    async def pong(self, _payload: bytes = b"") -> None:
        return None

    async def close(self, **_words: Any) -> bool:
        return True

    async def _found(self) -> Recorded | None:
        try:
            async with asyncio.timeout(_BIND_S):
                said: str | None = await asyncio.shield(self._first)
        except TimeoutError:
            said = None
        return self.tape.taken(said)

    async def _until(self, at: Timestamp | None) -> bool:
        """False when a ping wants its answer before that."""
        try:
            async with asyncio.timeout(None if at is None else max(0, at - self.clock.now()) / SECOND):
                await self._pinged.wait()
        except TimeoutError:
            return True
        self._pinged.clear()
        return False


async def _until(clock: Clock, at: Timestamp) -> None:
    if (left := at - clock.now()) > 0:
        await asyncio.sleep(left / SECOND)


def _is_binary(frame: bytes) -> bool:
    try:
        frame.decode()
    except UnicodeDecodeError:
        return True
    return False
