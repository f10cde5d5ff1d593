"""Prices that a perp's own market gives, each None where the market says nothing usable. Divisions round down."""

from __future__ import annotations

from typing import Literal

from keeper.domain.aggregation import middle
from keeper.domain.numbers import E18
from keeper.domain.premium import impact_prices, readable
from keeper.domain.quote import Depth, Level, Trade
from keeper.domain.time import SECOND, Timestamp

BookPrice = Literal["mid", "micro"]


def last_trade(trade: Trade | None, now: Timestamp, max_age_s: int) -> int | None:
    """Price of the last trade, if neither of its times is older than `max_age_s`, nor both as far ahead."""
    if trade is None or trade.price_e18 <= 0:
        return None
    oldest = trade.received_at if trade.observed_at is None else min(trade.received_at, trade.observed_at)
    return trade.price_e18 if abs(now - oldest) <= max_age_s * SECOND else None


def usable(book: Depth | None, now: Timestamp, max_age_s: int) -> Depth | None:
    """The book, unless it is missing, old, one-sided or crossed."""
    return book if readable(book, now, max_age_s * SECOND) else None


def mid(book: Depth) -> int:
    return (book.bids[0].price_e18 + book.asks[0].price_e18) // 2


def micro(book: Depth) -> int:
    """Best prices weighted by the size on the other side: it leans to where the next trade is likelier."""
    (bid, bid_size), (ask, ask_size) = book.bids[0], book.asks[0]
    sizes = bid_size + ask_size
    return (bid * ask_size + ask * bid_size) // sizes if sizes > 0 else (bid + ask) // 2


def impact_mid(book: Depth, notional_e18: int) -> int | None:
    """Middle of the average prices at which `notional_e18` of quote currency trades on each side; None: not that deep."""
    impact = impact_prices(book, notional_e18)
    return None if impact is None else impact.mid_e18()


def impact_mid_of_size(book: Depth, size_e18: int) -> int | None:
    """The same for a size in base units, as venues do whose impact is counted in contracts."""
    bid, ask = _average(book.bids, size_e18), _average(book.asks, size_e18)
    return None if bid is None or ask is None else (bid + ask) // (2 * size_e18)


def _average(side: tuple[Level, ...], size_e18: int) -> int | None:
    """What `size_e18` costs on this side, scaled 1e36: average price times size."""
    left, cost = size_e18, 0
    for level in side:
        taken = min(left, level.size_e18)
        cost += taken * level.price_e18
        left -= taken
        if left == 0:
            return cost
    return None


def book_price(book: Depth, price: BookPrice, impact_notional_usd: int) -> int | None:
    """The impact mid where a notional is given, else the mid or the size-weighted mid of the best prices."""
    if impact_notional_usd > 0:
        return impact_mid(book, impact_notional_usd * E18)
    return micro(book) if price == "micro" else mid(book)


def quoted(book: Depth | None, last_e18: int | None) -> int | None:
    """Median of best bid, best ask and last trade; of two their mean; the trade alone without a book."""
    if book is None:
        return last_e18
    prices = [book.bids[0].price_e18, book.asks[0].price_e18]
    return middle(sorted(prices if last_e18 is None else [*prices, last_e18]))
