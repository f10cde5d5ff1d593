"""Index and mark of any instant, computed again from what the venues sent, by other code than the keeper's.

Index: mid of each source's last tick, converted by the median of the currency's own index, sources far from the median left
out, the rest moved to within the clamp around the median and averaged by weight. Mark: median of the index, the index plus
the moving basis of the own book, and the own last trade. What is left out: the funding term of the first of the three, which
for intervals of seconds is below a hundredth of a basis point.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from statistics import median
from typing import Any

from keeper.devnet.verify.recording import Recording

SECOND_NS = 10**9
BASIS_STEP_NS = SECOND_NS // 10
BOOK_AGE_NS = 5 * SECOND_NS
TRADE_AGE_NS = 60 * SECOND_NS
OUTAGE_NS = 5 * SECOND_NS
WARM_SHARE = 0.3
"""Of the window, before which the moving basis does not count."""


@dataclass(slots=True)
class Track:
    """Timed values, oldest first."""

    at: list[int] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)

    def add(self, at: int, value: Any) -> None:
        self.at.append(at)
        self.values.append(value)

    def last(self, at: int, max_age_ns: int) -> Any | None:
        """The newest value at or before `at`, unless it is too old."""
        place = bisect_right(self.at, at) - 1
        return self.values[place] if place >= 0 and at - self.at[place] <= max_age_ns else None


@dataclass(frozen=True, slots=True)
class MarkRange:
    """Marks that were right at one instant: two of them while the moving basis is not warm for certain."""

    low: float
    high: float


class Repricer:
    """Everything that was sent, indexed by source."""

    def __init__(self, recording: Recording) -> None:
        self._documents = {market["market"]: market for market in recording.run["markets"]}
        self._quotes: dict[tuple[str, str], Track] = {}
        for tick in recording.lines("tape"):
            bid, ask = Decimal(tick["bid"]), Decimal(tick["ask"])
            # A crossed book is no statement, and ends the one before.
            mid = float((bid + ask) / 2) if bid <= ask else None
            self._quotes.setdefault((tick["venue"], tick["symbol"]), Track()).add(tick["t"], mid)
        for track in self._quotes.values():
            order = sorted(range(len(track.at)), key=track.at.__getitem__)
            track.at[:], track.values[:] = [track.at[i] for i in order], [track.values[i] for i in order]
        self._books, self._trades = self._own(recording)
        self._starts = [recording.ready_ns, *(up for _, up in recording.befell("kill"))]
        self._bases: dict[str, Track] = {}

    @staticmethod
    def _own(recording: Recording) -> tuple[dict[str, Track], dict[str, Track]]:
        books: dict[str, Track] = {}
        trades: dict[str, Track] = {}
        for book in recording.lines("books"):
            if book["bids"] and book["asks"]:
                mid = (int(book["bids"][0][0]) + int(book["asks"][0][0])) / 2e18
                books.setdefault(book["symbol"], Track()).add(book["t"], mid)
        for trade in recording.lines("trades"):
            trades.setdefault(trade["symbol"], Track()).add(trade["t"], int(trade["price"]) / 1e18)
        return books, trades

    def index(self, market: str, at: int) -> float | None:
        """None where fewer sources were left than the market asks for."""
        document = self._documents[market]
        rules = document["index"]
        votes = []
        for source in document["sources"]:
            track = self._quotes.get((source["kind"], source["symbol"]))
            mid = track.last(at, int(rules["max_age_s"] * SECOND_NS)) if track else None
            rate = self._rate(document, source["quote"], at)
            if mid is not None and rate is not None:
                votes.append((mid * rate, source["weight"]))
        return aggregate(votes, rules)

    def _rate(self, document: Mapping[str, Any], quote: str, at: int) -> float | None:
        name = document.get("conversions", {}).get(quote)
        return 1.0 if name is None else self.index(name, at)

    def mark(self, market: str, at: int) -> MarkRange | None:
        """None where there was no index."""
        index = self.index(market, at)
        if index is None:
            return None
        options = self._documents[market]["mark"]
        symbol = self._documents[market]["book"]["symbol"]
        limit = index * options["max_basis_bps"] / 1e4
        last = self._trades[symbol].last(at, TRADE_AGE_NS) if symbol in self._trades else None
        basis = self._basis(market, symbol, options).last(at, BOOK_AGE_NS)
        candidates = [index]
        if basis is not None:
            shifted = index * (1 + basis)
            warm = median((index, shifted, last)) if last is not None else (index + shifted) / 2
            warming_ns = options["basis_window_s"] * WARM_SHARE * SECOND_NS
            still_cold = any(start - OUTAGE_NS <= at < start + warming_ns for start in self._starts)
            candidates = [index, warm] if still_cold else [warm]
        clamped = [min(max(price, index - limit), index + limit) for price in candidates]
        return MarkRange(min(clamped), max(clamped))

    def _basis(self, market: str, symbol: str, options: Mapping[str, Any]) -> Track:
        """The moving average at every tenth of a second: half-life window · ln 2 / 2, samples cut to the bound."""
        if market not in self._bases:
            self._bases[market] = self._averaged(market, symbol, options)
        return self._bases[market]

    def _averaged(self, market: str, symbol: str, options: Mapping[str, Any]) -> Track:
        averages, book = Track(), self._books.get(symbol, Track())
        keep = math.exp(-2 * BASIS_STEP_NS / (options["basis_window_s"] * SECOND_NS))
        bound = options["max_basis_bps"] / 1e4
        average: float | None = None
        for at in range(book.at[0], book.at[-1] + 1, BASIS_STEP_NS) if book.at else ():
            mid, index = book.last(at, BOOK_AGE_NS), self.index(market, at)
            if mid is None or index is None:
                continue
            sample = min(max(mid / index - 1, -bound), bound)
            average = sample if average is None else sample + (average - sample) * keep
            averages.add(at, average)
        return averages


def aggregate(votes: Sequence[tuple[float, int]], rules: Mapping[str, Any]) -> float | None:
    """One price of (price, weight) votes, by the market's method; None below its quorum."""
    if len(votes) < rules["min_sources"]:
        return None
    prices = [price for price, _ in votes]
    center = median(prices)
    spread = median(abs(price - center) for price in prices)
    width = max(center * rules["max_deviation_bps"] / 1e4, min(3 * spread, center * 0.05))
    kept = [(price, weight) for price, weight in votes if abs(price - center) <= width]
    if len(kept) < rules["min_sources"]:
        return None
    center = float(median(price for price, _ in kept))
    if rules["method"] == "median":
        return center
    band = center * rules["clamp_bps"] / 1e4
    total = sum(weight for _, weight in kept)
    return float(sum(min(max(price, center - band), center + band) * weight for price, weight in kept) / total)
