"""A wallet that cannot pay: for anything, for all of it at once, or only for the higher bid.

The keeper compares what it reserves with the balance. Where no endpoint tells that, the nodes' refusals count.
"""

from __future__ import annotations

from keeper.devnet.simulator.faults import Error
from keeper.domain.funds import cost
from keeper.domain.transaction import IntentState, Lane, Purpose
from tests.chain.stage import DEPLOYMENT
from tests.scenarios.stage import Scene

CONFIRMED = IntentState.CONFIRMED
REFILL = 10**20
UNTOLD = Error("no balances", -32601, "the method eth_getBalance does not exist/is not available")
NEVER_BUMPED = dict.fromkeys(Lane, 1000)


def hide_balances(scene: Scene) -> None:
    scene.everywhere(UNTOLD, {"eth_getBalance"})


async def test_t14__no_funds__paused_with_an_alarm_and_resumed_by_itself_at_the_same_nonce(scene: Scene) -> None:
    hide_balances(scene)
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
    assert keeper.outbox.status().balance_wei is None
    assert await scene.is_settled(effects=2, nonces=2)


async def test_t14__balance_known_to_be_nothing__not_even_signed_and_resumed_by_itself(scene: Scene) -> None:
    await scene.sim.fund(scene.wallet.signer.address, 0)
    keeper = await scene.keeper()
    await keeper.until(lambda: keeper.outbox.status().balance_wei == 0)
    intents = [scene.wallet.intent(number) for number in (1, 2)]
    for each in intents:
        await keeper.inbox.put(each)
    await keeper.until(lambda: keeper.outbox.status().paused == "balance_reserved")
    await scene.pass_by(keeper, count=3)
    assert scene.sent() == []
    assert keeper.journal.ledger.next_nonce(31337, scene.wallet.signer.address) is None, "nothing is signed either"
    (alarm,) = scene.wallet.log.named("wallet.short")
    assert ("error", "wallet.short", alarm) in scene.wallet.log.events
    assert scene.wallet.meter.total("keeper_wallet_paused") == 1
    await scene.sim.fund(scene.wallet.signer.address, REFILL)
    await scene.pass_by(keeper)
    await keeper.pooled(2)
    await scene.mine(keeper)
    for each in intents:
        await keeper.outcome(each, CONFIRMED)
    await keeper.until(lambda: keeper.outbox.status().paused == "")
    assert len(scene.wallet.log.named("wallet.funded")) == 1
    assert scene.wallet.meter.total("keeper_wallet_paused") == 0
    assert await scene.is_settled(effects=2, nonces=2)


async def test_t14__funds_gone_while_it_waits__all_is_mined_after_the_refill(scene: Scene) -> None:
    """geth's pool throws out what can no longer be paid."""
    hide_balances(scene)
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


async def test_t14__funds_seen_to_be_gone__what_is_under_way_is_offered_again_and_the_next_waits(scene: Scene) -> None:
    keeper = await scene.keeper()
    first, second = scene.wallet.intent(1), scene.wallet.intent(2)
    await keeper.inbox.put(first)
    await keeper.pooled()
    await scene.sim.fund(scene.wallet.signer.address, 0)
    await keeper.until(lambda: keeper.outbox.status().balance_wei == 0)
    await keeper.inbox.put(second)
    await scene.pass_by(keeper, count=4)
    assert keeper.outbox.status().paused == "balance_reserved"
    assert len(set(scene.sent())) == 1
    await scene.sim.fund(scene.wallet.signer.address, REFILL)
    await scene.pass_by(keeper, count=2)
    await keeper.until(lambda: len(scene.sim.pool.hashes()) == 2)
    await scene.mine(keeper)
    for each in (first, second):
        await keeper.outcome(each, CONFIRMED)
    assert await scene.is_settled(effects=2, nonces=2)


async def test_t25__funds_for_one_at_a_time__a_price_that_fits_does_not_wait_and_a_sweep_does(scene: Scene) -> None:
    keeper = await scene.keeper(bump_blocks=NEVER_BUMPED)
    wallet = scene.wallet
    first, second = wallet.intent(1), wallet.intent(2)
    await keeper.inbox.put(first)
    await keeper.pooled()
    balance_wei = cost(keeper.tx().last) * 3 // 2
    await scene.sim.fund(wallet.signer.address, balance_wei)
    await keeper.until(lambda: keeper.outbox.status().balance_wei == balance_wei)
    await keeper.inbox.put(second)
    await keeper.until(lambda: keeper.outbox.status().paused == "balance_reserved")
    await keeper.inbox.put(wallet.intent(7, Lane.HOUSEKEEPING, gas_limit=50_000))
    price = wallet.intent(3, Lane.PRICE, gas_limit=80_000)
    keeper.prices.put(DEPLOYMENT, price)
    await keeper.pooled(2)
    await scene.pass_by(keeper, count=2)
    assert [tx.intent for tx in keeper.wallet.desk.unmined()] == [first, price], (
        "the sweep would take what second waits for"
    )
    assert keeper.outbox.status().reserved_wei == sum(cost(keeper.tx(nonce).last) for nonce in (0, 1))
    assert len(wallet.log.named("wallet.short")) == 1
    await scene.mine(keeper)
    await keeper.until(lambda: keeper.outbox.status().paused == "")
    assert keeper.tx(2).intent == second
    assert not wallet.log.named("tx.refused"), "no node ever had to say no"


