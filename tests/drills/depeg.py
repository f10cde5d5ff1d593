"""The de-peg of USDC through the whole engine, minute by minute: index, guard, mark, condition, gate, and the decision to publish.

A tick is the daemon's own (`market.step`), and what its policy publishes is on chain at the next one. One a minute, because the
recording has no more: a price held for confirmation costs a minute here, and seconds in a daemon.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from statistics import fmean, median
from typing import NamedTuple

from keeper.domain.aggregation import clamped_weighted_mean
from keeper.domain.condition import ConditionRules
from keeper.domain.confirmation import Confirmation
from keeper.domain.exchange import ChainState
from keeper.domain.feed import observe
from keeper.domain.gate import Gate, Open
from keeper.domain.guard import Guard, Held
from keeper.domain.ids import IndexId, MarketId, SourceId
from keeper.domain.index import IndexPrice, IndexSpec, SourceSpec, Withheld
from keeper.domain.index_methods import QuoteGroupMedian
from keeper.domain.mark.index_only import IndexOnly
from keeper.domain.market import Marked, MarketFold, MarketPlan, PricedMarket, Seen, step
from keeper.domain.numbers import decimal_of
from keeper.domain.pricing import price_component
from keeper.domain.publishing import Candidate, OnChain, Publish, PublishPolicy
from keeper.domain.quote import Quote
from keeper.domain.time import SECOND, Timestamp, to_seconds
from keeper.domain.validity import round_id
from tests.domain.accounts.bridge import block
from tests.drills.minutes import KRAKEN, USD, USDC, USDT, Minute
from tests.services.fakes import SITE
from tests.services.markets import chain_state

BTC = IndexId("BTC-USD")
MAX_GROUP_SPREAD_BPS = 100
SETTINGS = {
    "method": f"quote_group_median, max_group_spread_bps {MAX_GROUP_SPREAD_BPS}",
    "max_age_s": "120 (a minute's close stands for a minute)",
    "quiet_max_s": "3600 (Binance.US traded BTC/USDC in half of the minutes only)",
    "min_sources": "3",
    "min_quote_groups": "2",
    "guard": "max_jump_bps 200, confirm_s 2, confirm_sources 2, confirm_quote_groups 1",
    "mark": "index (no perpetual's book was recorded)",
    "condition": "full_sources 0, halt after 60 s without a price, recover 10 s",
    "gate": "max_mark_age_s 90, confirmed as by the guard; all else by default",
    "publish": "deviation_bps 10, heartbeat_s 60",
}


class Look(NamedTuple):
    """One minute: what was published (None: nothing, and why), whether by it was liquidated, and what a naive rule says."""

    now: Timestamp
    reference: Decimal
    published: Decimal | None
    reason: str
    gate_open: bool
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

    @property
    def open_share(self) -> Decimal:
        return Decimal(sum(look.gate_open for look in self.looks)) / len(self.looks)

    def worst(self) -> Decimal:
        return max(look.error(look.published) for look in self.looks if look.published is not None)

    def worst_of(self, naive: str) -> Decimal:
        return max(look.error(look.naive[naive]) for look in self.looks)

    def typical(self) -> Decimal:
        return median(look.error(look.published) for look in self.looks if look.published is not None)


def play(course: Iterable[Minute], sources: tuple[SourceId, ...]) -> Run:
    plan, run = _plan(sources), Run(sources)
    fold, last = MarketFold(plan.mark.start()), dict[IndexId, int]()
    chain: ChainState | None = None
    for minute in course:
        chain = _empty(minute.now) if chain is None else chain
        quotes = {source: minute.quotes[source] for source in sources}
        found = price_component((plan.spec,), quotes, last, minute.now)
        if isinstance(index := found[BTC], IndexPrice):
            last[BTC] = index.price_e18
        fold, priced = step(plan, fold, Seen(quotes, found, dict(last), None, None, chain, False), minute.now)
        reason = _reason(priced, chain, minute.now)
        published = None
        if not reason and priced.marked is not None:
            chain = _landed(chain, priced.marked, minute.now)
            published = decimal_of(chain.feeds[1].index_e18)
        is_open, naive = isinstance(priced.gate, Open), naive_prices(quotes)
        run.looks.append(Look(minute.now, minute.reference, published, reason, is_open, naive, _groups(quotes)))
    return run


def _reason(priced: PricedMarket, chain: ChainState, now: Timestamp) -> str:
    """Why nothing goes on chain now; empty where the policy says that it does."""
    if isinstance(priced.index, Withheld):
        return priced.index.reason.value
    if isinstance(priced.guard, Held):
        return "guard"
    if (marked := priced.publishable) is None:
        return f"condition {priced.condition.condition.name}"
    feed = chain.feeds[priced.plan.market_no]
    before = OnChain(feed.index_e18, feed.mark_e18, feed.observed_at_s, feed.round_id) if feed.round_id else None
    candidate = Candidate(marked.entry.index_e18, marked.entry.mark_e18, priced.heartbeat_only)
    decision = priced.plan.policy.decide(candidate, before, None, now)
    return "" if isinstance(decision, Publish) else f"policy {decision.reason.value}"


def _empty(now: Timestamp) -> ChainState:
    """The chain before any price."""
    return chain_state({}, at_s=to_seconds(now), observed_s=to_seconds(now))


def _landed(chain: ChainState, marked: Marked, now: Timestamp) -> ChainState:
    """The chain with this price, as its oracle would store it."""
    entry, second = marked.entry, to_seconds(now)
    feed = observe(chain.feeds[1], second, round_id(now), entry.index_e18, entry.mark_e18, entry.premium_e18)
    return replace(chain, at=block(chain.at.number + 1, at_s=second), feeds={**chain.feeds, 1: feed})


def _plan(sources: tuple[SourceId, ...]) -> MarketPlan:
    confirmation = Confirmation(2 * SECOND, sources=2, quote_groups=1)
    return MarketPlan(
        MarketId("BTC-PERP"),
        1,
        SITE,
        _spec(sources),
        IndexOnly(),
        PublishPolicy(deviation_bps=10, heartbeat_ns=60 * SECOND),
        Guard(200, confirmation),
        Gate(max_mark_age_ns=90 * SECOND, confirmation=confirmation),
        condition=ConditionRules(halt_after_ns=60 * SECOND, recover_ns=10 * SECOND),
    )


def _spec(sources: tuple[SourceId, ...]) -> IndexSpec:
    quotes = {USD: "USD", USDT: "USDT", USDC: "USDC", KRAKEN: "USDC"}
    specs = tuple(
        SourceSpec(source, quotes[source], max_age_ns=120 * SECOND, quiet_max_ns=3600 * SECOND) for source in sources
    )
    return IndexSpec(BTC, specs, method=QuoteGroupMedian(MAX_GROUP_SPREAD_BPS), min_sources=3, min_quote_groups=2)


def naive_prices(quotes: Mapping[SourceId, Quote]) -> Mapping[str, Decimal]:
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
