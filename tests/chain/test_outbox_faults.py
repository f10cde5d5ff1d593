"""The outbox behind a node that hangs, loses replies and keeps go-ethereum's pool rules; and processes killed with -9."""

from __future__ import annotations

import asyncio
import random
import signal
import sys

import pytest

from keeper.domain.transaction import IntentState, Lane, Purpose, TxState
from tests.chain.proxy import SEND, Proxy, proxied
from tests.chain.stage import DEPLOYMENT, Keeper, Stage, eventually

CONFIRMED = IntentState.CONFIRMED


async def test_crash__between_journal_and_broadcast__same_bytes_exactly_once(automine: Stage) -> None:
    async with proxied(automine.node.url) as proxy:
        proxy.fail(SEND, "swallow")
        keeper = await automine.keeper(url=proxy.url)
        intent = automine.intent(1)
        await keeper.inbox.put(intent)
        await keeper.until(lambda: proxy.calls[SEND] == 1)
        await automine.kill(keeper)
        assert await automine.mined_nonce() == 0
        keeper = await automine.keeper(url=proxy.url)
        await keeper.inbox.put(intent)
        await keeper.outcome(intent, CONFIRMED)
    assert len(set(proxy.sent)) == 1
    assert (await automine.count(), await automine.mined_nonce()) == (1, 1)


async def test_crash__after_broadcast_before_the_reply__is_adopted(automine: Stage) -> None:
    async with proxied(automine.node.url) as proxy:
        proxy.fail(SEND, "hang")
        keeper = await automine.keeper(url=proxy.url)
        intent = automine.intent(1)
        await keeper.inbox.put(intent)
        await keeper.until(lambda: keeper.heads.heads.get("head") is not None)
        await eventually(lambda: _mined(automine, 1))
        await automine.kill(keeper)
        keeper = await automine.keeper(url=proxy.url)
        await keeper.outcome(intent, CONFIRMED)
    assert len(set(proxy.sent)) == 1
    assert (await automine.count(), await automine.mined_nonce()) == (1, 1)


async def test_crash__past_the_deadline__cancels_instead(manual: Stage) -> None:
    async with proxied(manual.node.url) as proxy:
        proxy.fail(SEND, "swallow")
        keeper = await manual.keeper(url=proxy.url)
        intent = manual.intent(1, deadline_s=0.5)
        await keeper.inbox.put(intent)
        await keeper.until(lambda: proxy.calls[SEND] == 1)
        await manual.kill(keeper)
        await asyncio.sleep(0.5)  # past the deadline
        keeper = await manual.keeper(url=proxy.url)
        await keeper.until(
            lambda: 0 in keeper.wallet.desk.open and keeper.wallet.desk.open[0].state is TxState.CANCELLING
        )
        await keeper.until(lambda: keeper.wallet.desk.open[0].last.sends == 1)  # signed is not yet sent
        await manual.mine_later()
        await keeper.outcome(intent, IntentState.EXPIRED)
    assert (await manual.count(), await manual.mined_nonce()) == (0, 1)


async def test_lost_reply__the_node_has_it__no_second_nonce(automine: Stage) -> None:
    async with proxied(automine.node.url) as proxy:
        proxy.fail(SEND, "drop")
        keeper = await automine.keeper(url=proxy.url)
        intent = automine.intent(1)
        await keeper.inbox.put(intent)
        await keeper.outcome(intent, CONFIRMED)
    assert len(set(proxy.sent)) == 1
    assert await automine.mined_nonce() == 1
    assert not automine.log.named("wallet.used_elsewhere")


async def test_lost_reply__mined_before_the_send_gives_up__is_not_told_as_expired(manual: Stage) -> None:
    """While its first send hangs an intent is still in the queue; its deadline may pass there, though it is done."""
    async with proxied(manual.node.url) as proxy:
        proxy.fail(SEND, "hang")
        keeper = await manual.keeper(url=proxy.url, send_timeout_s=4.0)
        await keeper.until(lambda: keeper.wallet.desk.market is not None)
        intent = manual.intent(1, deadline_s=1.0)
        await keeper.inbox.put(intent)
        await eventually(lambda: is_pooled(manual))
        await manual.mine()
        await keeper.outcome(intent, IntentState.CONFIRMED)
        await keeper.until(lambda: intent.deadline is not None and manual.clock.now() > intent.deadline)
        assert keeper.wallet.desk.is_queued(intent.id)
        await keeper.until(lambda: not keeper.wallet.desk.is_queued(intent.id))
        record = keeper.wallet.ledger.intent(intent.id)
        assert record is not None
        assert record.state is IntentState.CONFIRMED
        assert not keeper.log.named("tx.expired")


