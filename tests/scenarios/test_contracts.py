"""Mined, but not as meant: somebody was first, the contract refused, or it did nothing."""

from __future__ import annotations

from eth_utils.address import to_checksum_address

from keeper.domain.fees import GWEI
from keeper.domain.time import SECOND
from keeper.domain.transaction import IntentState, may_start
from tests.chain.stage import selector
from tests.scenarios.stage import Scene
from tests.simulator.bench import Signer


async def test_t22__somebody_was_first_in_the_same_block__lost_race_and_no_failure(scene: Scene) -> None:
    keeper = await scene.keeper()
    intent = scene.wallet.intent(7)
    await keeper.inbox.put(intent)
    await keeper.pooled()
    rival = Signer(5)
    await scene.sim.fund(rival.address, 10**19)
    data = "0x" + (selector("record(uint256)") + (7).to_bytes(32, "big")).hex()
    raw = rival.raw(0, tip=50 * GWEI, to=to_checksum_address(scene.wallet.counter), data=data, gas=200_000)
    first = await scene.sim.chain.submit(bytes.fromhex(raw[2:]))
    assert await scene.mine(keeper) == (first, keeper.tx().last.hash), "the dearer one first, both in one block"
    outcome = await keeper.outcome(intent, IntentState.LOST_RACE)
    assert (outcome.receipt.status, outcome.reason) == (0, "RoundNotNewer")
    assert keeper.wallet.ledger.intent(intent.id).failures == 0
    assert not [event for level, event, _ in scene.wallet.log.events if level in ("error", "critical")]
    assert await scene.is_settled(effects=1, nonces=1)


async def test_t23__the_contract_refuses__named_and_tried_again_after_growing_pauses(scene: Scene) -> None:
    keeper = await scene.keeper()
    intent = scene.wallet.intent(1, function="refuse")
    for failures in (1, 2):
        while not may_start(keeper.wallet.ledger.intent(intent.id), keeper.wallet.clock.now()):
            await keeper.looked()
        await keeper.inbox.put(intent)
        await keeper.pooled()
        await scene.mine(keeper)
        outcome = await keeper.outcome(intent, IntentState.REVERTED)
        assert outcome.reason == "0x" + selector("Refused()").hex()
        record = keeper.wallet.ledger.intent(intent.id)
        assert record.failures == failures
        pause = 2**failures * SECOND
        assert not may_start(record, record.changed_at + pause - 1)
        assert may_start(record, record.changed_at + pause)
    await keeper.inbox.put(intent)
    await keeper.looked(2)
    assert len(scene.sent()) == 2 * 3, "not while it is held back"
    assert len(scene.wallet.log.named("tx.reverted")) == 2
    assert scene.wallet.meter.total("keeper_tx_total", outcome="reverted") == 2


async def test_t24__success_without_the_event__is_a_failure(scene: Scene) -> None:
    keeper = await scene.keeper()
    intent = scene.wallet.intent(1, function="pretend")
    await keeper.inbox.put(intent)
    await keeper.pooled()
    await scene.mine(keeper)
    outcome = await keeper.outcome(intent, IntentState.NO_EFFECT)
    assert outcome.receipt.status == 1
    assert keeper.wallet.ledger.intent(intent.id).failures == 1
    assert scene.wallet.log.named("tx.reverted")[0]["reason"] == "no_effect"
    assert await scene.is_settled(effects=0, nonces=1)
