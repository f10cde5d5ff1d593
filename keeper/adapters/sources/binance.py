"""Binance spot, best bid and ask: https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from keeper.adapters.sources import wire
from keeper.domain.quote import Quote, Trade
from keeper.domain.time import Timestamp
from keeper.errors import FeedProtocolError, RateLimited
from keeper.ports.venue import Frame, Limits, RestRequest, Step, VenueEvent

URL = "wss://stream.binance.com:9443/stream"
REST_URL = "https://data-api.binance.vision"


class BookTicker(msgspec.Struct):
    """`T` is when the book changed, which futures alone state."""

    u: int
    s: str
    b: str
    B: str
    a: str
    A: str
    T: int | None = None


class _AggTrade(msgspec.Struct):
    """Fills of one taker order at one price, as one."""

    s: str
    a: int
    p: str
    q: str
    T: int


class _Trades(msgspec.Struct):
    stream: str
    data: _AggTrade


class _Refusal(msgspec.Struct):
    code: int
    msg: str


class _Lifecycle(msgspec.Struct):
    e: str


class _Frame(msgspec.Struct):
    """A combined-stream frame, an answer to a request, or a connection event in either of its two forms."""

    data: BookTicker | None = None
    stream: str | None = None
    id: int | None = None
    error: _Refusal | None = None
    event: _Lifecycle | None = None
    e: str | None = None


class RestTicker(msgspec.Struct):
    symbol: str
    bid: str = msgspec.field(name="bidPrice")
    bid_size: str = msgspec.field(name="bidQty")
    ask: str = msgspec.field(name="askPrice")
    ask_size: str = msgspec.field(name="askQty")
    time: int | None = None


_FRAME = msgspec.json.Decoder(_Frame)
_TRADES = msgspec.json.Decoder(_Trades)
_REST = msgspec.json.Decoder(RestTicker)
_REFUSAL = msgspec.json.Decoder(_Refusal)
_INVALID_SYMBOL = -1121
_TOO_MANY_REQUESTS = -1003


@dataclass(frozen=True, slots=True)
class Binance:
    """Channel `bookTicker`. It carries no time: `observed_at` is None and `sequence` is the order book's update id.

    Trades come on channel `aggTrade`, with times in milliseconds.
    """

    name: str = "binance"
    url: str = URL
    rest_url: str = REST_URL
    trades: frozenset[str] = frozenset()

    ticker_path: ClassVar[str] = "/api/v3/ticker/bookTicker"
    gives_trades: ClassVar[bool] = True
    trade_driven: ClassVar[bool] = False
    limits: ClassVar[Limits] = Limits(
        doc="https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams#general-wss-information",
        symbols_per_connection=1024,
        symbols_per_frame=200,
        frames_per_s=4.0,
        connects=300,
        connects_window_s=300.0,
        rotate_after_s=23 * 3600.0,
        rest_every_s=0.25,
        wait_s={403: 300.0, 418: 120.0, 429: 60.0, 451: 3600.0},
    )

    @property
    def endpoints(self) -> tuple[str, ...]:
        return wire.endpoints(self.url, URL, ("wss://data-stream.binance.vision/stream",))

    def open(self, symbols: Sequence[str]) -> tuple[tuple[tuple[str, ...], ...], Sequence[str]]:
        """The state holds the batches: an answer names only its request's number, counted from 1."""
        groups = tuple(wire.batches(tuple(symbols), self.limits.symbols_per_frame))
        return groups, [
            wire.encode({"method": "SUBSCRIBE", "params": self._streams(group), "id": number})
            for number, group in enumerate(groups, 1)
        ]

    def _streams(self, symbols: Sequence[str]) -> list[str]:
        books = [f"{symbol.lower()}@bookTicker" for symbol in symbols]
        return books + [f"{symbol.lower()}@aggTrade" for symbol in symbols if symbol in self.trades]

    def step(self, state: tuple[tuple[str, ...], ...], frame: Frame, received_at: Timestamp) -> Step:
        if self.trades and _is_trade(frame):
            return Step(state, (self._trade(wire.decode(_TRADES, frame).data, frame, received_at),))
        message = wire.decode(_FRAME, frame)
        if (ticker := message.data) is not None:
            return Step(state, (self._quote(ticker, frame, received_at),))
        if message.error is not None:
            reason = f"{message.error.code}: {message.error.msg}"
            return Step(state, events=(VenueEvent("symbol_refused", _batch(state, message.id), reason),))
        lifecycle = message.event.e if message.event is not None else message.e
        if lifecycle == "serverShutdown":
            return Step(state, events=(VenueEvent("reconnect_requested", reason="serverShutdown"),))
        if message.id is not None:
            return Step(state, events=(VenueEvent("subscribed", _batch(state, message.id)),))
        raise FeedProtocolError("neither a ticker, nor an answer, nor an event")

    def _quote(self, ticker: BookTicker, frame: Frame, received_at: Timestamp) -> Quote:
        return wire.quote(
            wire.source(self.name, ticker.s),
            received_at,
            self.stated(ticker.T),
            wire.side_e18(ticker.b),
            wire.side_e18(ticker.a),
            wire.side_e18(ticker.B),
            wire.side_e18(ticker.A),
            None,
            ticker.u,
            wire.frame_hash(frame),
        )

    @staticmethod
    def stated(time_ms: int | None) -> Timestamp | None:  # noqa: ARG004  of no book of spot
        return None

    def _trade(self, told: _AggTrade, frame: Frame, received_at: Timestamp) -> Trade:
        source = wire.source(self.name, wire.asked_trades(told.s, self.trades))
        at, digest = wire.from_millis(told.T), wire.frame_hash(frame)
        return wire.trade(source, received_at, at, told.p, told.q, str(told.a), digest)

    def ping(self) -> None:
        """The venue pings by websocket control frames, which the transport answers."""

    def rest(self, symbol: str) -> RestRequest:
        return RestRequest(f"{self.rest_url}{self.ticker_path}", {"symbol": symbol})

    def parse_rest(self, symbol: str, status: int, body: bytes, received_at: Timestamp) -> Quote | VenueEvent:
        if status != 200:
            refusal = wire.decode(_REFUSAL, body)
            if refusal.code == _TOO_MANY_REQUESTS:
                raise RateLimited(refusal.msg)
            if refusal.code == _INVALID_SYMBOL:
                return VenueEvent("symbol_refused", (symbol,), f"{refusal.code}: {refusal.msg}")
            raise FeedProtocolError(f"HTTP {status}: {refusal.code} {refusal.msg}")
        ticker = wire.decode(_REST, body)
        wire.answered(symbol, ticker.symbol)
        return wire.quote(
            wire.source(self.name, symbol),
            received_at,
            self.stated(ticker.time),
            wire.side_e18(ticker.bid),
            wire.side_e18(ticker.ask),
            wire.side_e18(ticker.bid_size),
            wire.side_e18(ticker.ask_size),
            None,
            None,
            wire.frame_hash(body),
        )


def _is_trade(frame: Frame) -> bool:
    return (b'@aggTrade"' in frame) if isinstance(frame, bytes) else ('@aggTrade"' in frame)


def _batch(state: tuple[tuple[str, ...], ...], number: int | None) -> tuple[str, ...]:
    return state[number - 1] if number is not None and 1 <= number <= len(state) else ()
