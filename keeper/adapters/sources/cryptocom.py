"""Crypto.com Exchange v1, ticker: https://exchange-docs.crypto.com/exchange/v1/rest-ws/index.html#ticker-instrument_name"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from keeper.adapters.sources import wire
from keeper.domain.quote import Quote
from keeper.domain.time import MILLISECOND, Timestamp
from keeper.errors import FeedProtocolError, RateLimited
from keeper.ports.venue import HEARTBEAT, Frame, Limits, Message, RestRequest, Step, VenueEvent

URL = "wss://stream.crypto.com/exchange/v1/market"
REST_URL = "https://api.crypto.com"

State = tuple[str, ...]
"""`state[n]` is what request number n + 1 asks for."""


class _Ticker(msgspec.Struct):
    """`k` is the ask; `a` is the last trade. Null where there is none."""

    symbol: str = msgspec.field(name="i")
    time: int = msgspec.field(name="t")
    last: str | None = msgspec.field(name="a")
    bid: str | None = msgspec.field(name="b")
    ask: str | None = msgspec.field(name="k")
    bid_size: str | None = msgspec.field(name="bs", default=None)
    ask_size: str | None = msgspec.field(name="ks", default=None)


class _Result(msgspec.Struct):
    channel: str = ""
    instrument_name: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Frame(msgspec.Struct):
    method: str
    code: int = 0
    id: int = -1
    message: str = ""
    result: _Result | None = None


class _RestResult(msgspec.Struct):
    data: list[_Ticker]


class _RestAnswer(msgspec.Struct):
    code: int
    message: str = ""
    result: _RestResult | None = None


_FRAME = msgspec.json.Decoder(_Frame)
_TICKERS = msgspec.json.Decoder(list[_Ticker])
_REST = msgspec.json.Decoder(_RestAnswer)
_NAMED = re.compile(r"ticker\.([A-Z0-9_-]+)")
_TOO_OFTEN = 42901
_SERVER_SIDE = 50001
_REFUSING = (10004, 40003, 40004)


@dataclass(frozen=True, slots=True)
class Cryptocom:
    """Channel `ticker`. Times in milliseconds. Every heartbeat of the venue is answered with its own id."""

    name: str = "cryptocom"
    url: str = URL
    rest_url: str = REST_URL

    trade_driven: ClassVar[bool] = False
    limits: ClassVar[Limits] = Limits(
        doc="https://exchange-docs.crypto.com/exchange/v1/rest-ws/index.html#rate-limits",
        symbols_per_connection=400,
        frames_per_s=20.0,
        connects=10,
        connects_window_s=10.0,
        settle_s=1.0,
        silence_s=45.0,
        rest_every_s=0.05,
        wait_s={403: 300.0, 429: 2.0, 451: 3600.0},
    )

    @staticmethod
    def perpetual(symbol: str) -> str:
        """Of `BTC_USD` and of `BTCUSD-261225` it is `BTCUSD-PERP`."""
        return f"{symbol.partition('-')[0].replace('_', '')}-PERP"

    @property
    def endpoints(self) -> tuple[str, ...]:
        return (self.url,)

    def open(self, symbols: Sequence[str]) -> tuple[State, Sequence[Message]]:
        """One channel in each request: of several, some may be refused without being named."""
        return tuple(symbols), [_request(number, symbol) for number, symbol in enumerate(symbols, 1)]

    def step(self, state: State, frame: Frame, received_at: Timestamp) -> Step:
        message = wire.decode(_FRAME, frame)
        if message.method == "public/heartbeat":
            reply = wire.encode({"id": message.id, "method": "public/respond-heartbeat"})
            return Step(state, replies=(reply,), events=(HEARTBEAT,))
        if message.method != "subscribe":
            raise FeedProtocolError(f"method {message.method!r} is unknown")
        if message.code:
            return Step(state, events=(_error(state, message),))
        if message.result is None:
            return Step(state, events=(VenueEvent("subscribed", wire.asked(state, message.id)),))
        return Step(state, self._quotes(message.result, frame, received_at))

    def _quotes(self, result: _Result, frame: Frame, received_at: Timestamp) -> list[Quote]:
        if result.channel != "ticker":
            raise FeedProtocolError(f"channel {result.channel!r} was not subscribed to")
        tickers = wire.decode(_TICKERS, bytes(result.data))
        if strangers := [t.symbol for t in tickers if t.symbol != result.instrument_name]:
            raise FeedProtocolError(f"a ticker of {strangers[0]} under the name {result.instrument_name}")
        digest = wire.frame_hash(frame)
        return [self._quote(ticker, digest, received_at) for ticker in tickers]

    def _quote(self, ticker: _Ticker, digest: str, received_at: Timestamp) -> Quote:
        return wire.quote(
            wire.source(self.name, ticker.symbol),
            received_at,
            wire.from_millis(ticker.time),
            wire.side_e18(ticker.bid),
            wire.side_e18(ticker.ask),
            wire.side_e18(ticker.bid_size),
            wire.side_e18(ticker.ask_size),
            wire.side_e18(ticker.last),
            None,
            digest,
        )

    def ping(self) -> None:
        """The venue sends heartbeats."""

    def rest(self, symbol: str) -> RestRequest:
        return RestRequest(f"{self.rest_url}/exchange/v1/public/get-tickers", {"instrument_name": symbol})

    def parse_rest(self, symbol: str, status: int, body: bytes, received_at: Timestamp) -> Quote | VenueEvent:
        answer = wire.decode(_REST, body)
        reason = f"{answer.code}: {answer.message}"
        if answer.code == _TOO_OFTEN:
            raise RateLimited(reason)
        if answer.code in _REFUSING:
            return VenueEvent("symbol_refused", (symbol,), reason)
        tickers = answer.result.data if answer.result is not None else []
        if answer.code or [ticker.symbol for ticker in tickers] != [symbol]:
            raise FeedProtocolError(f"HTTP {status}: {reason}, tickers of {[t.symbol for t in tickers[:3]]}")
        return self._quote(tickers[0], wire.frame_hash(body), received_at)


def _request(number: int, symbol: str) -> Message:
    fixed = {"id": number, "method": "subscribe", "params": {"channels": [f"ticker.{symbol}"]}}
    return lambda now: wire.encode({**fixed, "nonce": now // MILLISECOND})


def _error(state: State, message: _Frame) -> VenueEvent:
    reason = f"{message.code}: {message.message}"
    if message.code == _TOO_OFTEN:
        return VenueEvent("rate_limited", reason=reason)
    if message.code == _SERVER_SIDE:
        return VenueEvent("reconnect_requested", reason=reason)
    if message.code in _REFUSING:
        return VenueEvent(
            "symbol_refused", wire.asked(state, message.id) or tuple(_NAMED.findall(message.message)), reason
        )
    raise FeedProtocolError(f"error {reason}")
