"""The same days as ticks: three companies quoting BTC in three currencies, each with its own pace, lag, spread and noise.

Made, not recorded: the minutes give the true price in USD and what USDT and USDC are worth; in between they are joined by
straight lines. Settings are those of a real market, ages in seconds.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from statistics import median
from typing import NamedTuple

from keeper.domain.ids import IndexId, SourceId
from keeper.domain.index import IndexPrice, IndexSpec, PegSpec, SourceSpec, Withheld
from keeper.domain.index_methods import ClampedWeightedMean, Median
from keeper.domain.index_spec import CrossCheck
from keeper.domain.numbers import E18, decimal_of
from keeper.domain.pricing import components, price_component
from keeper.domain.quote import Quote
from keeper.domain.time import MILLISECOND, SECOND, Timestamp
from tests.drills.minutes import USD, USDC, USDT, Minute

BTC, USDT_USD, USDC_USD = IndexId("BTC-USD"), IndexId("USDT-USD"), IndexId("USDC-USD")
OPERATORS = ("alpha", "beta", "gamma")
_BOOKS = {"alpha": ("USD", "USDC"), "beta": ("USD", "USDT"), "gamma": ("USDT", "USDC")}
SETTINGS = {
    "BTC-USD": "clamped_weighted_mean 50 bps; max_age_s 10; max_deviation_bps 100; min_sources 3; min_quote_groups 2; "
    "min_operators 2; cross_check 100 bps, flag",
    "USDT-USD, USDC-USD": "median of three companies; min_sources 3; max_age_s 10",
    "conversions": "band 0.98…1.02, drop_group",
}


def specs() -> tuple[IndexSpec, ...]:
    """In the order of their conversion."""
    books = tuple(
        SourceSpec(SourceId(f"{operator}:BTC-{quote}"), quote, operator=operator)
        for operator, quotes in _BOOKS.items()
        for quote in quotes
    )
    low, high = 98 * E18 // 100, 102 * E18 // 100
    pegs = {"USDT": PegSpec(USDT_USD, low, high), "USDC": PegSpec(USDC_USD, low, high)}
    btc = IndexSpec(
        BTC, books, method=ClampedWeightedMean(), min_operators=2, conversions=pegs, cross_check=CrossCheck()
    )
    rates = [
        IndexSpec(
            index,
            tuple(SourceSpec(SourceId(f"{operator}:{index}"), "USD", operator=operator) for operator in OPERATORS),
            method=Median(),
            max_deviation_bps=100,
            min_quote_groups=1,
        )
        for index in (USDT_USD, USDC_USD)
    ]
    (found,) = components([btc, *rates])
    return found


@dataclass(slots=True)
class Book:
    """One source: it tells a price of `lag_s` ago every `pace_s`."""

    source: SourceId
    draw: random.Random
    pace_s: int = field(init=False)
    lag_s: int = field(init=False)
    quote: Quote | None = None

    def __post_init__(self) -> None:
        self.pace_s, self.lag_s = self.draw.choice((1, 1, 2, 3)), self.draw.choice((0, 0, 1))

    def tick(self, second: int, now: Timestamp, price: float) -> None:
        if self.quote is not None and second % self.pace_s:
            return
        mid = price * (1 + self.draw.gauss(0, 0.00005))
        half = mid * self.draw.uniform(0.00005, 0.0003)
        received = Timestamp(now - self.draw.randrange(5, 400) * MILLISECOND)
        observed = Timestamp(received - (self.lag_s * SECOND + self.draw.randrange(5, 100) * MILLISECOND))
        bid, ask = round((mid - half) * E18), round((mid + half) * E18)
        self.quote = Quote(self.source, received, received, observed, bid_e18=bid, ask_e18=ask)


class Second(NamedTuple):
    now: Timestamp
    price: Decimal | None
    error: Decimal | None
    refused: frozenset[str]


def play(course: Sequence[Minute], seed: int = 1) -> Iterator[Second]:
    """Second by second through the three indices."""
    wanted, last = specs(), dict[IndexId, int]()
    books = [
        Book(source.source, random.Random(f"{seed}/{source.source}")) for spec in wanted for source in spec.sources
    ]
    for before, after in itertools.pairwise(course):
        for second in range(60):
            now = Timestamp(before.now + second * SECOND)
            true = {name: _between(before, after, name, second / 60) for name in ("USD", "USDT", "USDC")}
            for book in books:
                book.tick(second, now, _price(book.source, true))
            quotes = {book.source: book.quote for book in books if book.quote is not None}
            yield _looked(wanted, quotes, last, now, true["USD"])


def _looked(
    wanted: Sequence[IndexSpec], quotes: dict[SourceId, Quote], last: dict[IndexId, int], now: Timestamp, usd: float
) -> Second:
    found = price_component(wanted, quotes, last, now)
    for index, priced in found.items():
        if isinstance(priced, IndexPrice):
            last[index] = priced.price_e18
    btc = found[BTC]
    refused = frozenset(f"{each.source.rpartition('-')[2]} {each.reason.value}" for each in btc.rejected)
    if isinstance(btc, Withheld):
        return Second(now, None, None, refused)
    price = decimal_of(btc.price_e18)
    return Second(now, price, abs(price / Decimal(usd) - 1), refused)


_CLOSES = {"USD": USD, "USDT": USDT, "USDC": USDC}


def _between(before: Minute, after: Minute, currency: str, share: float) -> float:
    """BTC in the currency."""
    first, second = (_close(minute, currency) for minute in (before, after))
    return first + (second - first) * share


def _close(minute: Minute, currency: str) -> float:
    return (minute.quotes[_CLOSES[currency]].last_e18 or 0) / E18


def _price(source: SourceId, btc: dict[str, float]) -> float:
    """Of `alpha:BTC-USDC`: BTC in USDC; of `alpha:USDC-USD`: what a USDC is worth."""
    base, _, quote = source.partition(":")[2].partition("-")
    return btc[quote] if base == "BTC" else btc["USD"] / btc[base]


def smoothed(course: Sequence[Minute], width: int = 5) -> list[Minute]:
    """Closes of thin minutes jump by themselves: the running median of the neighbours stands for what all companies saw."""
    found = []
    for at, minute in enumerate(course):
        around = course[max(0, at - width // 2) : at + width // 2 + 1]
        quotes = {
            source: replace(quote, last_e18=median([each.quotes[source].last_e18 or 0 for each in around]) // 1)
            for source, quote in minute.quotes.items()
        }
        found.append(Minute(minute.now, quotes, minute.reference))
    return found
