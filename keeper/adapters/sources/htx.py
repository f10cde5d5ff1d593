"""HTX (formerly Huobi) spot, best bid and ask: https://www.htx.com/en-us/opend/newApiPages/?id=7ec4ff6d-7773-11ed-9966-0242ac110003"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from keeper.adapters.sources import wire
from keeper.adapters.sources.gzip_frame import inflated
from keeper.domain.quote import Quote
from keeper.domain.time import Timestamp
from keeper.errors import FeedProtocolError, RateLimited
from keeper.ports.venue import HEARTBEAT, Frame, Limits, RestRequest, Step, VenueEvent

URL = "wss://api.huobi.pro/ws"
REST_URL = "https://api.huobi.pro"
_PREFIX, _SUFFIX = "market.", ".bbo"
_NULL = msgspec.Raw(b"null")


class _Tick(msgspec.Struct):
    symbol: str
    bid: msgspec.Raw = wire.ABSENT
    bid_size: msgspec.Raw = msgspec.field(name="bidSize", default=_NULL)
    ask: msgspec.Raw = wire.ABSENT
    ask_size: msgspec.Raw = msgspec.field(name="askSize", default=_NULL)
    quote_time: int = msgspec.field(name="quoteTime", default=0)
    sequence: int | None = msgspec.field(name="seqId", default=None)


class _Frame(msgspec.Struct):
    ping: int | None = None
    ch: str = ""
    tick: msgspec.Raw = wire.ABSENT
    id: str | int | None = None
    status: str = ""
    subbed: str = ""
    code: str = msgspec.field(name="err-code", default="")
    message: str = msgspec.field(name="err-msg", default="")


class _Merged(msgspec.Struct):
    bid: tuple[msgspec.Raw, msgspec.Raw]
    ask: tuple[msgspec.Raw, msgspec.Raw]
    close: msgspec.Raw = _NULL


class _RestAnswer(msgspec.Struct):
    status: str
    ch: str = ""
    ts: int | None = None
    tick: _Merged | None = None
    code: str = msgspec.field(name="err-code", default="")
    message: str = msgspec.field(name="err-msg", default="")


_FRAME = msgspec.json.Decoder(_Frame)
_TICK = msgspec.json.Decoder(_Tick)
_REST = msgspec.json.Decoder(_RestAnswer)
_BUSY, _WRONG = "too-many-requests", ("invalid-parameter", "bad-request", "base-symbol-error")


@dataclass(frozen=True, slots=True)
class Htx:
    """Channel `market.*.bbo`, times in milliseconds, `sequence` is `seqId`. Numbers are JSON numbers, as small as 9.2E-7.

    Every frame is a gzip message of its own. The venue pings every five seconds, in the data, and hangs up on a client
    that leaves two unanswered; a pong repeats the ping's number.
    """

    name: str = "htx"
    url: str = URL
    rest_url: str = REST_URL

    trade_driven: ClassVar[bool] = False
    limits: ClassVar[Limits] = Limits(
        doc="https://www.htx.com/en-us/opend/newApiPages/?id=662",
        symbols_per_connection=100,
        frames_per_s=20.0,
        connects=10,
        connects_window_s=10.0,
        silence_s=12.0,
        rest_every_s=0.1,
        wait_s={403: 600.0, 429: 10.0, 451: 3600.0},
    )

    @property
    def endpoints(self) -> tuple[str, ...]:
        return wire.endpoints(self.url, URL, ("wss://api-aws.huobi.pro/ws",))

    def open(self, symbols: Sequence[str]) -> tuple[None, Sequence[str]]:
        """One topic in each request, named after its symbol: an error repeats nothing but the name."""
        return None, [wire.encode({"sub": f"{_PREFIX}{symbol}{_SUFFIX}", "id": symbol}) for symbol in symbols]

    def step(self, state: None, frame: Frame, received_at: Timestamp) -> Step:
        if isinstance(frame, str):
            raise FeedProtocolError("a text frame, where every message is packed")
        text = inflated(frame)
        try:
            return self._understood(state, text, frame, received_at)
        except FeedProtocolError as error:
            raise FeedProtocolError(str(error), text.decode(errors="replace")) from error

    def _understood(self, state: None, text: bytes, frame: bytes, received_at: Timestamp) -> Step:
        message = wire.decode(_FRAME, text)
        if message.ch:
            return Step(state, (self._quote(message, frame, received_at),))
        if message.ping is not None:
            return Step(state, replies=(wire.encode({"pong": message.ping}),), events=(HEARTBEAT,))
        if message.subbed:
            return Step(state, events=(VenueEvent("subscribed", (_symbol(message.subbed),)),))
        if message.status == "error":
            return Step(state, events=(_refusal(message),))
        raise FeedProtocolError("neither a quote, nor a ping, nor an answer")

    def _quote(self, message: _Frame, frame: bytes, received_at: Timestamp) -> Quote:
        symbol = _symbol(message.ch)
        tick = wire.decode(_TICK, bytes(message.tick))
        if tick.symbol != symbol:
            raise FeedProtocolError(f"a quote of {tick.symbol[:40]!r} on the channel of {symbol[:40]!r}")
        return wire.quote(
            wire.source(self.name, symbol),
            received_at,
            wire.from_millis(tick.quote_time),
            wire.number_e18(tick.bid),
            wire.number_e18(tick.ask),
            wire.number_e18(tick.bid_size),
            wire.number_e18(tick.ask_size),
            None,
            tick.sequence,
            wire.frame_hash(frame),
        )

    def ping(self) -> None:
        """The venue pings, and is answered."""

    def rest(self, symbol: str) -> RestRequest:
        return RestRequest(f"{self.rest_url}/market/detail/merged", {"symbol": symbol})

    def parse_rest(self, symbol: str, status: int, body: bytes, received_at: Timestamp) -> Quote | VenueEvent:
        answer = wire.decode(_REST, body)
        reason = f"{answer.code}: {answer.message}"
        if _BUSY in answer.code:
            raise RateLimited(reason)
        if answer.code in _WRONG:
            return VenueEvent("symbol_refused", (symbol,), reason)
        if answer.status != "ok" or answer.tick is None:
            raise FeedProtocolError(f"HTTP {status}: {answer.status} {reason}")
        if answer.ch:
            wire.agreeing(answer.ch, f"{_PREFIX}{symbol}.detail.merged")
        tick = answer.tick
        return wire.quote(
            wire.source(self.name, symbol),
            received_at,
            wire.from_millis(wire.present(answer.ts, "ts")),
            wire.number_e18(tick.bid[0]),
            wire.number_e18(tick.ask[0]),
            wire.number_e18(tick.bid[1]),
            wire.number_e18(tick.ask[1]),
            wire.number_e18(tick.close),
            None,
            wire.frame_hash(body),
        )


def _symbol(channel: str) -> str:
    if not (channel.startswith(_PREFIX) and channel.endswith(_SUFFIX)):
        raise FeedProtocolError(f"channel {channel[:60]!r} was not subscribed to")
    return channel[len(_PREFIX) : -len(_SUFFIX)]


def _refusal(message: _Frame) -> VenueEvent:
    reason = f"{message.code}: {message.message}"
    if _BUSY in message.code or "too many" in message.message.lower():
        return VenueEvent("rate_limited", reason=reason)
    return VenueEvent("symbol_refused", (message.id,) if isinstance(message.id, str) and message.id else (), reason)
