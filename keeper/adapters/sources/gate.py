"""Gate v4, best bid and ask: https://www.gate.com/docs/developers/apiv4/ws/en/#best-bid-or-ask-price"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from keeper.adapters.sources import wire
from keeper.domain.quote import Quote
from keeper.domain.time import SECOND, Timestamp
from keeper.errors import FeedProtocolError, RateLimited
from keeper.ports.venue import HEARTBEAT, Frame, Limits, Message, RestRequest, Step, VenueEvent

URL = "wss://api.gateio.ws/ws/v4/"
REST_URL = "https://api.gateio.ws"

State = tuple[str, ...]
"""`state[n]` is what request number n + 1 asks for."""


class _Result(msgspec.Struct):
    """A best bid and ask, or how a request went. Sizes of futures are whole numbers of contracts, as numbers or as text."""

    status: str = ""
    symbol: str | None = msgspec.field(name="s", default=None)
    time: int | None = msgspec.field(name="t", default=None)
    update: int | None = msgspec.field(name="u", default=None)
    bid: str | None = msgspec.field(name="b", default=None)
    bid_size: str | int | None = msgspec.field(name="B", default=None)
    ask: str | None = msgspec.field(name="a", default=None)
    ask_size: str | int | None = msgspec.field(name="A", default=None)


class _Error(msgspec.Struct):
    code: int
    message: str = ""


class _Frame(msgspec.Struct):
    channel: str
    event: str = ""
    id: int | None = None
    payload: list[str] = []
    error: _Error | None = None
    result: _Result | None = None


class _RestTicker(msgspec.Struct):
    currency_pair: str
    last: str
    lowest_ask: str
    highest_bid: str
    lowest_size: str | None = None
    highest_size: str | None = None


class RestError(msgspec.Struct):
    label: str
    message: str = ""


_FRAME = msgspec.json.Decoder(_Frame)
_REST = msgspec.json.Decoder(list[_RestTicker])
REST_ERROR = msgspec.json.Decoder(RestError)
_NAMED = re.compile(r"(?:currency pair|contract):? ([A-Z0-9]+_[A-Z0-9_]+)")
_BAD_ARGUMENT, _SERVER_SIDE = 2, 3


@dataclass(frozen=True, slots=True)
class Gate:
    """Channel `spot.book_ticker`: best bid and ask without a last trade. `observed_at` is the book's `t` in milliseconds.

    `time_ms` is when the message was sent, and the tickers channel knows whole seconds only. The venue answers
    websocket pings, so that its own `spot.ping` is not needed.
    """

    name: str = "gate"
    url: str = URL
    rest_url: str = REST_URL

    market: ClassVar[str] = "spot"
    trade_driven: ClassVar[bool] = False
    limits: ClassVar[Limits] = Limits(
        doc="https://www.gate.com/docs/developers/apiv4/en/#frequency-limit-rule",
        symbols_per_connection=100,
        frames_per_s=10.0,
        connects=10,
        connects_window_s=10.0,
        rest_every_s=0.1,
        wait_s={403: 300.0, 429: 10.0, 451: 3600.0},
    )

    @property
    def channel(self) -> str:
        return f"{self.market}.book_ticker"

    @property
    def endpoints(self) -> tuple[str, ...]:
        return (self.url,)

    def open(self, symbols: Sequence[str]) -> tuple[State, Sequence[Message]]:
        """One pair in each request: a bad one fails its whole request."""
        return tuple(symbols), [_request(self.channel, *asked) for asked in enumerate(symbols, 1)]

    def step(self, state: State, frame: Frame, received_at: Timestamp) -> Step:
        message = wire.decode(_FRAME, frame)
        if message.event == "update":
            if message.channel != self.channel:
                raise FeedProtocolError(f"channel {message.channel!r} was not subscribed to")
            return Step(state, (self._quote(wire.present(message.result, "result"), frame, received_at),))
        if message.event == "subscribe":
            return Step(state, events=(_answer(state, message),))
        if message.channel == f"{self.market}.pong":
            return Step(state, events=(HEARTBEAT,))
        raise FeedProtocolError(f"event {message.event!r} of {message.channel!r} is unknown")

    def _quote(self, book: _Result, frame: Frame, received_at: Timestamp) -> Quote:
        return wire.quote(
            wire.source(self.name, wire.present(book.symbol, "s")),
            received_at,
            wire.from_millis(wire.present(book.time, "t")),
            wire.side_e18(wire.present(book.bid, "b")),
            wire.side_e18(wire.present(book.ask, "a")),
            contracts_e18(book.bid_size),
            contracts_e18(book.ask_size),
            None,
            wire.present(book.update, "u"),
            wire.frame_hash(frame),
        )

    def ping(self) -> None:
        """Websocket pings do."""

    def rest(self, symbol: str) -> RestRequest:
        return RestRequest(f"{self.rest_url}/api/v4/spot/tickers", {"currency_pair": symbol})

    def parse_rest(self, symbol: str, status: int, body: bytes, received_at: Timestamp) -> Quote | VenueEvent:
        """The ticker states no time."""
        if status != 200:
            return refused(symbol, status, body, ("INVALID_CURRENCY_PAIR", "INVALID_CURRENCY"))
        tickers = wire.decode(_REST, body)
        if [ticker.currency_pair for ticker in tickers] != [symbol]:
            raise FeedProtocolError(f"asked for {symbol}, answered {[t.currency_pair for t in tickers[:3]]}")
        (ticker,) = tickers
        return wire.quote(
            wire.source(self.name, symbol),
            received_at,
            None,
            wire.side_e18(ticker.highest_bid),
            wire.side_e18(ticker.lowest_ask),
            wire.side_e18(ticker.highest_size),
            wire.side_e18(ticker.lowest_size),
            wire.side_e18(ticker.last),
            None,
            wire.frame_hash(body),
        )


def refused(symbol: str, status: int, body: bytes, unknown: tuple[str, ...]) -> VenueEvent:
    """`unknown`: its words for a symbol that it does not have. Raises RateLimited or FeedProtocolError for all others."""
    error = wire.decode(REST_ERROR, body)
    reason = f"{error.label}: {error.message}"
    if error.label == "TOO_MANY_REQUESTS":
        raise RateLimited(reason)
    if error.label in unknown:
        return VenueEvent("symbol_refused", (symbol,), reason)
    raise FeedProtocolError(f"HTTP {status}: {reason}")


def contracts_e18(size: str | int | None) -> int | None:
    return wire.side_e18(size if size is None else str(size))


def _request(channel: str, number: int, symbol: str) -> Message:
    """Stamped when sent: the venue compares `time` with its own, in seconds since 1970."""
    fixed = {"id": number, "channel": channel, "event": "subscribe", "payload": [symbol]}
    return lambda now: wire.encode({"time": now // SECOND, **fixed})


def _answer(state: State, message: _Frame) -> VenueEvent:
    asked = wire.asked(state, message.id) or tuple(message.payload)
    error = message.error
    if error is None and message.result is not None and message.result.status == "success":
        return VenueEvent("subscribed", asked)
    if error is None:
        raise FeedProtocolError("an answer without result and without error")
    reason = f"{error.code}: {error.message}"
    if error.code == _BAD_ARGUMENT:
        return VenueEvent("symbol_refused", tuple(_NAMED.findall(error.message)) or asked, reason)
    if error.code == _SERVER_SIDE:
        return VenueEvent("reconnect_requested", reason=reason)
    raise FeedProtocolError(f"error {reason}")
