"""The perp exchange's own order book and trades. Its dialect, one JSON object in each text message:

    → {"op":"subscribe","markets":["BTC-USD"]}
    ← {"type":"subscribed","markets":["BTC-USD"]}          {"type":"error","markets":["X"],"reason":"unknown market"}
    ← {"type":"book","market":"BTC-USD","seq":7,"ts":1795300737032,"bids":[["64000.5","0.1"]],"asks":[["64001","2"]]}
    ← {"type":"trade","market":"BTC-USD","id":3,"ts":1795300737032,"price":"64001","size":"0.1","side":"buy"}
    ← {"type":"heartbeat","ts":1795300738000}                                                    every second

Times are in milliseconds. A book is whole, at most 20 levels a side, and is restated every second while unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from keeper.adapters.sources import wire
from keeper.domain.quote import Depth, Level, Trade
from keeper.domain.time import Timestamp
from keeper.errors import FeedProtocolError
from keeper.ports.venue import HEARTBEAT, Frame, Limits, RestRequest, Step, VenueEvent

URL = "ws://127.0.0.1:8090/book"
_Level = tuple[str, str]
_MOST_LEVELS = 200
"""Ten times what is documented: each record of a decision holds the whole book."""
_LONGEST_ID = 100


class _Frame(msgspec.Struct):
    type: str
    market: str | None = None
    ts: int | None = None
    seq: int | None = None
    bids: list[_Level] | None = None
    asks: list[_Level] | None = None
    id: int | str | None = None
    price: str | None = None
    size: str | None = None
    markets: list[str] = []
    reason: str = ""


_FRAME = msgspec.json.Decoder(_Frame)


@dataclass(frozen=True, slots=True)
class Perp:
    """Yields Depth, best level first as sent, and Trade. A silent book is a dead one: there is no REST to ask."""

    name: str = "perp"
    url: str = URL

    trade_driven: ClassVar[bool] = False
    limits: ClassVar[Limits] = Limits(
        doc="the docstring of keeper/adapters/sources/perp.py",
        symbols_per_connection=200,
        symbols_per_frame=200,
        connects=10,
        silence_s=5.0,
        quiet_s=3.0,
        wait_s={429: 2.0},
    )

    @property
    def endpoints(self) -> tuple[str, ...]:
        return (self.url,)

    def open(self, symbols: Sequence[str]) -> tuple[None, Sequence[str]]:
        return None, [wire.encode({"op": "subscribe", "markets": list(symbols)})]

    def step(self, state: None, frame: Frame, received_at: Timestamp) -> Step:
        message = wire.decode(_FRAME, frame)
        match message.type:
            case "book":
                return Step(state, (self._depth(message, frame, received_at),))
            case "trade":
                return Step(state, (self._trade(message, frame, received_at),))
            case "subscribed":
                return Step(state, events=(VenueEvent("subscribed", tuple(message.markets)),))
            case "error":
                return Step(state, events=(VenueEvent("symbol_refused", tuple(message.markets), message.reason),))
            case "heartbeat":
                return Step(state, events=(HEARTBEAT,))
        raise FeedProtocolError(f"type {message.type!r} is unknown")

    def _depth(self, message: _Frame, frame: Frame, received_at: Timestamp) -> Depth:
        return Depth(
            source=wire.source(self.name, wire.present(message.market, "market")),
            received_at=received_at,
            observed_at=wire.from_millis(wire.present(message.ts, "ts")),
            bids=_levels(wire.present(message.bids, "bids")),
            asks=_levels(wire.present(message.asks, "asks")),
            sequence=None if message.seq is None else wire.sequence(message.seq),
            frame_hash=wire.frame_hash(frame),
        )

    def _trade(self, message: _Frame, frame: Frame, received_at: Timestamp) -> Trade:
        trade_id = str(wire.present(message.id, "id"))
        if len(trade_id) > _LONGEST_ID:
            raise FeedProtocolError(f"a trade's id of {len(trade_id)} characters")
        return Trade(
            source=wire.source(self.name, wire.present(message.market, "market")),
            received_at=received_at,
            observed_at=wire.from_millis(wire.present(message.ts, "ts")),
            price_e18=wire.e18(wire.present(message.price, "price")),
            size_e18=wire.e18(wire.present(message.size, "size")),
            trade_id=trade_id,
            frame_hash=wire.frame_hash(frame),
        )

    def ping(self) -> None:
        """The exchange sends heartbeats."""

    def rest(self, symbol: str) -> RestRequest | None:  # noqa: ARG002  the port's signature
        return None

    def parse_rest(self, symbol: str, status: int, body: bytes, received_at: Timestamp) -> VenueEvent:  # noqa: ARG002
        raise FeedProtocolError(f"{self.name} has no REST ticker of {symbol}")


def _levels(side: list[_Level]) -> tuple[Level, ...]:
    if len(side) > _MOST_LEVELS:
        raise FeedProtocolError(f"a side of {len(side)} levels")
    return tuple(Level(wire.e18(price), wire.e18(size)) for price, size in side)
