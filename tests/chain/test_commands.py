"""What an operator orders about pending transactions, on a real chain behind go-ethereum's pool rules."""

from __future__ import annotations

import asyncio

import pytest

from keeper.app.txreason import reason
from keeper.domain.fees import FeeLimit, FeeRules, threshold
from keeper.domain.funds import cost
from keeper.domain.transaction import IntentState, Lane, Purpose, TxState
from keeper.services.outbox.commands import Commands, Declined
from tests.chain.proxy import SEND, proxied
from tests.chain.stage import Keeper, SlowSigner, Stage, eventually

CALM = dict.fromkeys(Lane, 10000)
"""Nothing is bumped by itself: what happens, the operator ordered."""


def orders(keeper: Keeper) -> Commands:
    return Commands(keeper.wallet, keeper.outbox.sender)


async def stuck(stage: Stage, keeper: Keeper, *numbers: int, lane: Lane = Lane.FUNDING) -> list[str]:
    """Puts intents with the node, where nothing is mined; their ids."""
    intents = [stage.intent(number, lane) for number in numbers]
    for intent in intents:
        await keeper.inbox.put(intent)
    desk = keeper.wallet.desk
    await keeper.until(lambda: sum(tx.last.sends > 0 for tx in desk.unmined()) == len(numbers))
    return [intent.id for intent in intents]


async def test_bump__of_a_stuck_one__then_one_dearer_attempt_that_a_pool_takes(manual: Stage) -> None:
    async with proxied(manual.node.url) as node:
        keeper = await manual.keeper(url=node.url, bump_blocks=CALM)
        await stuck(manual, keeper, 1)
        before = keeper.wallet.desk.open[0].last.fees
        done = await orders(keeper).bump(0)
        assert (done.nonce, done.purpose, done.before, done.answer) == (0, Purpose.BUMP, before, "accepted")
        assert done.after is not None
        assert done.after.max_fee_wei >= threshold(before.max_fee_wei, 10)
        assert done.after.tip_wei >= threshold(before.tip_wei, 10)
        assert len(keeper.wallet.desk.open[0].attempts) == 2
        assert not node.refusals
        await manual.mine()
        await eventually(lambda: _counts(manual, 1))
        found = await keeper.outcome(manual.intent(1), IntentState.CONFIRMED)
        assert found.tx_hash == done.tx_hash


async def test_bump__at_the_limit__then_it_says_so_and_signs_nothing(manual: Stage) -> None:
    limits = FeeRules(ceiling_wei=3 * 10**9)
    keeper = await manual.keeper(fees=limits, bump_blocks=CALM)
    await stuck(manual, keeper, 1)
    for _ in range(12):
        done = await orders(keeper).bump(0)
        if done.limit is not None:
            break
    assert done.limit == FeeLimit(done.limit.wanted_wei, 3 * 10**9)
    assert done.limit.wanted_wei > done.limit.limit_wei
    assert all(each.fees.max_fee_wei <= 3 * 10**9 for each in keeper.wallet.desk.open[0].attempts)
    declined = await orders(keeper).cancel(0)
    assert declined.limit is not None
    record = keeper.journal.ledger.intent(manual.intent(1).id)
    assert record is None or record.state is not IntentState.ABANDONED
    assert keeper.wallet.desk.open[0].state is TxState.BROADCAST


async def test_bump__that_the_balance_does_not_do_for__then_it_says_so_and_a_cancellation_still_goes(
    manual: Stage,
) -> None:
    keeper = await manual.keeper(bump_blocks=CALM)
    await stuck(manual, keeper, 1)
    balance_wei = cost(keeper.wallet.desk.open[0].last) * 105 // 100
    await manual.rpc.call("anvil_setBalance", manual.signer.address, hex(balance_wei))
    await keeper.until(lambda: keeper.outbox.status().balance_wei == balance_wei)
    done = await orders(keeper).bump(0)
    assert (done.after, done.limit) == (None, None)
    assert done.short is not None
    assert (done.short.balance_wei, done.short.reserved_wei) == (balance_wei, done.short.cost_wei)
    assert done.short.cost_wei > balance_wei
    assert len(keeper.wallet.desk.open[0].attempts) == 1
    cancelled = await orders(keeper).cancel(0)
    assert (cancelled.purpose, cancelled.answer) == (Purpose.CANCEL, "accepted")


