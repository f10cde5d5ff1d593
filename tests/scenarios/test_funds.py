"""A wallet that cannot pay: for anything, or only for the higher bid."""

from __future__ import annotations

from keeper.domain.transaction import IntentState
from tests.scenarios.stage import Scene

CONFIRMED = IntentState.CONFIRMED
REFILL = 10**20


async def test_t14__no_funds__paused_with_an_alarm_and_resumed_by_itself_at_the_same_nonce(scene: Scene) -> None:
    await scene.sim.fund(scene.wallet.signer.address, 0)
    keeper = await scene.keeper()
    first, second = scene.wallet.intent(1), scene.wallet.intent(2)
    await keeper.inbox.put(first)
    await keeper.until(lambda: keeper.outbox.status().paused == "insufficient_funds")
    await keeper.inbox.put(second)
    await scene.pass_by(keeper, count=3)
    assert len(set(scene.sent())) == 1, "the same bytes at each block, no bump, and nothing new"
    assert len(scene.sent()) >= 3 * 3
    (alarm,) = scene.wallet.log.named("wallet.paused")
    assert ("error", "wallet.paused", alarm) in scene.wallet.log.events
    await scene.sim.fund(scene.wallet.signer.address, REFILL)
    await scene.pass_by(keeper)
    await keeper.pooled(2)
    await scene.mine(keeper)
    assert (await keeper.outcome(first, CONFIRMED)).tx_hash == scene.sent()[0]
    await keeper.outcome(second, CONFIRMED)
    assert keeper.outbox.status().paused == ""
    assert await scene.is_settled(effects=2, nonces=2)


async def test_t14__funds_gone_while_it_waits__all_is_mined_after_the_refill(scene: Scene) -> None:
    """geth's pool throws out what can no longer be paid."""
    keeper = await scene.keeper()
    first, second = scene.wallet.intent(1), scene.wallet.intent(2)
    await keeper.inbox.put(first)
    await keeper.pooled()
    await scene.sim.fund(scene.wallet.signer.address, 0)
    assert not scene.sim.pool.hashes()
    await keeper.inbox.put(second)
    await scene.pass_by(keeper, count=4)
    assert keeper.outbox.status().paused == "insufficient_funds"
    await scene.sim.fund(scene.wallet.signer.address, REFILL)
    await scene.pass_by(keeper, count=2)
    await keeper.until(lambda: len(scene.sim.pool.hashes()) == 2)
    await scene.mine(keeper)
    for each in (first, second):
        await keeper.outcome(each, CONFIRMED)
    assert await scene.is_settled(effects=2, nonces=2)


async def test_t15__funds_for_all_but_the_bump__the_first_attempt_stays_valid(scene: Scene) -> None:
    keeper = await scene.keeper()
    intent = scene.wallet.intent(1)
    await keeper.inbox.put(intent)
    await keeper.pooled()
    (first,) = keeper.attempts()
    await scene.sim.fund(scene.wallet.signer.address, first.gas_limit * first.fees.max_fee_wei * 105 // 100)
    while len(keeper.attempts()) < 2:
        await scene.pass_by(keeper)
    await keeper.until(lambda: keeper.tx().last.answer == "insufficient_funds")
    assert keeper.outbox.status().paused == ""
    assert scene.sim.pool.hashes() == [first.hash]
    assert await scene.mine(keeper) == (first.hash,)
    assert (await keeper.outcome(intent, CONFIRMED)).tx_hash == first.hash
    assert await scene.is_settled(effects=1, nonces=1)
