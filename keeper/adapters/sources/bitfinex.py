"""Bitfinex websocket v2, ticker: https://docs.bitfinex.com/reference/ws-public-ticker"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import msgspec

from keeper.adapters.sources import wire
from keeper.domain.quote import Quote
from keeper.domain.time import Timestamp
from keeper.errors import FeedProtocolError, RateLimited
from keeper.ports.venue import HEARTBEAT, Frame, Limits, RestRequest, Step, VenueEvent

URL = "wss://api-pub.bitfinex.com/ws/2"
REST_URL = "https://api-pub.bitfinex.com"


class State(NamedTuple):
    """`channels`: number → symbol, as this connection's acknowledgements gave them to the symbols asked for.

    `others`: numbers were given to other symbols too. Which, is not kept: what comes on an unknown channel is theirs.
    """

    asked: frozenset[str]
    channels: Mapping[int, str]
    others: bool = False

    def given(self, number: int, symbol: str) -> State:
        """A symbol has one channel, the one given last; what nobody asked for has none."""
        rest = {n: s for n, s in self.channels.items() if n != number and s != symbol}
        if symbol not in self.asked:
            return State(self.asked, rest, others=True)
        return State(self.asked, {**rest, number: symbol}, self.others)


_BID, _ASK, _LAST = 0, 2, 6
_SEQ_ALL = 65536
_RESTART, _MAINTENANCE_BEGINS, _MAINTENANCE_ENDS = 20051, 20060, 20061


class _Data(msgspec.Struct, array_like=True):
    """Fields may be appended at any time, to the frame and to the ticker in it."""

    channel: int
    payload: str | list[msgspec.Raw]
    sequence: int | None = None


class _Platform(msgspec.Struct):
    status: int


class _Event(msgspec.Struct):
    event: str
    symbol: str | None = None
    channel_no: int | None = msgspec.field(name="chanId", default=None)
    code: int | None = None
    msg: str = ""
    platform: _Platform | None = None


_DATA = msgspec.json.Decoder(_Data)
_EVENT = msgspec.json.Decoder(_Event)
_REST = msgspec.json.Decoder(list[msgspec.Raw])
_INVALID_SYMBOL, _BUSY = b"10020", b"11010"


@dataclass(frozen=True, slots=True)
class Bitfinex:
    """Channel `ticker`. It carries no time; `sequence` is the connection's, counted because we ask for SEQ_ALL.

    Sizes stay None: the venue's are sums over 25 levels (https://docs.bitfinex.com/reference/rest-public-ticker).
    Tether is `UST` here: `tUSTUSD`, `tBTCUST`.
    """

    name: str = "bitfinex"
    url: str = URL
    rest_url: str = REST_URL

    trade_driven: ClassVar[bool] = False
    limits: ClassVar[Limits] = Limits(
        doc="https://docs.bitfinex.com/docs/requirements-and-limitations",
        symbols_per_connection=25,
        frames_per_s=5.0,
        connects=20,
        connects_window_s=60.0,
        silence_s=40.0,
        quiet_s=15.0,
        rest_every_s=2.0,
        wait_s={403: 300.0, 429: 60.0, 451: 3600.0},
    )

    @property
    def endpoints(self) -> tuple[str, ...]:
        return (self.url,)

    def open(self, symbols: Sequence[str]) -> tuple[State, Sequence[str]]:
        subscribe = [wire.encode({"event": "subscribe", "channel": "ticker", "symbol": symbol}) for symbol in symbols]
        start = State(frozenset(symbols), {})
        return start, [wire.encode({"event": "conf", "flags": _SEQ_ALL}), *subscribe]

    def step(self, state: State, frame: Frame, received_at: Timestamp) -> Step:
        if frame[:1] in ("{", b"{"):
            return _control(state, wire.decode(_EVENT, frame))
        data = wire.decode(_DATA, frame)
        if data.payload == "hb":
            return Step(state, events=(HEARTBEAT,))
        symbol = state.channels.get(data.channel)
        if symbol is None and state.others:
            return Step(state)
        if symbol is None or isinstance(data.payload, str):
            raise FeedProtocolError(f"channel {data.channel} was not subscribed to")
        return Step(state, (self._quote(symbol, data.payload, frame, received_at, data.sequence),))

    def _quote(
        self, symbol: str, ticker: list[msgspec.Raw], frame: Frame, received_at: Timestamp, sequence: int | None = None
    ) -> Quote:
        if len(ticker) <= _LAST:
            raise FeedProtocolError(f"a ticker of {len(ticker)} fields has no last price")
        return wire.quote(
            wire.source(self.name, symbol),
            received_at,
            None,
            wire.number_e18(ticker[_BID]),
            wire.number_e18(ticker[_ASK]),
            None,
            None,
            wire.number_e18(ticker[_LAST]),
            sequence,
            wire.frame_hash(frame),
        )

    def ping(self) -> None:
        """The venue sends a heartbeat on every idle channel."""

    def rest(self, symbol: str) -> RestRequest:
        return RestRequest(f"{self.rest_url}/v2/ticker/{symbol}")

    def parse_rest(self, symbol: str, status: int, body: bytes, received_at: Timestamp) -> Quote | VenueEvent:
        fields = wire.decode(_REST, body)
        if fields and bytes(fields[0]) == b'"error"':
            reason = b": ".join(bytes(f) for f in fields[1:]).decode(errors="replace")
            if _BUSY in map(bytes, fields):
                raise RateLimited(reason)
            if _INVALID_SYMBOL in map(bytes, fields):
                return VenueEvent("symbol_refused", (symbol,), reason)
            raise FeedProtocolError(f"HTTP {status}: {reason}")
        return self._quote(symbol, fields, body, received_at)


def _control(state: State, message: _Event) -> Step:
    match message.event:
        case "subscribed":
            symbol = wire.present(message.symbol, "symbol")
            number = wire.present(message.channel_no, "chanId")
            return Step(state.given(number, symbol), events=(VenueEvent("subscribed", (symbol,)),))
        case "error":
            symbols = (message.symbol,) if message.symbol else ()
            return Step(state, events=(VenueEvent("symbol_refused", symbols, f"{message.code}: {message.msg}"),))
        case "info":
            return Step(state, events=_info(message))
        case "conf" | "pong" | "unsubscribed":
            return Step(state, events=(HEARTBEAT,))
    raise FeedProtocolError(f"event {message.event!r} is unknown")


def _info(message: _Event) -> tuple[VenueEvent, ...]:
    """After maintenance every subscription has to be made anew, which a new connection does best."""
    reason = f"{message.code}: {message.msg}"
    if message.code == _RESTART:
        return (VenueEvent("reconnect_requested", reason=reason),)
    if message.code == _MAINTENANCE_BEGINS or (message.platform is not None and message.platform.status == 0):
        return (VenueEvent("maintenance", reason=reason),)
    if message.code == _MAINTENANCE_ENDS:
        return (VenueEvent("online"), VenueEvent("reconnect_requested", reason=reason))
    return (VenueEvent("online"),)
