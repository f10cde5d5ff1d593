"""Blocks that are taken back, with their transactions in the pool again, mined elsewhere or lost."""

from __future__ import annotations

import pytest

from keeper.devnet.simulator import Fate
from keeper.domain.fees import GWEI
from keeper.domain.transaction import IntentState, Lane
from tests.chain.stage import DEPLOYMENT
from tests.scenarios.stage import Scene

CONFIRMED = IntentState.CONFIRMED
CONFIRMATIONS = 3


@pytest.mark.parametrize("fate", [Fate.POOLED, Fate.LOST])
@pytest.mark.parametrize("depth", [1, 2, CONFIRMATIONS])
async def test_t16__reorg__receipt_removed_and_sent_again_and_done_only_at_n(
    scene: Scene, depth: int, fate: Fate
) -> None:
    keeper = await scene.keeper(confirmations=CONFIRMATIONS)
    await scene.mine(keeper, count=3)
    intent = scene.wallet.intent(1)
    await keeper.inbox.put(intent)
    await keeper.pooled()
    for _ in range(depth):
        await scene.mine(keeper)
    mined = await keeper.outcome(intent, CONFIRMED if depth == CONFIRMATIONS else IntentState.MINED)
    await scene.sim.reorg(depth, fate)
    await keeper.outcome(intent, IntentState.ACTIVE)
    assert keeper.tx().receipt is None
    await keeper.until(lambda: mined.tx_hash in scene.sim.pool.hashes())
    assert await scene.wallet.count() == 0
    await scene.mine(keeper)
    again = await keeper.outcome(intent, IntentState.MINED)
    assert again.tx_hash == mined.tx_hash
    assert again.receipt.block_hash != mined.receipt.block_hash
    for _ in range(CONFIRMATIONS - 1):
        assert keeper.wallet.outcomes.get(intent.id).state is IntentState.MINED
        await scene.mine(keeper)
    await keeper.outcome(intent, CONFIRMED)
    assert scene.wallet.meter.total("keeper_tx_reorged_total") == 1
    assert await scene.is_settled(effects=1, nonces=1)


async def test_t16__reorg_that_mines_it_elsewhere__the_new_receipt_counts(scene: Scene) -> None:
    keeper = await scene.keeper(confirmations=CONFIRMATIONS)
    await scene.mine(keeper)
    intent = scene.wallet.intent(1)
    await keeper.inbox.put(intent)
    await keeper.pooled()
    await scene.mine(keeper)
    await scene.mine(keeper)
    first = await keeper.outcome(intent, IntentState.MINED)
    sent = len(scene.sent())
    await scene.sim.reorg(2, Fate.MINED)
    await keeper.until(lambda: keeper.tx().receipt not in (None, first.receipt))
    await scene.mine(keeper)
    found = await keeper.outcome(intent, CONFIRMED)
    assert found.tx_hash == first.tx_hash
    assert found.receipt.block_hash != first.receipt.block_hash
    assert len(scene.sent()) == sent, "nothing had to be sent again"
    assert await scene.is_settled(effects=1, nonces=1)


async def test_t17__reorg_swaps_price_and_funding__the_contract_decides_and_nothing_happens_twice(
    scene: Scene,
) -> None:
    """Each from a wallet of its own, so that no nonce keeps their order. The round that comes second is too old."""
    cranker = await scene.another_wallet(2)
    pusher, other = await scene.keeper(confirmations=4), await scene.keeper(cranker, confirmations=4)
    await scene.mine(pusher, other)
    price, funding = scene.wallet.intent(1, Lane.PRICE), cranker.intent(2, Lane.FUNDING)
    pusher.prices.put(DEPLOYMENT, price)
    await pusher.pooled()
    await scene.mine(pusher, other)
    await other.inbox.put(funding)
    await other.pooled()
    await scene.mine(pusher, other)
    await pusher.outcome(price, IntentState.MINED)
    await other.outcome(funding, IntentState.MINED)
    assert await scene.wallet.count() == 2
    raws = ["0x" + each.tx().last.raw.hex() for each in (pusher, other)]
    async with scene.sim.chain.turn:
        await scene.sim.chain.replace(2, [(raws[1], 0), (raws[0], 1)], [])
    await scene.mine(pusher, other)
    await pusher.outcome(price, IntentState.LOST_RACE)
    await scene.mine(pusher, other)
    await scene.mine(pusher, other)
    await other.outcome(funding, CONFIRMED)
    assert (await scene.wallet.count(), await scene.wallet.round()) == (1, 2)
    assert await scene.is_settled(effects=1, nonces=1)
    assert await scene.is_settled(effects=1, nonces=1, wallet=cranker)


async def test_t18__reorg_deeper_than_finality__halts_the_wallet_with_an_alarm(scene: Scene) -> None:
    keeper = await scene.keeper(finality_blocks=3)
    await scene.mine(keeper, count=2)
    intent = scene.wallet.intent(1)
    await keeper.inbox.put(intent)
    await keeper.pooled()
    for _ in range(3):
        await scene.mine(keeper)
    await keeper.outcome(intent, CONFIRMED)
    await keeper.until(lambda: not keeper.wallet.desk.open)
    await scene.sim.set_base_fee(GWEI)
    sent = len(scene.sent())
    await scene.sim.reorg(5, Fate.LOST)
    await keeper.until(lambda: keeper.outbox.status().paused == "chain_behind_journal")
    (alarm,) = scene.wallet.log.named("wallet.paused")
    assert ("error", "wallet.paused", alarm) in scene.wallet.log.events
    for number, lane in enumerate(Lane, 2):
        await keeper.inbox.put(scene.wallet.intent(number, lane))
    keeper.prices.put(DEPLOYMENT, scene.wallet.intent(9, Lane.PRICE))
    await scene.mine(keeper)
    await keeper.looked(2)
    assert len(scene.sent()) == sent
    assert not keeper.wallet.desk.open
