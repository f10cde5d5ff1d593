from __future__ import annotations

from typing import Any

import pytest

from tests.evm.chain import named
from tests.evm.model import FREE, LIQUIDATE
from tests.evm.oracle_model import ONE
from tests.evm.scenes import COIN, USD, listing, market_at, open_pair, reprice
from tests.evm.world import World


def equity(w: World, who: str) -> int:
    return w.model.valuation(who if who.startswith("0x") else named(who)).equity


async def test_equity_equal_to_the_maintenance_margin__is_healthy() -> None:
    """At 94: equity 1,070 - 600 = 470 = 5 % of 9,400."""
    async with market_at(100) as w:
        await open_pair(w, "long", "short", 100, 100, 1_070)
        await reprice(w, 94)
        outcome = await w.liquidate("long", 1)
        assert (outcome.error, outcome.arguments) == ("NotLiquidatable", (470 * USD, 470 * USD))
        await reprice(w, 93.999999)
        assert (await w.liquidate("long", 1)).error is None
        await w.compare()


async def test_partial_close__with_free_size__restores_the_buffer() -> None:
    async with market_at(100) as w:
        await open_pair(w, "long", "short", 100, 100, 1_000)
        await reprice(w, 94.5)
        assert (await w.liquidate("long", 1)).error is None
        v = w.model.valuation(named("long"))
        assert 0 < w.model.positions(named("long"))[1].size < 100 * COIN
        assert v.equity * 10_000 >= 11_000 * v.mm
        rewarded = w.model.s.accounts[named("keeper")].margin
        assert w.model.s.accounts[w.engine].margin - rewarded in {0, 1}
        await w.compare()


async def test_remainder_too_small_to_trade__is_closed_as_well() -> None:
    async with market_at(100, markets=(listing(1, min_notional_units=9_000 * USD),)) as w:
        await open_pair(w, "long", "short", 100, 100, 1_000)
        await reprice(w, 94.7)
        await w.liquidate("long", 1)
        assert w.model.positions(named("long")) == {}


async def test_bad_debt__is_paid_by_the_fund_and_leaves_the_account_at_zero() -> None:
    async with market_at(100, insurance=10_000) as w:
        await open_pair(w, "long", "short", 100, 100, 1_000)
        await w.deposit("short", 10_000 * USD)
        await reprice(w, 80)
        assert equity(w, "long") == -1_000 * USD
        outcome = await w.liquidate("long", 1)
        liquidated = next(log for log in outcome.logs if log[0] == "Liquidated")
        assert liquidated[-1] == 1_000 * USD
        assert w.model.s.accounts[named("long")].margin == 0
        assert w.model.s.accounts[w.engine].margin == 9_000 * USD
        await w.compare()


async def test_fund_too_small__names_loss_and_fund__and_is_used_up_by_a_smaller_size() -> None:
    async with market_at(100, insurance=250) as w:
        await open_pair(w, "long", "short", 100, 100, 1_000)
        await w.deposit("short", 10_000 * USD)
        await reprice(w, 80)
        outcome = await w.liquidate("long", 1)
        assert (outcome.error, outcome.arguments) == ("FundShort", (1_000 * USD, 250 * USD))
        await w.compare_previews("long")
        assert (await w.liquidate("long", 1, 25 * COIN)).error is None
        assert w.model.available() == 0
        assert (await w.liquidate("long", 1, COIN)).error == "FundShort"
        await w.compare()


async def test_deleveraging__at_the_bankruptcy_price__closes_both_and_lets_the_winner_pay() -> None:
    async with market_at(100, insurance=300) as w:
        await open_pair(w, "long", "short", 100, 100, 1_000)
        await w.deposit("short", 10_000 * USD)
        await reprice(w, 80)
        before = equity(w, "short")
        outcome = await w.deleverage("long", "short", 1, 100 * COIN)
        assert outcome.error is None
        assert outcome.logs[-1][-2:] == (1_000 * USD, 300 * USD)
        assert w.model.s.accounts[named("long")].margin == 0
        assert w.model.available() == 0
        assert equity(w, "short") == before - 700 * USD
        assert w.model.s.held == sum(account.margin for account in w.model.s.accounts.values())
        await w.compare()