async def test_cancel__then_an_empty_transfer_is_mined_and_the_intent_is_not_started_again(manual: Stage) -> None:
    keeper = await manual.keeper(bump_blocks=CALM)
    (intent_id,) = await stuck(manual, keeper, 1)
    done = await orders(keeper).cancel(0)
    assert (done.purpose, done.answer) == (Purpose.CANCEL, "accepted")
    await manual.mine()
    await eventually(lambda: _mined(manual, 1))
    await keeper.until(lambda: not keeper.wallet.desk.unmined())
    assert manual.log.named("tx.cancelled")
    assert keeper.wallet.outcomes.get(intent_id).state is IntentState.ABANDONED  # type: ignore[union-attr]
    await keeper.inbox.put(manual.intent(1))
    await manual.kill(keeper)
    keeper = await manual.keeper()
    await keeper.inbox.put(manual.intent(1))
    other = manual.intent(2)
    await keeper.inbox.put(other)
    await keeper.until(lambda: len(keeper.wallet.desk.unmined()) == 1)
    await manual.mine()
    await keeper.outcome(other, IntentState.CONFIRMED)
    assert await manual.round() == 2
    assert await manual.mined_nonce() == 2
    assert keeper.journal.ledger.intent(intent_id).state is IntentState.ABANDONED  # type: ignore[union-attr]


async def test_cancel__that_comes_too_late__then_what_was_mined_is_told(manual: Stage) -> None:
    """The first attempt wins: the block takes it, and not the transfer."""
    keeper = await manual.keeper(bump_blocks=CALM)
    await stuck(manual, keeper, 1)
    first = keeper.wallet.desk.open[0].last
    await orders(keeper).cancel(0)
    await manual.rpc.call("anvil_dropAllTransactions")
    await manual.rpc.call("eth_sendRawTransaction", "0x" + first.raw.hex())
    await manual.mine()
    outcome = await keeper.outcome(manual.intent(1), IntentState.CONFIRMED)
    assert outcome.tx_hash == first.hash
    assert await manual.count() == 1


async def test_cancel__killed_before_it_was_signed__then_the_next_start_cancels(manual: Stage) -> None:
    """Only the word is in the journal; the outbox does the rest."""
    keeper = await manual.keeper(bump_blocks=CALM)
    (intent_id,) = await stuck(manual, keeper, 1)
    intent = keeper.wallet.desk.open[0].intent
    assert intent is not None
    keeper.wallet.settle(intent, IntentState.ABANDONED, "taken back by the operator")
    await manual.kill(keeper)
    keeper = await manual.keeper(bump_blocks=CALM)
    await keeper.until(lambda: bool(keeper.wallet.desk.unmined()))
    await keeper.until(lambda: keeper.wallet.desk.open[0].last.purpose is Purpose.CANCEL)
    await keeper.until(lambda: keeper.wallet.desk.open[0].last.sends > 0)
    await manual.mine()
    await keeper.until(lambda: not keeper.wallet.desk.unmined())
    assert await manual.count() == 0
    assert keeper.journal.ledger.intent(intent_id).state is IntentState.ABANDONED  # type: ignore[union-attr]


async def test_cancel__of_a_price__then_a_newer_price_does_not_take_the_nonce_back(manual: Stage) -> None:
    keeper = await manual.keeper()
    price, newer = manual.intent(1, Lane.PRICE), manual.intent(2, Lane.PRICE)
    keeper.prices.put(price.deployment, price)
    await keeper.until(lambda: any(tx.last.sends for tx in keeper.wallet.desk.unmined()))
    await orders(keeper).cancel(0)
    keeper.prices.put(newer.deployment, newer)
    for _ in range(4):
        await manual.mine_without_us()
        height = int(await manual.rpc.call("eth_blockNumber"), 16)
        await keeper.until(lambda height=height: keeper.wallet.desk.block >= height)
    assert keeper.wallet.desk.open[0].last.purpose is Purpose.CANCEL
    assert len(keeper.wallet.desk.open[0].attempts) > 2, "a cancellation is bumped as anything else"
    await manual.mine()
    await keeper.until(lambda: keeper.wallet.desk.is_active(newer.id))
    await keeper.until(lambda: keeper.wallet.desk.open[1].last.sends > 0)
    await manual.mine()
    await keeper.outcome(newer, IntentState.CONFIRMED)


async def test_plunge__of_many__then_all_are_replaced_at_once_and_mined_in_one_block(manual: Stage) -> None:
    async with proxied(manual.node.url) as node:
        keeper = await manual.keeper(url=node.url, bump_blocks=CALM)
        ids = await stuck(manual, keeper, *range(1, 9))
        before = node.calls[SEND]
        done = await orders(keeper).plunge()
        assert [each.nonce for each in done] == list(range(8))
        assert {each.answer for each in done} == {"accepted"}
        assert node.calls[SEND] == before + 8
        assert await orders(keeper).plunge() == []
        await manual.mine()
        await keeper.until(lambda: not keeper.wallet.desk.unmined())
        assert (await manual.mined_nonce(), await manual.count()) == (8, 0)
        states = {keeper.wallet.outcomes.get(each).state for each in ids}  # type: ignore[union-attr]
        assert states == {IntentState.ABANDONED}


