"""MEXC spot v3, best bid and ask: https://www.mexc.com/api-docs/spot-v3/websocket-market-streams

Data are protocol buffers. Field numbers: PushDataV3ApiWrapper.proto and PublicAggreBookTickerV3Api.proto of
https://github.com/mexcdevelop/websocket-proto
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from keeper.adapters.sources import protobuf, wire
from keeper.domain.quote import Quote
from keeper.domain.time import Timestamp
from keeper.errors import FeedProtocolError, RateLimited
from keeper.ports.venue import HEARTBEAT, Frame, Limits, RestRequest, Step, VenueEvent

URL = "wss://wbs-api.mexc.com/ws"
REST_URL = "https://api.mexc.com"
_CHANNEL = "spot@public.aggre.bookTicker.v3.api.pb@100ms@"

_CHANNEL_FIELD, _SYMBOL, _SEND_TIME, _BOOK_TICKER = 1, 3, 6, 315
_BID, _BID_SIZE, _ASK, _ASK_SIZE = 1, 2, 3, 4


class _Control(msgspec.Struct):
    code: int
    msg: str


class _RestTicker(msgspec.Struct):
    symbol: str
    bid: str = msgspec.field(name="bidPrice")
    bid_size: str | None = msgspec.field(name="bidQty")
    ask: str = msgspec.field(name="askPrice")
    ask_size: str | None = msgspec.field(name="askQty")


_CONTROL = msgspec.json.Decoder(_Control)
_REST = msgspec.json.Decoder(_RestTicker)
_NAMED = re.compile(re.escape(_CHANNEL) + r"([A-Z0-9_]+)")
_INVALID_SYMBOL, _BUSY = -1121, (510, 429)


@dataclass(frozen=True, slots=True)
class Mexc:
    """Channel `aggre.bookTicker` every 100 ms; `observed_at` is `sendTime`, in milliseconds.

    A frame that begins with `{` is control in JSON. The JSON data channels are withdrawn since August 2025: a frame of
    theirs is not understood.
    """

    name: str = "mexc"
    url: str = URL
    rest_url: str = REST_URL

    trade_driven: ClassVar[bool] = False
    limits: ClassVar[Limits] = Limits(
        doc="https://www.mexc.com/api-docs/spot-v3/websocket-market-streams",
        symbols_per_connection=30,
        frames_per_s=10.0,
        connects=5,
        connects_window_s=5.0,
        ping_every_s=20.0,
        silence_s=50.0,
        rotate_after_s=23 * 3600.0,
        rest_every_s=0.1,
        wait_s={403: 300.0, 429: 10.0, 451: 3600.0},
    )

    @property
    def endpoints(self) -> tuple[str, ...]:
        return (self.url,)

    def open(self, symbols: Sequence[str]) -> tuple[None, Sequence[str]]:
        return None, [wire.encode({"method": "SUBSCRIPTION", "params": [_CHANNEL + symbol]}) for symbol in symbols]

    def step(self, state: None, frame: Frame, received_at: Timestamp) -> Step:
        if isinstance(frame, str) or frame[:1] == b"{":
            return Step(state, events=(_answer(wire.decode(_CONTROL, frame)),))
        wrapper = protobuf.fields(frame)
        channel = protobuf.text(wrapper, _CHANNEL_FIELD, "channel")
        symbol = protobuf.text(wrapper, _SYMBOL, "symbol")
        if channel != _CHANNEL + symbol:
            raise FeedProtocolError(f"channel {channel[:80]!r} was not subscribed to")
        ticker = protobuf.inner(wrapper, _BOOK_TICKER, "publicAggreBookTicker")
        quote = wire.quote(
            wire.source(self.name, symbol),
            received_at,
            wire.from_millis(protobuf.whole(wrapper, _SEND_TIME, "sendTime")),
            wire.side_e18(protobuf.text(ticker, _BID, "bidPrice")),
            wire.side_e18(protobuf.text(ticker, _ASK, "askPrice")),
            wire.side_e18(protobuf.text(ticker, _BID_SIZE, "bidQuantity")),
            wire.side_e18(protobuf.text(ticker, _ASK_SIZE, "askQuantity")),
            None,
            None,
            wire.frame_hash(frame),
        )
        return Step(state, (quote,))

    def ping(self) -> str:
        return '{"method":"PING"}'

    def rest(self, symbol: str) -> RestRequest:
        return RestRequest(f"{self.rest_url}/api/v3/ticker/bookTicker", {"symbol": symbol})

    def parse_rest(self, symbol: str, status: int, body: bytes, received_at: Timestamp) -> Quote | VenueEvent:
        if status != 200:
            refusal = wire.decode(_CONTROL, body)
            reason = f"{refusal.code}: {refusal.msg}"
            if refusal.code in _BUSY:
                raise RateLimited(reason)
            if refusal.code == _INVALID_SYMBOL:
                return VenueEvent("symbol_refused", (symbol,), reason)
            raise FeedProtocolError(f"HTTP {status}: {reason}")
        ticker = wire.decode(_REST, body)
        wire.answered(symbol, ticker.symbol)
        return wire.quote(
            wire.source(self.name, symbol),
            received_at,
            None,
            wire.side_e18(ticker.bid),
            wire.side_e18(ticker.ask),
            wire.side_e18(ticker.bid_size),
            wire.side_e18(ticker.ask_size),
            None,
            None,
            wire.frame_hash(body),
        )


def _answer(message: _Control) -> VenueEvent:
    """A subscription's answer is its channels, or a sentence about them; both come with the code 0."""
    if message.msg == "PONG":
        return HEARTBEAT
    symbols = tuple(_NAMED.findall(message.msg))
    if message.code == 0 and message.msg.startswith("spot@"):
        return VenueEvent("subscribed", symbols)
    if "too frequent" in message.msg.lower() or message.code in _BUSY:
        return VenueEvent("rate_limited", reason=f"{message.code}: {message.msg}")
    if message.msg.startswith("Not Subscribed"):
        return VenueEvent("symbol_refused", symbols, message.msg)
    raise FeedProtocolError(f"{message.code}: {message.msg[:100]}")
