"""Index and premium of one decision, from its own inputs, to the last digit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Any

from keeper.devnet.verify.arithmetic import truncated, within

E18 = 10**18


def exact_premium(document: Mapping[str, Any], market: Mapping[str, Any]) -> int | None:
    """What the own book's impact prices stand above or below the index; None where the book gives no such sample.

    https://www.binance.com/en/support/faq/introduction-to-binance-futures-funding-rates-360033525031
    """
    book = document.get("book")
    if market["funding"]["premium"] != "impact" or not book:
        return None
    notional = market["funding"]["impact_notional"] * E18
    bid, ask = _impact(book["bids"], notional), _impact(book["asks"], notional)
    if bid is None or ask is None or int(book["bids"][0][0]) > int(book["asks"][0][0]):
        return None
    index = int(document["entry"]["index"])
    away = max(0, floor(bid) - index) - max(0, index - ceil(ask))
    return within(-E18, truncated(away * E18, index), E18)


def _impact(levels: Sequence[Sequence[str]], notional: int) -> Fraction | None:
    """Average price of trading for `notional` down the levels; None when they are not deep enough."""
    left, base = Fraction(notional), Fraction(0)
    for price, size in ((Fraction(int(p), E18), int(s)) for p, s in levels):
        taken = min(left, price * size)
        base += taken / price
        left -= taken
        if not left:
            return notional * E18 / base
    return None


def exact_index(votes: Sequence[Mapping[str, Any]], rules: Mapping[str, Any]) -> int:
    """In whole numbers: the method's own result for these votes."""
    prices = sorted((int(vote["price"]), int(vote["weight"])) for vote in votes)
    half = len(prices) // 2
    center = prices[half][0] if len(prices) % 2 else (prices[half - 1][0] + prices[half][0]) // 2
    if rules["method"] == "median":
        return center
    low = -(-center * (10_000 - rules["clamp_bps"]) // 10_000)
    high = center * (10_000 + rules["clamp_bps"]) // 10_000
    moved = sum(min(max(price, low), high) * weight for price, weight in prices)
    total: int = moved // sum(weight for _, weight in prices)
    return total