async def test_t25__one_that_the_balance_never_does_for__keeps_nobody_waiting(scene: Scene) -> None:
    keeper = await scene.keeper(bump_blocks=NEVER_BUMPED)
    wallet = scene.wallet
    await keeper.inbox.put(wallet.intent(1, gas_limit=100_000))
    await keeper.pooled()
    await scene.mine(keeper)
    balance_wei = cost(keeper.tx().last) * 3
    await scene.sim.fund(wallet.signer.address, balance_wei)
    await keeper.until(lambda: keeper.outbox.status().balance_wei == balance_wei)
    giant, small = wallet.intent(2, Lane.LIQUIDATION, gas_limit=10**6), wallet.intent(3, gas_limit=100_000)
    await keeper.inbox.put(giant)
    await keeper.until(lambda: keeper.outbox.status().paused == "balance_reserved")
    await keeper.inbox.put(small)
    await keeper.pooled()
    await scene.mine(keeper)
    await keeper.outcome(small, CONFIRMED)
    assert keeper.outbox.status().paused == "balance_reserved"
    await scene.sim.fund(wallet.signer.address, REFILL)
    await scene.pass_by(keeper)
    await keeper.pooled()
    assert keeper.tx(2).intent == giant


async def test_t15__funds_for_all_but_the_bump__the_first_attempt_stays_valid(scene: Scene) -> None:
    hide_balances(scene)
    keeper = await scene.keeper()
    intent = scene.wallet.intent(1)
    await keeper.inbox.put(intent)
    await keeper.pooled()
    (first,) = keeper.attempts()
    await scene.sim.fund(scene.wallet.signer.address, cost(first) * 105 // 100)
    while len(keeper.attempts()) < 2:
        await scene.pass_by(keeper)
    await keeper.until(lambda: keeper.tx().last.answer == "insufficient_funds")
    assert keeper.outbox.status().paused == ""
    assert scene.sim.pool.hashes() == [first.hash]
    assert await scene.mine(keeper) == (first.hash,)
    assert (await keeper.outcome(intent, CONFIRMED)).tx_hash == first.hash
    assert await scene.is_settled(effects=1, nonces=1)


async def test_t15__balance_known_not_to_do_for_the_bump__the_same_bytes_again_and_counted(scene: Scene) -> None:
    keeper = await scene.keeper()
    intent, counted = scene.wallet.intent(1), lambda: scene.wallet.meter.total("keeper_tx_funds_limit_total")
    await keeper.inbox.put(intent)
    await keeper.pooled()
    (first,) = keeper.attempts()
    balance_wei = cost(first) * 105 // 100
    await scene.sim.fund(scene.wallet.signer.address, balance_wei)
    await keeper.until(lambda: keeper.outbox.status().balance_wei == balance_wei)
    scene.sim.record.clear()
    while counted() < 3:
        await scene.pass_by(keeper)
    assert keeper.attempts() == (keeper.tx().last,), "no other form was signed"
    assert set(scene.sent()) == {first.hash}
    assert len(scene.wallet.log.named("tx.funds_limited")) == 1
    assert keeper.outbox.status().paused == ""
    await scene.sim.fund(scene.wallet.signer.address, REFILL)
    while len(keeper.attempts()) < 2:
        await scene.pass_by(keeper)
    await keeper.pooled()
    assert keeper.tx().last.answer == "accepted"
    await scene.mine(keeper)
    await keeper.outcome(intent, CONFIRMED)
    assert await scene.is_settled(effects=1, nonces=1)


async def test_t15__balance_known_not_to_do_for_a_newer_price__the_older_one_stays_and_is_cancelled_when_late(
    scene: Scene,
) -> None:
    keeper = await scene.keeper(bump_blocks=dict.fromkeys(Lane, 1))
    await keeper.until(lambda: keeper.outbox.status().balance_wei is not None)
    older = scene.wallet.intent(1, Lane.PRICE, deadline_s=3.0)
    keeper.prices.put(DEPLOYMENT, older)
    await keeper.pooled()
    (first,) = keeper.attempts()
    balance_wei = cost(first) * 105 // 100
    await scene.sim.fund(scene.wallet.signer.address, balance_wei)
    await keeper.until(lambda: keeper.outbox.status().balance_wei == balance_wei)
    newer = scene.wallet.intent(2, Lane.PRICE)
    keeper.prices.put(DEPLOYMENT, newer)
    while len(keeper.attempts()) < 2:
        await scene.pass_by(keeper)
    assert {each.purpose for each in keeper.attempts()} == {Purpose.CALL, Purpose.CANCEL}, "the newer one is not signed"
    await keeper.pooled()
    await scene.sim.fund(scene.wallet.signer.address, REFILL)
    await scene.pass_by(keeper, count=2)
    await keeper.pooled()
    await scene.mine(keeper)
    await keeper.outcome(newer, CONFIRMED)
    assert await scene.is_settled(effects=1, nonces=1)
