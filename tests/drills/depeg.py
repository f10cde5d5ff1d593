"""The de-peg of USDC through the whole engine, minute by minute: index, guard, and what would be published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from statistics import fmean, median
from typing import NamedTuple

from keeper.domain.aggregation import clamped_weighted_mean
from keeper.domain.confirmation import Confirmation
from keeper.domain.guard import Guard, Pass
from keeper.domain.ids import IndexId, SourceId
from keeper.domain.index import IndexPrice, IndexSpec, SourceSpec
from keeper.domain.index_methods import QuoteGroupMedian
from keeper.domain.numbers import decimal_of
from keeper.domain.pricing import price_component
from keeper.domain.quote import Quote
from keeper.domain.time import SECOND, Timestamp
from tests.drills.minutes import KRAKEN, USD, USDC, USDT, Minute

BTC = IndexId("BTC-USD")
MAX_GROUP_SPREAD_BPS = 100
SETTINGS = {
    "method": f"quote_group_median, max_group_spread_bps {MAX_GROUP_SPREAD_BPS}",
    "max_age_s": "120 (a minute's close stands for a minute)",
    "quiet_max_s": "3600 (Binance.US traded BTC/USDC in half of the minutes only)",
    "min_sources": "3",
    "min_quote_groups": "2",
    "guard": "max_jump_bps 200, confirm_s 2, confirm_sources 2, confirm_quote_groups 1",
}


class Look(NamedTuple):
    """One minute: what was published (None: nothing, and why), and what a naive rule says."""

    now: Timestamp
    reference: Decimal
    published: Decimal | None
    reason: str
    naive: Mapping[str, Decimal]
    groups: Mapping[str, Decimal]

    def error(self, price: Decimal) -> Decimal:
        return abs(price / self.reference - 1)


@dataclass(slots=True)
class Run:
    """`sources` are those that the engine sees."""

    sources: tuple[SourceId, ...]
    looks: list[Look] = field(default_factory=list)

    @property
    def published(self) -> list[Look]:
        return [look for look in self.looks if look.published is not None]

    @property
    def availability(self) -> Decimal:
        return Decimal(len(self.published)) / len(self.looks)

    def worst(self) -> Decimal:
        return max(look.error(look.published) for look in self.looks if look.published is not None)

    def worst_of(self, naive: str) -> Decimal:
        return max(look.error(look.naive[naive]) for look in self.looks)

    def typical(self) -> Decimal:
        return median(look.error(look.published) for look in self.looks if look.published is not None)


def play(course: Iterable[Minute], sources: tuple[SourceId, ...]) -> Run:
    spec, guard, run = _spec(sources), _guard(), Run(sources)
    state, last = guard.start(None), dict[IndexId, int]()
    for minute in course:
        quotes = {source: minute.quotes[source] for source in sources}
        found = price_component((spec,), quotes, last, minute.now)[BTC]
        if isinstance(found, IndexPrice):
            last[BTC] = found.price_e18
            state, verdict = guard.step(state, found, minute.now)
            passed = isinstance(verdict, Pass)
            published, reason = (decimal_of(found.price_e18), "") if passed else (None, "guard")
        else:
            state, published, reason = guard.skip(state), None, found.reason.value
        naive, groups = _naive(quotes), _groups(quotes)
        run.looks.append(Look(minute.now, minute.reference, published, reason, naive, groups))
    return run


def _spec(sources: tuple[SourceId, ...]) -> IndexSpec:
    quotes = {USD: "USD", USDT: "USDT", USDC: "USDC", KRAKEN: "USDC"}
    specs = tuple(
        SourceSpec(source, quotes[source], max_age_ns=120 * SECOND, quiet_max_ns=3600 * SECOND) for source in sources
    )
    return IndexSpec(BTC, specs, method=QuoteGroupMedian(MAX_GROUP_SPREAD_BPS), min_sources=3, min_quote_groups=2)


def _guard() -> Guard:
    return Guard(200, Confirmation(2 * SECOND, sources=2, quote_groups=1))


def _naive(quotes: Mapping[SourceId, Quote]) -> Mapping[str, Decimal]:
    """What USDC and USDT taken for USD come to."""
    prices = sorted(quote.last_e18 for quote in quotes.values() if quote.last_e18 is not None)
    clamped = clamped_weighted_mean([(price, 1) for price in prices], 50)
    return {
        "naive mean": decimal_of(round(sum(prices) / len(prices))),
        "naive median": decimal_of(round(median(prices))),
        "median clamped at 0.5 %": decimal_of(clamped),
    }


def _groups(quotes: Mapping[SourceId, Quote]) -> Mapping[str, Decimal]:
    groups: dict[str, list[float]] = {}
    for source, quote in quotes.items():
        groups.setdefault(source.partition(":")[2], []).append((quote.last_e18 or 0) / 1e18)
    return {group: Decimal(str(fmean(prices))) for group, prices in groups.items()}


def groups_apart(look: Look) -> bool:
    """Whether the groups' closes are further apart than the engine tolerates."""
    return max(look.groups.values()) / min(look.groups.values()) - 1 > Decimal(MAX_GROUP_SPREAD_BPS) / 10_000
