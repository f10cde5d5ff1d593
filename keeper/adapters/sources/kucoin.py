"""KuCoin spot, ticker: https://www.kucoin.com/docs-new/websocket-api/base-info/introduction"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import ClassVar, NamedTuple

import msgspec

from keeper.adapters.sources import wire
from keeper.domain.ids import SourceId
from keeper.domain.quote import Quote
from keeper.domain.time import Timestamp
from keeper.errors import FeedProtocolError, RateLimited
from keeper.ports.venue import HEARTBEAT, Admission, Frame, Limits, RestRequest, Step, VenueEvent

URL = "wss://ws-api-spot.kucoin.com/"
REST_URL = "https://api.kucoin.com"
_TOPIC = "/market/ticker:"
_OK, _TOO_OFTEN = "200000", "429000"
_UNKNOWN = ("400100", "900001")
_UNAUTHORIZED, _TOO_MANY = "401", "509"
_WRONG_TOPIC = ("400", "404", "415")
_DAY_MS = 86_400_000


class State(NamedTuple):
    """`asked[n]` is what request number n + 1 asks for. Requests wait for the venue's welcome."""

    asked: tuple[str, ...]
    welcomed: bool = False


class _Ticker(msgspec.Struct, rename="camel"):
    time: int
    sequence: str
    price: str | None
    best_bid: str | None
    best_ask: str | None
    best_bid_size: str | None = None
    best_ask_size: str | None = None


class _Frame(msgspec.Struct):
    type: str
    id: str | int | None = None
    topic: str = ""
    subject: str = ""
    code: int | str = 0
    """A number, or the same as text."""
    data: msgspec.Raw = msgspec.Raw(b"null")


class _RestAnswer(msgspec.Struct):
    code: str
    msg: str = ""
    data: _Ticker | None = None


class _Server(msgspec.Struct, rename="camel"):
    endpoint: str
    protocol: str = "websocket"
    ping_interval: int | None = None


class _Bullet(msgspec.Struct, rename="camel"):
    token: str
    instance_servers: list[_Server]


class _BulletAnswer(msgspec.Struct):
    code: str
    msg: str = ""
    data: _Bullet | None = None


_FRAME = msgspec.json.Decoder(_Frame)
_TICKER = msgspec.json.Decoder(_Ticker)
_REST = msgspec.json.Decoder(_RestAnswer)
_BULLET = msgspec.json.Decoder(_BulletAnswer)