async def test_deleveraging__refuses_in_every_case_that_the_rules_name() -> None:
    async with market_at(100, insurance=2_000) as w:
        await open_pair(w, "long", "short", 100, 100, 1_000)
        await open_pair(w, "other long", "weak", 50, 100, 500)
        assert (await w.deleverage("long", "short", 1, 10 * COIN)).error == "NotBankrupt"
        await reprice(w, 80)
        assert (await w.deleverage("long", "long", 1, COIN)).error == "InvalidParties"
        assert (await w.deleverage("long", w.engine, 1, COIN)).error == "InvalidParties"
        assert (await w.deleverage("long", "other long", 1, COIN)).error == "NoPosition"
        assert (await w.deleverage("long", "nobody", 1, COIN)).error == "NoPosition"
        for size in (0, COIN + 1, 101 * COIN):
            assert (await w.deleverage("long", "short", 1, size)).error == "InvalidSize"
        outcome = await w.deleverage("long", "short", 1, 100 * COIN)
        assert (outcome.error, outcome.arguments) == ("FundNotEmpty", (1_000 * USD, 2_000 * USD))
        pair = (named("long"), named("short"), 1, COIN)
        stranger = await w.chain.act(named("keeper"), w.d.exchange, "deleverage", *pair)
        assert stranger.error == "NotDeleverager"


async def test_counterparty_that_would_be_unhealthy__is_passed_over() -> None:
    two = (listing(1), listing(2))
    async with market_at(100, markets=two) as w:
        await open_pair(w, "long", "short", 100, 100, 1_000)
        await open_pair(w, "short", "else", 100, 100, 1_100, no=2)
        await w.deposit("else", 10_000 * USD)
        await reprice(w, 80, 1)
        # The winner of market 1 lost as much in market 2.
        await reprice(w, 65, 2)
        outcome = await w.deleverage("long", "short", 1, 100 * COIN)
        assert outcome.error == "CounterpartyUnhealthy"
        await w.compare()


async def test_engine_under_water__is_deleveraged__and_nobody_withdraws_meanwhile() -> None:
    async with market_at(100, insurance=100) as w:
        await open_pair(w, "long", "short", 100, 100, 1_000)
        await w.deposit("short", 10_000 * USD)
        await reprice(w, 92)
        assert (await w.liquidate("long", 1)).error is None
        fund = equity(w, w.engine)
        await reprice(w, 85)
        hole = equity(w, w.engine)
        assert hole == fund - 700 * USD
        assert (await w.withdraw("short", USD)).error == "EngineUnderWater"
        outcome = await w.deleverage(w.engine, "short", 1, 100 * COIN)
        assert outcome.error is None
        assert outcome.logs[-1][-2:] == (-hole, 0)
        assert equity(w, w.engine) == 0
        assert (await w.withdraw("short", USD)).error is None
        await w.compare()


async def test_hole_of_the_engine__is_filled_by_a_deposit() -> None:
    async with market_at(100, insurance=100) as w:
        await open_pair(w, "long", "short", 100, 100, 1_000)
        await w.deposit("short", 10_000 * USD)
        await reprice(w, 92)
        await w.liquidate("long", 1)
        await reprice(w, 85)
        assert (await w.withdraw("short", USD)).error == "EngineUnderWater"
        await w.deposit(w.engine, 1_000 * USD)
        assert (await w.withdraw("short", USD)).error is None


async def test_stale_market_of_the_account__shields_it_for_an_hour_and_no_longer() -> None:
    two = (listing(1), listing(2))
    async with market_at(100, markets=two) as w:
        await open_pair(w, "long", "short", 100, 100, 2_000, no=1)
        await open_pair(w, "long", "short", 100, 100, 1_000, no=2)
        await reprice(w, 80, 1, 2)
        dead_since = w.now
        for age, error in ((60, None), (61, "Stale"), (3_600, "Stale"), (3_601, None)):
            w.until(dead_since + age)
            assert (await w.push({1: 80 * ONE}, signers=4)).error is None
            assert w.model.plan(named("long"), 1).reason == (3 if error else 6)
            assert (await w.liquidate("long", 1)).error == (error or "FundShort")
            assert (await w.liquidate("long", 2)).error == ("FundShort" if age <= 60 else "Stale")
            await w.compare()
        await w.freeze(2)
        assert (await w.liquidate("long", 1)).arguments == (2,)


