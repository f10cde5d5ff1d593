"""Nonces that are lost, used by somebody else, or only seem to be."""

from __future__ import annotations

import asyncio

from keeper.devnet.simulator import Simulator
from keeper.devnet.simulator.catalogue import delay, drop_reply, error, hang, null, stale_head
from keeper.domain.fees import GWEI, Fees
from keeper.domain.transaction import IntentState, Lane, Purpose
from tests.scenarios.stage import COUNT, RECEIPT, SEND, Scene

CONFIRMED = IntentState.CONFIRMED


async def test_t09__already_known__counts_as_taken_and_costs_no_second_nonce(scene: Scene) -> None:
    keeper = await scene.keeper()
    scene.everywhere(drop_reply(), {SEND}, times=1)
    intent = scene.wallet.intent(1)
    await keeper.inbox.put(intent)
    await keeper.until(lambda: scene.sent().count(keeper.tx().last.hash) > 3 if keeper.attempts() else False)
    await keeper.until(lambda: keeper.tx().last.answer == "already_known")
    assert len(set(scene.sent())) == 1
    assert keeper.outbox.status().next_nonce == 1
    assert scene.wallet.meter.total("keeper_tx_attempts_total", answer="unknown") == 1
    await scene.mine(keeper)
    await keeper.outcome(intent, CONFIRMED)
    assert await scene.is_settled(effects=1, nonces=1)


async def test_t11__nonce_used_from_outside__orphaned_with_an_alarm_and_done_with_the_next(scene: Scene) -> None:
    keeper = await scene.keeper(orphan_after_blocks=3)
    intent, later = scene.wallet.intent(1), scene.wallet.intent(2)
    await keeper.inbox.put(intent)
    await keeper.pooled()
    await scene.sim.drop(keeper.tx().last.hash)
    await scene.pool(await scene.foreign(0, Fees(100 * GWEI, 10 * GWEI)))
    await scene.mine(keeper)
    assert await scene.wallet.mined_nonce() == 1
    await scene.pass_by(keeper, count=2)
    assert not scene.wallet.log.named("wallet.used_elsewhere")
    while not scene.wallet.log.named("wallet.used_elsewhere"):  # looks that a busy machine did not get are not in a row
        await scene.pass_by(keeper)
    (alarm,) = scene.wallet.log.named("wallet.used_elsewhere")
    assert alarm["nonce"] == 0
    assert ("critical", "wallet.used_elsewhere", alarm) in scene.wallet.log.events
    assert keeper.journal.ledger.unfinished(31337, scene.wallet.signer.address)[0].nonce == 1
    await keeper.inbox.put(later)
    await keeper.pooled(2)
    await scene.mine(keeper)
    for each in (intent, later):
        await keeper.outcome(each, CONFIRMED)
    assert await scene.is_settled(effects=2, nonces=3)


async def test_t12__nonce_too_low_but_ours_was_mined__receipt_found_and_no_alarm(scene: Scene) -> None:
    """Mined as soon as it came, while every answer was late: the count that says so is itself a block behind."""
    keeper = await scene.keeper(send_timeout_s=0.3)
    await scene.mine(keeper)
    scene.sim.chain.automine = True
    scene.everywhere(delay(1.0), {SEND}, times=1)
    scene.everywhere(stale_head(1), {COUNT})
    intent = scene.wallet.intent(1)
    await keeper.inbox.put(intent)
    await keeper.until(lambda: scene.wallet.meter.total("keeper_tx_attempts_total", answer="nonce_too_low") > 0)
    scene.heal()
    assert (await keeper.outcome(intent, CONFIRMED)).tx_hash == scene.sent()[0]
    assert len(set(scene.sent())) == 1
    assert not scene.wallet.log.named("wallet.used_elsewhere")
    assert await scene.is_settled(effects=1, nonces=1)


