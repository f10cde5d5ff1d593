"""The outbox on a real chain: what is wanted once happens once, whatever the pool and the chain do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from keeper.adapters.encoding.keccak import keccak
from keeper.adapters.signers.curve import signing_key
from keeper.adapters.signers.key_signer import KeySigner
from keeper.domain.chain import Call
from keeper.domain.fees import GWEI, FeeRules
from keeper.domain.funds import cost
from keeper.domain.transaction import Intent, IntentState, Lane, TxState
from keeper.errors import AlreadyRunning
from keeper.ports.signer import UnsignedTransaction
from keeper.services.outbox import Outbox
from tests.chain.proxy import proxied
from tests.chain.stage import CHAIN_ID, DEPLOYMENT, RULES, Keeper, Stage

CONFIRMED = IntentState.CONFIRMED


async def test_intent__happy_path__is_mined_once_and_confirmed(automine: Stage) -> None:
    keeper = await automine.keeper()
    intent = automine.intent(1)
    await keeper.inbox.put(intent)
    outcome = await keeper.outcome(intent, CONFIRMED)
    assert outcome.receipt is not None
    assert outcome.receipt.status == 1
    assert await automine.count() == 1
    status = keeper.outbox.status()
    assert (status.mined_nonce, status.next_nonce, status.in_flight, status.paused) == (1, 1, 0, "")
    assert status.counts == {(Lane.FUNDING, CONFIRMED): 1}


async def test_intent__same_id_again__is_not_sent_again_even_after_a_restart(automine: Stage) -> None:
    keeper = await automine.keeper()
    intent = automine.intent(1)
    await keeper.inbox.put(intent)
    await keeper.inbox.put(intent)
    await keeper.outcome(intent, CONFIRMED)
    await automine.kill(keeper)
    keeper = await automine.keeper()
    other = automine.intent(2)
    await keeper.inbox.put(intent)
    await keeper.inbox.put(other)
    await keeper.outcome(other, CONFIRMED)
    assert await automine.mined_nonce() == 2


async def test_gas_limit__not_given__is_estimated_with_a_margin(automine: Stage) -> None:
    keeper = await automine.keeper()
    intent = automine.intent(1, gas_limit=None)
    await keeper.inbox.put(intent)
    outcome = await keeper.outcome(intent, CONFIRMED)
    assert outcome.receipt is not None
    signed = keeper.outbox.status().pending or keeper.wallet.desk.open[0].attempts
    assert outcome.receipt.gas_used < keeper.wallet.desk.open[0].last.gas_limit < 2 * outcome.receipt.gas_used
    assert signed


async def test_estimate__reverts__rejects_without_sending(automine: Stage) -> None:
    keeper = await automine.keeper()
    intent = automine.intent(1, function="refuse", gas_limit=None)
    await keeper.inbox.put(intent)
    await keeper.outcome(intent, IntentState.REJECTED)
    assert await automine.mined_nonce() == 0


async def test_stuck__bumped_at_the_same_nonce__is_mined_once(manual: Stage) -> None:
    keeper = await manual.keeper()
    intent = manual.intent(1)
    await keeper.inbox.put(intent)
    await keeper.until(lambda: len(keeper.wallet.desk.unmined()) == 1)
    await _grow_until_attempts(manual, keeper, 2)
    tx = keeper.wallet.desk.open[0]
    assert {each.intent for each in tx.attempts} == {intent}
    for older, newer in zip(tx.attempts, tx.attempts[1:], strict=False):
        assert newer.fees.max_fee_wei * 10 >= older.fees.max_fee_wei * 11
        assert newer.fees.tip_wei * 10 >= older.fees.tip_wei * 11
    await manual.mine()
    await keeper.outcome(intent, CONFIRMED)
    assert await manual.count() == 1
    assert await manual.mined_nonce() == 1


async def test_bumped__but_the_first_attempt_is_mined__counts_as_well(manual: Stage) -> None:
    keeper = await manual.keeper()
    intent = manual.intent(1)
    await keeper.inbox.put(intent)
    await keeper.until(lambda: len(keeper.wallet.desk.unmined()) == 1)
    await _grow_until_attempts(manual, keeper, 2)
    await keeper.until(lambda: keeper.wallet.desk.open[0].last.sends > 0)  # on its way it would come after the drop
    first, second = keeper.wallet.desk.open[0].attempts[:2]
    await manual.rpc.call("anvil_dropAllTransactions")
    await manual.rpc.call("eth_sendRawTransaction", "0x" + first.raw.hex())
    await manual.mine()
    outcome = await keeper.outcome(intent, CONFIRMED)
    assert outcome.tx_hash == first.hash != second.hash


async def test_price__a_newer_one_while_unmined__takes_the_same_nonce(manual: Stage) -> None:
    keeper = await manual.keeper()
    prices = [manual.intent(number, Lane.PRICE) for number in range(1, 6)]
    keeper.prices.put(DEPLOYMENT, prices[0])
    await keeper.until(lambda: len(keeper.wallet.desk.unmined()) == 1)
    for price in prices[1:]:
        keeper.prices.put(DEPLOYMENT, price)
        for _ in range(2):
            await _empty_block(manual, keeper)
        await keeper.until(lambda price=price: is_sent(keeper, price))
    assert len(keeper.wallet.desk.unmined()) == 1
    await manual.mine()
    await keeper.outcome(prices[-1], CONFIRMED)
    assert (await manual.count(), await manual.round(), await manual.mined_nonce()) == (1, 5, 1)
    superseded = [keeper.wallet.outcomes.get(price.id) for price in prices[:-1]]
    assert {each.state for each in superseded if each is not None} == {IntentState.SUPERSEDED}


def is_sent(keeper: Keeper, intent: Intent) -> bool:
    """Not merely signed: a block may come before the send."""
    last = keeper.wallet.desk.open[0].last
    return last.intent == intent and last.sends > 0


async def test_prices__one_after_the_other__each_costs_one_request(automine: Stage) -> None:
    keeper = await automine.keeper()
    await keeper.until(lambda: keeper.wallet.desk.market is not None)
    sends = lambda: automine.meter.total("keeper_rpc_requests_total", method="eth_sendRawTransaction")  # noqa: E731
    for number in range(1, 4):
        price = automine.intent(number, Lane.PRICE)
        keeper.prices.put(DEPLOYMENT, price)
        await keeper.outcome(price, CONFIRMED)
        assert sends() == number
    assert automine.meter.total("keeper_rpc_requests_total", method="eth_estimateGas") == 0


async def test_reorg__takes_the_receipt_back__same_bytes_are_sent_again(automine: Stage) -> None:
    keeper = await automine.keeper(confirmations=3)
    intent = automine.intent(1)
    await automine.mine()
    await keeper.inbox.put(intent)
    mined = await keeper.outcome(intent, IntentState.MINED)
    await automine.rpc.call("anvil_reorg", 1, [])
    await keeper.outcome(intent, IntentState.ACTIVE)
    again = await keeper.outcome(intent, IntentState.MINED)
    assert again.tx_hash == mined.tx_hash
    assert again.receipt != mined.receipt
    for _ in range(3):
        await automine.mine()
    await keeper.outcome(intent, CONFIRMED)
    assert await automine.count() == 1
    assert automine.log.named("chain.reorged")


async def test_reorg__after_confirmation__is_noticed_too(automine: Stage) -> None:
    keeper = await automine.keeper()
    intent = automine.intent(1)
    await automine.mine()
    await keeper.inbox.put(intent)
    await keeper.outcome(intent, CONFIRMED)
    await automine.rpc.call("anvil_reorg", 1, [])
    await keeper.outcome(intent, IntentState.ACTIVE)
    await keeper.outcome(intent, CONFIRMED)
    assert await automine.count() == 1


async def test_lost_race__somebody_was_first_in_the_same_block__is_no_failure(manual: Stage) -> None:
    keeper = await manual.keeper()
    await keeper.until(lambda: keeper.wallet.desk.market is not None)
    await manual.record_as_other(7)
    intent = manual.intent(7)
    await keeper.inbox.put(intent)
    await keeper.until(lambda: len(keeper.wallet.desk.unmined()) == 1 and keeper.wallet.desk.open[0].last.sends == 1)
    await manual.mine()
    outcome = await keeper.outcome(intent, IntentState.LOST_RACE)
    assert outcome.receipt is not None
    assert outcome.receipt.status == 0
    assert not [event for level, event, _ in manual.log.events if level in ("error", "critical")]


async def test_revert__a_real_one__is_reported_with_its_name(automine: Stage) -> None:
    keeper = await automine.keeper()
    intent = automine.intent(1, function="refuse")
    await keeper.inbox.put(intent)
    outcome = await keeper.outcome(intent, IntentState.REVERTED)
    assert outcome.reason.startswith("0x")
    assert automine.log.named("tx.reverted")[0]["advice"]


async def test_success__without_the_log__is_a_failure(automine: Stage) -> None:
    keeper = await automine.keeper()
    intent = automine.intent(1, function="pretend")
    await keeper.inbox.put(intent)
    outcome = await keeper.outcome(intent, IntentState.NO_EFFECT)
    assert outcome.receipt is not None
    assert outcome.receipt.status == 1


async def test_deadline__passed_while_unmined__cancels_at_the_same_nonce(manual: Stage) -> None:
    keeper = await manual.keeper()
    await keeper.until(lambda: keeper.wallet.desk.market is not None)
    intent = manual.intent(1, deadline_s=0.4)
    await keeper.inbox.put(intent)
    await keeper.until(lambda: keeper.wallet.desk.open.get(0) is not None)
    await keeper.until(lambda: keeper.wallet.desk.open[0].state is TxState.CANCELLING)
    await keeper.until(lambda: keeper.wallet.desk.open[0].last.answer is not None)
    pooled = await manual.pooled()
    assert [(each["to"], each["input"]) for each in pooled] == [(manual.signer.address, "0x")]
    await manual.mine_later()
    await keeper.outcome(intent, IntentState.EXPIRED)
    assert (await manual.count(), await manual.mined_nonce()) == (0, 1)


async def test_eviction__the_pool_forgets__same_bytes_are_sent_again(manual: Stage) -> None:
    keeper = await manual.keeper()
    intent = manual.intent(1)
    await keeper.inbox.put(intent)
    await keeper.until(lambda: len(keeper.wallet.desk.unmined()) == 1 and keeper.wallet.desk.open[0].last.sends == 1)
    await manual.rpc.call("anvil_dropAllTransactions")
    assert await manual.pooled() == []
    await keeper.until(lambda: keeper.wallet.desk.open[0].last.sends == 2)
    (pooled,) = await manual.pooled()
    assert pooled["hash"] == keeper.wallet.desk.open[0].attempts[0].hash
    await manual.mine()
    await keeper.outcome(intent, CONFIRMED)


async def test_fee_spike__the_node_drops_it__is_priced_anew_at_the_same_nonce(manual: Stage) -> None:
    keeper = await manual.keeper()
    intent = manual.intent(1)
    await keeper.inbox.put(intent)
    await keeper.until(lambda: len(keeper.wallet.desk.unmined()) == 1 and keeper.wallet.desk.open[0].last.sends == 1)
    await manual.rpc.call("anvil_setNextBlockBaseFeePerGas", hex(50 * GWEI))
    await manual.mine()
    assert await manual.mined_nonce() == 0
    async with asyncio.timeout(10):
        while len(keeper.wallet.desk.open[0].attempts) < 2:
            await manual.mine()
            await asyncio.sleep(0.1)
    await keeper.until(lambda: keeper.wallet.desk.open[0].last.sends == 1)
    await manual.mine()
    outcome = await keeper.outcome(intent, CONFIRMED)
    assert outcome.receipt is not None
    assert outcome.receipt.effective_gas_price_wei > 20 * GWEI
    assert (await manual.count(), await manual.mined_nonce()) == (1, 1)


@asynccontextmanager
async def balances_untold(stage: Stage) -> AsyncIterator[str]:
    """The URL of a node that tells no balances: then it is its refusals that count."""
    async with proxied(stage.node.url) as proxy:
        proxy.fail("eth_getBalance", "error", times=10**6, message="the method eth_getBalance does not exist")
        yield proxy.url


async def test_funds__enough_for_all_but_the_bump__leave_the_first_attempt_valid(manual: Stage) -> None:
    async with balances_untold(manual) as url:
        keeper = await manual.keeper(url=url)
        intent = manual.intent(1)
        await keeper.inbox.put(intent)
        await keeper.until(
            lambda: len(keeper.wallet.desk.unmined()) == 1 and keeper.wallet.desk.open[0].last.sends == 1
        )
        first = keeper.wallet.desk.open[0].attempts[0]
        await manual.rpc.call("anvil_setBalance", manual.signer.address, hex(cost(first) * 105 // 100))
        await _grow_until_attempts(manual, keeper, 2)
        await keeper.until(lambda: keeper.wallet.desk.open[0].attempts[1].answer == "insufficient_funds")
        assert keeper.outbox.status().paused == ""
        await manual.mine()
        outcome = await keeper.outcome(intent, CONFIRMED)
        assert outcome.tx_hash == first.hash


async def test_funds__none__pauses_and_resumes_by_itself_at_the_same_nonce(automine: Stage) -> None:
    await automine.rpc.call("anvil_setBalance", automine.signer.address, "0x0")
    async with balances_untold(automine) as url:
        keeper = await automine.keeper(url=url)
        first, second = automine.intent(1), automine.intent(2)
        await keeper.inbox.put(first)
        await keeper.until(lambda: keeper.outbox.status().paused == "insufficient_funds")
        await keeper.inbox.put(second)
        await automine.mine()
        assert keeper.outbox.status().next_nonce == 1
        assert len(automine.log.named("wallet.paused")) == 1
        await automine.rpc.call("anvil_setBalance", automine.signer.address, hex(10**20))
        await keeper.outcome(second, CONFIRMED)
        assert len(keeper.wallet.desk.open[0].attempts) == 1
        assert automine.log.named("wallet.resumed")
        assert await automine.count() == 2


async def test_funds__the_balance_says_none__nothing_is_signed_before_the_refill(automine: Stage) -> None:
    await automine.rpc.call("anvil_setBalance", automine.signer.address, "0x0")
    keeper = await automine.keeper()
    await keeper.until(lambda: keeper.outbox.status().balance_wei == 0)
    intent = automine.intent(1)
    await keeper.inbox.put(intent)
    await keeper.until(lambda: keeper.outbox.status().paused == "balance_reserved")
    assert not keeper.wallet.desk.open
    await automine.rpc.call("anvil_setBalance", automine.signer.address, hex(10**20))
    await keeper.outcome(intent, CONFIRMED)
    assert not automine.log.named("tx.refused")
    await keeper.until(lambda: keeper.outbox.status().reserved_wei == 0)


async def test_nonce__used_from_outside__alarms_and_goes_on_with_the_next(manual: Stage) -> None:
    keeper = await manual.keeper(orphan_after_blocks=1)
    await keeper.until(lambda: keeper.wallet.desk.nonces is not None and keeper.wallet.desk.market is not None)
    await manual.rpc.call("anvil_setNonce", manual.signer.address, "0x1")
    intent = manual.intent(1)
    await keeper.inbox.put(intent)
    await keeper.until(lambda: 0 in keeper.wallet.desk.open and keeper.wallet.desk.open[0].missing_since is not None)
    await manual.mine()
    await keeper.until(lambda: bool(manual.log.named("wallet.used_elsewhere")))
    await keeper.until(lambda: 1 in keeper.wallet.desk.open and keeper.wallet.desk.open[1].last.sends == 1)
    await manual.mine()
    await keeper.outcome(intent, CONFIRMED)
    assert await manual.count() == 1


async def test_nonce__used_from_outside__of_a_lane_that_has_another_wallet_now__is_left_to_that_one(
    manual: Stage,
) -> None:
    """Whoever wants it asks the other wallet, and two wallets must not both start it."""
    keeper = Keeper(manual, replace(RULES, orphan_after_blocks=1), lambda: "", manual.node.url)
    keeper.wallet = replace(keeper.wallet, lanes=frozenset({Lane.PRICE}))
    keeper.outbox = replace(keeper.outbox, wallet=keeper.wallet)
    manual.keepers.append(keeper)
    await keeper.start()
    desk = keeper.wallet.desk
    await keeper.until(lambda: desk.nonces is not None and desk.market is not None)
    await manual.rpc.call("anvil_setNonce", manual.signer.address, "0x1")
    intent = manual.intent(1)
    await keeper.inbox.put(intent)
    await keeper.until(lambda: 0 in desk.open and desk.open[0].missing_since is not None)
    await manual.mine()
    await keeper.until(lambda: 0 not in desk.open)
    head = desk.block
    await manual.mine()
    await keeper.until(lambda: desk.block > head)
    record = keeper.wallet.ledger.intent(intent.id)
    assert record is not None
    assert record.state is IntentState.QUEUED
    assert not desk.is_queued(intent.id)
    assert not desk.unmined()


async def other_wallet(stage: Stage) -> Keeper:
    """A life of the keeper on the same journal, in which the lanes have another wallet."""
    key = signing_key(keccak(b"another key that only tests use"))
    assert key is not None
    await stage.rpc.call("anvil_setBalance", key.address, hex(10**20))
    keeper = Keeper(stage, RULES, lambda: "", stage.node.url)
    keeper.wallet = replace(keeper.wallet, signer=KeySigner(key, CHAIN_ID))
    keeper.outbox = Outbox(keeper.wallet, keeper.prices, keeper.inbox, keeper.outbox.heads, keeper.outbox.pulse)
    stage.keepers.append(keeper)
    await keeper.start()
    return keeper


async def test_lane__moved_to_another_wallet__what_the_first_has_under_way_is_not_signed_by_both(manual: Stage) -> None:
    keeper, intent, next_one = await manual.keeper(), manual.intent(1), manual.intent(2)
    await keeper.inbox.put(intent)
    await keeper.until(lambda: 0 in keeper.wallet.desk.open and keeper.wallet.desk.open[0].last.sends == 1)
    await manual.kill(keeper)
    keeper = await other_wallet(manual)
    await keeper.inbox.put(intent)
    await keeper.inbox.put(next_one)
    await keeper.until(lambda: keeper.wallet.desk.is_active(next_one.id))
    assert not keeper.wallet.desk.is_active(intent.id)
    assert not keeper.wallet.desk.is_queued(intent.id)
    await keeper.until(lambda: keeper.wallet.desk.unmined()[0].last.sends == 1)  # journalled is not yet in the pool
    await manual.mine()
    await keeper.outcome(next_one, CONFIRMED)
    await manual.kill(keeper)
    keeper = await manual.keeper()
    await keeper.outcome(intent, CONFIRMED)
    assert await manual.count() == 2


@pytest.mark.parametrize("lane", [Lane.LIQUIDATION, Lane.FUNDING])
async def test_lane__moved_and_the_first_wallet_is_too_late__the_second_liquidates_and_settles_nothing(
    manual: Stage, lane: Lane
) -> None:
    """The contract refuses a second liquidation, and an account must not wait for a wallet that nobody looks after."""
    keeper, intent, next_one = await manual.keeper(), manual.intent(1, lane, deadline_s=3), manual.intent(2)
    await keeper.inbox.put(intent)
    await keeper.until(lambda: 0 in keeper.wallet.desk.open and keeper.wallet.desk.open[0].last.sends == 1)
    await manual.kill(keeper)
    keeper = await other_wallet(manual)
    again = replace(intent, deadline=None)
    await keeper.inbox.put(again)
    await keeper.inbox.put(next_one)
    await keeper.until(lambda: keeper.wallet.desk.is_active(next_one.id))
    assert not keeper.wallet.desk.is_active(intent.id)
    await manual.rpc.call("anvil_dropAllTransactions")
    await manual.mine_later()
    await keeper.outcome(next_one, IntentState.ACTIVE)
    await keeper.until(lambda: keeper.wallet.is_late(intent))
    last = manual.intent(3)
    await keeper.inbox.put(again)
    await keeper.inbox.put(last)
    await keeper.until(lambda: keeper.wallet.desk.is_active(last.id))
    assert keeper.wallet.desk.is_active(intent.id) == (lane is Lane.LIQUIDATION)


async def test_start__the_wallets_pending_is_not_ours__waits_for_it(manual: Stage) -> None:
    """Without a journal nobody knows what those transactions are for."""
    foreign = UnsignedTransaction(CHAIN_ID, 0, Call(manual.counter, b"", 0, 21_000), 60_000, 10 * GWEI, GWEI)
    raw = (await manual.signer.sign_transaction(foreign)).raw
    await manual.rpc.call("eth_sendRawTransaction", "0x" + raw.hex())
    keeper = await manual.keeper()
    intent = manual.intent(1)
    await keeper.inbox.put(intent)
    await keeper.until(lambda: keeper.wallet.desk.market is not None)
    assert keeper.outbox.status().paused == "chain_behind_journal"
    assert not keeper.wallet.desk.open
    await manual.mine()
    await keeper.until(lambda: keeper.wallet.desk.is_active(intent.id) and keeper.wallet.desk.open[1].last.sends == 1)
    await manual.mine()
    await keeper.outcome(intent, CONFIRMED)
    assert keeper.outbox.status().paused == ""


async def test_start__on_a_chain_set_up_anew__sends_nothing_into_the_void(automine: Stage) -> None:
    keeper = await automine.keeper(finality_blocks=1)
    first = automine.intent(1)
    await keeper.inbox.put(first)
    await keeper.outcome(first, CONFIRMED)
    await automine.kill(keeper)
    await automine.rpc.call("anvil_setNonce", automine.signer.address, "0x0")
    keeper = await automine.keeper(finality_blocks=1)
    await keeper.inbox.put(automine.intent(2))
    await keeper.until(lambda: len(keeper.wallet.desk.queue) == 1 and keeper.wallet.desk.market is not None)
    assert keeper.outbox.status().paused == "chain_behind_journal"
    assert len(automine.log.named("wallet.paused")) == 1
    assert keeper.outbox.status().in_flight == 0


async def test_lanes__many_waiting__the_most_urgent_goes_first(manual: Stage) -> None:
    keeper = await manual.keeper(max_in_flight=1, halted=(halt := Switch("maintenance")).read)
    wanted = [manual.intent(3, Lane.HOUSEKEEPING), manual.intent(2, Lane.FUNDING), manual.intent(1, Lane.LIQUIDATION)]
    for intent in wanted:
        await keeper.inbox.put(intent)
    await keeper.until(lambda: len(keeper.wallet.desk.queue) == 3)
    halt.reason = ""
    for intent in reversed(wanted):
        await keeper.until(lambda intent=intent: keeper.wallet.desk.is_active(intent.id))
        await keeper.until(lambda: keeper.wallet.desk.unmined()[0].last.sends == 1)
        await manual.mine()
        await keeper.outcome(intent, CONFIRMED)
    assert await manual.count() == 3


async def test_in_flight__full__leaves_room_for_a_price(manual: Stage) -> None:
    keeper = await manual.keeper(max_in_flight=5, reserved_slots=2)
    for number in range(1, 8):
        await keeper.inbox.put(manual.intent(number))
    await keeper.until(lambda: len(keeper.wallet.desk.unmined()) == 3)
    price = manual.intent(99, Lane.PRICE)
    keeper.prices.put(DEPLOYMENT, price)
    await keeper.until(lambda: keeper.wallet.desk.is_active(price.id))
    assert len(keeper.wallet.desk.unmined()) == 4
    assert keeper.outbox.status().queued == 4


async def test_dry_run__nothing_is_signed_or_sent(automine: Stage) -> None:
    keeper = await automine.keeper(dry_run=True)
    intent, price = automine.intent(1), automine.intent(2, Lane.PRICE)
    await keeper.inbox.put(intent)
    keeper.prices.put(DEPLOYMENT, price)
    await keeper.outcome(intent, IntentState.WITHHELD)
    await keeper.outcome(price, IntentState.WITHHELD)
    assert automine.meter.total("keeper_rpc_requests_total", method="eth_sendRawTransaction") == 0
    assert keeper.journal.ledger.next_nonce(31337, automine.signer.address) is None


async def test_kill_switch__nothing_leaves_while_it_is_on(manual: Stage) -> None:
    keeper = await manual.keeper(halted=(halt := Switch("")).read)
    stuck = manual.intent(1)
    await keeper.inbox.put(stuck)
    await keeper.until(lambda: len(keeper.wallet.desk.unmined()) == 1 and keeper.wallet.desk.open[0].last.sends == 1)
    halt.reason = "kill file"
    sent = manual.meter.total("keeper_tx_attempts_total")
    await keeper.inbox.put(manual.intent(2))
    for _ in range(4):
        await _empty_block(manual, keeper)
    assert manual.meter.total("keeper_tx_attempts_total") == sent
    assert keeper.outbox.status().paused == "kill file"
    halt.reason = ""
    await keeper.until(lambda: len(keeper.wallet.desk.unmined()) == 2)


async def test_fee_limit__bites__same_bytes_again_and_an_alarm(manual: Stage) -> None:
    limits = FeeRules(ceiling_wei=3 * 10**9)
    keeper = await manual.keeper(fees=limits)
    intent = manual.intent(1)
    await keeper.inbox.put(intent)
    await keeper.until(lambda: len(keeper.wallet.desk.unmined()) == 1 and keeper.wallet.desk.open[0].last.sends == 1)
    while not manual.log.named("tx.fee_limited"):
        await _empty_block(manual, keeper)
    attempts = keeper.wallet.desk.open[0].attempts
    sends = attempts[-1].sends
    await _empty_block(manual, keeper)
    await keeper.until(lambda: keeper.wallet.desk.open[0].last.sends > sends)
    assert len(keeper.wallet.desk.open[0].attempts) == len(attempts)
    assert max(each.fees.max_fee_wei for each in attempts) <= limits.ceiling_wei
    await manual.mine()
    await keeper.outcome(intent, CONFIRMED)


async def test_drain__finishes_what_was_sent_and_takes_nothing_new(manual: Stage) -> None:
    keeper = await manual.keeper()
    sent, late = manual.intent(1), manual.intent(2)
    await keeper.inbox.put(sent)
    await keeper.until(lambda: len(keeper.wallet.desk.unmined()) == 1 and keeper.wallet.desk.open[0].last.sends == 1)
    left = await keeper.outbox.drain(0.1)
    assert [tx.intent for tx in left] == [sent]
    assert manual.log.named("outbox.undrained")[0]["intents"] == [sent.id]
    await keeper.inbox.put(late)
    await manual.mine()
    assert await keeper.outbox.drain(5.0) == ()
    assert await manual.mined_nonce() == 1


async def test_journal__second_keeper_on_it__is_refused_naming_the_holder(automine: Stage) -> None:
    await automine.keeper()
    with pytest.raises(AlreadyRunning, match=r"held by process \d+"):
        await automine.keeper()


class Switch:
    def __init__(self, reason: str) -> None:
        self.reason = reason

    def read(self) -> str:
        return self.reason


async def _empty_block(stage: Stage, keeper: Keeper) -> None:
    """A block with no room for our transaction, and the outbox has seen it."""
    await stage.mine_without_us()
    height = int(await stage.rpc.call("eth_blockNumber"), 16)
    await keeper.until(lambda: keeper.wallet.desk.block >= height)


async def _grow_until_attempts(stage: Stage, keeper: Keeper, wanted: int) -> None:
    """Blocks pass by without our transaction until it has `wanted` attempts."""
    async with asyncio.timeout(10):
        while len(keeper.wallet.desk.open[0].attempts) < wanted:
            await _empty_block(stage, keeper)
