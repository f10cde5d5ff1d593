"""How far the perp's own book stands from the index, by the prices at which size would really trade.

https://www.binance.com/en/support/faq/introduction-to-binance-futures-funding-rates-360033525031
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from keeper.domain.numbers import E18, cdiv, clamp, tdiv
from keeper.domain.quote import Depth, Level
from keeper.domain.time import Timestamp

MAX_PREMIUM_E18 = E18
"""A report whose premium is larger is skipped by the contract."""


class Fill(NamedTuple):
    """What a walk through one side bought: `notional` / `base` is the average price, both exact, scaled 1e36 and 1e18·k."""

    notional: int
    base: int


# Tuples and not dataclasses, because each tick makes them anew for each market.
class ImpactPrices(NamedTuple):
    bid_e18: int
    ask_e18: int

    def mid_e18(self) -> int:
        """Rounded down."""
        return (self.bid_e18 + self.ask_e18) // 2


def _fill(levels: Sequence[Level], notional_e18: int) -> Fill | None:
    """Takes `notional_e18` of quote currency from the levels. The last one is cut, not rounded: the quotient stays exact."""
    left = notional_e18 * E18
    base = 0
    for price, size in levels:
        value = price * size
        if value >= left:
            return Fill(notional_e18 * E18 * price, base * price + left)
        left -= value
        base += size
    return None


def impact_bid(levels: Sequence[Level], notional_e18: int) -> int | None:
    """Average price of selling for `notional_e18`, rounded down; None if the side is not that deep."""
    fill = _fill(levels, notional_e18)
    return None if fill is None else fill.notional // fill.base


def impact_ask(levels: Sequence[Level], notional_e18: int) -> int | None:
    """Average price of buying for `notional_e18`, rounded up; None if the side is not that deep."""
    fill = _fill(levels, notional_e18)
    return None if fill is None else cdiv(fill.notional, fill.base)


def readable(book: Depth | None, now: Timestamp, max_age_ns: int) -> bool:
    """Whether a book can be used at all: both sides, positive, uncrossed, and neither of its times too old.

    One as far ahead is of a clock that was set back since: nobody knows how old it is.
    """
    if book is None or not book.bids or not book.asks:
        return False
    if book.bids[0].price_e18 <= 0 or book.bids[0].price_e18 > book.asks[0].price_e18:
        return False
    oldest = book.received_at if book.observed_at is None else min(book.received_at, book.observed_at)
    return abs(now - oldest) <= max_age_ns


def impact_prices(book: Depth, notional_e18: int) -> ImpactPrices | None:
    """Both impact prices; None if a side is not deep enough or the book is crossed. `notional_e18` must be positive."""
    bid = impact_bid(book.bids, notional_e18)
    ask = impact_ask(book.asks, notional_e18)
    if bid is None or ask is None or book.bids[0].price_e18 > book.asks[0].price_e18:
        return None
    return ImpactPrices(bid, ask)


def premium_of(impact: ImpactPrices, index_e18: int) -> int:
    """(max(0, impact bid − index) − max(0, index − impact ask)) / index, scaled 1e18, toward zero, |result| ≤ 1e18.

    Zero while the index lies between the two. Both impact prices are rounded away from each other, so that rounding never
    makes a premium.
    """
    above = max(0, impact.bid_e18 - index_e18)
    below = max(0, index_e18 - impact.ask_e18)
    return clamp(tdiv((above - below) * E18, index_e18), -MAX_PREMIUM_E18, MAX_PREMIUM_E18)


def premium_sample(book: Depth, index_e18: int, notional_e18: int) -> int | None:
    """One sample from the own book. None where the book cannot fill `notional_e18` on a side: a sample to skip, not a zero."""
    impact = impact_prices(book, notional_e18)
    return None if impact is None else premium_of(impact, index_e18)


class CarriedPremium(NamedTuple):
    """The last sample, which stands in for missing ones for a while."""

    value_e18: int = 0
    sampled_at: Timestamp | None = None

    def step(self, sample_e18: int | None, now: Timestamp, carry_ns: int) -> tuple[CarriedPremium, int]:
        """The premium to report: the sample; without one the last, at most `carry_ns` old; then 0 (interest only)."""
        if sample_e18 is not None:
            return CarriedPremium(sample_e18, now), sample_e18
        if self.sampled_at is not None and abs(now - self.sampled_at) <= carry_ns:
            return self, self.value_e18
        return self, 0
