"""Kraken websocket v2, ticker: https://docs.kraken.com/api/docs/websocket-v2/ticker"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from keeper.adapters.sources import wire
from keeper.domain.quote import Quote
from keeper.domain.time import Timestamp
from keeper.errors import FeedProtocolError, RateLimited
from keeper.ports.venue import HEARTBEAT, Frame, Limits, RestRequest, Step, VenueEvent

URL = "wss://ws.kraken.com/v2"
REST_URL = "https://api.kraken.com"
_NULL = msgspec.Raw(b"null")
_NEVER = "1970-01-01T00:00:00"
"""Time of a pair that has never traded."""


class _Entry(msgspec.Struct):
    """One ticker, or the state of the system."""

    symbol: str | None = None
    bid: msgspec.Raw = wire.ABSENT
    bid_qty: msgspec.Raw = _NULL
    ask: msgspec.Raw = wire.ABSENT
    ask_qty: msgspec.Raw = _NULL
    last: msgspec.Raw = wire.ABSENT
    timestamp: str | None = None
    system: str | None = None


class _Result(msgspec.Struct):
    channel: str | None = None
    symbol: str | None = None


class _Frame(msgspec.Struct):
    channel: str | None = None
    data: list[_Entry] = []
    method: str | None = None
    success: bool | None = None
    result: _Result | None = None
    error: str = ""
    symbol: str | None = None


class _RestTicker(msgspec.Struct):
    a: tuple[str, str, str]
    b: tuple[str, str, str]
    c: tuple[str, str]


class _RestAnswer(msgspec.Struct):
    error: list[str]
    result: dict[str, _RestTicker] = {}


_FRAME = msgspec.json.Decoder(_Frame)
_REST = msgspec.json.Decoder(_RestAnswer)
_BUSY = ("EAPI:Rate limit exceeded", "EGeneral:Too many requests")
_REST_NAMES = {"BTC": "XBT", "DOGE": "XDG"}


@dataclass(frozen=True, slots=True)
class Kraken:
    """Channel `ticker` with `event_trigger` bbo: best bid, best ask and last trade; the day's vwap is not a price.

    `observed_at` is None on frames that come without `timestamp`.
    """

    name: str = "kraken"
    url: str = URL
    rest_url: str = REST_URL

    trade_driven: ClassVar[bool] = False
    limits: ClassVar[Limits] = Limits(
        doc="https://docs.kraken.com/api/docs/guides/spot-ws-intro",
        symbols_per_connection=100,
        symbols_per_frame=50,
        frames_per_s=5.0,
        connects=150,
        connects_window_s=600.0,
        ping_every_s=30.0,
        silence_s=10.0,
        rest_every_s=1.1,
        wait_s={403: 600.0, 429: 10.0, 451: 3600.0},
    )

    @property
    def endpoints(self) -> tuple[str, ...]:
        return (self.url,)

    def open(self, symbols: Sequence[str]) -> tuple[None, Sequence[str]]:
        params = {"channel": "ticker", "event_trigger": "bbo", "snapshot": True}
        return None, [
            wire.encode({"method": "subscribe", "params": {**params, "symbol": list(group)}, "req_id": number})
            for number, group in enumerate(wire.batches(tuple(symbols), self.limits.symbols_per_frame), 1)
        ]

    def step(self, state: None, frame: Frame, received_at: Timestamp) -> Step:
        message = wire.decode(_FRAME, frame)
        match message.channel:
            case "ticker":
                return Step(state, [self._quote(entry, frame, received_at) for entry in message.data])
            case "heartbeat":
                return Step(state, events=(HEARTBEAT,))
            case "status":
                return Step(state, events=[_system(entry) for entry in message.data])
        if message.channel is None and message.method is not None:
            return Step(state, events=(_answer(message),))
        raise FeedProtocolError(f"channel {message.channel!r} was not subscribed to")

    def _quote(self, entry: _Entry, frame: Frame, received_at: Timestamp) -> Quote:
        stamp = entry.timestamp
        return wire.quote(
            wire.source(self.name, wire.present(entry.symbol, "symbol")),
            received_at,
            None if stamp is None or stamp.startswith(_NEVER) else wire.from_iso(stamp),
            wire.number_e18(entry.bid),
            wire.number_e18(entry.ask),
            wire.number_e18(entry.bid_qty),
            wire.number_e18(entry.ask_qty),
            wire.number_e18(entry.last),
            None,
            wire.frame_hash(frame),
        )

    def ping(self) -> str:
        return '{"method":"ping"}'

    def rest(self, symbol: str) -> RestRequest:
        base, _, quote = symbol.partition("/")
        return RestRequest(f"{self.rest_url}/0/public/Ticker", {"pair": _REST_NAMES.get(base, base) + quote})

    def parse_rest(self, symbol: str, status: int, body: bytes, received_at: Timestamp) -> Quote | VenueEvent:
        answer = wire.decode(_REST, body)
        if answer.error:
            reason = "; ".join(answer.error)
            if any(error.startswith(_BUSY) for error in answer.error):
                raise RateLimited(reason)
            if "EQuery:Unknown asset pair" in answer.error:
                return VenueEvent("symbol_refused", (symbol,), reason)
            raise FeedProtocolError(f"HTTP {status}: {reason}")
        if len(answer.result) != 1:
            raise FeedProtocolError(f"asked for one pair, answered {sorted(answer.result)}")
        (ticker,) = answer.result.values()
        return wire.quote(
            wire.source(self.name, symbol),
            received_at,
            None,
            wire.side_e18(ticker.b[0]),
            wire.side_e18(ticker.a[0]),
            wire.side_e18(ticker.b[2]),
            wire.side_e18(ticker.a[2]),
            wire.side_e18(ticker.c[0]),
            None,
            wire.frame_hash(body),
        )


def _system(entry: _Entry) -> VenueEvent:
    system = wire.present(entry.system, "system")
    return VenueEvent("online") if system == "online" else VenueEvent("maintenance", reason=system)


def _answer(message: _Frame) -> VenueEvent:
    if message.method == "pong":
        return HEARTBEAT
    if message.success and message.result is not None:
        return VenueEvent("subscribed", (message.result.symbol,) if message.result.symbol else ())
    if "exceeded msg rate" in message.error.lower():
        return VenueEvent("rate_limited", reason=message.error)
    if message.method == "subscribe" and message.success is False:
        return VenueEvent("symbol_refused", (message.symbol,) if message.symbol else (), message.error)
    raise FeedProtocolError(f"{message.method}: {message.error or 'no result'}")
