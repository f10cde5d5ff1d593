"""Who trades in the demo: makers with deep pockets, takers with thin margins, and a few who are made to fail.

Everything that a seed decides is decided before the run: accounts, deposits, and who does what when. A long that is
`x` bps of fall away from liquidation has a leverage of 1 / (x + maintenance).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from eth_account import Account
from eth_utils.crypto import keccak

from keeper.devnet.engine import BUY, SELL, Side
from keeper.devnet.scenario import GAP_END_BPS, GAP_START_BPS, Timeline

USD = 10**6
BPS = 10_000
MAINTENANCE_BPS = 200
"""The first tier of both markets (keeper.devnet.configure)."""
OPENING_COST_BPS = 6
"""Taker fee and half a spread, which an opening trade loses at once."""


@dataclass(frozen=True, slots=True)
class PlannedOrder:
    """A market order of `notional_units` at `at_s` after trading opened."""

    at_s: float
    market_no: int
    side: Side
    notional_units: int


@dataclass(frozen=True, slots=True)
class PlannedWithdrawal:
    at_s: float
    amount_units: int


@dataclass(frozen=True)
class Trader:
    """One account of the demo. Only who withdraws ever uses its key."""

    name: str
    role: str
    key: bytes
    deposit_units: int
    orders: tuple[PlannedOrder, ...] = ()
    withdrawals: tuple[PlannedWithdrawal, ...] = ()

    @cached_property
    def address(self) -> str:
        text: str = Account.from_key(self.key).address.lower()
        return text


def population(seed: int, timeline: Timeline, markets: Sequence[int]) -> tuple[Trader, ...]:
    """At least 40 accounts, the same for the same seed and timeline."""
    rng = random.Random(seed)  # noqa: S311 - a world that can be repeated, not a secret
    traders = [
        *_crowd("maker", 4, 20_000_000 * USD),
        *_crowd("noise", 8, 400_000 * USD),
        *_crowd("buyer", 2, 2_000_000 * USD),
        *(_long(rng, n, markets[n % len(markets)], timeline) for n in range(26)),
        *(_late(rng, n, markets[n % len(markets)], timeline) for n in range(6)),
        *(_short(rng, n, markets[n % len(markets)], timeline) for n in range(6)),
        *_doomed(markets, timeline),
        *(_bear(n, market, timeline) for n, market in enumerate(markets)),
    ]
    keyed = [replace(trader, key=keccak(text=f"{seed}/{trader.name}")) for trader in traders]
    return tuple(_with_withdrawals(trader, timeline) for trader in keyed)


def _crowd(role: str, count: int, deposit_units: int) -> list[Trader]:
    return [Trader(f"{role}-{n}", role, b"", deposit_units) for n in range(count)]


def deposit_for(notional_units: int, fall_bps: int, maintenance_bps: int = MAINTENANCE_BPS) -> int:
    """Margin with which a long goes under water after `fall_bps`: what it loses, plus maintenance of what is left."""
    left = maintenance_bps * (BPS - fall_bps) // BPS
    return notional_units * (fall_bps + left + OPENING_COST_BPS) // BPS


def _long(rng: random.Random, n: int, market_no: int, timeline: Timeline) -> Trader:
    """Goes under water on the way down, but never inside the gap or so early that the gap finds him weakened."""
    fall = rng.randrange(GAP_END_BPS - 2 * MAINTENANCE_BPS // 3, 700)
    notional = rng.randrange(8_000, 120_000) * USD
    at = rng.uniform(0.5, max(1.0, timeline.opens_s))
    order = PlannedOrder(at, market_no, BUY, notional)
    return Trader(f"long-{n}", "long", b"", deposit_for(notional, fall), (order,))


def _late(rng: random.Random, n: int, market_no: int, timeline: Timeline) -> Trader:
    """Survives the fall, and goes under water in the aftershock."""
    fall, notional = rng.randrange(840, 900), rng.randrange(40_000, 120_000) * USD
    order = PlannedOrder(rng.uniform(0.5, max(1.0, timeline.opens_s)), market_no, BUY, notional)
    return Trader(f"late-{n}", "late", b"", deposit_for(notional, fall), (order,))


def _short(rng: random.Random, n: int, market_no: int, timeline: Timeline) -> Trader:
    """Gains from the fall; well enough funded to survive the noise before it."""
    notional = rng.randrange(30_000, 90_000) * USD
    at = rng.uniform(0.5, max(1.0, timeline.opens_s))
    order = PlannedOrder(at, market_no, SELL, notional)
    return Trader(f"short-{n}", "short", b"", notional // rng.randrange(4, 9), (order,))


def _doomed(markets: Sequence[int], timeline: Timeline) -> list[Trader]:
    """Go under water inside the gap, one in each market: when the next price is on chain they owe more than they have."""
    fall = GAP_START_BPS + (GAP_END_BPS - MAINTENANCE_BPS - GAP_START_BPS) // 3
    traders = []
    for n, (market_no, notional) in enumerate(zip(markets, (400_000, 250_000), strict=False)):
        order = PlannedOrder(timeline.whales_s, market_no, BUY, notional * USD)
        traders.append(Trader(f"whale-{n}", "whale", b"", deposit_for(notional * USD, fall), (order,)))
    return traders


def _bear(n: int, market_no: int, timeline: Timeline) -> Trader:
    """A large profitable short: first in line when somebody's loss has to be shared."""
    notional = 600_000 * USD
    clips = tuple(PlannedOrder(timeline.opens_s * part / 10, market_no, SELL, notional // 3) for part in (2, 5, 8))
    return Trader(f"bear-{n}", "bear", b"", notional // 8, clips)


def _with_withdrawals(trader: Trader, timeline: Timeline) -> Trader:
    """The buyers take a little back before and after the fall."""
    if trader.role != "buyer":
        return trader
    amount = 10_000 * USD
    return replace(trader, withdrawals=tuple(PlannedWithdrawal(at, amount) for at in timeline.withdrawals_s))
