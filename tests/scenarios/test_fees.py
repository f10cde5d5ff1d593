"""What is offered while the market moves, the pool insists on a tenth and one endpoint exaggerates."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from keeper.devnet.simulator.catalogue import fee_outlier
from keeper.devnet.simulator.envelope import Envelope
from keeper.devnet.simulator.pool import Pool
from keeper.devnet.simulator.rules import Account
from keeper.domain.chain import FeeMarket
from keeper.domain.fees import GWEI, FeeRules, Fees, bump, fee_cap, highest, opening
from keeper.domain.transaction import IntentState, Lane
from tests.chain.stage import DEPLOYMENT
from tests.scenarios.stage import Scene
from tests.simulator.bench import plain

CONFIRMED = IntentState.CONFIRMED
EVERY_BLOCK = dict.fromkeys(Lane, 1)
BOUNDLESS = FeeRules(ceiling_wei=10**30, limit_multiplier=10**12)
RICH = Account(nonce=0, balance=10**40)


async def test_t04__fee_spike__priced_anew_over_what_was_journalled_though_no_pool_has_it(scene: Scene) -> None:
    keeper = await scene.keeper()
    intent = scene.wallet.intent(1)
    await keeper.inbox.put(intent)
    await keeper.pooled()
    (first,) = keeper.attempts()
    spike = 10 * first.fees.max_fee_wei
    await scene.sim.set_base_fee(spike)
    assert await scene.mine(keeper) == (), "too cheap for this block"
    await scene.sim.drop(first.hash)
    while len(keeper.attempts()) < 2:
        await scene.sim.set_base_fee(spike)
        await scene.mine(keeper)
    await keeper.pooled()
    second = keeper.tx().last
    assert second.fees.max_fee_wei >= spike
    assert second.fees.tip_wei * 10 >= first.fees.tip_wei * 11
    assert await scene.mine(keeper) == (second.hash,)
    await keeper.outcome(intent, CONFIRMED)
    assert await scene.is_settled(effects=1, nonces=1)


@pytest.mark.parametrize(("percent", "attempts"), [(105, 1), (200, 2)])
async def test_t06__fee_limit__the_same_bytes_again_and_one_alarm(scene: Scene, percent: int, attempts: int) -> None:
    """Where the limit leaves room for a replacement the offer goes up to it, and no further."""
    cap = fee_cap(GWEI, GWEI)
    limit = cap * percent // 100
    keeper = await scene.keeper(fees=FeeRules(ceiling_wei=limit, min_tip_wei=GWEI))
    intent = scene.wallet.intent(1)
    await keeper.inbox.put(intent)
    await keeper.pooled()
    meter, log = scene.wallet.meter, scene.wallet.log
    while not log.named("tx.fee_limited"):
        await scene.sim.set_base_fee(5 * cap)
        await scene.mine(keeper)
    assert meter.total("keeper_tx_fee_limit_total") == 1
    newest, sends = keeper.tx().last, len(scene.sent())
    for _ in range(2):
        await scene.sim.set_base_fee(5 * cap)
        await scene.mine(keeper)
    assert len(keeper.attempts()) == attempts
    assert set(scene.sent()[sends:]) == {newest.hash}, "published again as it is"
    assert newest.fees.max_fee_wei <= limit
    assert len(log.named("tx.fee_limited")) == 1, "told once, counted each time"
    await scene.sim.set_base_fee(GWEI)
    assert await scene.mine(keeper) == (newest.hash,)
    await keeper.outcome(intent, CONFIRMED)


def test_t07__ten_percent_rule__a_thousand_random_bumps_are_all_taken() -> None:
    draw, bumps = random.Random(7), 0
    while bumps < 1000:
        pool, levels = Pool(), []
        for _ in range(draw.randint(2, 30)):
            market = _any_market(draw)
            fees = bump(highest(tuple(levels)), market, BOUNDLESS) if levels else opening(market, BOUNDLESS)
            assert isinstance(fees, Fees)
            refused = pool.add(_envelope(fees), RICH)
            assert refused is None, f"{refused} for {fees} over {levels}"
            bumps += len(levels) > 0
            levels.append(fees)


async def test_t07__ten_percent_rule__through_sockets_at_every_block_of_a_random_market(scene: Scene) -> None:
    draw = random.Random(8)
    keeper = await scene.keeper(bump_blocks=EVERY_BLOCK, fees=replace(FeeRules(), limit_multiplier=10**6))
    price = scene.wallet.intent(1, Lane.PRICE)
    keeper.prices.put(DEPLOYMENT, price)
    await keeper.pooled()
    for number in range(2, 32):
        await scene.sim.set_base_fee(draw.randint(GWEI // 10, 20 * GWEI))
        if draw.random() < 0.5:
            keeper.prices.put(DEPLOYMENT, price := scene.wallet.intent(number, Lane.PRICE))
        await scene.pass_by(keeper)
        await keeper.pooled()
        assert len(keeper.attempts()) == number
    assert scene.wallet.meter.total("keeper_tx_attempts_total", answer="replacement_underpriced") == 0
    await scene.sim.set_base_fee(GWEI)
    await scene.mine(keeper)
    await keeper.outcome(price, CONFIRMED)
    assert await scene.is_settled(effects=1, nonces=1)


@pytest.mark.parametrize("percent", [105, 250])
async def test_t08__underpriced_by_one_we_do_not_know__bumped_once_more_at_once_and_no_oftener(
    scene: Scene, percent: int
) -> None:
    keeper = await scene.keeper(bump_blocks=EVERY_BLOCK)
    intent = scene.wallet.intent(1)
    await keeper.inbox.put(intent)
    await keeper.pooled()
    (ours,) = keeper.attempts()
    await scene.sim.drop(ours.hash)
    foreign = Fees(ours.fees.max_fee_wei * percent // 100, ours.fees.tip_wei * percent // 100)
    await scene.pool(await scene.foreign(0, foreign))
    grown = []
    while keeper.tx().last.answer != "accepted" or len(keeper.attempts()) < 2:
        before = len(keeper.attempts())
        await scene.pass_by(keeper)
        grown.append(len(keeper.attempts()) - before)
    assert grown[0] == 2, "refused, and once more at once"
    assert max(grown) == 2
    assert len(grown) == (1 if percent == 105 else 6)
    assert scene.wallet.meter.total("keeper_tx_attempts_total", answer="replacement_underpriced") == sum(grown) - 1
    await scene.mine(keeper)
    await keeper.outcome(intent, CONFIRMED)
    assert await scene.is_settled(effects=1, nonces=1)


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_t35__one_of_three_endpoints_asks_a_hundred_times_as_much__the_median_is_offered(
    scene: Scene, place: int
) -> None:
    scene.sim.endpoints[place].faults.add(fee_outlier(100))
    keeper = await scene.keeper()
    await scene.mine(keeper)
    intent = scene.wallet.intent(1)
    await keeper.inbox.put(intent)
    await keeper.pooled()
    told = await scene.wallet.rpc.call("eth_feeHistory", "0x5", "latest", [50])
    base_fee_wei = int(told["baseFeePerGas"][-1], 16)
    assert keeper.wallet.desk.market.base_fee_wei == base_fee_wei
    fees = keeper.tx().last.fees
    assert fees == opening(FeeMarket(base_fee_wei, keeper.wallet.desk.market.tip_wei), FeeRules())
    assert fees.max_fee_wei < 3 * base_fee_wei + 2 * GWEI
    await scene.mine(keeper)
    await keeper.outcome(intent, CONFIRMED)
    assert scene.sim.record.of("eth_feeHistory", f"node-{place + 1}"), "it was asked"


def _any_market(draw: random.Random) -> FeeMarket:
    """From nothing to hundreds of gwei, most often close to where pools round."""
    scale = 10 ** draw.randint(0, 12)
    return FeeMarket(draw.randint(0, scale), draw.choice((0, draw.randint(0, 20), draw.randint(0, scale))))


def _envelope(fees: Fees) -> Envelope:
    return plain(0, fees.tip_wei, fees.max_fee_wei)
