"""Bitstamp websocket v2, order book: https://www.bitstamp.net/websocket/v2/"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from keeper.adapters.sources import wire
from keeper.domain.quote import Quote, Trade
from keeper.domain.time import Timestamp
from keeper.errors import FeedProtocolError
from keeper.ports.venue import HEARTBEAT, Frame, Limits, RestRequest, Step, VenueEvent

URL = "wss://ws.bitstamp.net"
REST_URL = "https://www.bitstamp.net"
_CHANNEL, _TRADES = "order_book_", "live_trades_"


class _Frame(msgspec.Struct):
    event: str
    channel: str = ""
    data: msgspec.Raw = wire.ABSENT


class _Book(msgspec.Struct):
    """The levels stay text: only the first of each hundred is read."""

    microtimestamp: str
    bids: msgspec.Raw
    asks: msgspec.Raw


class _Trade(msgspec.Struct):
    id: int
    microtimestamp: str
    price_str: str
    amount_str: str


class _Error(msgspec.Struct):
    message: str
    code: int | None = None


class _RestTicker(msgspec.Struct):
    timestamp: str
    last: str
    bid: str
    ask: str


_FRAME = msgspec.json.Decoder(_Frame)
_BOOK = msgspec.json.Decoder(_Book)
_TRADE = msgspec.json.Decoder(_Trade)
_LEVEL = msgspec.json.Decoder(tuple[str, str])
_ERROR = msgspec.json.Decoder(_Error)
_REST = msgspec.json.Decoder(_RestTicker)


@dataclass(frozen=True, slots=True)
class Bitstamp:
    """Channel `order_book_*`: a hundred levels a side, best first. It knows no last trade. Times in microseconds.

    The venue confirms subscriptions to pairs that do not exist, and stays silent on them; REST tells. Trades come on channel
    `live_trades_*`.
    """

    name: str = "bitstamp"
    url: str = URL
    rest_url: str = REST_URL
    trades: frozenset[str] = frozenset()

    gives_trades: ClassVar[bool] = True
    trade_driven: ClassVar[bool] = False
    limits: ClassVar[Limits] = Limits(
        doc="https://www.bitstamp.net/api/#section/What-is-API",
        symbols_per_connection=100,
        frames_per_s=10.0,
        connects=10,
        connects_window_s=10.0,
        ping_every_s=20.0,
        silence_s=50.0,
        rest_every_s=0.2,
        wait_s={403: 600.0, 429: 60.0, 451: 3600.0},
    )

    @property
    def endpoints(self) -> tuple[str, ...]:
        return (self.url,)

    def open(self, symbols: Sequence[str]) -> tuple[None, Sequence[str]]:
        channels = [_CHANNEL + symbol for symbol in symbols] + [_TRADES + s for s in symbols if s in self.trades]
        return None, [wire.encode({"event": "bts:subscribe", "data": {"channel": each}}) for each in channels]

    def step(self, state: None, frame: Frame, received_at: Timestamp) -> Step:
        message = wire.decode(_FRAME, frame)
        match message.event:
            case "data":
                return Step(state, (self._quote(message, frame, received_at),))
            case "trade" if self.trades:
                return Step(state, (self._trade(message, frame, received_at),))
            case "bts:heartbeat":
                return Step(state, events=(HEARTBEAT,))
            case "bts:subscription_succeeded":
                return Step(state, events=(VenueEvent("subscribed", _symbols(message.channel)),))
            case "bts:request_reconnect":
                return Step(state, events=(VenueEvent("reconnect_requested", reason=message.event),))
            case "bts:error":
                error = wire.decode(_ERROR, bytes(message.data))
                reason = f"{error.code}: {error.message}"
                return Step(state, events=(VenueEvent("symbol_refused", _symbols(message.channel), reason),))
        raise FeedProtocolError(f"event {message.event!r} on {message.channel!r} was not subscribed to")

    def _quote(self, message: _Frame, frame: Frame, received_at: Timestamp) -> Quote:
        if not message.channel.startswith(_CHANNEL):
            raise FeedProtocolError(f"channel {message.channel!r} was not subscribed to")
        book = wire.decode(_BOOK, bytes(message.data))
        bid, bid_size = _best(book.bids)
        ask, ask_size = _best(book.asks)
        return wire.quote(
            wire.source(self.name, message.channel[len(_CHANNEL) :]),
            received_at,
            wire.from_micros_text(book.microtimestamp),
            bid,
            ask,
            bid_size,
            ask_size,
            None,
            None,
            wire.frame_hash(frame),
        )

    def _trade(self, message: _Frame, frame: Frame, received_at: Timestamp) -> Trade:
        pair = wire.asked_trades(message.channel.removeprefix(_TRADES), self.trades)
        told = wire.decode(_TRADE, bytes(message.data))
        source, at = wire.source(self.name, pair), wire.from_micros_text(told.microtimestamp)
        digest = wire.frame_hash(frame)
        return wire.trade(source, received_at, at, told.price_str, told.amount_str, str(told.id), digest)

    def ping(self) -> str:
        return '{"event":"bts:heartbeat"}'

    def rest(self, symbol: str) -> RestRequest:
        return RestRequest(f"{self.rest_url}/api/v2/ticker/{symbol}/")

    def parse_rest(self, symbol: str, status: int, body: bytes, received_at: Timestamp) -> Quote | VenueEvent:
        if status == 404:
            return VenueEvent("symbol_refused", (symbol,), body[:100].decode(errors="replace"))
        ticker = wire.decode(_REST, body)
        return wire.quote(
            wire.source(self.name, symbol),
            received_at,
            wire.from_seconds_text(ticker.timestamp),
            wire.side_e18(ticker.bid),
            wire.side_e18(ticker.ask),
            None,
            None,
            wire.side_e18(ticker.last),
            None,
            wire.frame_hash(body),
        )


def _symbols(channel: str) -> tuple[str, ...]:
    return (channel[len(_CHANNEL) :],) if channel.startswith(_CHANNEL) else ()


def _best(levels: msgspec.Raw) -> tuple[int | None, int | None]:
    """Price and size of the first level; none of both where the side is empty."""
    text = wire.ascii_text(levels)
    end = text.find("]")
    if text[:1] != "[" or end < 0:
        raise FeedProtocolError("a side of the book is no list")
    if not text[1:end].strip():
        return None, None
    price, size = wire.decode(_LEVEL, text[1 : end + 1])
    return wire.side_e18(price), wire.side_e18(size)
