"""A market on the stage of an incident: quotes in, tick by tick, through index, guard, mark and gate, onto a chain's price.

Beside it what a mean and a median of all that the venues said would have published: every source's newest price, however old
and however far off, a foreign dollar taken for a dollar.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from statistics import fmean, median
from typing import Any, NamedTuple

from keeper.domain.confirmation import Confirmation
from keeper.domain.exchange import ChainState
from keeper.domain.gate import Gate, Open
from keeper.domain.guard import Guard, Held
from keeper.domain.ids import IndexId, MarketId, SourceId
from keeper.domain.index import IndexPrice, IndexSpec, SourceSpec, Withheld
from keeper.domain.index_state import IndexState
from keeper.domain.mark.index_only import IndexOnly
from keeper.domain.market import MarketFold, MarketPlan, PricedMarket, Seen, step
from keeper.domain.numbers import E18, decimal_of, parse_e18
from keeper.domain.pricing import components, price_component, rates_behind
from keeper.domain.publishing import PublishPolicy
from keeper.domain.quote import Quote, Quotes
from keeper.domain.time import MILLISECOND, SECOND, Timestamp, to_seconds
from tests.services.fakes import SITE
from tests.services.markets import chain_state

START = Timestamp(1_700_000_000 * SECOND)
HALF_SPREAD_BPS = 2


def at(second: float) -> Timestamp:
    return Timestamp(START + round(second * SECOND))


def price_e18(price: Decimal | float | str) -> int:
    return parse_e18(price) if isinstance(price, str) else round(Fraction(price) * E18)


def sources(*names: str, quote: str = "USD", **options: Any) -> tuple[SourceSpec, ...]:
    return tuple(SourceSpec(SourceId(name), quote, **options) for name in names)


def spec(index: str, chosen: Sequence[SourceSpec], **options: Any) -> IndexSpec:
    """With the defaults of an operator's file, but for one quote group where the market has no more."""
    groups = min(2, len({each.quote for each in chosen}))
    return IndexSpec(IndexId(index), tuple(chosen), **{"min_quote_groups": groups, **options})


def plan(index: IndexSpec, **options: Any) -> MarketPlan:
    """Guard and gate with their defaults: a jump of 2 % asks for three sources during three seconds."""
    confirmation = Confirmation(quote_groups=min(2, len({each.quote for each in index.sources})))
    chosen: dict[str, Any] = {
        "mark": IndexOnly(),
        "policy": PublishPolicy(),
        "guard": Guard(confirmation=confirmation),
        "gate": Gate(confirmation=confirmation),
    } | options
    return MarketPlan(MarketId(index.id.replace("-USD", "-PERP")), 1, SITE, index, **chosen)


@dataclass(slots=True)
class Venues:
    """What the venues last said. Each has its own small and steady distance from the others."""

    told: dict[SourceId, Quote] = field(default_factory=dict)
    unjudged: dict[SourceId, Decimal] = field(default_factory=dict)
    """What a source holds for whoever reads it without judging, where that is not what it told."""

    def say(
        self,
        source: str,
        price: Decimal | float | str,
        now: Timestamp,
        *,
        noise_bps: int = 3,
        spread_bps: int = HALF_SPREAD_BPS,
        observed: Timestamp | None = None,
        timed: bool = True,
        last: str | None = None,
    ) -> None:
        """A book around `price`, stamped by the venue 50 ms before it came unless told otherwise."""
        off = random.Random(f"{source}/{now}").randint(-noise_bps, noise_bps)
        middle = price_e18(price) * (10_000 + off) // 10_000
        half = middle * spread_bps // 10_000
        name, stamp = SourceId(source), Timestamp(now - 50 * MILLISECOND) if observed is None else observed
        heard = Quote(
            name, now, now, stamp if timed else None,
            bid_e18=middle - half, ask_e18=middle + half, last_e18=middle if last is None else parse_e18(last),
        )  # fmt: skip
        self.told[name] = heard

    def repeat(self, source: str, now: Timestamp, *, stamp: bool) -> None:
        """The same content once more; with a new time of its own, or with none."""
        was = self.told[SourceId(source)]
        self.told[was.source] = Quote(
            was.source, now, was.changed_at, Timestamp(now - 50 * MILLISECOND) if stamp else None,
            was.bid_e18, was.ask_e18, was.bid_size_e18, was.ask_size_e18, was.last_e18,
        )  # fmt: skip


Speak = Callable[["Stage", float], Iterable[Decimal | float]]
"""Lets the venues speak at a second, and returns what honest prices are."""


