"""What the torture found, each as the shortest way there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from keeper.devnet.node import NodeOptions
from keeper.domain.transaction import IntentState, Lane, Outcome, TxRecord, TxState
from keeper.ports.ledger import Ledger
from tests.chain.proxy import SEND, proxied
from tests.chain.stage import DEPLOYMENT, Keeper, Stage, staged


class Killed(BaseException):
    """Where the process would be gone."""


@pytest.fixture
async def manual(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path / "state", NodeOptions(mining=False)) as stage:
        yield stage


@pytest.mark.parametrize("state", [TxState.MINED, TxState.CONFIRMED])
async def test_crash__after_the_nonce_is_written__the_intent_is_told_and_not_sent_again(
    manual: Stage, monkeypatch: pytest.MonkeyPatch, state: TxState
) -> None:
    """Mined and not yet judged, it was sent again; confirmed and not yet told, it stayed "mined" for ever."""
    keeper, intent = await manual.keeper(confirmations=2), manual.intent(1)
    await keeper.inbox.put(intent)
    await keeper.until(lambda: _sent(keeper, 0))
    with monkeypatch.context() as patched:
        _die_after(patched, keeper.wallet.ledger, state)
        await manual.mine()
        if state is TxState.CONFIRMED:
            await keeper.outcome(intent, IntentState.MINED)
            await manual.mine()
        with pytest.raises(Killed):
            await keeper.until(lambda: False)
    await manual.kill(keeper)
    async with proxied(manual.node.url, strict=False) as proxy:
        proxy.fail("eth_getTransactionReceipt", "null", times=3)  # the node does not help to remember
        keeper = await manual.keeper(url=proxy.url, confirmations=2, finality_blocks=3)
        await keeper.inbox.put(intent)
        await keeper.until(lambda: proxy.faults[0].times == 0)
        for _ in range(3):
            await manual.mine()
        await keeper.until(lambda: not keeper.wallet.desk.open)
        record = keeper.wallet.ledger.intent(intent.id)
        assert record is not None
        assert record.state is IntentState.CONFIRMED
        await manual.kill(keeper)
    assert await manual.mined_nonce() == 1


async def test_reorg__with_a_later_price_pending__the_newest_does_not_come_before_it(manual: Stage) -> None:
    """The newest took the lower nonce, and the older one behind it was refused by the contract."""
    keeper = await manual.keeper()
    first, second, third = (manual.intent(number, Lane.PRICE) for number in (1, 2, 3))
    keeper.prices.put(DEPLOYMENT, first)
    await keeper.until(lambda: _sent(keeper, 0))
    await manual.mine()
    await keeper.outcome(first, IntentState.MINED, IntentState.CONFIRMED)
    keeper.prices.put(DEPLOYMENT, second)
    await keeper.until(lambda: _sent(keeper, 1))
    await manual.rpc.call("anvil_reorg", 1, [])
    keeper.prices.put(DEPLOYMENT, third)
    for _ in range(3):
        await manual.mine_without_us()
    await keeper.until(lambda: keeper.wallet.desk.open[1].intent == third)
    assert keeper.wallet.desk.open[0].intent == first
    await manual.rpc.call("evm_setBlockGasLimit", hex(30_000_000))
    await manual.mine()
    await keeper.outcome(third, IntentState.MINED, IntentState.CONFIRMED)
    assert (await manual.count(), await manual.round(), await manual.mined_nonce()) == (2, 3, 2)


def _sent(keeper: Keeper, nonce: int) -> bool:
    tx = keeper.wallet.desk.open.get(nonce)
    return tx is not None and tx.last.sends > 0


def _die_after(patched: pytest.MonkeyPatch, ledger: Ledger, state: TxState) -> None:
    original = ledger.save

    def save(tx: TxRecord, outcomes: Sequence[Outcome] = ()) -> None:
        original(tx, outcomes)
        if tx.state is state:
            raise Killed

    patched.setattr(ledger, "save", save)


async def test_crash__after_the_send__a_lagging_node_does_not_make_the_nonce_somebody_elses(manual: Stage) -> None:
    """Sent before the crash and mined at the restart: refused once as too low and without a receipt, it was sent again."""
    async with proxied(manual.node.url, strict=False) as proxy:
        proxy.fail(SEND, "hang")
        keeper, intent = await manual.keeper(url=proxy.url), manual.intent(1)
        await keeper.inbox.put(intent)
        await keeper.until(lambda: proxy.calls[SEND] == 1)
        await manual.kill(keeper)
        proxy.fail(SEND, "error", message="nonce too low")
        keeper = await manual.keeper(url=proxy.url)
        await keeper.until(lambda: _sent(keeper, 0))
        proxy.fail("eth_getTransactionReceipt", "null")
        await manual.mine()
        await keeper.until(lambda: proxy.faults[-1].times == 0)
        await manual.mine()
        await keeper.outcome(intent, IntentState.CONFIRMED)
        await manual.kill(keeper)
    assert not manual.log.named("wallet.used_elsewhere")
    assert await manual.mined_nonce() == 1
