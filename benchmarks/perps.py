"""Perpetuals over the indices of `benchmarks.index`: mark, funding method, guard, gate, an own book, a chain behind them."""

from __future__ import annotations

from keeper.domain.chain import BlockRef
from keeper.domain.exchange import ChainState, FeedState, MarketParameters, MarketState, OracleState, Tier
from keeper.domain.gate import Gate
from keeper.domain.guard import Guard
from keeper.domain.ids import DeploymentId, Hash, MarketId, SourceId
from keeper.domain.index import IndexSpec
from keeper.domain.mark.median_of_three import MedianOfThree
from keeper.domain.market import MarketPlan
from keeper.domain.numbers import E18
from keeper.domain.publishing import PublishPolicy
from keeper.domain.quote import Depth, Level, Quotes
from keeper.domain.rates.fold import RatePlan
from keeper.domain.rates.presets import Hyperliquid
from keeper.domain.rates.versions import Versions

MAIN = DeploymentId("main")
NOW_S = 1_750_000_000
BOUNDARY_S = NOW_S // 3_600 * 3_600
LEVELS, NOTIONAL_E18 = 20, 10_000 * E18
PARAMETERS = MarketParameters(
    (Tier(0, 50),),
    20_000,
    100,
    40,
    20,
    10**12,
    10**6,
    10**13,
    10**27,
    2,
    5,
    500,
    120,
    1,
    10**14,
    5 * 10**14,
    4 * 10**16,
)


def plan_of(spec: IndexSpec, number: int) -> MarketPlan:
    """What `config/markets/BTC-USD.yaml` chooses, with a funding method besides."""
    return MarketPlan(
        MarketId(f"{spec.id}-PERP"),
        number,
        MAIN,
        spec,
        MedianOfThree(),
        PublishPolicy(),
        Guard(),
        Gate(),
        SourceId(f"perp:{spec.id}"),
        NOTIONAL_E18,
        rates=RatePlan(Versions(((0, Hyperliquid()),)), NOTIONAL_E18),
    )


def book_of(plan: MarketPlan, quotes: Quotes) -> Depth:
    """Twenty levels a side around the first source's price, each a tenth of the impact notional."""
    first = quotes[plan.spec.sources[0].source]
    mid = ((first.bid_e18 or 0) + (first.ask_e18 or 0)) // 2
    size = NOTIONAL_E18 * E18 // 10 // mid
    steps = [mid * step // 5_000 for step in range(1, LEVELS + 1)]
    bids, asks = (tuple(Level(mid + sign * away, size) for away in steps) for sign in (-1, 1))
    assert plan.book is not None
    return Depth(plan.book, first.received_at, None, bids, asks)


def _market(number: int) -> MarketState:
    return MarketState(number, PARAMETERS, 0, BOUNDARY_S, 0, 0, 10**20)


def _feed(number: int) -> FeedState:
    at = NOW_S - 5
    return FeedState(number, 3_600, 120, 1_000, 200, 1, False, 0, 0, 0, at, 9, 0, 0, BOUNDARY_S, 0, 0, 0)


NUMBERS = range(1, 501)
CHAIN = ChainState(
    BlockRef(100, Hash("0x" + "1" * 64), Hash("0x" + "0" * 64), NOW_S - 1),
    OracleState((), 1, 1, 1, 60, 120, False),
    {number: _feed(number) for number in NUMBERS},
    {number: _market(number) for number in NUMBERS},
    0,
    0,
    0,
)