async def is_pooled(stage: Stage) -> bool:
    return bool(await stage.pooled())


async def test_pool_rules__fifteen_replacements__none_is_underpriced(manual: Stage) -> None:
    async with proxied(manual.node.url) as proxy:
        keeper = await manual.keeper(url=proxy.url)
        price = manual.intent(1, Lane.PRICE)
        keeper.prices.put(DEPLOYMENT, price)
        await keeper.until(lambda: bool(keeper.wallet.desk.unmined()))
        for number in range(2, 17):
            keeper.prices.put(DEPLOYMENT, manual.intent(number, Lane.PRICE))
            await _attempts(manual, keeper, number)
        assert proxy.refusals["replacement transaction underpriced"] == 0
        assert len(keeper.wallet.desk.open[0].attempts) >= 16
        await manual.mine()
        await keeper.until(lambda: not keeper.wallet.desk.unmined())
    assert (await manual.count(), await manual.round(), await manual.mined_nonce()) == (1, 16, 1)


async def test_underpriced__by_one_we_do_not_know__is_bumped_once_at_once(manual: Stage) -> None:
    async with proxied(manual.node.url) as proxy:
        keeper = await manual.keeper(url=proxy.url)
        intent = manual.intent(1)
        await keeper.inbox.put(intent)
        await keeper.until(lambda: bool(keeper.wallet.desk.unmined()) and keeper.wallet.desk.open[0].last.sends == 1)
        proxy.fail(SEND, "error", message="replacement transaction underpriced")
        await _attempts(manual, keeper, 3)
        refused, taken = keeper.wallet.desk.open[0].attempts[1:3]
        assert (refused.answer, taken.answer) == ("replacement_underpriced", "accepted")
        assert taken.fees.max_fee_wei * 100 >= refused.fees.max_fee_wei * 110
        await manual.mine()
        await keeper.outcome(intent, CONFIRMED)


async def test_receipt__null_from_a_lagging_node__is_no_evidence(automine: Stage) -> None:
    async with proxied(automine.node.url) as proxy:
        proxy.fail("eth_getTransactionReceipt", "null", times=4)
        keeper = await automine.keeper(url=proxy.url)
        intent = automine.intent(1)
        await keeper.inbox.put(intent)
        outcome = await keeper.outcome(intent, CONFIRMED)
        assert outcome.state is CONFIRMED
    assert proxy.faults[0].times == 0
    assert not automine.log.named("wallet.used_elsewhere")
    assert await automine.mined_nonce() == 1


async def test_price__mined_but_its_receipt_hidden__a_newer_one_does_not_wait_for_it(automine: Stage) -> None:
    async with proxied(automine.node.url) as proxy:
        proxy.fail("eth_getTransactionReceipt", "null", times=10_000)
        keeper = await automine.keeper(url=proxy.url)
        for number in (1, 2, 3):
            keeper.prices.put(DEPLOYMENT, automine.intent(number, Lane.PRICE))
            await eventually(lambda number=number: _mined(automine, number))
            await automine.mine()
        proxy.faults.clear()
        await automine.mine()
        await keeper.until(lambda: not keeper.wallet.desk.unmined())
    assert (await automine.count(), await automine.round()) == (3, 3)
    assert not automine.log.named("wallet.used_elsewhere")


async def test_receipts__hidden_for_more_than_fit_in_flight__the_next_does_not_wait_for_them(automine: Stage) -> None:
    async with proxied(automine.node.url) as proxy:
        proxy.fail("eth_getTransactionReceipt", "null", times=10_000)
        keeper = await automine.keeper(url=proxy.url, max_in_flight=3, reserved_slots=1)
        for number in (1, 2, 3, 4):
            await keeper.inbox.put(automine.intent(number, Lane.LIQUIDATION))
            await eventually(lambda number=number: _mined(automine, number))
            await automine.mine()
    assert await automine.count() == 4


async def test_refused_for_good__frees_the_nonce_for_the_next(automine: Stage) -> None:
    async with proxied(automine.node.url) as proxy:
        proxy.fail(SEND, "error", message="intrinsic gas too low")
        keeper = await automine.keeper(url=proxy.url)
        first, second = automine.intent(1), automine.intent(2)
        await keeper.inbox.put(first)
        await keeper.outcome(first, IntentState.REJECTED)
        await keeper.inbox.put(second)
        outcome = await keeper.outcome(second, CONFIRMED)
        assert outcome.receipt is not None
    assert (await automine.count(), await automine.mined_nonce()) == (1, 1)


