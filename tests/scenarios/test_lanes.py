"""What goes first, what takes whose place, what comes too late, and what does not go at all."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from keeper.domain.transaction import IntentState, Lane, Purpose
from tests.chain.stage import DEPLOYMENT
from tests.scenarios.stage import Scene, Sender

CONFIRMED = IntentState.CONFIRMED
EVERY_BLOCK = dict.fromkeys(Lane, 1)


@dataclass
class Switch:
    reason: str = ""

    def read(self) -> str:
        return self.reason


async def test_t25__fifty_housekeeping_before_it__the_price_is_in_the_next_block(scene: Scene) -> None:
    treasury = await scene.another_wallet(2)
    keeper, sweeper = await scene.keeper(), await scene.keeper(treasury)
    sweeps = [treasury.intent(number, Lane.HOUSEKEEPING, function="pretend") for number in range(50)]
    for each in sweeps:
        await sweeper.inbox.put(each)
    await sweeper.pooled(14)
    price = scene.wallet.intent(1, Lane.PRICE)
    keeper.prices.put(DEPLOYMENT, price)
    await keeper.pooled()
    assert keeper.tx().last.hash in await scene.mine(keeper, sweeper)
    await keeper.outcome(price, CONFIRMED)
    while (mined := await treasury.mined_nonce()) < 50:
        await sweeper.pooled(min(14, 50 - mined))
        await scene.mine(sweeper)
    for each in sweeps:
        await sweeper.outcome(each, IntentState.NO_EFFECT)


async def test_t25__on_the_same_wallet__seats_are_kept_for_the_price(scene: Scene) -> None:
    keeper = await scene.keeper()
    for number in range(50):
        await keeper.inbox.put(scene.wallet.intent(number, Lane.HOUSEKEEPING, function="pretend"))
    await keeper.pooled(14)
    price = scene.wallet.intent(1, Lane.PRICE)
    keeper.prices.put(DEPLOYMENT, price)
    await keeper.pooled(15)
    await scene.mine(keeper)
    await keeper.outcome(price, CONFIRMED)


async def test_t26__five_prices_while_nothing_is_mined__one_nonce_and_the_last_is_mined(scene: Scene) -> None:
    keeper = await scene.keeper(bump_blocks=EVERY_BLOCK)
    prices = [scene.wallet.intent(number, Lane.PRICE) for number in range(1, 6)]
    for count, price in enumerate(prices, 1):
        keeper.prices.put(DEPLOYMENT, price)
        await keeper.until(lambda price=price, count=count: count > 1 or keeper.wallet.desk.is_active(price.id))
        if count > 1:
            await scene.pass_by(keeper)
        await keeper.pooled()
    assert [each.intent for each in keeper.attempts()] == prices
    assert keeper.outbox.status().next_nonce == 1
    assert await scene.mine(keeper) == (keeper.tx().last.hash,)
    await keeper.outcome(prices[-1], CONFIRMED)
    assert {keeper.wallet.outcomes.get(each.id).state for each in prices[:-1]} == {IntentState.SUPERSEDED}
    assert await scene.wallet.round() == 5
    assert await scene.is_settled(effects=1, nonces=1)


async def test_t27__deadline_passed_while_unmined__cancelled_at_the_same_nonce(scene: Scene) -> None:
    keeper = await scene.keeper()
    await keeper.until(lambda: keeper.wallet.desk.market is not None)
    intent = scene.wallet.intent(1, deadline_s=0.6)
    await keeper.inbox.put(intent)
    await keeper.pooled()
    await keeper.attempted(2)
    await keeper.pooled()
    (pooled,) = (scene.sim.pool.get(each) for each in scene.sim.pool.hashes())
    own = scene.wallet.signer.address
    assert (pooled.nonce, pooled.to.lower(), pooled.value, pooled.data) == (0, own, 0, b"")
    assert keeper.tx().last.purpose is Purpose.CANCEL
    await scene.sim.rpc.call("evm_increaseTime", 5)  # past the deadline by its stamp, whatever second we counted to
    assert await scene.mine(keeper) == (pooled.hash,)
    await keeper.outcome(intent, IntentState.EXPIRED)
    assert await scene.is_settled(effects=0, nonces=1)


@pytest.mark.parametrize("switch", ["dry run", "kill switch"])
async def test_t31__nothing_may_be_sent__no_endpoint_sees_a_transaction_of_any_lane(scene: Scene, switch: str) -> None:
    on = Switch("ordered" if switch == "kill switch" else "")
    keeper = await scene.keeper(halted=on.read, dry_run=switch == "dry run", bump_blocks=EVERY_BLOCK)
    await scene.mine(keeper)
    await _want_every_lane(scene, keeper)
    await scene.pass_by(keeper, count=4)
    await keeper.looked(2)
    assert scene.sent() == []
    assert keeper.journal.ledger.next_nonce(31337, scene.wallet.signer.address) is None, "nothing is signed either"


async def test_t31__kill_switch_in_the_middle__stops_bumps_resends_cancellations_and_fillers(scene: Scene) -> None:
    on = Switch()
    keeper = await scene.keeper(halted=on.read, bump_blocks=EVERY_BLOCK, resend_after_s=0.1)
    await scene.mine(keeper)
    await keeper.inbox.put(scene.wallet.intent(1, deadline_s=2.0))
    await keeper.inbox.put(scene.wallet.intent(2, Lane.HOUSEKEEPING))
    await keeper.pooled(2)
    on.reason = "ordered"
    await keeper.looked(1)
    scene.sim.record.clear()
    await scene.sim.drop(keeper.tx(0).last.hash)
    await _want_every_lane(scene, keeper)
    while keeper.wallet.clock.now() < keeper.tx(0).intent.deadline:
        await scene.pass_by(keeper)
    await scene.pass_by(keeper, count=2)
    await keeper.looked(2)
    assert scene.sent() == []
    on.reason = ""
    await scene.pass_by(keeper)
    await keeper.until(lambda: len(scene.sent()) > 0)


async def _want_every_lane(scene: Scene, keeper: Sender) -> None:
    for number, lane in enumerate(Lane, 11):
        if lane is Lane.PRICE:
            keeper.prices.put(DEPLOYMENT, scene.wallet.intent(number, lane))
        else:
            await keeper.inbox.put(scene.wallet.intent(number, lane))
