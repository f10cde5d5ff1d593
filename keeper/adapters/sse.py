"""Venues that stream over HTTP: server-sent events in the place of a websocket, under the same loop.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import aiohttp

from keeper.adapters.admission import Entry
from keeper.adapters.connection import Incoming, Socket
from keeper.adapters.websocket import WebsocketFeed
from keeper.errors import FeedDisconnected, FeedProtocolError
from keeper.ports.venue import EventStreamVenue

_EMPTY_LINE = re.compile(rb"(?:\r\n|\n|\r(?!\n)){2}")
_LONGEST_END = 4
"""Bytes of the longest such end, CR LF CR LF."""


class Received(NamedTuple):
    """As a websocket has it: TEXT with an event's bytes, ERROR with the exception, or CLOSED."""

    type: aiohttp.WSMsgType
    data: bytes | Exception | None


@dataclass(slots=True)
class EventSplitter:
    """Cuts a byte stream into events, wherever its chunks begin and end."""

    max_bytes: int
    _rest: bytearray = field(default_factory=bytearray)
    _searched: int = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The events that this chunk completes. Raises FeedProtocolError for one larger than allowed."""
        self._rest += chunk
        events, start, looked = [], 0, self._searched
        while (end := _EMPTY_LINE.search(self._rest, looked)) is not None:
            event = bytes(self._rest[start : end.start()]).strip(b"\r\n")
            start = looked = end.end()
            if event:
                events.append(event)
        del self._rest[:start]
        # Nor is it sought again in what held none, save for an end that is cut in two.
        self._searched = max(0, len(self._rest) - _LONGEST_END)
        if len(self._rest) > self.max_bytes or any(len(event) > self.max_bytes for event in events):
            raise FeedProtocolError(f"an event of more than {self.max_bytes} bytes")
        return events


@dataclass(slots=True, eq=False)
class EventStream:
    """One answer that never ends, read event by event. Implements Socket, though nothing can be sent on it."""

    response: aiohttp.ClientResponse
    splitter: EventSplitter
    close_code: int | None = None

    _events: deque[bytes] = field(default_factory=deque)

    async def receive(self) -> Incoming:
        try:
            while not self._events:
                chunk = await self.response.content.readany()
                if not chunk:
                    return Received(aiohttp.WSMsgType.CLOSED, None)
                self._events.extend(self.splitter.feed(chunk))
        except (aiohttp.ClientError, OSError, FeedProtocolError) as error:
            return Received(aiohttp.WSMsgType.ERROR, error)
        return Received(aiohttp.WSMsgType.TEXT, self._events.popleft())

    async def send_str(self, data: str) -> None:
        raise ConnectionError(f"an event stream takes no message of {len(data)} characters")

    async def ping(self) -> None:
        """There is none; `EventStreamFeed.pingable` says so."""

    async def pong(self, message: bytes) -> None:
        """As `ping`."""

    async def close(self) -> None:
        self.response.close()


@dataclass(frozen=True, slots=True, eq=False)
class EventStreamFeed(WebsocketFeed):
    """Streams `symbols` of one EventStreamVenue: backoff, liveness, benching, rotation and fallback are the websocket's.

    Without pings of the transport, a line is alive by its frames alone: `limits.silence_s` is the venue's own interval of
    comments, and some.
    """

    pingable: ClassVar[bool] = False

    async def dial(self, session: aiohttp.ClientSession, symbols: Sequence[str], entry: Entry) -> Socket:
        assert isinstance(self.venue, EventStreamVenue)
        request = self.venue.stream(entry.url, symbols)
        response = await session.get(
            request.url,
            params=request.params,
            headers={"Accept": "text/event-stream", "Accept-Encoding": "identity", **request.headers},
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, connect=self.tuning.connect_timeout_s),
        )
        if response.status != 200:
            response.close()
            raise aiohttp.ClientResponseError(
                response.request_info,
                (),
                status=response.status,
                message=response.reason or "",
                headers=response.headers,
            )
        if (
            response.content_type != "text/event-stream"
            or response.headers.get("Content-Encoding", "identity") != "identity"
        ):
            response.close()
            raise FeedDisconnected(f"answered {response.content_type}, which is no plain event stream")
        return EventStream(response, EventSplitter(self.tuning.max_frame_bytes))
