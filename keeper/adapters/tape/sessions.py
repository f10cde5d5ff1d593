"""HTTP sessions that note what they hear: a feed works with one of these as it does with aiohttp's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import Any, Self

import aiohttp
from yarl import URL

from keeper.adapters.tape.lines import PROLOGUE, framed, line
from keeper.ports.clock import Clock

Put = Callable[[bytes], None]
_FRAMES = frozenset({aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY})
_OPENING = 40
"""Frames of each connection that a later file of the tape repeats: acknowledgements and first snapshots."""
_HEADERS = ("Retry-After", "Date", "Content-Type")


@dataclass(slots=True, eq=False)
class Heard:
    """What connections that still stand began with, for the next file's prologue."""

    clock: Clock
    put: Put
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _openings: dict[str, list[tuple[int, str, Any]]] = field(default_factory=dict)

    def dialled(self, venue: str) -> str:
        """A name for the connection, unlike any other's on the tape."""
        name = f"{venue}#{self.clock.now() // 10**6}.{next(self._numbers)}"
        self.put(line(self.clock.now(), "dial", name))
        self._openings[name] = [(self.clock.now(), "dial", None)]
        return name

    def said(self, connection: str, text: str) -> None:
        self.put(line(self.clock.now(), "sent", connection, text))
        self._keep(connection, "sent", text)

    def heard(self, connection: str, frame: bytes) -> None:
        self.put(framed(self.clock.now(), connection, frame))
        self._keep(connection, "frame", frame)

    def shut(self, connection: str, code: int | None) -> None:
        if self._openings.pop(connection, None) is not None:
            self.put(line(self.clock.now(), "shut", connection, code))

    def prologue(self) -> Iterator[bytes]:
        for connection, opening in self._openings.items():
            for at, kind, what in opening:
                yield _marked(connection, at, kind, what)

    def _keep(self, connection: str, kind: str, what: Any) -> None:
        opening = self._openings.get(connection)
        if opening is not None and len(opening) < _OPENING:
            opening.append((self.clock.now(), kind, what))


def _marked(connection: str, at: int, kind: str, what: Any) -> bytes:
    if kind == "frame":
        raw = framed(at, connection, what)  # type: ignore[arg-type]
        return raw.replace(b',"', f',"{PROLOGUE}'.encode(), 1)
    words = (connection,) if what is None else (connection, what)
    return line(at, PROLOGUE + kind, *words)  # type: ignore[arg-type]


@dataclass(slots=True, eq=False)
class RecordingSession:
    """aiohttp's session, heard by `heard`. Only what feeds use of it."""

    venue: str
    session: aiohttp.ClientSession
    tape: Heard

    async def __aenter__(self) -> Self:
        await self.session.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.session.__aexit__(kind, error, trace)

    async def ws_connect(self, url: str, **options: Any) -> RecordingSocket:
        try:
            socket = await self.session.ws_connect(url, **options)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.tape.put(line(self.tape.clock.now(), "fail", self.venue, type(error).__name__))
            raise
        return RecordingSocket(socket, self.tape, self.tape.dialled(self.venue))

    def request(self, method: str, url: str, **options: Any) -> Any:
        """One answer, noted when it has been read."""
        key = asked_key(method, URL(url).path, options.get("params"), options.get("data"))
        return self._asked(key, self.session.request(method, url, **options))

    async def get(self, url: str, **options: Any) -> RecordingStream:
        """An answer that never ends, noted chunk by chunk."""
        response = await self.session.get(url, **options)
        name = self.tape.dialled(self.venue)
        self.tape.said(name, asked_key("GET", URL(url).path, options.get("params")))
        return RecordingStream(response, RecordedChunks(response.content, self.tape, name))

    @asynccontextmanager
    async def _asked(self, key: str, asking: Any) -> AsyncIterator[Any]:
        async with asking as response:
            content = RecordedContent(response.content)
            try:
                yield RecordedResponse(response, content)
            finally:
                headers = {name: _text(response.headers[name]) for name in _HEADERS if name in response.headers}
                body = content.body.decode("latin-1")
                self.tape.put(line(self.tape.clock.now(), "http", self.venue, key, response.status, headers, body))


def _text(header: str) -> str:
    """Bytes of a header that are no UTF-8 come from the HTTP library as half characters, of which no line can be made."""
    return header.encode(errors="replace").decode()


def asked_key(method: str, path: str, params: Any, body: Any = None) -> str:
    """What was asked, without host and headers: `GET /api/ticker?symbol=BTCUSDT`."""
    pairs = params.items() if isinstance(params, Mapping) else params or ()
    words = "&".join(f"{name}={value}" for name, value in sorted(pairs))
    return f"{method} {path}" + (f"?{words}" if words else "") + (f" {body}" if body else "")


@dataclass(slots=True, eq=False)
class RecordingSocket:
    socket: aiohttp.ClientWebSocketResponse[bool]
    tape: Heard
    name: str

    async def receive(self) -> Any:
        message = await self.socket.receive()
        if message.type in _FRAMES:
            data = message.data
            self.tape.heard(self.name, data.encode() if isinstance(data, str) else data)
        return message

    async def send_str(self, text: str) -> None:
        self.tape.said(self.name, text)
        await self.socket.send_str(text)

    async def ping(self, payload: bytes = b"") -> None:
        await self.socket.ping(payload)

    async def pong(self, payload: bytes = b"") -> None:
        await self.socket.pong(payload)

    async def close(self, **words: Any) -> bool:
        closed = await self.socket.close(**words)
        self.tape.shut(self.name, self.socket.close_code)
        return closed

    @property
    def close_code(self) -> int | None:
        return self.socket.close_code


@dataclass(slots=True, eq=False)
class RecordedContent:
    content: aiohttp.StreamReader
    body: bytearray = field(default_factory=bytearray)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        async for chunk in self.content.iter_chunked(size):
            self.body += chunk
            yield chunk

    async def iter_any(self) -> AsyncIterator[bytes]:
        async for chunk in self.content.iter_any():
            self.body += chunk
            yield chunk


@dataclass(slots=True, eq=False)
class RecordedResponse:
    response: aiohttp.ClientResponse
    content: RecordedContent

    def __getattr__(self, name: str) -> Any:
        return getattr(self.response, name)


@dataclass(slots=True, eq=False)
class RecordedChunks:
    content: aiohttp.StreamReader
    tape: Heard
    name: str

    async def readany(self) -> bytes:
        chunk = await self.content.readany()
        if chunk:
            self.tape.heard(self.name, chunk)
        return chunk


@dataclass(slots=True, eq=False)
class RecordingStream:
    response: aiohttp.ClientResponse
    content: RecordedChunks

    def close(self) -> None:
        self.response.close()
        self.content.tape.shut(self.content.name, None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.response, name)
