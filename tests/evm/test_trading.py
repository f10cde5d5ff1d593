from __future__ import annotations

import pytest

from tests.evm.chain import named
from tests.evm.model import TRADE
from tests.evm.oracle_model import ONE
from tests.evm.scenes import COIN, USD, listing, market_at, open_pair, reprice
from tests.evm.world import World, world

P = 100 * ONE


async def rejected(w: World, *trades: tuple[str, str, int, int, int]) -> tuple[int, int]:
    outcome = await w.trade(*trades)
    assert outcome.error == "TradeRejected"
    index, reason = outcome.arguments
    return index, reason


async def test_trades__one_bad_among_good__reject_all_and_name_it() -> None:
    async with market_at(100) as w:
        await open_pair(w, "long", "short", 1, 100, 1000)
        good = ("short", "long", 1, COIN, P)
        assert await rejected(w, good, good, ("short", "long", 1, 0, P), good) == (2, 2)
        await w.compare()


async def test_each_reason__has_its_number() -> None:
    tight = listing(1, max_notional_units=20_000 * USD, max_oi_e18=300 * COIN)
    async with market_at(100, markets=(tight, listing(2))) as w:
        await open_pair(w, "long", "short", 10, 100, 100_000)
        lot = tight.rules.lot_e18
        cases = {
            1: ("long", "long", 1, COIN, P),
            2: ("short", "long", 1, COIN + lot // 2, P),
            4: ("short", "long", 1, COIN, P + P // 20 + 1),
            5: ("short", "long", 1, 49 * COIN // 1000, P),
            7: ("short", "long", 1, 191 * COIN, P),
            9: ("short", "poor", 1, 101 * COIN, P),
            10: ("short", w.engine, 1, COIN, P),
        }
        await w.deposit("poor", 1_000 * USD)
        for reason, trade in cases.items():
            assert await rejected(w, trade) == (0, reason)
        assert (await w.trade(("short", "long", 1, 190 * COIN, P + P // 20))).error is None
        assert (await w.trade(("a", "b", 1, 101 * COIN, P))).arguments == (0, 8)
        w.tick(61)
        assert await rejected(w, ("short", "long", 1, COIN, P)) == (0, 3)


async def test_open_interest_above_a_lowered_limit__can_still_be_reduced() -> None:
    market = listing()
    async with market_at(100, markets=(market,)) as w:
        await open_pair(w, "long", "short", 10, 100, 10_000)
        await w.configure(1, listing(max_oi_e18=COIN).rules)
        assert (await w.trade(("short", "third", 1, COIN, P))).arguments == (0, 8)
        assert (await w.trade(("short", "long", 1, -9 * COIN, P))).error is None
        await w.compare()


async def test_ninth_market__is_refused() -> None:
    nine = tuple(listing(no) for no in range(1, 10))
    async with market_at(100, markets=nine) as w:
        for who in ("long", "short"):
            await w.deposit(who, 10_000 * USD)
        for no in range(1, 9):
            assert (await w.trade(("short", "long", no, COIN, P))).error is None
        assert await rejected(w, ("short", "long", 9, COIN, P)) == (0, 6)
        assert (await w.trade(("short", "long", 8, COIN, P))).error is None
        await w.compare()


async def test_initial_margin__to_the_unit__is_enough() -> None:
    async with market_at(100) as w:
        await w.deposit("short", 1_000 * USD)
        await w.deposit("long", 100 * USD - 1)
        trade = ("short", "long", 1, 10 * COIN, P)
        assert await rejected(w, trade) == (0, 9)
        await w.deposit("long", 1)
        assert (await w.trade(trade)).error is None


async def test_reducing__needs_only_maintenance_margin_and_may_be_small() -> None:
    async with market_at(100) as w:
        await open_pair(w, "long", "short", 10, 100, 101)
        await w.deposit("short", 1_000 * USD)
        await reprice(w, 97)
        assert await rejected(w, ("short", "long", 1, COIN, 97 * ONE)) == (0, 9)
        assert (await w.trade(("short", "long", 1, -COIN // 1000, 97 * ONE))).error is None
        await reprice(w, 94)
        assert await rejected(w, ("short", "long", 1, -COIN, 94 * ONE)) == (0, 9)


async def test_crossing_zero__realizes_the_old_position_and_opens_the_new_one() -> None:
    async with market_at(100, markets=(listing(1, maker_bps=2, taker_bps=5),)) as w:
        await open_pair(w, "long", "short", 10, 100, 10_000)
        await reprice(w, 110)
        assert (await w.trade(("short", "long", 1, -25 * COIN, 110 * ONE))).error is None
        account = w.model.s.accounts[named("long")]
        position = account.positions[1]
        assert (position.size, position.quote) == (-15 * COIN, 1_650 * USD)
        fees = 1_000 * USD * 5 // 10_000 + 2_750 * USD * 5 // 10_000
        assert account.margin == 10_000 * USD + 100 * USD - fees
        await w.compare()


async def test_engine_as_maker__only_reduces_and_only_above_water() -> None:
    async with market_at(100, insurance=1_000) as w:
        await open_pair(w, "long", "short", 100, 100, 1_000)
        await w.deposit("short", 100_000 * USD)
        await w.deposit("buyer", 100_000 * USD)
        assert await rejected(w, (w.engine, "buyer", 1, COIN, P)) == (0, 10)
        await reprice(w, 92)
        assert (await w.liquidate("long", 1)).error is None
        held = w.model.positions(w.engine)[1].size
        assert held == 100 * COIN
        assert await rejected(w, (w.engine, "buyer", 1, held + COIN, 92 * ONE)) == (0, 10)
        assert (await w.trade((w.engine, "buyer", 1, held // 2, 92 * ONE))).error is None
        await reprice(w, 50)
        assert await rejected(w, (w.engine, "buyer", 1, COIN, 50 * ONE)) == (0, 10)
        await w.compare()


@pytest.mark.parametrize(
    ("sender", "n", "error"), [("long", 1, "NotOperator"), ("operator", 0, "BatchSize"), ("operator", 65, "BatchSize")]
)
async def test_settle_trades__by_the_wrong_caller_or_of_the_wrong_length__is_refused(
    sender: str, n: int, error: str
) -> None:
    async with market_at(100) as w:
        trade = (named("short"), named("long"), 1, COIN, P)
        outcome = await w.chain.act(named(sender), w.d.exchange, "settleTrades", [trade] * n)
        assert outcome.error == error


async def test_pausing_trades__stops_them_and_nothing_else() -> None:
    async with market_at(100) as w:
        await open_pair(w, "long", "short", 10, 100, 1_000)
        await w.pause(TRADE)
        outcome = await w.trade(("short", "long", 1, COIN, P))
        assert (outcome.error, outcome.arguments) == ("ActionPaused", (TRADE,))
        assert (await w.withdraw("long", 10 * USD)).error is None
        await w.unpause(TRADE)
        assert (await w.trade(("short", "long", 1, COIN, P))).error is None


@pytest.mark.parametrize("price", [1, 10**10, 10**24, 2**96 - 1])
async def test_any_price_that_fits__trades_funds_and_is_taken_over(price: int) -> None:
    """A position of about 100 USD (int128 holds no more of a coin at 1e-18 USD), up to 79 billion USD a coin."""
    size = 100 * USD * 10**30 // price // 1000 * 1000
    market = listing(1, lot_e18=size // 1000, min_notional_units=0, max_oi_e18=2**127, cap_e18=4 * 10**16)
    async with world([market], 1_000 * USD) as w:
        assert (await w.push({1: (price, price, ONE // 100)}, signers=4)).error is None
        for who in ("long", "short"):
            await w.deposit(who, 11 * USD)
        assert (await w.trade(("short", "long", 1, market.rules.lot_e18 * 1000, price))).error is None
        w.until(w.now - w.now % 3600 + 3600)
        assert (await w.settle(1)).error is None
        await w.compare()
        w.tick(1)
        lower, higher = max(1, price * 93 // 100), min(2**96 - 1, price * 107 // 100 + 1)
        fallen = lower if lower < price else higher
        assert (await w.push({1: fallen}, signers=4)).error is None
        loser = "long" if fallen < price else "short"
        assert (await w.liquidate(loser, 1)).error is None
        await w.compare()
