"""Nothing is sent while a switch is on: not what is new, not what waits, not what is due for a higher fee."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from keeper.domain.transaction import Intent, IntentState, Lane, Purpose
from tests.chain.proxy import SEND, proxied
from tests.chain.stage import DEPLOYMENT, Keeper, SlowSigner, Stage


@dataclass
class Switch:
    """The kill switch, and which lanes the contracts refuse."""

    reason: str = ""
    paused: tuple[Lane, ...] = ()

    def read(self) -> str:
        return self.reason

    def barred(self, intent: Intent) -> str:
        return "paused" if intent.lane in self.paused else ""


async def blocks(stage: Stage, keeper: Keeper, count: int) -> None:
    """Blocks without room for ours, each seen by the outbox."""
    for _ in range(count):
        await stage.mine_without_us()
        height = int(await stage.rpc.call("eth_blockNumber"), 16)
        await keeper.until(lambda height=height: keeper.wallet.desk.block >= height)


async def pending(keeper: Keeper, count: int) -> None:
    await keeper.until(lambda: sum(tx.last.sends > 0 for tx in keeper.wallet.desk.unmined()) == count)


async def test_halt__with_every_kind_of_work_waiting__sends_nothing_and_goes_on_afterwards(manual: Stage) -> None:
    """A push, a liquidation and a settlement with the node, due for a bump; a deadline that passes; three new ones."""
    switch = Switch()
    async with proxied(manual.node.url) as node:
        keeper = await manual.keeper(url=node.url, halted=switch.read)
        keeper.prices.put(DEPLOYMENT, manual.intent(1, Lane.PRICE))
        await pending(keeper, 1)
        await keeper.inbox.put(manual.intent(2, Lane.LIQUIDATION, deadline_s=1.0))
        await keeper.inbox.put(manual.intent(3, Lane.FUNDING))
        await pending(keeper, 3)
        switch.reason, sent = "halted by the operator", node.calls[SEND]
        keeper.prices.put(DEPLOYMENT, manual.intent(4, Lane.PRICE))
        await keeper.inbox.put(manual.intent(5, Lane.LIQUIDATION))
        await keeper.inbox.put(manual.intent(6, Lane.FUNDING))
        reads = node.calls["eth_getTransactionCount"]
        await blocks(manual, keeper, 6)
        assert node.calls[SEND] == sent
        assert node.calls["eth_getTransactionCount"] > reads, "reads go on"
        assert manual.log.named("wallet.halted") == [
            {"wallet": "pusher", "reason": "halted by the operator", "pending": 3}
        ]
        await manual.rpc.call("evm_setBlockGasLimit", hex(30_000_000))
        await manual.mine()
        await keeper.until(lambda: not keeper.wallet.desk.unmined())
        assert node.calls[SEND] == sent, "receipts go on"
        switch.reason = ""
        await blocks(manual, keeper, 1)
        await pending(keeper, 3)
        assert manual.log.named("wallet.unhalted")


async def test_halt__over_a_restart__then_what_was_open_is_not_sent_again(manual: Stage) -> None:
    switch = Switch()
    async with proxied(manual.node.url) as node:
        keeper = await manual.keeper(url=node.url, halted=switch.read)
        await keeper.inbox.put(manual.intent(1))
        await pending(keeper, 1)
        await manual.kill(keeper)
        await manual.rpc.call("anvil_dropAllTransactions")
        switch.reason, sent = "halt file", node.calls[SEND]
        keeper = await manual.keeper(url=node.url, halted=switch.read)
        await keeper.until(lambda: len(keeper.wallet.desk.unmined()) == 1)
        await blocks(manual, keeper, 3)
        assert node.calls[SEND] == sent
        switch.reason = ""
        await manual.mine()
        await keeper.until(lambda: node.calls[SEND] > sent)


async def test_paused_contract__then_what_it_would_refuse_waits_and_the_rest_goes_on(manual: Stage) -> None:
    switch = Switch()
    async with proxied(manual.node.url) as node:
        keeper = await manual.keeper(url=node.url, barred=switch.barred)
        await keeper.until(lambda: keeper.wallet.desk.market is not None)
        switch.paused = (Lane.PRICE, Lane.LIQUIDATION)
        keeper.prices.put(DEPLOYMENT, manual.intent(1, Lane.PRICE))
        await keeper.inbox.put(manual.intent(2, Lane.LIQUIDATION))
        await blocks(manual, keeper, 3)
        assert node.calls[SEND] == 0
        assert keeper.journal.ledger.next_nonce(31337, manual.signer.address) is None, "nothing is signed either"
        funding = manual.intent(3, Lane.FUNDING)
        await keeper.inbox.put(funding)
        await pending(keeper, 1)
        assert {tx.intent for tx in keeper.wallet.desk.unmined()} == {funding}
        switch.paused = ()
        await blocks(manual, keeper, 1)
        await pending(keeper, 3)


async def test_paused_contract__with_one_of_its_acts_stuck__then_it_is_neither_bumped_nor_sent_again(
    manual: Stage,
) -> None:
    switch = Switch()
    async with proxied(manual.node.url) as node:
        keeper = await manual.keeper(url=node.url, barred=switch.barred)
        stuck = manual.intent(1, Lane.FUNDING)
        await keeper.inbox.put(stuck)
        await pending(keeper, 1)
        switch.paused, sent = (Lane.FUNDING,), node.calls[SEND]
        await blocks(manual, keeper, 6)
        assert node.calls[SEND] == sent
        switch.paused = ()
        await blocks(manual, keeper, 1)
        await keeper.until(lambda: node.calls[SEND] > sent)
        await manual.rpc.call("evm_setBlockGasLimit", hex(30_000_000))
        await manual.mine()
        await keeper.outcome(stuck, IntentState.CONFIRMED)


async def test_paused_contract__with_others_waiting_behind__then_an_empty_transfer_clears_the_way(
    manual: Stage,
) -> None:
    """The pool has dropped it: sending it again would only revert, and without it nothing above is ever mined."""
    switch = Switch()
    async with proxied(manual.node.url) as node:
        keeper = await manual.keeper(url=node.url, barred=switch.barred)
        await keeper.inbox.put(manual.intent(1, Lane.FUNDING))
        await pending(keeper, 1)
        switch.paused = (Lane.FUNDING,)
        price = manual.intent(2, Lane.PRICE)
        keeper.prices.put(DEPLOYMENT, price)
        await pending(keeper, 2)
        await blocks(manual, keeper, 3)
        await keeper.until(lambda: keeper.wallet.desk.open[0].last.purpose is Purpose.CANCEL)
        await keeper.until(lambda: keeper.wallet.desk.open[0].last.sends > 0)
        await manual.rpc.call("evm_setBlockGasLimit", hex(30_000_000))
        await manual.mine()
        await keeper.outcome(price, IntentState.CONFIRMED)
        told = keeper.wallet.outcomes.get(manual.intent(1, Lane.FUNDING).id)
        assert told is not None
        assert told.state is IntentState.SUPERSEDED, "and may start again when nothing is paused"


async def test_halt__while_something_is_being_signed__then_it_is_journalled_and_not_sent(manual: Stage) -> None:
    """A new one and a replacement: the switch came after the decision and before the broadcast."""
    switch = Switch()
    async with proxied(manual.node.url) as node:
        signer = manual.signer = SlowSigner(manual.signer)  # type: ignore[assignment]
        keeper = await manual.keeper(url=node.url, halted=switch.read)
        await keeper.inbox.put(manual.intent(1))
        await pending(keeper, 1)
        signer.wait_s = 0.5
        await blocks(manual, keeper, 1)
        await manual.mine_without_us()  # the one that makes a bump due
        await keeper.inbox.put(manual.intent(2))
        await asyncio.sleep(0.2)
        switch.reason, sent = "halt file", node.calls[SEND]
        await keeper.until(lambda: len(manual.log.named("tx.signed")) >= 2)
        await blocks(manual, keeper, 3)
        assert node.calls[SEND] == sent
        assert any(each.sends == 0 for tx in keeper.wallet.desk.unmined() for each in tx.attempts)
        switch.reason = ""
        await manual.mine_without_us()
        await keeper.until(lambda: node.calls[SEND] > sent)
