"""Bybit v5 spot, best level of the order book: https://bybit-exchange.github.io/docs/v5/websocket/public/orderbook"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from keeper.adapters.sources import wire
from keeper.domain.quote import Quote
from keeper.domain.time import Timestamp
from keeper.errors import FeedProtocolError, RateLimited
from keeper.ports.venue import HEARTBEAT, Frame, Limits, RestRequest, Step, VenueEvent

URL = "wss://stream.bybit.com/v5/public/spot"
REST_URL = "https://api.bybit.com"
_TOPIC = "orderbook.1."

_Side = tuple[int, int] | None
"""Price and size of the best level."""
State = Mapping[str, tuple[_Side, _Side] | None]
"""Best bid and ask of each symbol asked for, None before its snapshot: a delta names only the side that moved."""


class _Book(msgspec.Struct):
    symbol: str = msgspec.field(name="s")
    bids: list[tuple[str, str]] = msgspec.field(name="b")
    asks: list[tuple[str, str]] = msgspec.field(name="a")
    update: int = msgspec.field(name="u")


class _Frame(msgspec.Struct):
    topic: str = ""
    type: str = ""
    ts: int | None = None
    data: _Book | None = None
    op: str = ""
    success: bool | None = None
    ret_msg: str = ""
    req_id: str = ""


class _RestTicker(msgspec.Struct):
    symbol: str
    bid: str = msgspec.field(name="bid1Price")
    bid_size: str = msgspec.field(name="bid1Size")
    ask: str = msgspec.field(name="ask1Price")
    ask_size: str = msgspec.field(name="ask1Size")
    last: str = msgspec.field(name="lastPrice")


class _RestResult(msgspec.Struct):
    tickers: list[_RestTicker] = msgspec.field(name="list", default_factory=list)


class _RestAnswer(msgspec.Struct):
    code: int = msgspec.field(name="retCode")
    message: str = msgspec.field(name="retMsg")
    result: _RestResult
    time: int


_FRAME = msgspec.json.Decoder(_Frame)
_REST = msgspec.json.Decoder(_RestAnswer)
_BUSY, _BAD_PARAMETER = 10006, 10001


@dataclass(frozen=True, slots=True)
class Bybit:
    """Channel `orderbook.1`: spot tickers state neither bid nor ask. Times in milliseconds, `sequence` is `u`.

    Documented as snapshots only, restated after three seconds without change; deltas have been recorded, and are merged.
    """

    name: str = "bybit"
    url: str = URL
    rest_url: str = REST_URL

    category: ClassVar[str] = "spot"
    trade_driven: ClassVar[bool] = False
    limits: ClassVar[Limits] = Limits(
        doc="https://bybit-exchange.github.io/docs/v5/ws/connect",
        symbols_per_connection=200,
        frames_per_s=10.0,
        connects=500,
        connects_window_s=300.0,
        ping_every_s=20.0,
        silence_s=30.0,
        rest_every_s=0.1,
        wait_s={403: 600.0, 429: 5.0, 451: 3600.0},
    )

    @property
    def endpoints(self) -> tuple[str, ...]:
        return (self.url,)

    def open(self, symbols: Sequence[str]) -> tuple[State, Sequence[str]]:
        """One topic in each request, named after its symbol: a bad topic fails its whole request, and answers name it."""
        requests = [wire.encode({"op": "subscribe", "args": [_TOPIC + s], "req_id": s}) for s in symbols]
        return dict.fromkeys(symbols), requests

    def step(self, state: State, frame: Frame, received_at: Timestamp) -> Step:
        message = wire.decode(_FRAME, frame)
        if message.data is None:
            return Step(state, events=(_answer(message),))
        if not message.topic.startswith(_TOPIC):
            raise FeedProtocolError(f"topic {message.topic!r} was not subscribed to")
        book, symbol = message.data, message.data.symbol
        wire.agreeing(message.topic, _TOPIC + symbol)
        # What nobody asked for is no fault of what was: it goes on and is ignored, with or without a snapshot.
        before = (None, None) if message.type == "snapshot" else state.get(symbol, (None, None))
        if before is None:
            raise FeedProtocolError(f"a {message.type} of {symbol} before its snapshot")
        best = (_merged(before[0], book.bids), _merged(before[1], book.asks))
        after = {**state, symbol: best} if symbol in state else state
        return Step(after, (self._quote(message, book, best, frame, received_at),))

    def _quote(
        self, message: _Frame, book: _Book, best: tuple[_Side, _Side], frame: Frame, received_at: Timestamp
    ) -> Quote:
        (bid, bid_size), (ask, ask_size) = (side or (None, None) for side in best)
        return wire.quote(
            wire.source(self.name, book.symbol),
            received_at,
            wire.from_millis(wire.present(message.ts, "ts")),
            bid,
            ask,
            bid_size,
            ask_size,
            None,
            book.update,
            wire.frame_hash(frame),
        )

    def ping(self) -> str:
        return '{"op":"ping"}'

    def rest(self, symbol: str) -> RestRequest:
        return RestRequest(f"{self.rest_url}/v5/market/tickers", {"category": self.category, "symbol": symbol})

    def parse_rest(self, symbol: str, status: int, body: bytes, received_at: Timestamp) -> Quote | VenueEvent:
        answer = wire.decode(_REST, body)
        reason = f"{answer.code}: {answer.message}"
        if answer.code == _BUSY:
            raise RateLimited(reason)
        if answer.code == _BAD_PARAMETER:
            return VenueEvent("symbol_refused", (symbol,), reason)
        if answer.code != 0 or len(answer.result.tickers) != 1:
            raise FeedProtocolError(f"HTTP {status}: {reason}, {len(answer.result.tickers)} tickers")
        ticker = answer.result.tickers[0]
        wire.answered(symbol, ticker.symbol)
        return wire.quote(
            wire.source(self.name, symbol),
            received_at,
            wire.from_millis(answer.time),
            wire.side_e18(ticker.bid),
            wire.side_e18(ticker.ask),
            wire.side_e18(ticker.bid_size),
            wire.side_e18(ticker.ask_size),
            wire.side_e18(ticker.last),
            None,
            wire.frame_hash(body),
        )


def _merged(side: _Side, levels: Sequence[tuple[str, str]]) -> _Side:
    """The best level after the changes named: size zero removes it, any other level takes its place."""
    for price, size in levels:
        stated = (wire.e18(price), wire.e18(size))
        if stated[1]:
            side = stated
        elif side is not None and side[0] == stated[0]:
            side = None
    return side


def _answer(message: _Frame) -> VenueEvent:
    if message.op == "pong" or message.ret_msg == "pong":
        return HEARTBEAT
    symbols = (message.req_id,) if message.req_id else ()
    if message.success and message.op == "subscribe":
        return VenueEvent("subscribed", symbols)
    if message.success is False:
        busy = "too many" in message.ret_msg.lower()
        return VenueEvent("rate_limited" if busy else "symbol_refused", symbols, message.ret_msg)
    raise FeedProtocolError("neither a book nor an answer")