@dataclass(frozen=True, slots=True)
class Kucoin:
    """Topic `/market/ticker`. Times in milliseconds; `sequence` is text.

    Each connection begins with a POST whose answer names the address, a token for 24 hours and the interval of pings.
    An own `url` stands in place of that address; the token is still asked for at `rest_url`.
    """

    name: str = "kucoin"
    url: str = URL
    rest_url: str = REST_URL

    trade_driven: ClassVar[bool] = False
    hosts: ClassVar[tuple[str, ...]] = ("kucoin.com",)
    limits: ClassVar[Limits] = Limits(
        doc="https://www.kucoin.com/docs-new/websocket-api/base-info/introduction",
        symbols_per_connection=200,
        frames_per_s=8.0,
        connects=30,
        connects_window_s=60.0,
        ping_every_s=18.0,
        silence_s=28.0,
        rotate_after_s=23 * 3600.0,
        rest_every_s=0.1,
        wait_s={403: 300.0, 429: 30.0, 451: 3600.0},
    )

    @property
    def endpoints(self) -> tuple[str, ...]:
        return (self.url,)

    @property
    def own_url(self) -> str | None:
        return None if self.url == URL else self.url

    def admission(self) -> RestRequest:
        return RestRequest(f"{self.rest_url}/api/v1/bullet-public", method="POST")

    def parse_admission(self, status: int, body: bytes) -> Admission:
        answer = wire.decode(_BULLET, body)
        reason = f"{answer.code}: {answer.msg}"
        if answer.code == _TOO_OFTEN:
            raise RateLimited(reason)
        if answer.code != _OK or answer.data is None or not answer.data.token:
            raise FeedProtocolError(f"HTTP {status}: {reason}, no token")
        servers = [server for server in answer.data.instance_servers if server.protocol == "websocket"]
        ping_ms = min((server.ping_interval for server in servers if server.ping_interval), default=None)
        token = answer.data.token
        return Admission(
            [server.endpoint for server in servers],
            {"token": token, "connectId": sha256(token.encode()).hexdigest()[:16]},
            None if ping_ms is None else max(-_DAY_MS, min(ping_ms, _DAY_MS)) / 1_000,
        )

    def open(self, symbols: Sequence[str]) -> tuple[State, Sequence[str]]:
        return State(tuple(symbols)), ()

    def step(self, state: State, frame: Frame, received_at: Timestamp) -> Step:
        message = wire.decode(_FRAME, frame)
        match message.type:
            case "message":
                return Step(state, (self._ticker(message, frame, received_at),))
            case "welcome" if not state.welcomed:
                return Step(State(state.asked, welcomed=True), replies=_requests(state.asked), events=(HEARTBEAT,))
            case "pong" | "welcome":
                return Step(state, events=(HEARTBEAT,))
            case "ack":
                return Step(state, events=(VenueEvent("subscribed", _asked(state, message)),))
            case "error":
                return Step(state, events=(_error(state, message),))
        raise FeedProtocolError(f"type {message.type!r} is unknown")

    def _ticker(self, message: _Frame, frame: Frame, received_at: Timestamp) -> Quote:
        if message.subject != "trade.ticker" or not message.topic.startswith(_TOPIC):
            raise FeedProtocolError(f"topic {message.topic!r} was not subscribed to")
        ticker = wire.decode(_TICKER, bytes(message.data))
        return _quote(ticker, wire.source(self.name, message.topic[len(_TOPIC) :]), frame, received_at, stream=True)

    def ping(self) -> str:
        return '{"id":"ping","type":"ping"}'

    def rest(self, symbol: str) -> RestRequest:
        return RestRequest(f"{self.rest_url}/api/v1/market/orderbook/level1", {"symbol": symbol})

    def parse_rest(self, symbol: str, status: int, body: bytes, received_at: Timestamp) -> Quote | VenueEvent:
        """An unknown symbol is answered with an error, or with success and no data."""
        answer = wire.decode(_REST, body)
        reason = f"{answer.code}: {answer.msg}"
        if answer.code == _TOO_OFTEN:
            raise RateLimited(reason)
        if answer.code in _UNKNOWN or (answer.code == _OK and answer.data is None):
            return VenueEvent("symbol_refused", (symbol,), reason)
        if answer.code != _OK or answer.data is None:
            raise FeedProtocolError(f"HTTP {status}: {reason}")
        return _quote(answer.data, wire.source(self.name, symbol), body, received_at, stream=False)


def _quote(ticker: _Ticker, source: SourceId, frame: Frame, received_at: Timestamp, *, stream: bool) -> Quote:
    return wire.quote(
        source,
        received_at,
        wire.from_millis(ticker.time),
        wire.side_e18(ticker.best_bid),
        wire.side_e18(ticker.best_ask),
        wire.side_e18(ticker.best_bid_size),
        wire.side_e18(ticker.best_ask_size),
        wire.side_e18(ticker.price),
        wire.whole(ticker.sequence) if stream else None,
        wire.frame_hash(frame),
    )


def _requests(symbols: Sequence[str]) -> list[str]:
    """One symbol in each, numbered: an answer tells by its number which symbol it concerns."""
    fixed = {"privateChannel": False, "response": True}
    return [
        wire.encode({"id": str(number), "type": "subscribe", "topic": _TOPIC + symbol, **fixed})
        for number, symbol in enumerate(symbols, 1)
    ]


def _asked(state: State, message: _Frame) -> tuple[str, ...]:
    asked = wire.asked(state.asked, message.id)
    if not asked:
        raise FeedProtocolError(f"{message.type} of a request that was never made")
    return asked


def _error(state: State, message: _Frame) -> VenueEvent:
    """A refused token ends this connection's use: the next one asks for its own. The text may state it."""
    code, text = str(message.code), str(message.data, "utf-8", "replace")
    reason = f"{code}: {text[:100]}"
    if code == _UNAUTHORIZED or "token" in text:
        return VenueEvent("reconnect_requested", reason=f"{code}: the token was refused")
    if code == _TOO_MANY:
        return VenueEvent("rate_limited", reason=reason)
    if code in _WRONG_TOPIC:
        return VenueEvent("symbol_refused", _asked(state, message), reason)
    raise FeedProtocolError(f"error {reason}")
