"""Gemini, best bid and ask of the websocket API of 2026: https://developer.gemini.com/websocket/streams"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from keeper.adapters.sources import wire
from keeper.domain.quote import Quote
from keeper.domain.time import Timestamp
from keeper.errors import FeedProtocolError, RateLimited
from keeper.ports.venue import HEARTBEAT, Frame, Limits, RestRequest, Step, VenueEvent

URL = "wss://ws.gemini.com?snapshot=-1"
"""With the query, a subscription begins with the present state; documented for streams of depth."""
REST_URL = "https://api.gemini.com"

_PING = "ping"

State = tuple[str, ...]
"""`state[n]` is what request number n + 1 asks for."""


class _Error(msgspec.Struct):
    code: int = 0
    msg: str = ""


class _Frame(msgspec.Struct):
    """A best bid and ask, or how a request went. A message with `e` is of another stream, and so is one without `u`."""

    kind: str | None = msgspec.field(name="e", default=None)
    time: int | None = msgspec.field(name="E", default=None)
    symbol: str | None = msgspec.field(name="s", default=None)
    update: int | None = msgspec.field(name="u", default=None)
    bid: str | None = msgspec.field(name="b", default=None)
    bid_size: str | None = msgspec.field(name="B", default=None)
    ask: str | None = msgspec.field(name="a", default=None)
    ask_size: str | None = msgspec.field(name="A", default=None)
    last: str | None = msgspec.field(name="c", default=None)
    id: str | int | None = None
    status: int | None = None
    error: _Error | None = None


class _RestTicker(msgspec.Struct):
    bid: str
    ask: str
    last: str


class _RestError(msgspec.Struct):
    reason: str
    message: str = ""


_FRAME = msgspec.json.Decoder(_Frame)
_REST = msgspec.json.Decoder(_RestTicker)
_REST_ERROR = msgspec.json.Decoder(_RestError)


@dataclass(frozen=True, slots=True)
class Gemini:
    """Stream `bookTicker`. `E` is in nanoseconds, beyond what a float holds: it is read as a whole number.

    The REST ticker's only time is that of its volume, so its `observed_at` is None.
    """

    name: str = "gemini"
    url: str = URL
    rest_url: str = REST_URL

    trade_driven: ClassVar[bool] = False
    limits: ClassVar[Limits] = Limits(
        doc="https://developer.gemini.com/websocket/introduction",
        symbols_per_connection=100,
        frames_per_s=10.0,
        connects=300,
        connects_window_s=300.0,
        ping_every_s=15.0,
        silence_s=40.0,
        rest_every_s=0.5,
        wait_s={403: 300.0, 429: 60.0, 451: 3600.0},
    )

    @property
    def endpoints(self) -> tuple[str, ...]:
        return (self.url,)

    def open(self, symbols: Sequence[str]) -> tuple[State, Sequence[str]]:
        """One stream in each request, so that the number of an answer tells its symbol."""
        return tuple(symbols), [
            wire.encode({"id": str(number), "method": "SUBSCRIBE", "params": [f"{symbol}@bookTicker"]})
            for number, symbol in enumerate(symbols, 1)
        ]

    def step(self, state: State, frame: Frame, received_at: Timestamp) -> Step:
        message = wire.decode(_FRAME, frame)
        if message.status is not None:
            return Step(state, events=(_answer(state, message, message.status),))
        if message.kind is not None or message.update is None:
            raise FeedProtocolError(f"neither a best bid and ask nor an answer: e={message.kind!r}")
        return Step(state, (self._quote(message, frame, received_at),))

    def _quote(self, message: _Frame, frame: Frame, received_at: Timestamp) -> Quote:
        return wire.quote(
            wire.source(self.name, wire.present(message.symbol, "s")),
            received_at,
            wire.from_nanos(wire.present(message.time, "E")),
            wire.side_e18(wire.present(message.bid, "b")),
            wire.side_e18(wire.present(message.ask, "a")),
            wire.side_e18(message.bid_size),
            wire.side_e18(message.ask_size),
            wire.side_e18(message.last),
            message.update,
            wire.frame_hash(frame),
        )

    def ping(self) -> str:
        """Whatever the answer says, it is one."""
        return wire.encode({"id": _PING, "method": "ping"})

    def rest(self, symbol: str) -> RestRequest:
        return RestRequest(f"{self.rest_url}/v1/pubticker/{symbol}")

    def parse_rest(self, symbol: str, status: int, body: bytes, received_at: Timestamp) -> Quote | VenueEvent:
        if status != 200:
            error = wire.decode(_REST_ERROR, body)
            reason = f"{error.reason}: {error.message}"
            if error.reason == "RateLimit":
                raise RateLimited(reason)
            if status in (400, 404):
                return VenueEvent("symbol_refused", (symbol,), reason)
            raise FeedProtocolError(f"HTTP {status}: {reason}")
        ticker = wire.decode(_REST, body)
        return wire.quote(
            wire.source(self.name, symbol),
            received_at,
            None,
            wire.side_e18(ticker.bid),
            wire.side_e18(ticker.ask),
            None,
            None,
            wire.side_e18(ticker.last),
            None,
            wire.frame_hash(body),
        )


def _answer(state: State, message: _Frame, status: int) -> VenueEvent:
    if message.id == _PING:
        return HEARTBEAT
    asked = wire.asked(state, message.id)
    if not asked:
        raise FeedProtocolError(f"answer {message.id} to a request that was never made")
    error = message.error or _Error()
    reason = f"{status}: {error.code} {error.msg}"
    if status == 200:
        return VenueEvent("subscribed", asked)
    if status == 429:
        return VenueEvent("rate_limited", reason=reason)
    if 400 <= status < 500:
        return VenueEvent("symbol_refused", asked, reason)
    return VenueEvent("reconnect_requested", reason=reason)
