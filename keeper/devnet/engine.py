"""A matching engine for one market of the demo: price-time priority, integers only.

Prices and sizes are scaled by 1e18. A fill happens at the resting order's price. An account never trades with itself:
its own resting order is taken out of the way first.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import count
from typing import Literal

Side = Literal[1, -1]
BUY: Side = 1
SELL: Side = -1
SIDES: tuple[Side, Side] = (BUY, SELL)


@dataclass(slots=True)
class Order:
    """A resting order; `size_e18` is what is left of it."""

    id: int
    account: str
    side: Side
    price_e18: int
    size_e18: int


@dataclass(frozen=True, slots=True)
class Fill:
    """`taker_delta_e18` is signed: positive when the taker bought."""

    maker: str
    taker: str
    taker_delta_e18: int
    price_e18: int


@dataclass(frozen=True, slots=True)
class Placed:
    """`order_id` is None when nothing rests."""

    fills: tuple[Fill, ...]
    order_id: int | None
    left_e18: int


class OrderError(ValueError):
    """A size or price that is not a positive multiple of the market's lot or tick."""


@dataclass(slots=True)
class _Ladder:
    """One side's levels, best first under `key`; within a level the oldest order comes first."""

    side: Side
    keys: list[int] = field(default_factory=list)
    levels: dict[int, OrderedDict[int, Order]] = field(default_factory=dict)

    def key(self, price_e18: int) -> int:
        return -price_e18 if self.side == BUY else price_e18

    def add(self, order: Order) -> None:
        key = self.key(order.price_e18)
        if key not in self.levels:
            insort(self.keys, key)
            self.levels[key] = OrderedDict()
        self.levels[key][order.id] = order

    def remove(self, order: Order) -> None:
        key = self.key(order.price_e18)
        level = self.levels[key]
        del level[order.id]
        if not level:
            del self.levels[key]
            del self.keys[bisect_left(self.keys, key)]

    def best(self) -> Order | None:
        return next(iter(self.levels[self.keys[0]].values())) if self.keys else None

    def depth(self, limit: int) -> tuple[tuple[int, int], ...]:
        return tuple((abs(key), sum(o.size_e18 for o in self.levels[key].values())) for key in self.keys[:limit])


class MatchingEngine:
    """One order book. `tick_e18` and `lot_e18` divide every price and size."""

    def __init__(self, tick_e18: int, lot_e18: int) -> None:
        self.tick_e18, self.lot_e18 = tick_e18, lot_e18
        self._ladders: dict[Side, _Ladder] = {BUY: _Ladder(BUY), SELL: _Ladder(SELL)}
        self._orders: dict[int, Order] = {}
        self._by_account: dict[str, dict[int, Order]] = {}
        self._ids = count(1)
        self.sequence = 0
        """Rises with every change of the book."""

    def limit(self, account: str, side: Side, size_e18: int, price_e18: int) -> Placed:
        """Matches what crosses `price_e18`; the rest rests. Raises OrderError."""
        self._check(size_e18, price_e18)
        fills, left = self._match(account, side, size_e18, price_e18)
        return Placed(fills, self._rest(account, side, left, price_e18) if left else None, left)

    def post(self, account: str, side: Side, size_e18: int, price_e18: int) -> int | None:
        """Rests without ever taking: the new order's id, or None where it would cross. Raises OrderError."""
        self._check(size_e18, price_e18)
        facing = self._ladders[_opposite(side)].best()
        if facing is not None and _crosses(side, price_e18, facing.price_e18):
            return None
        return self._rest(account, side, size_e18, price_e18)

    def market(self, account: str, side: Side, size_e18: int, worst_e18: int | None = None) -> Placed:
        """Takes what is there, down to `worst_e18` where given; the rest is dropped. Raises OrderError."""
        self._check(size_e18, self.tick_e18)
        fills, left = self._match(account, side, size_e18, worst_e18)
        return Placed(fills, None, left)

    def cancel(self, order_id: int) -> bool:
        """False when the order is not, or no longer, resting."""
        order = self._orders.get(order_id)
        if order is None:
            return False
        self._forget(order)
        return True

    def cancel_all(self, account: str) -> int:
        """How many orders were taken back."""
        orders = tuple(self._by_account.get(account, {}).values())
        for order in orders:
            self._forget(order)
        return len(orders)

    def best(self, side: Side) -> int | None:
        order = self._ladders[side].best()
        return None if order is None else order.price_e18

    def depth(self, side: Side, limit: int = 20) -> tuple[tuple[int, int], ...]:
        """(price, size) of the best `limit` levels, best first."""
        return self._ladders[side].depth(limit)

    def resting(self, account: str) -> tuple[Order, ...]:
        return tuple(self._by_account.get(account, {}).values())

    def round_price(self, price_e18: int) -> int:
        """The nearest tick at or below, but at least one tick."""
        return max(self.tick_e18, price_e18 - price_e18 % self.tick_e18)

    def round_size(self, size_e18: int) -> int:
        """Whole lots, rounded down."""
        return size_e18 - size_e18 % self.lot_e18

    def _match(self, account: str, side: Side, size_e18: int, worst_e18: int | None) -> tuple[tuple[Fill, ...], int]:
        fills: list[Fill] = []
        left = size_e18
        while left:
            facing = self._ladders[_opposite(side)].best()
            if facing is None or (worst_e18 is not None and not _crosses(side, worst_e18, facing.price_e18)):
                break
            if facing.account == account:
                self._forget(facing)
                continue
            taken = min(left, facing.size_e18)
            fills.append(Fill(facing.account, account, side * taken, facing.price_e18))
            left -= taken
            self._reduce(facing, taken)
        return tuple(fills), left

    def _reduce(self, order: Order, taken_e18: int) -> None:
        order.size_e18 -= taken_e18
        self.sequence += 1
        if not order.size_e18:
            self._forget(order)

    def _rest(self, account: str, side: Side, size_e18: int, price_e18: int) -> int:
        order = Order(next(self._ids), account, side, price_e18, size_e18)
        self._ladders[side].add(order)
        self._orders[order.id] = order
        self._by_account.setdefault(account, {})[order.id] = order
        self.sequence += 1
        return order.id

    def _forget(self, order: Order) -> None:
        self._ladders[order.side].remove(order)
        del self._orders[order.id]
        del self._by_account[order.account][order.id]
        self.sequence += 1

    def _check(self, size_e18: int, price_e18: int) -> None:
        if size_e18 <= 0 or size_e18 % self.lot_e18:
            raise OrderError(f"size {size_e18} is not a positive multiple of the lot {self.lot_e18}")
        if price_e18 <= 0 or price_e18 % self.tick_e18:
            raise OrderError(f"price {price_e18} is not a positive multiple of the tick {self.tick_e18}")


def _opposite(side: Side) -> Side:
    return SELL if side == BUY else BUY


def _crosses(side: Side, price_e18: int, facing_e18: int) -> bool:
    return price_e18 >= facing_e18 if side == BUY else price_e18 <= facing_e18