async def test_errors_of_the_single_call__are_the_reasons_of_the_batch() -> None:
    async with market_at(100, markets=(listing(1), listing(2)), insurance=100) as w:
        await open_pair(w, "long", "short", 100, 100, 1_000)
        await open_pair(w, "rich", "short", 1, 100, 10_000)
        await reprice(w, 80, 1)
        cases: list[tuple[str, tuple[str, int, int], str]] = [
            ("SelfOrEngine", (w.engine, 1, FREE), "keeper"),
            ("NoPosition", ("long", 2, FREE), "keeper"),
            ("NoPosition", ("long", 30, FREE), "keeper"),
            ("NotLiquidatable", ("rich", 1, FREE), "keeper"),
            ("SizeZero", ("long", 1, 10**14), "keeper"),
            ("FundShort", ("long", 1, FREE), "keeper"),
        ]
        for error, request, sender in cases:
            assert (await w.liquidate(*request, sender=sender)).error == error
        assert (await w.liquidate("long", 1, sender="long")).error == "SelfOrEngine"
        outcome = await w.liquidate_batch([request for _, request, _ in cases])
        assert (outcome.error, outcome.arguments) == ("NothingLiquidated", (bytes([1, 2, 2, 4, 5, 6]),))
        outcome = await w.liquidate_batch([cases[3][1], ("long", 1, 10 * COIN), cases[3][1]])
        skipped = [log for log in outcome.logs if log[0] == "LiquidationSkipped"]
        assert [log[-1] for log in skipped] == [4, 4]
        w.tick(61)
        assert (await w.liquidate_batch([("long", 1, FREE)])).arguments == (b"\x03",)


@pytest.mark.parametrize("n", [0, 33])
async def test_liquidate_batch__of_the_wrong_length__is_refused(n: int) -> None:
    async with market_at(100) as w:
        requests = [(named("long"), 1, FREE)] * n
        outcome = await w.chain.act(named("keeper"), w.d.exchange, "liquidateBatch", requests)
        assert outcome.error == "BatchSize"


async def test_pausing_liquidations__stops_single_batch_and_deleveraging() -> None:
    async with market_at(100) as w:
        await open_pair(w, "long", "short", 100, 100, 1_000)
        await reprice(w, 80)
        await w.pause(LIQUIDATE)
        assert (await w.liquidate("long", 1)).error == "ActionPaused"
        assert (await w.liquidate_batch([("long", 1, FREE)])).error == "ActionPaused"
        assert (await w.deleverage("long", "short", 1, 100 * COIN)).error == "ActionPaused"


async def test_liquidations_of_two_solvent_accounts__commute_in_every_equity() -> None:
    two = (listing(1, penalty_bps=37), listing(2, penalty_bps=41))
    async with market_at(100, markets=two, insurance=1_000) as w:
        await open_pair(w, "a", "b", 97, 100, 1_301)
        await open_pair(w, "c", "d", 89, 100, 1_003, no=2)
        await w.deposit("d", 1_000 * USD)
        more = await w.trade(("d", "a", 2, 31 * COIN, 100 * ONE), ("b", "c", 1, 3 * COIN, 100 * ONE))
        assert more.error is None
        await reprice(w, 93.123457, 1, 2)
        orders = [[("a", 1), ("c", 2)], [("c", 2), ("a", 1)]]
        results = [await _equities_after(w, order) for order in orders]
        assert results[0] == results[1]


async def _equities_after(w: World, order: list[tuple[str, int]]) -> list[Any]:
    """In a world of its own, thrown away afterwards."""
    snapshot = await w.chain.rpc.call("evm_snapshot")
    for who, no in order:
        outcome = await w.chain.act(named("keeper"), w.d.exchange, "liquidate", named(who), no, FREE)
        assert outcome.error is None
    accounts = [named(who) for who in ("a", "b", "c", "d", "keeper")] + [w.engine]
    [(views, _, _)] = await w.chain.read([(w.d.lens, "getAccounts", (accounts,))])
    await w.chain.rpc.call("evm_revert", snapshot)
    return [(view[0], view[3]) for view in views]
