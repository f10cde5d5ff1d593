"""One transaction on its way: sent once, bumped, mined in whichever form, forgotten by the pool."""

from __future__ import annotations

from keeper.devnet.simulator.catalogue import error
from keeper.domain.chain import FeeMarket
from keeper.domain.fees import GWEI, replacement
from keeper.domain.transaction import IntentState
from tests.scenarios.stage import SEND, Scene

CONFIRMED = IntentState.CONFIRMED


async def test_t01__happy_path__one_attempt_confirmed_at_n_and_never_wanted_again(scene: Scene) -> None:
    keeper = await scene.keeper(confirmations=3)
    intent = scene.wallet.intent(1, gas_limit=None)
    await keeper.inbox.put(intent)
    await keeper.pooled()
    await scene.mine(keeper)
    await keeper.outcome(intent, IntentState.MINED)
    await scene.mine(keeper)
    assert keeper.wallet.outcomes.get(intent.id).state is IntentState.MINED, "two blocks are not three"
    await scene.mine(keeper)
    await keeper.outcome(intent, CONFIRMED)
    assert len(keeper.attempts()) == 1
    assert scene.sent() == [keeper.tx().last.hash] * 3, "once to each endpoint"
    await keeper.inbox.put(intent)
    await keeper.looked(2)
    await scene.kill(keeper)
    stranger = await scene.keeper(await _without_a_journal(scene))
    await stranger.inbox.put(intent)
    await stranger.outcome(intent, IntentState.LOST_RACE)
    assert len(scene.sent()) == 3, "the journal knows, and without one the chain does"
    assert await scene.is_settled(effects=1, nonces=1)


async def test_t02__stuck__bumped_at_the_same_nonce_and_mined_in_its_newest_form(scene: Scene) -> None:
    keeper = await scene.keeper()
    intent = scene.wallet.intent(1)
    await keeper.inbox.put(intent)
    await keeper.pooled()
    markets: list[FeeMarket] = []
    while len(keeper.attempts()) < 3:
        count = len(keeper.attempts())
        await scene.pass_by(keeper)
        markets += [keeper.wallet.desk.market] * (len(keeper.attempts()) - count)
    for older, newer, market in zip(keeper.attempts(), keeper.attempts()[1:], markets, strict=False):
        assert newer.fees == replacement(older.fees, max(market.tip_wei, GWEI // 1000), market.base_fee_wei, 10)
        assert newer.signed_block - older.signed_block == keeper.wallet.rules.bump_blocks[intent.lane]
    last = keeper.tx().last
    assert await scene.mine(keeper) == (last.hash,)
    assert (await keeper.outcome(intent, CONFIRMED)).tx_hash == last.hash
    assert await scene.is_settled(effects=1, nonces=1)


async def test_t03__first_attempt_mined_although_bumped__receipt_found_by_the_old_hash(scene: Scene) -> None:
    keeper = await scene.keeper()
    intent = scene.wallet.intent(1)
    await keeper.inbox.put(intent)
    await keeper.pooled()
    scene.everywhere(error(-32000, "txpool is full"), {SEND})
    while len(keeper.attempts()) < 2:
        await scene.pass_by(keeper)
    first, second = keeper.attempts()
    assert await scene.mine(keeper) == (first.hash,)
    assert (await keeper.outcome(intent, CONFIRMED)).tx_hash == first.hash != second.hash
    assert await scene.is_settled(effects=1, nonces=1)


async def test_t05__eviction__the_same_bytes_again_within_the_time_to_resend(scene: Scene) -> None:
    keeper = await scene.keeper()
    intent = scene.wallet.intent(1)
    await keeper.inbox.put(intent)
    await keeper.pooled()
    tx_hash = keeper.tx().last.hash
    assert await scene.sim.drop(tx_hash)
    await keeper.until(lambda: tx_hash in scene.sim.pool.hashes())
    first, again = (scene.sim.record.of(SEND, "node-1")[place].at_s for place in (0, 1))
    rules = keeper.wallet.rules
    assert again - first < rules.resend_after_s + rules.tick_s + 0.5, "half a second for a busy machine"
    assert set(scene.sent()) == {tx_hash}
    await scene.mine(keeper)
    await keeper.outcome(intent, CONFIRMED)


async def _without_a_journal(scene: Scene):
    wallet = await scene.another_wallet(2)
    wallet.signer = scene.wallet.signer
    return wallet
