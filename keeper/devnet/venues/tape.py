"""What a local venue sent, for whoever checks what the keeper made of it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, NamedTuple

from keeper.domain.time import Timestamp


class Tick(NamedTuple):
    """A venue's view of one market. `at` is the venue's own time of it; sizes are of the best level."""

    symbol: str
    at: Timestamp
    bid: Decimal
    ask: Decimal
    bid_size: Decimal
    ask_size: Decimal
    last: Decimal
    trade_id: int
    sequence: int


class Sent(NamedTuple):
    """One ticker that left the venue. `sent_at` is wall time."""

    sent_at: Timestamp
    bid: Decimal
    ask: Decimal
    last: Decimal
    via: Literal["stream", "rest"]


@dataclass(slots=True)
class Tape:
    """The last `length` tickers of each symbol, oldest first."""

    length: int = 20_000
    _sent: dict[str, deque[Sent]] = field(default_factory=dict)

    def record(self, sent_at: Timestamp, tick: Tick, via: Literal["stream", "rest"]) -> None:
        track = self._sent.setdefault(tick.symbol, deque(maxlen=self.length))
        track.append(Sent(sent_at, tick.bid, tick.ask, tick.last, via))

    def of(self, symbol: str) -> tuple[Sent, ...]:
        return tuple(self._sent.get(symbol, ()))
