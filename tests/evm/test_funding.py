from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keeper.devnet.deploy import FeedParameters, MarketListing
from tests.evm.books_model import FUNDING
from tests.evm.chain import START, batch_tuple, named
from tests.evm.oracle_model import ONE, Price
from tests.evm.scenes import COIN, SIMPLE, USD, listing, market_at, open_pair
from tests.evm.world import World, world

HOUR = 3600
EIGHT_HOURS = 28_800


def funded(kind: int = 0, **rules: Any) -> MarketListing:
    """Funding is the premium itself, within the widest cap."""
    return listing(1, funding_kind=kind, **{"clamp_e18": 0, "cap_e18": 4 * 10**16, **rules})


def settlements(w: World) -> list[tuple[Any, ...]]:
    return [log for log in w.logs if log[0] == "FundingSettled"]


async def cover(w: World, until: int, premium: int = ONE // 1000, step: int = 100) -> None:
    """Pushes often enough for full coverage, up to just before `until`."""
    while w.now + step < until:
        w.tick(step)
        assert (await w.push({1: (100 * ONE, 100 * ONE, premium)})).error is None


@pytest.mark.parametrize(
    ("kind", "premium", "rate", "long_owes", "short_gets"),
    [(0, 16833333333333333, 16333333333333333, None, None), (1, 16833333333333333, 266666666666666, 813467, 813466)],
)
async def test_golden_vector__index_3000_mark_3050_5(
    kind: int, premium: int, rate: int, long_owes: int | None, short_gets: int | None
) -> None:
    rules = replace(SIMPLE, funding_kind=kind, interest_e18=10**14, clamp_e18=5 * 10**14, cap_e18=4 * 10**16)
    feed = FeedParameters(EIGHT_HOURS, EIGHT_HOURS, 500, 300, 0)
    async with world([MarketListing(1, feed, rules)]) as w:
        # From one boundary to the next: the price holds for the whole window.
        start = w.now - w.now % EIGHT_HOURS + EIGHT_HOURS
        w.until(start)
        await w.push({1: (3000 * ONE, 3050 * ONE + ONE // 2)}, signers=4)
        await w.settle(1)
        await open_pair_at(w, 3050 * ONE + ONE // 2)
        w.until(start + EIGHT_HOURS)
        assert (await w.settle(1)).error is None
        settled = settlements(w)[-1]
        assert (settled[4], settled[6]) == (premium, rate)
        await w.compare()
        if long_owes is not None:
            assert w.model.owed(named("long"), 1) == long_owes
            assert w.model.owed(named("short"), 1) == -(short_gets or 0)


async def open_pair_at(w: World, price: int) -> None:
    for who in ("long", "short"):
        await w.deposit(who, 10_000 * USD)
    assert (await w.trade(("short", "long", 1, COIN, price))).error is None


async def test_settlement__before_the_boundary__names_the_second_when_it_is_due() -> None:
    async with market_at(100, markets=(funded(),)) as w:
        boundary = w.now - w.now % HOUR + HOUR
        outcome = await w.settle(1)
        assert (outcome.error, outcome.arguments) == ("FundingNotDue", (boundary,))
        w.until(boundary)
        assert (await w.settle(1)).error is None
        assert (await w.settle(1)).error == "FundingNotDue"
        assert len(settlements(w)) == 1


async def test_settlement__by_anyone_at_any_moment_before_the_next_boundary__is_the_same() -> None:
    async with market_at(100, markets=(funded(),)) as w:
        boundary = w.now - w.now % HOUR + HOUR
        await cover(w, boundary)
        results = []
        for who, late in (("keeper", 0), ("stranger", 1), ("long", HOUR - 1)):
            results.append((await _branch(w, boundary + late, who))[:-1])
        assert results[0] == results[1] == results[2]


async def test_settlement__commutes_with_pushes_observed_at_or_after_the_boundary() -> None:
    async with market_at(100, markets=(funded(),)) as w:
        boundary = w.now - w.now % HOUR + HOUR
        await cover(w, boundary)
        before = await _branch(w, boundary + 20, "keeper")
        after = await _branch(w, boundary + 20, "keeper", push=True)
        assert before == after


async def _branch(w: World, at: int, who: str, push: bool = False) -> tuple[Any, ...]:
    """The settlement's log in a world of its own, thrown away afterwards. Chain only: the model has no snapshots."""
    snapshot = await w.chain.rpc.call("evm_snapshot")
    back = w.now
    w.until(at)
    if push:
        batch = w.batch([Price(1, 105 * ONE, 105 * ONE, -ONE // 500)])
        signatures = [w.sign(batch, i) for i in range(3)]
        pushed = await w.chain.act(named("keeper"), w.d.oracle, "pushPrices", batch_tuple(batch), signatures)
        assert pushed.error is None
    outcome = await w.chain.act(named(who), w.d.exchange, "settleFunding", 1)
    w.until(back)
    await w.chain.rpc.call("evm_revert", snapshot)
    return outcome.logs[-1]


async def test_push__observed_before_the_boundary_but_mined_after_the_settlement__counts_in_the_next_window() -> None:
    async with market_at(100, markets=(funded(),)) as w:
        boundary = w.now - w.now % HOUR + HOUR
        await cover(w, boundary)
        w.until(boundary + 10)
        await w.settle(1)
        assert (await w.push({1: (100 * ONE, 100 * ONE, ONE // 100)}, observed_at=boundary - 5)).error is None
        await cover(w, boundary + HOUR)
        w.until(boundary + HOUR)
        await w.settle(1)
        first, second = settlements(w)
        # The sums telescope: both windows together cover every second once.
        assert first[5] + second[5] == w.oracle.premium_at(1, boundary + HOUR)[1]
        assert second[4] > ONE // 1000
        await w.compare()


async def test_outage__over_a_boundary__pays_interest_only_when_less_than_half_is_covered() -> None:
    async with market_at(100, markets=(funded(interest_e18=10**14, clamp_e18=5 * 10**14),)) as w:
        boundary = w.now - w.now % HOUR + HOUR
        await cover(w, boundary - 100)
        w.until(boundary + HOUR + 30)
        assert (await w.push({1: (100 * ONE, 100 * ONE, ONE // 1000)})).error is None
        await w.settle(1)
        settled = settlements(w)[-1]
        assert settled[3] == 2
        assert settled[4] == 0
        assert settled[6] == 10**14 * HOUR // EIGHT_HOURS
        await w.compare()


async def test_three_missed_boundaries__are_one_settlement_with_the_average_premium() -> None:
    async with market_at(100, markets=(funded(),)) as w:
        boundary = w.now - w.now % HOUR + HOUR
        w.until(boundary)
        assert (await w.push({1: (100 * ONE, 100 * ONE, ONE // 1000)})).error is None
        await w.settle(1)
        await open_pair_at(w, 100 * ONE)
        await cover(w, boundary + 3 * HOUR + 50)
        w.until(boundary + 3 * HOUR + 60)
        assert (await w.settle(1)).error is None
        settled = settlements(w)[-1]
        assert settled[2:6] == (boundary + 3 * HOUR, 3, ONE // 1000, 3 * HOUR)
        rate = ONE // 1000 * HOUR // EIGHT_HOURS
        assert settled[6:9] == (rate, 100 * ONE, rate * 100 * ONE * 3)
        assert len(settlements(w)) == 2
        await w.compare()


async def test_trade_after_a_boundary__never_pays_for_it() -> None:
    async with market_at(100, markets=(funded(),)) as w:
        boundary = w.now - w.now % HOUR + HOUR
        await cover(w, boundary)
        w.until(boundary + 1)
        assert (await w.push({1: (100 * ONE, 100 * ONE, ONE // 1000)})).error is None
        await open_pair(w, "long", "short", 10, 100, 5000)
        assert len(settlements(w)) == 1
        assert w.model.owed(named("long"), 1) == 0
        assert (await w.settle(1)).error == "FundingNotDue"
        await w.compare()


async def test_boundaries_passed_while_funding_is_paused__are_settled_at_zero() -> None:
    async with market_at(100, markets=(funded(),)) as w:
        await open_pair(w, "long", "short", 10, 100, 5000)
        boundary = w.now - w.now % HOUR + HOUR
        await cover(w, boundary)
        await w.pause(FUNDING)
        w.until(boundary + HOUR + 5)
        assert (await w.settle(1)).error == "ActionPaused"
        assert (await w.settle_many([1])).error == "ActionPaused"
        await w.compare()
        await w.unpause(FUNDING)
        settled = settlements(w)[-1]
        assert (settled[3], settled[6], settled[8]) == (2, 0, 0)
        assert w.model.owed(named("long"), 1) == 0
        await w.compare()


async def test_settle_many__skips_what_is_not_due_or_not_listed() -> None:
    async with market_at(100, markets=(listing(1), listing(2, interval_s=28_800))) as w:
        w.until(w.now - w.now % HOUR + HOUR)
        outcome = await w.settle_many([1, 2, 30])
        assert int.from_bytes(outcome.result, "big") == 1
        too_many = await w.chain.act(named("keeper"), w.d.exchange, "settleFundingMany", [1] * 33)
        assert too_many.error == "BatchSize"


async def test_insolvent_payer__is_charged_in_full() -> None:
    async with market_at(100, insurance=1000, markets=(funded(),)) as w:
        assert w.now == START
        await open_pair(w, "long", "short", 100, 100, 1001)
        for _ in range(4):
            boundary = w.now - w.now % HOUR + HOUR
            await cover(w, boundary, premium=ONE)
            w.until(boundary)
            await w.settle(1)
        assert w.model.valuation(named("long")).cash < 0
        await w.compare()
