"""The trading floor: makers quote around the hidden price, takers follow their plans, everything matches in the engines."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from keeper.devnet.engine import BUY, SELL, SIDES, Fill, MatchingEngine, Side
from keeper.devnet.operator import Operator
from keeper.devnet.traders import PlannedOrder, Trader

LEVELS = 20
QUOTES_PER_S = 8
PREMIUM_BPS = 12
"""Largest premium of the makers: beyond the clamp around the interest, so that the funding rate moves."""
E30, BPS = 10**30, 10_000
Levels = Sequence[tuple[int, int]]
"""Price and size, best first."""


class Outlet(Protocol):
    """Where the book and its trades are shown to the world. Prices and sizes are scaled by 1e18; must not block."""

    def show_book(self, symbol: str, bids: Levels, asks: Levels) -> None: ...

    def show_trade(self, symbol: str, price_e18: int, size_e18: int, taker_side: Side) -> None: ...


@dataclass(slots=True)
class Pit:
    """One market: its engine, what it is called where, and the premium that its makers ask over spot."""

    market_no: int
    symbol: str
    base: str
    engine: MatchingEngine
    level_units: int = 90_000 * 10**6
    premium_bps: float = 0.0
    trades: int = 0


@dataclass(slots=True)
class Floor:
    """`spot` gives a base's hidden price, scaled 1e18; `opened` starts the takers' clocks."""

    pits: Mapping[int, Pit]
    traders: Sequence[Trader]
    outlet: Outlet
    operator: Operator
    spot: Callable[[str], int]
    seed: int
    engine_account: str
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    opened_ns: int | None = None

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for pit in self.pits.values():
                group.create_task(self._make_market(pit))
                group.create_task(self._make_noise(pit))
                group.create_task(self._buy_inventory(pit))
            for trader in self.traders:
                for order in trader.orders:
                    group.create_task(self._follow(trader, order))

    def take(self, pit: Pit, account: str, side: Side, notional_units: int) -> tuple[Fill, ...]:
        """A market order of about that notional at the hidden price."""
        size = pit.engine.round_size(notional_units * E30 // self.spot(pit.base))
        if not size:
            return ()
        fills = pit.engine.market(account, side, size).fills
        self._report(pit, fills)
        return fills

    def _report(self, pit: Pit, fills: Sequence[Fill]) -> None:
        self.operator.submit(pit.market_no, fills)
        pit.trades += len(fills)
        for fill in fills:
            side: Side = BUY if fill.taker_delta_e18 > 0 else SELL
            self.outlet.show_trade(pit.symbol, fill.price_e18, abs(fill.taker_delta_e18), side)

    async def _make_market(self, pit: Pit) -> None:
        makers = [trader.address for trader in self.traders if trader.role == "maker"]
        rng = random.Random(f"{self.seed}/make/{pit.market_no}")  # noqa: S311 - repeatable noise
        loop, drift = asyncio.get_running_loop(), 0.0
        begun = loop.time()
        while True:
            drift = 0.97 * drift + rng.gauss(0, 0.3)
            pit.premium_bps = PREMIUM_BPS * math.sin((loop.time() - begun) / 15 + pit.market_no) + drift
            self.quote(pit, makers)
            self.outlet.show_book(pit.symbol, pit.engine.depth(BUY, LEVELS), pit.engine.depth(SELL, LEVELS))
            await asyncio.sleep(1 / QUOTES_PER_S)

    def quote(self, pit: Pit, makers: Sequence[str]) -> None:
        """Every maker renews its share of the ladder: level n belongs to maker n modulo their number."""
        for maker in makers:
            pit.engine.cancel_all(maker)
        spot = self.spot(pit.base)
        center = spot + spot * round(pit.premium_bps * 1000) // (BPS * 1000)
        for level in range(LEVELS):
            distance = center * (10 + 12 * level) // (10 * BPS)
            for side in SIDES:
                price = pit.engine.round_price(center - side * distance)
                size = pit.engine.round_size(pit.level_units * E30 // center)
                pit.engine.post(makers[level % len(makers)], side, size, price)

    async def _make_noise(self, pit: Pit) -> None:
        """Small trades in both directions, so that there is always a last price."""
        rng = random.Random(f"{self.seed}/noise/{pit.market_no}")  # noqa: S311 - repeatable noise
        noisy = [trader.address for trader in self.traders if trader.role == "noise"]
        net = dict.fromkeys(noisy, 0)
        await self.opened.wait()
        while True:
            await asyncio.sleep(rng.uniform(0.2, 0.7))
            account = rng.choice(noisy)
            side: Side = BUY if net[account] < 0 or (net[account] == 0 and rng.random() < 0.5) else SELL
            units = rng.randrange(500, 8_000) * 10**6
            self.take(pit, account, side, units)
            net[account] += side

    async def _buy_inventory(self, pit: Pit) -> None:
        """The buyers lift what the insurance fund offers."""
        buyers = [trader.address for trader in self.traders if trader.role == "buyer"]
        turn = 0
        while True:
            await asyncio.sleep(0.5)
            for order in pit.engine.resting(self.engine_account):
                if not order.size_e18:
                    continue
                against: Side = SELL if order.side == BUY else BUY
                turn += 1
                buyer = buyers[turn % len(buyers)]
                self._report(pit, pit.engine.market(buyer, against, order.size_e18, order.price_e18).fills)

    async def _follow(self, trader: Trader, order: PlannedOrder) -> None:
        await self.opened.wait()
        await asyncio.sleep(order.at_s)
        self.take(self.pits[order.market_no], trader.address, order.side, order.notional_units)