class Look(NamedTuple):
    """One tick. `published` and `mark` None: nothing, and `reason` says why. `truth` is the honest range of its prices."""

    second: float
    truth: tuple[Decimal, Decimal]
    published: Decimal | None
    mark: Decimal | None
    reason: str
    gate_open: bool
    doubts: frozenset[str]
    refused: Mapping[str, str]
    naive_mean: Decimal
    naive_median: Decimal
    on_chain: Decimal | None
    priced: PricedMarket

    def error(self, price: Decimal | None) -> Decimal:
        """Distance from the honest range, as a share of its nearer end; 0 inside it or without a price."""
        low, high = self.truth
        if price is None or low <= price <= high:
            return Decimal(0)
        return (low - price) / low if price < low else (price - high) / high


@dataclass(slots=True)
class Stage:
    """`others` are the indices that convert for the market's, directly or not."""

    plan: MarketPlan
    others: tuple[IndexSpec, ...] = ()
    venues: Venues = field(default_factory=Venues)
    looks: list[Look] = field(default_factory=list)
    order: Sequence[IndexSpec] = field(init=False)
    rates: tuple[IndexId, ...] = field(init=False)
    fold: MarketFold = field(init=False)
    chain: ChainState = field(init=False)
    last: dict[IndexId, int] = field(default_factory=dict)
    states: dict[IndexId, IndexState] = field(default_factory=dict)

    def __post_init__(self) -> None:
        everything = (self.plan.spec, *self.others)
        (self.order,) = components(everything)
        self.rates = rates_behind(everything)[self.plan.spec.id]
        self.fold = MarketFold(self.plan.mark.start())

    def begin(self, price: Decimal | float | str, second: float = 0) -> None:
        """The chain holds this price since then."""
        self.chain = _chain(price_e18(price), at(second))

    def tick(self, second: float, truth: Iterable[Decimal | float]) -> Look:
        """What is published at `second` is on chain before the next tick."""
        now, quotes = at(second), dict(self.venues.told)
        found = price_component(self.order, quotes, self.last, now, self.states)
        for index, price in found.items():
            if isinstance(price, IndexPrice):
                self.last[index] = price.price_e18
            if price.fold is not None:
                self.states[index] = price.fold.after
        seen = Seen(quotes, found, dict(self.last), None, None, self.chain, False, self.rates)
        self.fold, priced = step(self.plan, self.fold, seen, now)
        if (marked := priced.publishable) is not None:
            self.chain = _chain(marked.entry.index_e18, now)
        look = _look(second, sorted(Decimal(value) for value in truth), priced, self.chain, self.venues.unjudged)
        self.looks.append(look)
        return look

    def play(self, seconds: Iterable[float], speak: Speak) -> list[Look]:
        """These looks alone come back."""
        before = len(self.looks)
        for second in seconds:
            self.tick(second, speak(self, second))
        return self.looks[before:]


def _chain(index_e18: int, now: Timestamp) -> ChainState:
    second = to_seconds(now)
    return chain_state({1: str(decimal_of(index_e18))}, at_s=second, observed_s=second)


def _look(
    second: float,
    truth: Sequence[Decimal],
    priced: PricedMarket,
    chain: ChainState,
    unjudged: Mapping[SourceId, Decimal],
) -> Look:
    marked, index = priced.publishable, priced.index
    mean, middle = naive(priced.plan.spec, priced.seen.quotes, unjudged)
    return Look(
        second,
        (truth[0], truth[-1]),
        None if marked is None else decimal_of(marked.entry.index_e18),
        None if marked is None else decimal_of(marked.entry.mark_e18),
        _reason(priced),
        isinstance(priced.gate, Open),
        frozenset() if isinstance(priced.gate, Open) else frozenset(doubt.value for doubt in priced.gate.reasons),
        {each.source: each.reason.value for each in index.rejected},
        mean,
        middle,
        decimal_of(chain.feeds[1].index_e18),
        priced,
    )


def _reason(priced: PricedMarket) -> str:
    if isinstance(priced.index, Withheld):
        return priced.index.reason.value
    if priced.held:
        return "held index"
    if isinstance(priced.guard, Held):
        return f"guard: {priced.guard.reason.value}"
    return "" if priced.condition.publishes else f"condition: {priced.condition.condition.name}"


def naive(index: IndexSpec, quotes: Quotes, unjudged: Mapping[SourceId, Decimal]) -> tuple[Decimal, Decimal]:
    """Mean and median of everything that was ever said, at par."""
    known = [each.source for each in index.sources if each.source in quotes]
    prices = [unjudged.get(source, said(quotes[source])) for source in known]
    return Decimal(fmean(prices)), Decimal(median(prices))


def said(quote: Quote) -> Decimal:
    """The last trade, as who knows no better takes it."""
    return decimal_of(quote.last_e18 or 0)