async def test_t12__reply_lost_at_one_endpoint_and_nonce_too_low_at_the_others__is_not_given_up(scene: Scene) -> None:
    """One endpoint has it mined at once and never says so; the others refuse the same bytes, and lag with receipts."""
    keeper = await scene.keeper(orphan_after_blocks=6)
    await scene.mine(keeper)
    scene.sim.chain.automine = True
    first, *others = scene.sim.endpoints
    first.faults.add(drop_reply(), methods={SEND}, times=1)
    for each in others:
        each.faults.add(delay(0.2, performed=False), methods={SEND}, times=1)
    hidden = scene.everywhere(null(), {RECEIPT})
    intent = scene.wallet.intent(1)
    await keeper.inbox.put(intent)
    await keeper.until(lambda: bool(keeper.attempts()) and keeper.tx().last.sends > 0)
    await keeper.until(lambda: any(each.strikes for each in hidden))
    await keeper.looked(2)
    scene.heal()
    await keeper.outcome(intent, CONFIRMED)
    assert len(set(scene.sent())) == 1
    assert not scene.wallet.log.named("wallet.used_elsewhere")
    assert await scene.is_settled(effects=1, nonces=1)


async def test_t12__killed_before_the_answer_and_refused_after_the_restart__is_not_given_up(scene: Scene) -> None:
    """The journal knows of no send: that the nonce is used may be our own doing."""
    keeper = await scene.keeper()
    await scene.mine(keeper)
    scene.sim.chain.automine = True
    held = scene.everywhere(hang(performed=True), {SEND})
    intent = scene.wallet.intent(1)
    await keeper.inbox.put(intent)
    await asyncio.gather(*(each.holding.wait() for each in held))
    await scene.kill(keeper)
    scene.heal()
    late, hidden = scene.everywhere(stale_head(1), {COUNT}), scene.everywhere(null(), {RECEIPT})
    keeper = await scene.keeper(resend_after_s=60.0)
    await keeper.until(lambda: bool(keeper.attempts()) and keeper.tx().last.answer == "nonce_too_low")
    for each in late:
        each.clear()
    await keeper.until(lambda: any(each.strikes for each in hidden))
    await keeper.looked(2)
    scene.heal()
    await keeper.outcome(intent, CONFIRMED)
    assert len(set(scene.sent())) == 1
    assert not scene.wallet.log.named("wallet.used_elsewhere")
    assert await scene.is_settled(effects=1, nonces=1)


async def test_t13__middle_nonce_dropped__sent_again_with_the_next_block(scene: Scene) -> None:
    keeper = await scene.keeper(resend_after_s=60.0, bump_blocks=dict.fromkeys(Lane, 100))
    intents = [scene.wallet.intent(number) for number in (1, 2, 3)]
    for intent in intents:
        await keeper.inbox.put(intent)
    await keeper.pooled(3)
    hashes = [keeper.tx(nonce).last.hash for nonce in range(3)]
    await scene.sim.drop(hashes[1])
    assert await scene.mine(keeper) == (hashes[0],)
    await keeper.until(lambda: _pending(scene.sim) == 2)
    assert set(await scene.mine(keeper)) >= set(hashes[1:]), "the same bytes"
    for intent in intents:
        await keeper.outcome(intent, CONFIRMED)
    assert await scene.is_settled(effects=3, nonces=3)


async def test_t13__nonce_that_no_node_will_ever_take__filled_within_a_block(scene: Scene) -> None:
    keeper = await scene.keeper(tick_s=60.0)
    await keeper.until(lambda: keeper.wallet.desk.market is not None)
    first, second = scene.wallet.intent(1), scene.wallet.intent(2)
    scene.everywhere(error(-32000, "txpool is full"), {SEND}, times=1)
    await keeper.inbox.put(first)
    await keeper.until(lambda: bool(keeper.attempts()) and keeper.tx().last.sends == 1)
    await keeper.inbox.put(second)
    await keeper.until(lambda: bool(keeper.attempts(1)) and keeper.tx(1).last.sends == 1)
    scene.everywhere(error(-32000, "intrinsic gas too low"), {SEND}, times=1)
    await scene.pass_by(keeper)
    await keeper.outcome(first, IntentState.REJECTED)
    await keeper.pooled(2)
    assert keeper.tx(0).last.purpose is Purpose.CANCEL
    await scene.mine(keeper)
    await keeper.outcome(second, CONFIRMED)
    assert await scene.is_settled(effects=1, nonces=2)


def _pending(sim: Simulator) -> int:
    return sum(map(len, sim.pool.pending().values()))
