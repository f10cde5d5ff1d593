from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keeper.devnet.deploy import market_config
from tests.evm.books_model import FUNDING
from tests.evm.chain import EXCHANGE, named
from tests.evm.model import LIQUIDATE, TRADE, WITHDRAW
from tests.evm.oracle_model import ONE
from tests.evm.scenes import COIN, SIMPLE, USD, listing, market_at, open_pair, reprice


async def test_withdrawal__leaves_initial_margin_and_open_profit_inside() -> None:
    async with market_at(100) as w:
        await open_pair(w, "long", "short", 10, 100, 500)
        await w.deposit("short", 500 * USD)
        outcome = await w.withdraw("long", 400 * USD + 1)
        assert (outcome.error, outcome.arguments) == ("InsufficientMargin", (400 * USD,))
        await reprice(w, 120)
        outcome = await w.withdraw("long", 500 * USD + 1)
        assert outcome.arguments == (500 * USD,), "the profit of 200 is not paid before it is realized"
        assert (await w.withdraw("long", 500 * USD)).error is None
        await w.compare()


async def test_withdrawal__of_an_account_without_positions__needs_no_price() -> None:
    async with market_at(100) as w:
        await w.deposit("saver", 100 * USD)
        w.tick(10_000)
        assert (await w.withdraw("saver", 100 * USD)).error is None
        assert (await w.withdraw("saver", 1)).arguments == (0,)


async def test_withdrawal__with_a_stale_market__waits_for_a_price() -> None:
    async with market_at(100) as w:
        await open_pair(w, "long", "short", 10, 100, 500)
        w.tick(61)
        outcome = await w.withdraw("long", USD)
        assert (outcome.error, outcome.arguments) == ("Stale", (1,))
        await w.freeze(1)
        assert (await w.withdraw("long", USD)).error == "Stale"


async def test_withdrawal__of_realized_profit_that_nobody_has_paid_in_yet__lacks_liquidity() -> None:
    async with market_at(100) as w:
        await open_pair(w, "long", "short", 10, 100, 101)
        await w.deposit("heir", 600 * USD)
        await reprice(w, 300)
        assert (await w.trade(("heir", "long", 1, -10 * COIN, 300 * ONE))).error is None
        outcome = await w.withdraw("long", 2_000 * USD)
        assert (outcome.error, outcome.arguments) == ("InsufficientLiquidity", (802 * USD,))
        await w.compare()


async def test_pausing_withdrawals__leaves_deposits_open() -> None:
    async with market_at(100) as w:
        await w.deposit("saver", 100 * USD)
        await w.pause(WITHDRAW | TRADE | LIQUIDATE | FUNDING)
        assert (await w.withdraw("saver", USD)).arguments == (WITHDRAW,)
        assert (await w.deposit("saver", USD)).error is None


async def test_guardian__sets_bits_and_never_clears_them() -> None:
    async with market_at(100) as w:
        stranger = await w.chain.act(named("x"), w.d.exchange, "pause", WITHDRAW)
        assert stranger.error == "NotGuardian"
        await w.pause(WITHDRAW)
        await w.pause(TRADE)
        guardian = await w.chain.act(named("guardian"), w.d.exchange, "unpause", TRADE)
        assert guardian.error == "NotOwner"
        assert await w.chain.read([(w.d.exchange, "paused", ())]) == [(WITHDRAW | TRADE,)]
        await w.unpause(WITHDRAW)
        assert await w.chain.read([(w.d.exchange, "paused", ())]) == [(TRADE,)]


async def test_deposit__that_arrives_short__is_refused() -> None:
    async with market_at(100) as w:
        await w.chain.act(named("x"), w.d.token, "setFee", 7)
        treasury = named("treasury")
        await w.chain.act(treasury, w.d.token, "mint", treasury, 100)
        outcome = await w.chain.act(treasury, w.d.exchange, "deposit", treasury, 100)
        assert (outcome.error, outcome.arguments) == ("TransferMismatch", (100, 93))