async def test_gap__below_a_pending_nonce__is_filled(manual: Stage) -> None:
    async with proxied(manual.node.url) as proxy:
        keeper = await manual.keeper(url=proxy.url)
        first, second = manual.intent(1), manual.intent(2)
        proxy.fail(SEND, "error", message="txpool is full")
        proxy.fail(SEND, "error", message="txpool is full")
        await keeper.inbox.put(first)
        await keeper.inbox.put(second)
        await keeper.until(lambda: len(keeper.wallet.desk.unmined()) == 2)
        proxy.fail(SEND, "error", message="intrinsic gas too low")  # the resend of the lower one is refused for good
        await keeper.outcome(first, IntentState.REJECTED)
        await keeper.until(lambda: keeper.wallet.desk.open[0].last.purpose is Purpose.CANCEL)
        await keeper.until(lambda: all(tx.last.answer == "accepted" for tx in keeper.wallet.desk.unmined()))
        await manual.mine()
        await keeper.outcome(second, CONFIRMED)
    assert manual.log.named("wallet.gap_filled")
    assert await manual.mined_nonce() == 2


@pytest.mark.parametrize("kind", ["swallow", "hang", "after"])
async def test_kill_9__at_the_broadcast__every_round_is_recorded_once(automine: Stage, kind: str) -> None:
    """A process is killed before the node gets its transaction, before it gets the answer, and after."""
    async with proxied(automine.node.url) as proxy:
        if kind != "after":
            proxy.fail(SEND, kind)
        process = await _worker(automine, proxy, rounds=2)
        await eventually(lambda: _mined(automine, 0 if kind == "swallow" else 1, proxy))
        process.send_signal(signal.SIGKILL)
        assert await process.wait() == -signal.SIGKILL
        process = await _worker(automine, proxy, rounds=2)
        async with asyncio.timeout(30):
            assert await process.wait() == 0
    assert len(set(proxy.sent)) == 2
    assert (await automine.count(), await automine.round(), await automine.mined_nonce()) == (2, 2, 2)


@pytest.mark.parametrize("seed", [1, 2])
async def test_faults__any_at_any_time__every_intent_lands_once(automine: Stage, seed: int) -> None:
    """Fifteen rounds while the node loses requests and replies, refuses, forgets receipts and stalls."""
    draw, wanted = random.Random(seed), [automine.intent(number) for number in range(1, 16)]
    kinds = [(SEND, kind) for kind in ("drop", "swallow", "hang", "busy")]
    kinds += [("eth_getTransactionReceipt", "null"), ("eth_getTransactionCount", "swallow"), ("eth_feeHistory", "drop")]
    async with proxied(automine.node.url, strict=False) as proxy:
        keeper = await automine.keeper(url=proxy.url, send_timeout_s=0.2, read_timeout_s=0.2, finality_blocks=5)
        for intent in wanted:
            method, kind = draw.choice(kinds)
            proxy.fail(method, "error" if kind == "busy" else kind, draw.randint(1, 2), "txpool is full")
            await keeper.inbox.put(intent)
            await asyncio.sleep(draw.choice((0.0, 0.03)))
        for intent in wanted:
            await keeper.outcome(intent, CONFIRMED, within_s=30)
    assert (await automine.count(), await automine.round(), await automine.mined_nonce()) == (15, 15, 15)
    assert not automine.log.named("wallet.used_elsewhere")


async def _mined(stage: Stage, nonce: int, proxy: Proxy | None = None) -> bool:
    """The wallet's count is `nonce`, and something was sent if that is asked of the proxy."""
    return (proxy is None or proxy.calls[SEND] > 0) and await stage.mined_nonce() == nonce


async def _worker(stage: Stage, proxy: Proxy, rounds: int) -> asyncio.subprocess.Process:
    words = ["-m", "tests.chain.worker", proxy.url, str(stage.directory), stage.counter, str(rounds)]
    return await asyncio.create_subprocess_exec(sys.executable, *words)


async def _attempts(stage: Stage, keeper: Keeper, wanted: int) -> None:
    async with asyncio.timeout(10):
        while len(keeper.wallet.desk.open[0].attempts) < wanted:
            await stage.mine_without_us()
            height = int(await stage.rpc.call("eth_blockNumber"), 16)
            await keeper.until(lambda height=height: keeper.wallet.desk.block >= height)
    await keeper.until(lambda: keeper.wallet.desk.open[0].last.sends > 0)
