"""Two perpetuals as an operator would set them up, their quotes, and a chain state that holds their prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from keeper.domain.confirmation import Confirmation
from keeper.domain.exchange import ChainState, OracleState
from keeper.domain.gate import Gate
from keeper.domain.guard import Guard
from keeper.domain.ids import IndexId, MarketId, SourceId
from keeper.domain.index import IndexSpec, SourceSpec
from keeper.domain.mark.index_only import IndexOnly
from keeper.domain.market import MarketFold, MarketPlan, PricedMarket, Seen, step
from keeper.domain.pricing import price_component
from keeper.domain.publishing import PublishPolicy
from keeper.domain.quote import Quote
from keeper.domain.time import SECOND, Timestamp
from tests.domain.accounts.bridge import block, state_of
from tests.domain.accounts.reference import Exchange, Feed, Rules
from tests.domain.pricing.builders import e18, quote
from tests.services.fakes import BTC, ETH, KEYS, SITE, START_S

NUMBERS = {BTC: 1, ETH: 2}
TIERS = ((0, 50), (50_000 * 10**6, 100), (250_000 * 10**6, 250))


def index_of(market: MarketId) -> IndexId:
    return IndexId(market.replace("-PERP", "-USD"))


def plan_of(market: MarketId, **options: Any) -> MarketPlan:
    """One perpetual over three dollar sources; a jump of 2 % asks for a second's confirmation by all of them."""
    sources = tuple(SourceSpec(SourceId(f"{market}:{n}"), "USD") for n in range(3))
    confirmation = Confirmation(confirm_ns=SECOND, sources=3, quote_groups=1)
    chosen: dict[str, Any] = {
        "spec": IndexSpec(index_of(market), sources, min_quote_groups=1),
        "mark": IndexOnly(),
        "policy": PublishPolicy(),
        "guard": Guard(max_jump_bps=10_000, confirmation=confirmation),
        "gate": Gate(confirmation=confirmation),
    } | options
    return MarketPlan(market, NUMBERS[market], SITE, **chosen)


def quotes_of(market: MarketId, price: str | int, now: Timestamp) -> dict[SourceId, Quote]:
    return {SourceId(f"{market}:{n}"): quote(f"{market}:{n}", price, at=now) for n in range(3)}


def priced(
    plan: MarketPlan, price: str | int, now: Timestamp, chain: ChainState | None, fold: MarketFold | None = None
) -> PricedMarket:
    """What the pricing service would put on its board for that price now."""
    quotes = quotes_of(plan.market, price, now)
    indices = price_component((plan.spec,), quotes, {}, now)
    seen = Seen(quotes, indices, {}, None, None, chain, False)
    return step(plan, fold or MarketFold(plan.mark.start()), seen, now)[1]


def oracle(**options: Any) -> OracleState:
    return replace(OracleState(KEYS, 2, 3, 1, 60, 120, False), **options)


def exchange_of(prices: Mapping[int, str | int], at_s: int, interval_s: int = 3_600) -> Exchange:
    """Lists those markets at those prices."""
    exchange = Exchange()
    for number in NUMBERS.values():
        exchange.feeds[number] = Feed(interval_s, 120)
    exchange.push([(number, e18(price), e18(price), 0) for number, price in prices.items()], at_s, many=True)
    for number in NUMBERS.values():
        exchange.list(number, Rules(TIERS), at_s)
    return exchange


def chain_state(
    prices: Mapping[int, str | int], *, number: int = 100, at_s: int = START_S, observed_s: int | None = None, **of: Any
) -> ChainState:
    """At block `number`, the oracle holding `prices` observed then; `of` replaces parts of its oracle state."""
    exchange = exchange_of(prices, at_s if observed_s is None else observed_s)
    state = state_of(exchange, at_s, number)
    return replace(state, at=block(number, at_s=at_s), oracle=oracle(**of))
