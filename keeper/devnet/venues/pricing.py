"""A venue's own view of the hidden market: spread, lag, noise, and the faults that falsify prices and times."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from keeper.devnet.market import HiddenMarket
from keeper.devnet.venues.faults import FaultBoard
from keeper.devnet.venues.tape import Tick
from keeper.domain.time import Timestamp, nanos

_LOT = Decimal("0.00000001")


@dataclass(frozen=True, slots=True)
class Listing:
    """One symbol of a venue: what it trades and how finely it is priced."""

    base: str
    quote: str
    price_step: Decimal


@dataclass(frozen=True, slots=True)
class Manner:
    """How a venue differs from the truth."""

    spread_bps: float = 1.0
    noise_bps: float = 0.3
    lag_s: float = 0.05


@dataclass(slots=True, eq=False)
class Pricer:
    """Makes the next tick of a symbol. Seeded by the venue's name, so that venues differ and runs repeat."""

    market: HiddenMarket
    listings: Mapping[str, Listing]
    manner: Manner
    faults: FaultBoard
    rng: random.Random
    _latest: dict[str, Tick] = field(default_factory=dict)
    _trades: int = 100_000
    _sequence: int = 5_000_000

    def latest(self, symbol: str) -> Tick:
        return self._latest.get(symbol) or self.next(symbol)

    def next(self, symbol: str) -> Tick:
        """The venue's next word on `symbol`; the same again while the market is quiet."""
        known = self._latest.get(symbol)
        if known is not None and self.faults.active("quiet", symbol):
            return known
        self._trades += 1
        self._sequence += self.rng.randint(1, 5)
        at, mid = self._moment(symbol)
        step = self.listings[symbol].price_step
        half = mid * self.manner.spread_bps / 2e4
        bid = _to_step(mid - half, step, ROUND_FLOOR)
        ask = max(_to_step(mid + half, step, ROUND_CEILING), bid + step)
        last = bid if self.rng.random() < 0.5 else ask
        if (crossed := self.faults.active("crossed", symbol)) is not None:
            bid = _to_step(float(ask) * (1.0 + crossed.number("fraction", 0.001)), step, ROUND_CEILING)
        tick = Tick(symbol, at, bid, ask, self._size(), self._size(), last, self._trades, self._sequence)
        self._latest[symbol] = tick
        self.faults.spend(symbol)
        return tick

    def _moment(self, symbol: str) -> tuple[Timestamp, float]:
        """The venue's time of the tick and the middle of its book."""
        now, listing = self.market.clock.now(), self.listings[symbol]
        stamp, seen_at = now, now - nanos(self.manner.lag_s)
        if (late := self.faults.active("late", symbol)) is not None:
            stamp = seen_at = Timestamp(now - nanos(late.number("lag_s", 30.0)))
        if (future := self.faults.active("future", symbol)) is not None:
            stamp = Timestamp(now + nanos(future.number("ahead_s", 3_600.0)))
        mid = self.market.price(listing.base, listing.quote, Timestamp(seen_at))
        mid *= 1.0 + self.manner.noise_bps * 1e-4 * self.rng.gauss(0.0, 1.0)
        if (unit := self.faults.active("wrong_unit", symbol)) is not None:
            mid *= unit.number("factor", 100.0)
        if (finger := self.faults.active("fat_finger", symbol)) is not None:
            mid *= finger.number("factor", 1.5)
        return Timestamp(stamp // 1_000_000 * 1_000_000), mid

    def _size(self) -> Decimal:
        return Decimal(self.rng.uniform(0.05, 3.0)).quantize(_LOT)


def _to_step(price: float, step: Decimal, rounding: str) -> Decimal:
    return (Decimal(price) / step).to_integral_value(rounding) * step
