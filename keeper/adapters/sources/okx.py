"""OKX v5, tickers: https://www.okx.com/docs-v5/en/#order-book-trading-market-data-ws-tickers-channel"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from keeper.adapters.sources import wire
from keeper.domain.quote import Quote, Trade
from keeper.domain.time import Timestamp
from keeper.errors import FeedProtocolError, RateLimited
from keeper.ports.venue import HEARTBEAT, Frame, Limits, RestRequest, Step, VenueEvent

URL = "wss://ws.okx.com:8443/ws/v5/public"
REST_URL = "https://www.okx.com"


class _Argument(msgspec.Struct):
    channel: str
    instrument: str = msgspec.field(name="instId", default="")


class _Ticker(msgspec.Struct):
    instrument: str = msgspec.field(name="instId")
    last: str
    ask: str = msgspec.field(name="askPx")
    ask_size: str = msgspec.field(name="askSz")
    bid: str = msgspec.field(name="bidPx")
    bid_size: str = msgspec.field(name="bidSz")
    ts: str


class _Trade(msgspec.Struct):
    instrument: str = msgspec.field(name="instId")
    number: str = msgspec.field(name="tradeId")
    price: str = msgspec.field(name="px")
    size: str = msgspec.field(name="sz")
    ts: str


class _Trades(msgspec.Struct):
    arg: _Argument
    data: list[_Trade]


class _Frame(msgspec.Struct):
    arg: _Argument | None = None
    data: list[_Ticker] | None = None
    event: str | None = None
    code: str = ""
    msg: str = ""


class _RestAnswer(msgspec.Struct):
    code: str
    msg: str = ""
    data: list[_Ticker] = []


_FRAME = msgspec.json.Decoder(_Frame)
_TRADES = msgspec.json.Decoder(_Trades)
_REST = msgspec.json.Decoder(_RestAnswer)
_NAMED = re.compile(r"instId:([A-Z0-9_-]+)")
_TOO_OFTEN, _BUSY, _UNKNOWN, _CLOSING = "60014", "50011", "51001", "64008"


@dataclass(frozen=True, slots=True)
class Okx:
    """Channel `tickers`, and `trades` for trades. Times in milliseconds, as text."""

    name: str = "okx"
    url: str = URL
    rest_url: str = REST_URL
    trades: frozenset[str] = frozenset()

    gives_trades: ClassVar[bool] = True
    trade_driven: ClassVar[bool] = False
    limits: ClassVar[Limits] = Limits(
        doc="https://www.okx.com/docs-v5/en/#overview-websocket-connect",
        symbols_per_connection=240,
        frames_per_s=3.0,
        connects=3,
        ping_every_s=20.0,
        silence_s=30.0,
        rest_every_s=0.1,
        wait_s={403: 300.0, 429: 2.0, 451: 3600.0},
    )

    @staticmethod
    def perpetual(symbol: str) -> str:
        """Of `BTC-USDT` and of `BTC-USDT-261225` it is `BTC-USDT-SWAP`; whose sizes are in contracts."""
        return f"{'-'.join(symbol.split('-')[:2])}-SWAP"

    @property
    def endpoints(self) -> tuple[str, ...]:
        return (self.url,)

    def open(self, symbols: Sequence[str]) -> tuple[None, Sequence[str]]:
        wanted = [("tickers", symbol) for symbol in symbols] + [("trades", s) for s in symbols if s in self.trades]
        return None, [
            wire.encode({"op": "subscribe", "args": [{"channel": channel, "instId": symbol}]})
            for channel, symbol in wanted
        ]

    def step(self, state: None, frame: Frame, received_at: Timestamp) -> Step:
        if frame in ("pong", b"pong"):
            return Step(state, events=(HEARTBEAT,))
        if self.trades and _is_trades(frame):
            return Step(state, self._trades(wire.decode(_TRADES, frame), wire.frame_hash(frame), received_at))
        message = wire.decode(_FRAME, frame)
        if message.data is not None:
            if message.arg is None or message.arg.channel != "tickers":
                raise FeedProtocolError("data of a channel that was not subscribed to")
            for ticker in message.data:
                wire.agreeing(message.arg.instrument, ticker.instrument)
            digest = wire.frame_hash(frame)
            return Step(state, [self._quote(ticker, digest, received_at) for ticker in message.data])
        return Step(state, events=(_event(message),))

    def _quote(self, ticker: _Ticker, digest: str, received_at: Timestamp) -> Quote:
        return wire.quote(
            wire.source(self.name, ticker.instrument),
            received_at,
            wire.from_millis_text(ticker.ts),
            wire.side_e18(ticker.bid),
            wire.side_e18(ticker.ask),
            wire.side_e18(ticker.bid_size),
            wire.side_e18(ticker.ask_size),
            wire.side_e18(ticker.last),
            None,
            digest,
        )

    def _trades(self, message: _Trades, digest: str, received_at: Timestamp) -> list[Trade]:
        """One trade or several, filled by one order at one price or at several."""
        if message.arg.channel != "trades":
            raise FeedProtocolError("data of a channel that was not subscribed to")
        for told in message.data:
            wire.agreeing(message.arg.instrument, told.instrument)
        return [
            wire.trade(
                wire.source(self.name, wire.asked_trades(told.instrument, self.trades)),
                received_at,
                wire.from_millis_text(told.ts),
                told.price,
                told.size,
                told.number,
                digest,
            )
            for told in message.data
        ]

    def ping(self) -> str:
        """A bare word, not JSON."""
        return "ping"

    def rest(self, symbol: str) -> RestRequest:
        return RestRequest(f"{self.rest_url}/api/v5/market/ticker", {"instId": symbol})

    def parse_rest(self, symbol: str, status: int, body: bytes, received_at: Timestamp) -> Quote | VenueEvent:
        answer = wire.decode(_REST, body)
        reason = f"{answer.code}: {answer.msg}"
        if answer.code == _BUSY:
            raise RateLimited(reason)
        if answer.code == _UNKNOWN:
            return VenueEvent("symbol_refused", (symbol,), reason)
        if answer.code != "0" or len(answer.data) != 1:
            raise FeedProtocolError(f"HTTP {status}: {reason}, {len(answer.data)} tickers")
        wire.answered(symbol, answer.data[0].instrument)
        return self._quote(answer.data[0], wire.frame_hash(body), received_at)


def _is_trades(frame: Frame) -> bool:
    """Data of the channel, by what stands there: an acknowledgement has no `data`, a ticker no `tradeId`."""
    return (b'"tradeId"' in frame) if isinstance(frame, bytes) else ('"tradeId"' in frame)


def _event(message: _Frame) -> VenueEvent:
    reason = f"{message.code}: {message.msg}"
    match message.event:
        case "subscribe":
            return VenueEvent("subscribed", (message.arg.instrument,) if message.arg is not None else ())
        case "error" if message.code == _TOO_OFTEN:
            return VenueEvent("rate_limited", reason=reason)
        case "error":
            return VenueEvent("symbol_refused", tuple(_NAMED.findall(message.msg)), reason)
        case "notice" if message.code == _CLOSING:
            return VenueEvent("reconnect_requested", reason=reason)
        case "notice" | "channel-conn-count" | "unsubscribe":
            return HEARTBEAT
    raise FeedProtocolError(f"event {message.event!r} is unknown")
