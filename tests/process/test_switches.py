"""The kill switch, the dry run and a paused contract under real strategies: a push, a settlement and a liquidation are
due, and a proxy in front of the node counts what is sent.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from keeper.devnet.configure import LISTINGS, address_of
from keeper.devnet.deploy import market_config
from keeper.domain.exchange import PAUSE_FUNDING, PAUSE_LIQUIDATE, Tier
from tests.chain.proxy import SEND, Proxy, proxied
from tests.chain.stage import eventually
from tests.process.ledger import BTC, SETTLEMENTS, People, events, sender_receipts
from tests.process.stage import QUICK, KeeperProcess, Stage, stage

pytestmark = pytest.mark.timeout(240)


@dataclass
class Scene:
    """A keeper that has pushed a price, with an account that is nearly under water, behind a proxy that counts."""

    stage: Stage
    node: Proxy
    config: Path
    keeper: KeeperProcess
    people: People
    victim: str

    async def make_work(self) -> None:
        """A move makes a push due, stricter rules a liquidation; the settlement becomes due by itself."""
        self.stage.market.jump("BTC", 0.004)
        stricter = replace(LISTINGS[0].rules, tiers=(Tier(0, 800),))
        exchange = self.stage.deployment.exchange
        await self.people.owner(exchange, "PerpExchange", "configureMarket", BTC, market_config(stricter))

    async def command(self, *words: str) -> str:
        code, printed = await self.stage.command(*words, "--config", str(self.config))
        assert code == 0, printed
        return printed

    async def queued(self, lane: str) -> bool:
        found = json.loads(await self.command("tx", "list", "--json"))
        return any(each["lane"] == lane and each["state"] == "queued" for each in found["transactions"])

    async def wants_everything(self, since: int) -> None:
        """Waits until all three strategies have decided to act, `since` so many reports."""
        keeper = self.keeper
        await keeper.until(lambda _status: len(keeper.events("report.signed")) > since, 30)
        await keeper.until(lambda _status: bool(keeper.events("liquidation.submitted")), 30)
        due_s = (await keeper.market())["funding"]["next_boundary_s"]
        await keeper.until(lambda status: status["block"]["timestamp_s"] > due_s, 40)
        for _ in range(20):
            if await self.queued("funding"):
                return
        raise AssertionError("no settlement waits")

    async def says_why(self, reason: str, words: str, *, ready: bool) -> None:
        """Page, metric and command line say the same."""
        status = await self.keeper.status()
        assert words in status["forbidden"][reason]
        code, body = await self.keeper.get("/readyz")
        (sending,) = [check for check in body["checks"] if check["check"] == "sending"]
        assert (code, sending["ok"]) == ((200, True) if ready else (503, False))
        assert words in sending["detail"]
        metrics = (await self.keeper.get("/metrics"))[1]
        assert f'keeper_tx_forbidden{{reason="{reason}"}} 1' in metrics
        assert words in await self.command("tx", "list")

    async def everything_lands(self) -> None:
        """Once nothing holds it back any more."""
        keeper = self.keeper
        pushed = len(await events(self.stage, "BatchPushed"))
        await keeper.until(lambda _status: bool(keeper.events("liquidation.done")), 40)
        settled = keeper.events("funding.settled")
        await keeper.until(lambda _status: len(keeper.events("funding.settled")) > len(settled), 60)
        assert len(await events(self.stage, "BatchPushed")) > pushed
        assert keeper.events("liquidation.done")[0]["account"] == self.victim


async def assert_once(scene: Stage) -> None:
    """Each push, settlement and liquidation. A settlement that waited while the next boundary passed finds itself done
    by the one before it, and reverts.
    """
    for name, keys in (("BatchPushed", ("roundId",)), ("FundingSettled", ("marketId", "boundary")), ("Liquidated", ())):
        found = await events(scene, name)
        assert found
        told = [tuple(event[key] for key in keys) or (event["account"], event.block) for event in found]
        assert len(set(told)) == len(told), name
    reverted = [row for row in await sender_receipts(scene) if int(row["status"], 16) != 1]
    assert {row["called"] for row in reverted} <= set(SETTLEMENTS)


@asynccontextmanager
async def ready(tmp_path: Path) -> AsyncIterator[Scene]:
    async with stage(tmp_path, listings=QUICK) as found, proxied(found.node.url, strict=False) as node:

        def behind_proxy(settings: dict[str, Any], markets: dict[str, Any]) -> None:
            settings["chain"]["rpc"] = [node.url]
            # A dry run, and a halt, leave the chain's price to age, which would shut the gate of liquidations.
            markets["BTC-USD"]["liquidation"]["gate"]["max_mark_age_s"] = 110

        config = found.configure(behind_proxy)
        keeper = await found.keeper(config)
        people = People(found)
        await keeper.published()
        await keeper.until(lambda status: status["markets"]["BTC-USD"]["gate"]["open"])
        (victim,) = await people.longs(600)
        await keeper.until(lambda status: status["markets"]["BTC-USD"]["accounts"] == 2)
        yield Scene(found, node, config, keeper, people, victim)


Turn = Callable[[Scene], Awaitable[object]]


async def file_on(scene: Scene) -> None:
    (scene.config.parent / "state" / "HALT").touch()


async def file_off(scene: Scene) -> None:
    (scene.config.parent / "state" / "HALT").unlink()


async def order_on(scene: Scene) -> None:
    assert "nothing is sent from now on" in await scene.command("ctl", "halt", "--reason", "a bridge was drained")


async def order_off(scene: Scene) -> None:
    assert "sending goes on" in await scene.command("ctl", "unhalt")


async def signal_on(scene: Scene) -> None:
    scene.keeper.process.send_signal(signal.SIGUSR1)
    scene.keeper.process.send_signal(signal.SIGUSR1)
    await scene.keeper.until(lambda _status: bool(scene.keeper.events("halt.ordered")))


async def signal_off(scene: Scene) -> None:
    scene.keeper.process.send_signal(signal.SIGUSR2)


@pytest.mark.parametrize(
    ("on", "off", "reason", "words"),
    [
        pytest.param(file_on, file_off, "halt_file", "halt file", id="file"),
        pytest.param(order_on, order_off, "halt_order", "a bridge was drained", id="order"),
        pytest.param(signal_on, signal_off, "halt_order", "halted by SIGUSR1", id="signal"),
    ],
)
async def test_halt__with_everything_due__sends_nothing_over_a_restart_too_and_goes_on_when_lifted(
    tmp_path: Path, on: Turn, off: Turn, reason: str, words: str
) -> None:
    async with ready(tmp_path) as scene:
        await on(scene)
        sent, reports = scene.node.calls[SEND], len(scene.keeper.events("report.signed"))
        await scene.make_work()
        await scene.wants_everything(reports)
        await scene.says_why(reason, words, ready=False)
        code, printed = await scene.stage.command("tx", "plunge", "--yes", "--config", str(scene.config))
        assert (code, "nothing may be sent now" in printed) == (1, True)

        scene.keeper.kill()
        await scene.keeper.process.wait()
        reports = len(scene.keeper.events("report.signed"))
        scene.keeper = await scene.stage.keeper(scene.config)
        await scene.keeper.until(lambda _status: len(scene.keeper.events("report.signed")) > reports + 1, 40)
        await scene.says_why(reason, words, ready=False)
        assert scene.node.calls[SEND] == sent

        await off(scene)
        await scene.everything_lands()
        assert await scene.keeper.stop() == 0
        await assert_once(scene.stage)


async def test_dry_run__with_everything_due__withholds_each_kind_and_sends_nothing(tmp_path: Path) -> None:
    async with ready(tmp_path) as scene:
        assert await scene.keeper.stop() == 0
        assert not scene.keeper.events("tx.withheld")
        await scene.make_work()
        sent = scene.node.calls[SEND]
        scene.keeper = await scene.stage.keeper(scene.config, "--dry-run")
        lanes = lambda: {entry["lane"] for entry in scene.keeper.events("tx.withheld")}  # noqa: E731
        await scene.keeper.until(lambda _status: lanes() == {"PRICE", "LIQUIDATION", "FUNDING"}, 60)
        await scene.says_why("dry_run", "dry run", ready=True)
        assert scene.node.calls[SEND] == sent
        assert await scene.keeper.stop() == 0


async def test_contracts__paused__then_what_they_refuse_is_not_sent_and_lands_afterwards(tmp_path: Path) -> None:
    async with ready(tmp_path) as scene:
        deployment, people = scene.stage.deployment, scene.people
        actions = PAUSE_LIQUIDATE | PAUSE_FUNDING
        await people.guardian(deployment.exchange, "PerpExchange", "pause", actions)
        await people.guardian(deployment.oracle, "PriceOracle", "setPaused", True)
        await scene.keeper.until(lambda status: len(status["forbidden"]) == 3)
        await scene.keeper.until(lambda status: not status["transactions"]["pending"])
        sent = scene.node.calls[SEND]
        await scene.make_work()
        due_s = (await scene.keeper.market())["funding"]["next_boundary_s"]
        await scene.keeper.until(lambda status: status["block"]["timestamp_s"] > due_s + 2, 40)
        for reason in ("oracle_paused", "liquidation_paused", "funding_paused"):
            await scene.says_why(reason, "paused on chain: main", ready=True)
        assert scene.node.calls[SEND] == sent

        await people.owner(deployment.exchange, "PerpExchange", "unpause", actions)
        await people.owner(deployment.oracle, "PriceOracle", "setPaused", False)
        await scene.everything_lands()
        assert all(int(row["status"], 16) == 1 for row in await sender_receipts(scene.stage))
        assert await scene.keeper.stop() == 0


async def test_signal__while_the_keeper_is_still_starting__is_heard_and_not_its_end(tmp_path: Path) -> None:
    """SIGUSR1 ends a process that does not listen to it, and systemd would start the keeper again: unhalted."""
    async with stage(tmp_path) as scene:
        keeper = await scene.keeper(scene.configure())
        lock = keeper.config.parent / "state" / "journal.lock"
        await eventually(lambda: asyncio.to_thread(lock.exists))
        keeper.process.send_signal(signal.SIGUSR1)
        await keeper.until(lambda status: "halt_order" in status["forbidden"])
        await keeper.until(lambda _status: bool(keeper.events("report.signed")))
        sender = address_of(scene.keys.sender)
        assert int(await scene.rpc.call("eth_getTransactionCount", sender, "pending"), 16) == 0
        assert await keeper.stop() == 0