async def test_deposit__of_nothing_or_for_nobody_or_without_allowance__is_refused() -> None:
    async with market_at(100) as w:
        cases = {"ZeroAmount": (named("a"), 0), "ZeroAddress": ("0x" + "0" * 40, 1), "TransferFailed": (named("a"), 1)}
        for error, arguments in cases.items():
            outcome = await w.chain.act(named("beggar"), w.d.exchange, "deposit", *arguments)
            assert outcome.error == error


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("deposit", (named("long"), 1)),
        ("withdraw", (named("long"), 1)),
        ("skim", ()),
        ("settleFunding", (1,)),
        ("settleFundingMany", ([1],)),
        ("liquidate", (named("long"), 1, 1)),
        ("liquidateBatch", ([(named("long"), 1, 1)],)),
        ("settleTrades", ([(named("long"), named("short"), 1, COIN, ONE)],)),
        ("deleverage", (named("long"), named("short"), 1, 1)),
        ("collectFees", (named("long"),)),
        ("unpause", (1,)),
        ("configureMarket", (1, market_config(SIMPLE))),
    ],
)
async def test_token_that_calls_back__finds_every_door_shut(function: str, arguments: tuple[Any, ...]) -> None:
    async with market_at(100) as w:
        await w.deposit("saver", 100 * USD)
        payload = EXCHANGE.call(function, *arguments)
        await w.chain.act(named("x"), w.d.token, "setCallback", w.d.exchange, payload)
        assert (await w.withdraw("saver", USD)).error is None
        [(answer,)] = await w.chain.read([(w.d.token, "callbackAnswer", ())])
        assert EXCHANGE.error(answer)[0] == "Reentrancy"
        await w.compare()


async def test_stray_tokens__break_no_balance_and_go_to_the_fund() -> None:
    async with market_at(100) as w:
        await open_pair(w, "long", "short", 10, 100, 500)
        await w.donate(12_345)
        await w.compare()
        assert (await w.skim()).logs == [("MarginChanged", w.engine, 9, 12_345, 12_345)]
        assert (await w.skim()).logs == []
        await w.compare()


async def test_fees__are_collected_by_the_owner_alone() -> None:
    async with market_at(100, markets=(listing(1, maker_bps=2, taker_bps=5),)) as w:
        await open_pair(w, "long", "short", 10, 100, 500)
        stranger = await w.chain.act(named("x"), w.d.exchange, "collectFees", named("x"))
        assert stranger.error == "NotOwner"
        outcome = await w.collect_fees()
        assert outcome.logs == [("FeesCollected", named("sink"), 1_000 * USD * 7 // 10_000)]
        await w.compare()


@pytest.mark.parametrize(
    "change",
    [
        {"penalty_bps": 500},
        {"buffer_bps": 10_099},
        {"buffer_bps": 20_001},
        {"im_factor_bps": 12_499, "buffer_bps": 11_000},
        {"maker_bps": 101},
        {"taker_bps": 101},
        {"clamp_e18": 10**16, "cap_e18": 10**15},
        {"cap_e18": 4 * 10**16 + 1},
        {"max_notional_units": 10**18 + 1},
        {"lot_e18": 10**14},
        {"liquidator_bps": 10_001},
        {"funding_kind": 2},
        {"tiers": ()},
        {"tiers": ((1, 500),)},
        {"tiers": ((0, 500), (10, 500))},
        {"tiers": ((0, 500), (0, 600))},
        {"tiers": ((0, 500), (10, 5_001))},
        {"tiers": tuple((10 * k, 500 + k) for k in range(11))},
    ],
)
async def test_configure_market__outside_the_rules__is_refused(change: dict[str, Any]) -> None:
    async with market_at(100) as w:
        rules = replace(SIMPLE, **{k: v for k, v in change.items() if k != "tiers"})
        *fields, tiers = market_config(rules)
        config = (*fields, change.get("tiers", tiers))
        outcome = await w.chain.act(w.d.deployer, w.d.exchange, "configureMarket", 1, config)
        assert outcome.error == "InvalidConfig"


async def test_ownership__passes_in_two_steps() -> None:
    async with market_at(100) as w:
        heir = named("heir")
        for contract in (w.d.exchange, w.d.oracle):
            assert (await w.chain.act(heir, contract, "acceptOwnership")).error == "NotPendingOwner"
            assert (await w.chain.act(heir, contract, "transferOwnership", heir)).error == "NotOwner"
            assert (await w.chain.act(w.d.deployer, contract, "transferOwnership", heir)).error is None
            assert (await w.chain.act(heir, contract, "acceptOwnership")).error is None
            assert (await w.chain.act(w.d.deployer, contract, "setRole", 1, heir, True)).error == "NotOwner"
            assert (await w.chain.act(heir, contract, "setRole", 0, heir, True)).error == "InvalidRole"
