"""kill -9 in the middle of a push, a settlement and a liquidation: after the restart nothing is lost and nothing doubled."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from keeper.adapters.encoding.price_batch import PUSH_SELECTOR
from keeper.adapters.protocols.contracts import contracts
from tests.process.gate import Moment, RpcGate, rpc_gate
from tests.process.ledger import BTC, People, assert_nothing_twice, events
from tests.process.stage import QUICK, QUICK_INTERVAL_S, KeeperProcess, Stage, stage

pytestmark = pytest.mark.timeout(240)

SETTLE = [contracts().exchange.functions[name].selector for name in ("settleFunding", "settleFundingMany")]
LIQUIDATE = [contracts().exchange.functions[name].selector for name in ("liquidate", "liquidateBatch")]
Provoke = Callable[[], Awaitable[None]]


async def mining(scene: Stage, on: bool) -> None:
    await scene.rpc.call("evm_setIntervalMining", 1 if on else 0)


def rounds(status: dict[str, Any]) -> int:
    onchain = status["markets"]["BTC-USD"]["onchain"]
    return int(onchain["round_id"]) if onchain is not None else 0


def unmined(status: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        each for each in status["transactions"]["pending"] if each["state"] in ("signed", "broadcast", "cancelling")
    ]


async def killed_while(
    scene: Stage, keeper: KeeperProcess, gate: RpcGate, selectors: Sequence[bytes], moment: Moment, provoke: Provoke
) -> KeeperProcess:
    """Catches a call of `selectors` at `moment`, kills the keeper there, and returns its successor once it has pushed."""
    gate.catch(selectors, moment)
    await provoke()
    await gate.caught()
    signed = keeper.events("tx.signed")[-1]
    keeper.kill()
    await keeper.process.wait()
    if moment is Moment.MINED:
        await scene.rpc.call("evm_mine")
        await mining(scene, on=True)
    before = max(event["roundId"] for event in await events(scene, "BatchPushed"))
    lines = len(keeper.events())
    began = time.monotonic()
    keeper = await scene.keeper(keeper.config)
    scene.market.jump("BTC", -0.0015)
    if moment is Moment.POOLED:
        await keeper.until(lambda status: status["wallets"][0]["nonce"] > signed["nonce"])
        await mining(scene, on=True)
    await keeper.until(lambda status: rounds(status) > before, timeout_s=40)
    print(f"{moment.name}: first push {time.monotonic() - began:.1f} s after the restart")  # noqa: T201
    await keeper.until(lambda status: all(each["nonce"] > signed["nonce"] for each in unmined(status)), timeout_s=40)
    started = [entry for entry in keeper.events()[lines:] if entry["event"] == "outbox.reconciled"]
    assert [entry["open"] >= 1 for entry in started] == [True], "the journal did not know what was under way"
    return keeper


async def crashes(
    directory: Path,
    selectors: Sequence[bytes],
    moments: Sequence[Moment],
    act: Callable[[Stage, Moment], Awaitable[None]],
) -> dict[str, int]:
    async with AsyncExitStack() as stack:
        scene = await stack.enter_async_context(stage(directory, listings=QUICK))
        gate = await stack.enter_async_context(rpc_gate(scene.session, scene.node.url))

        def through_the_gate(settings: dict[str, Any], _markets: dict[str, Any]) -> None:
            settings["chain"]["rpc"] = [gate.url]

        keeper = await scene.keeper(scene.configure(through_the_gate))
        await keeper.until(lambda status: rounds(status) > 0 and status["markets"]["BTC-USD"]["gate"]["open"])
        for moment in moments:

            async def provoke(moment: Moment = moment) -> None:
                await act(scene, moment)

            keeper = await killed_while(scene, keeper, gate, selectors, moment, provoke)
        await keeper.until(lambda status: rounds(status) > 0 and not status["transactions"]["pending"], timeout_s=40)
        assert await keeper.stop() == 0
        assert not keeper.events("wallet.used_elsewhere")
        mined = [entry["intent_id"] for entry in keeper.events("tx.mined") if entry["lane"] == "LIQUIDATION"]
        batches = {event.tx for event in await events(scene, "Liquidated")}
        assert len(mined) == len(set(mined)) == len(batches)
        return dict(await assert_nothing_twice(scene, QUICK_INTERVAL_S))


async def test_push__killed_before_with_and_after_the_node__then_each_round_is_once_on_chain(tmp_path: Path) -> None:
    async def move(scene: Stage, _moment: Moment) -> None:
        scene.market.jump("BTC", 0.004)

    done = await crashes(tmp_path, [PUSH_SELECTOR], list(Moment), move)
    assert done["rounds"] >= 4


async def test_settlement__killed_in_it__then_each_boundary_is_settled_once(tmp_path: Path) -> None:
    async def wait(_scene: Stage, _moment: Moment) -> None:
        """The next boundary comes by itself."""

    done = await crashes(tmp_path, SETTLE, [Moment.JOURNALLED, Moment.POOLED], wait)
    assert done["settlements"] >= 4


async def test_liquidation__killed_in_it__then_it_is_done_once(tmp_path: Path) -> None:
    """Two longs with thin margins, one for each moment; each fall brings one of them under water."""
    victims: list[str] = []

    async def fall(scene: Stage, moment: Moment) -> None:
        if not victims:
            victims.extend(await People(scene).longs(300, 600))
        scene.market.jump("BTC", -0.015 if moment is Moment.JOURNALLED else -0.035, over_s=1)

    done = await crashes(tmp_path, LIQUIDATE, [Moment.JOURNALLED, Moment.POOLED], fall)
    assert done["liquidations"] >= 2  # the contract closes no more of a position than makes it healthy


async def test_mirror__through_a_kill_and_a_reorganisation__then_it_equals_the_lens(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        people = People(scene)
        keeper = await scene.keeper(scene.configure())
        await keeper.published()
        held = await people.longs(500, 900)
        await keeper.until(lambda status: status["markets"]["BTC-USD"]["accounts"] == 3)
        assert await keeper.stop() == 0
        keeper = await scene.keeper(keeper.config)
        await keeper.published()
        loaded = keeper.events("accounts.loaded")
        assert loaded
        assert loaded[-1]["block"] > scene.deployment.block_number
        keeper.kill()
        await keeper.process.wait()
        keeper = await scene.keeper(keeper.config)
        await keeper.published()
        assert len(keeper.events("accounts.loaded")) == 2

        late = await people.longs(700, market_no=BTC)
        await keeper.until(lambda status: status["markets"]["BTC-USD"]["accounts"] == 5)
        await scene.rpc.call("anvil_reorg", 3, [])
        await keeper.until(lambda status: bool(keeper.events("accounts.rewound")))
        await mining(scene, on=False)
        last = int(await scene.rpc.call("eth_blockNumber"), 16)
        await keeper.until(
            lambda status: status["block"]["number"] == last and status["markets"]["BTC-USD"].get("behind_blocks") == 0
        )
        shown = await ours(scene, keeper)
        views = await people.bank.accounts(held + late)
        assert shown.keys() >= set(held)
        for account, view in views.items():
            if account in shown or view["positions"]:
                assert shown[account] == (view["equity"], view["maintenance"])
        assert not keeper.events("accounts.broken")
        await mining(scene, on=True)
        assert await keeper.stop() == 0


async def ours(scene: Stage, keeper: KeeperProcess) -> dict[str, tuple[int, int]]:
    """(equity, maintenance) of every account with a position, as the keeper has it."""
    code, printed = await scene.command("accounts", "--config", str(keeper.config))
    assert code == 0, printed
    rows = json.loads(printed)["main"]
    return {row["account"]: (row["equity_units"], row["maintenance_units"]) for row in rows}
