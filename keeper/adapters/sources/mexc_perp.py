"""MEXC perpetuals, ticker: https://mexcdevelop.github.io/apidocs/contract_v1_en/#public-channels

Nothing of spot's: JSON, where spot sends protocol buffers, with numbers as JSON numbers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from keeper.adapters.sources import wire
from keeper.domain.quote import Quote
from keeper.domain.time import Timestamp
from keeper.errors import FeedProtocolError, RateLimited
from keeper.ports.venue import HEARTBEAT, Frame, Limits, RestRequest, Step, VenueEvent

URL = "wss://contract.mexc.com/edge"
REST_URL = "https://contract.mexc.com"

State = tuple[str, ...]
"""Those asked for and not yet answered, in order: an answer names no symbol, and is that to the oldest request."""


class _Frame(msgspec.Struct):
    channel: str
    data: msgspec.Raw = wire.ABSENT


class _Ticker(msgspec.Struct):
    symbol: str
    timestamp: int
    bid: msgspec.Raw = msgspec.field(name="bid1", default=wire.ABSENT)
    ask: msgspec.Raw = msgspec.field(name="ask1", default=wire.ABSENT)
    last: msgspec.Raw = msgspec.field(name="lastPrice", default=wire.ABSENT)


class _RestAnswer(msgspec.Struct):
    success: bool
    code: int
    message: str = ""
    data: _Ticker | None = None


_FRAME = msgspec.json.Decoder(_Frame)
_TICKER = msgspec.json.Decoder(_Ticker)
_WORDS = msgspec.json.Decoder(str)
_REST = msgspec.json.Decoder(_RestAnswer)
_NAMED = re.compile(r"\[([A-Z0-9]+_[A-Z0-9_]+)\]")
_BUSY, _UNKNOWN = 510, 1001


@dataclass(frozen=True, slots=True)
class MexcPerp:
    """Channel `ticker`, told every second or two with or without trades: a perpetual's book without sizes, and no spot price.

    Times in milliseconds. Without a ping for a minute the venue hangs up.
    """

    name: str = "mexc_perp"
    url: str = URL
    rest_url: str = REST_URL

    trade_driven: ClassVar[bool] = False
    limits: ClassVar[Limits] = Limits(
        doc="https://mexcdevelop.github.io/apidocs/contract_v1_en/#native-ws",
        symbols_per_connection=30,
        frames_per_s=10.0,
        connects=5,
        ping_every_s=15.0,
        silence_s=30.0,
        rest_every_s=0.2,
        wait_s={403: 300.0, 429: 10.0, 451: 3600.0},
    )

    @staticmethod
    def perpetual(symbol: str) -> str:
        """Whatever it has: dated futures are not on this address."""
        return symbol

    @property
    def endpoints(self) -> tuple[str, ...]:
        return (self.url,)

    def open(self, symbols: Sequence[str]) -> tuple[State, Sequence[str]]:
        asked = [wire.encode({"method": "sub.ticker", "param": {"symbol": symbol}}) for symbol in symbols]
        return tuple(symbols), asked

    def step(self, state: State, frame: Frame, received_at: Timestamp) -> Step:
        message = wire.decode(_FRAME, frame)
        match message.channel:
            case "push.ticker":
                ticker = wire.decode(_TICKER, bytes(message.data))
                begun = (ticker.symbol,) if ticker.symbol in state else ()
                events = (VenueEvent("subscribed", begun),) if begun else ()
                return Step(_without(state, begun), (self._quote(ticker, frame, received_at),), events=events)
            case "rs.sub.ticker":
                return Step(state[1:], events=(VenueEvent("subscribed", state[:1]) if state else HEARTBEAT,))
            case "rs.error":
                refusal = _refusal(wire.decode(_WORDS, bytes(message.data)))
                return Step(_without(state, refusal.symbols), events=(refusal,))
            case "pong":
                return Step(state, events=(HEARTBEAT,))
        raise FeedProtocolError(f"channel {message.channel[:40]!r} was not subscribed to")

    def _quote(self, ticker: _Ticker, frame: Frame, received_at: Timestamp) -> Quote:
        return wire.quote(
            wire.source(self.name, ticker.symbol),
            received_at,
            wire.from_millis(ticker.timestamp),
            wire.number_e18(ticker.bid),
            wire.number_e18(ticker.ask),
            None,
            None,
            wire.number_e18(ticker.last),
            None,
            wire.frame_hash(frame),
        )

    def ping(self) -> str:
        return '{"method":"ping"}'

    def rest(self, symbol: str) -> RestRequest:
        return RestRequest(f"{self.rest_url}/api/v1/contract/ticker", {"symbol": symbol})

    def parse_rest(self, symbol: str, status: int, body: bytes, received_at: Timestamp) -> Quote | VenueEvent:
        answer = wire.decode(_REST, body)
        reason = f"{answer.code}: {answer.message}"
        if answer.code == _BUSY:
            raise RateLimited(reason)
        if answer.code == _UNKNOWN:
            return VenueEvent("symbol_refused", (symbol,), reason)
        if not answer.success or answer.data is None:
            raise FeedProtocolError(f"HTTP {status}: {reason}")
        wire.answered(symbol, answer.data.symbol)
        return self._quote(answer.data, body, received_at)


def _without(state: State, answered: tuple[str, ...]) -> State:
    """A ticker answers too, should answers come in another order than requests."""
    return tuple(symbol for symbol in state if symbol not in answered) if answered else state


def _refusal(words: str) -> VenueEvent:
    if "too many" in words.lower() or "frequen" in words.lower():
        return VenueEvent("rate_limited", reason=words)
    return VenueEvent("symbol_refused", tuple(_NAMED.findall(words)), words)
