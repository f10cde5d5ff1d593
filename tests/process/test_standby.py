"""Two keepers, one state directory: one works, the other waits, and is never beside a first that might still send."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.process.ledger import assert_nothing_twice
from tests.process.stage import QUICK, QUICK_INTERVAL_S, KeeperProcess, Stage, stage

pytestmark = pytest.mark.timeout(240)

SILENCE_S = 3


def rounds(status: dict[str, Any]) -> int:
    onchain = status["markets"]["BTC-USD"]["onchain"]
    return int(onchain["round_id"]) if onchain is not None else 0


async def standby(scene: Stage, first: Path, name: str) -> KeeperProcess:
    """With a configuration and a log of its own, by the state of the first."""

    def same_state(settings: dict[str, Any], _markets: dict[str, Any]) -> None:
        settings["state_dir"] = str(first.parent / "state")

    return await scene.keeper(scene.configure(same_state, name), "--standby", f"{SILENCE_S}s")


async def waits_for(waiting: KeeperProcess, working: KeeperProcess) -> None:
    await told(waiting, "standby.waiting", lambda entry: entry["holder"] == working.process.pid)


async def told(
    keeper: KeeperProcess, event: str, which: Callable[[dict[str, Any]], bool] = lambda _entry: True
) -> dict[str, Any]:
    found: Sequence[dict[str, Any]] = ()
    began = time.monotonic()
    while not found:
        assert keeper.process.returncode is None, keeper.tail()
        assert time.monotonic() - began < 30, keeper.tail()
        await asyncio.sleep(0.05)
        found = [entry for entry in keeper.events(event) if which(entry)]
    return found[0]


async def test_t29__standby__takes_the_place_of_one_that_is_stopped_and_of_one_that_ends__nothing_twice(
    tmp_path: Path,
) -> None:
    async with stage(tmp_path, listings=QUICK) as scene:
        config = scene.configure()
        first = await scene.keeper(config)
        await first.until(lambda status: rounds(status) > 0)
        second = await standby(scene, config, "second")
        await waits_for(second, first)

        await scene.rpc.call("evm_setIntervalMining", 0)
        scene.market.jump("BTC", 0.004)
        await first.until(lambda status: bool(status["transactions"]["pending"]))
        assert not second.events("tx.signed")
        first.process.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        await told(second, "standby.killed")
        assert await first.process.wait() == -signal.SIGKILL, "what is dead cannot be continued, and sends nothing"
        reconciled = await told(second, "outbox.reconciled")
        print(f"at work {time.monotonic() - stopped:.1f} s after the first was stopped")  # noqa: T201
        assert reconciled["open"] >= 1, "the push that was under way"
        await scene.rpc.call("evm_setIntervalMining", 1)
        before = rounds(await second.until(lambda status: not status["transactions"]["pending"]))
        scene.market.jump("BTC", -0.004)
        await second.until(lambda status: rounds(status) > before)

        third = await standby(scene, config, "third")
        await waits_for(third, second)
        assert await second.stop() == 0
        await told(third, "standby.takes_over", lambda entry: entry["holder"] == second.process.pid)
        assert not third.events("standby.killed")
        await third.until(lambda status: rounds(status) > 0 and not status["transactions"]["pending"])
        assert await third.stop() == 0
        assert all(not each.events("wallet.used_elsewhere") for each in (first, second, third))
        await assert_nothing_twice(scene, QUICK_INTERVAL_S)


@pytest.mark.parametrize(
    ("waiting", "working", "halted"),
    [
        pytest.param((signal.SIGUSR1,), (), True, id="an-order-counts"),
        pytest.param((signal.SIGUSR1, signal.SIGUSR2), (), False, id="an-order-taken-back-does-not"),
        pytest.param((signal.SIGUSR2,), (signal.SIGUSR1,), True, id="what-the-first-was-ordered-later-stays"),
    ],
)
async def test_kill_switch__heard_while_waiting__is_no_end_and_counts_from_the_start(
    tmp_path: Path, waiting: Sequence[int], working: Sequence[int], halted: bool
) -> None:
    async with stage(tmp_path, listings=QUICK) as scene:
        config = scene.configure()
        first = await scene.keeper(config)
        await first.until(lambda status: bool(status["markets"]))
        second = await standby(scene, config, "second")
        await waits_for(second, first)
        for keeper, signals in ((second, waiting), (first, working)):
            for number in signals:
                keeper.process.send_signal(number)
        await first.until(lambda status: ("halt_order" in status["forbidden"]) == bool(working))
        assert await first.stop() == 0
        await told(second, "keeper.ready")
        assert ("halt_order" in (await second.until(lambda _status: True))["forbidden"]) == halted
        assert await second.stop() == 0


async def test_standby__as_a_dry_run_or_too_eager__is_a_usage_error(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        config = str(scene.configure())
        for words in (("--standby", "2s"), ("--standby", "10s", "--dry-run"), ("--standby", "soon")):
            code, printed = await scene.command("run", "--config", config, *words)
            assert (code, "--standby" in printed) == (2, True), printed