async def test_order__about_a_nonce_that_is_not_pending__names_those_that_are(manual: Stage) -> None:
    keeper = await manual.keeper(bump_blocks=CALM)
    await keeper.until(lambda: keeper.wallet.desk.market is not None)
    with pytest.raises(Declined, match="nonce 7 is not pending; nothing is"):
        await orders(keeper).bump(7)
    await stuck(manual, keeper, 1, 2, 3)
    with pytest.raises(Declined, match="nonce 7 is not pending; pending: 2, 1, 0"):
        await orders(keeper).cancel(7)
    await orders(keeper).cancel(1)
    with pytest.raises(Declined, match="is being cancelled already; `keeper tx bump 1`"):
        await orders(keeper).cancel(1)
    assert (await orders(keeper).bump(1)).purpose is Purpose.CANCEL


async def test_orders__while_halted__are_declined_and_send_nothing(manual: Stage) -> None:
    reasons = [""]
    async with proxied(manual.node.url) as node:
        keeper = await manual.keeper(url=node.url, halted=lambda: reasons[0], bump_blocks=CALM)
        await stuck(manual, keeper, 1, 2)
        sent = node.calls[SEND]
        reasons[0] = "halted by the operator"
        with pytest.raises(Declined, match="nothing may be sent now: halted by the operator"):
            await orders(keeper).bump(0)
        with pytest.raises(Declined, match="nothing may be sent now"):
            await orders(keeper).cancel(0)
        with pytest.raises(Declined, match="nothing may be sent now"):
            await orders(keeper).plunge()
        assert node.calls[SEND] == sent
        assert {tx.state for tx in keeper.wallet.desk.unmined()} == {TxState.BROADCAST}


async def test_orders__of_two_people_at_once__then_each_nonce_is_cancelled_once(manual: Stage) -> None:
    keeper = await manual.keeper(bump_blocks=CALM)
    await stuck(manual, keeper, 1, 2)
    both = await asyncio.gather(orders(keeper).plunge(), orders(keeper).plunge())
    assert sorted(len(each) for each in both) == [0, 2]
    assert {len(tx.attempts) for tx in keeper.wallet.desk.unmined()} == {2}


async def _counts(stage: Stage, wanted: int) -> bool:
    return await stage.count() == wanted


async def _mined(stage: Stage, wanted: int) -> bool:
    return await stage.mined_nonce() == wanted


async def test_cancel__with_a_head_while_it_is_signed__then_the_outbox_does_not_cancel_again(manual: Stage) -> None:
    signer = manual.signer = SlowSigner(manual.signer)  # type: ignore[assignment]
    keeper = await manual.keeper(bump_blocks=CALM)
    await stuck(manual, keeper, 1)
    signer.wait_s = 0.5
    ordered = asyncio.create_task(orders(keeper).cancel(0))
    for _ in range(6):
        await manual.mine_without_us()
        await asyncio.sleep(0.1)
    await ordered
    await keeper.until(lambda: keeper.wallet.desk.open[0].last.sends > 0)
    for _ in range(2):
        await manual.mine_without_us()
        height = int(await manual.rpc.call("eth_blockNumber"), 16)
        await keeper.until(lambda height=height: keeper.wallet.desk.block >= height)
    assert [each.purpose for each in keeper.wallet.desk.open[0].attempts] == [Purpose.CALL, Purpose.CANCEL]


async def test_reason__of_what_waits__is_the_outbox_s_own_step_in_a_sentence(manual: Stage) -> None:
    halted = [""]
    keeper = await manual.keeper(bump_blocks=CALM, halted=lambda: halted[0])
    await stuck(manual, keeper, 1, 2)
    first, second = keeper.wallet.desk.unmined()
    due = first.last.signed_block + 10_000
    words = f"the node said accepted; the fee is raised at block {due} if it is not mined by then"
    assert reason(keeper.outbox, first) == ("wait", words)
    assert reason(keeper.outbox, second) == ("wait", f"{words}; nonce 0 has to be mined before it")
    halted[0] = "halt file"
    assert reason(keeper.outbox, first) == ("held", "not sent: halt file; without that: wait")
    halted[0] = ""
    await orders(keeper).cancel(0)
    await manual.mine()
    await keeper.until(lambda: 0 not in {tx.nonce for tx in keeper.wallet.desk.unmined()})
    assert reason(keeper.outbox, keeper.wallet.desk.open[0])[0] == ""
