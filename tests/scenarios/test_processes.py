"""Processes that are killed with -9, started twice or stopped for a while, and replicas that want the same."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from keeper.devnet.simulator.catalogue import drop_reply, error, hang
from keeper.domain.transaction import IntentState
from tests.chain.stage import eventually
from tests.scenarios.stage import COUNT, RECEIPT, SEND, Scene

ROOT = Path(__file__).parents[2]
POINTS = (
    "while it starts",
    "before a node has it",
    "before the answer",
    "after the answer",
    "after a lost answer",
    "while nobody takes it",
    "mined and not yet looked up",
    "while it is bumped",
)


@pytest.mark.parametrize("point", ["before the answer", "after a lost answer"])
async def test_t10__lost_reply_and_killed__the_same_bytes_again_and_one_effect(scene: Scene, point: str) -> None:
    async with _worker(scene, 1) as process:
        await _come_to(point, scene)
        await _killed(process)
    scene.heal()
    async with _worker(scene, 1) as process:
        await scene.sim.mine()
        assert await _ended(process) == 0
    assert len(set(scene.sent())) == 1
    assert await scene.is_settled(effects=1, nonces=1)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("seed", [28])
async def test_t28__killed_at_eight_points__each_round_is_recorded_once_and_no_nonce_is_left_out(
    scene: Scene, seed: int
) -> None:
    """A small one with a signal from outside; tests/torture kills at named places within."""
    draw, rounds = random.Random(seed), 4
    for point in draw.sample(POINTS, len(POINTS)):
        async with _worker(scene, rounds) as process:
            await _come_to(point, scene)
            await _killed(process)
        scene.heal()
        for _ in range(draw.randint(0, 1)):
            await scene.sim.mine()
    async with _worker(scene, rounds) as process:
        ending = asyncio.ensure_future(_ended(process))
        while not ending.done():
            await asyncio.wait([ending], timeout=0.05)
            await scene.sim.mine()
        assert await ending == 0
    assert await scene.is_settled(effects=rounds, nonces=rounds)


async def test_t29__two_processes_on_one_journal__the_second_ends_with_75_and_a_zombie_sends_nothing_twice(
    scene: Scene,
) -> None:
    async with _worker(scene, 2) as process:
        await _come_to("after the answer", scene)
        async with _worker(scene, 2) as second:
            assert await _ended(second) == 75
        process.send_signal(signal.SIGSTOP)
        await scene.sim.mine()
        for _ in range(5):
            await scene.pass_by()
        async with _worker(scene, 2) as third:
            assert await _ended(third) == 75, "one that is stopped still holds its journal"
        first = set(scene.sent())
        scene.sim.record.clear()
        process.send_signal(signal.SIGCONT)
        await _pooled(scene)
        await scene.sim.mine()
        assert await _ended(process) == 0
    assert len(first) == len(set(scene.sent())) == 1
    assert not first & set(scene.sent())
    assert await scene.is_settled(effects=2, nonces=2)


async def test_t30__two_replicas_with_two_keys__one_effect_and_at_most_one_revert(scene: Scene) -> None:
    spare = await scene.another_wallet(2)
    keepers = [await scene.keeper(), await scene.keeper(spare)]
    for keeper in keepers:
        await keeper.inbox.put(scene.wallet.intent(1))
    for keeper in keepers:
        await keeper.pooled()
    await scene.mine(*keepers)
    intent = scene.wallet.intent(1)
    told = [await each.outcome(intent, IntentState.CONFIRMED, IntentState.LOST_RACE) for each in keepers]
    assert {each.state for each in told} == {IntentState.CONFIRMED, IntentState.LOST_RACE}
    assert sorted(each.receipt.status for each in told) == [0, 1]
    late = scene.wallet.intent(1, gas_limit=None, key="the same round, wanted later")
    await keepers[1].inbox.put(late)
    await keepers[1].outcome(late, IntentState.LOST_RACE)
    assert await scene.is_settled(effects=1, nonces=1)
    assert await scene.is_settled(effects=1, nonces=1, wallet=spare), "what is done already is not even sent"


async def _come_to(point: str, scene: Scene) -> None:
    """Until the process is just there."""
    sent = len(scene.sent())
    match point:
        case "while it starts":
            await _held(scene, hang(), COUNT)
        case "before a node has it":
            await _held(scene, hang(), SEND)
        case "before the answer":
            await _held(scene, hang(performed=True), SEND)
        case "after the answer":
            await _pooled(scene)
        case "after a lost answer":
            scene.everywhere(drop_reply(), {SEND}, times=1)
            await _so(lambda: len(scene.sent()) >= sent + 3)
        case "while nobody takes it":
            scene.everywhere(error(-32000, "txpool is full"), {SEND})
            await _so(lambda: len(scene.sent()) >= sent + 4)
        case "mined and not yet looked up":
            await _pooled(scene)
            held = scene.everywhere(hang(), {RECEIPT})
            await scene.sim.mine()
            await _so(lambda: any(each.holding.is_set() for each in held))
        case "while it is bumped":
            await _pooled(scene)
            held = scene.everywhere(hang(performed=True), {SEND})
            while not any(each.holding.is_set() for each in held):
                await scene.pass_by()
                await asyncio.sleep(0.05)


async def _held(scene: Scene, fault: object, method: str) -> None:
    held = scene.everywhere(fault, {method})
    await _so(lambda: any(each.holding.is_set() for each in held))


async def _pooled(scene: Scene) -> None:
    await _so(lambda: bool(scene.sim.pool.pending()))


async def _so(condition: Callable[[], bool]) -> None:
    async def asked() -> bool:
        return condition()

    await eventually(asked)


@asynccontextmanager
async def _worker(scene: Scene, rounds: int) -> AsyncIterator[asyncio.subprocess.Process]:
    wallet = scene.wallet
    words = [
        "-m",
        "tests.scenarios.worker",
        ",".join(scene.sim.urls),
        str(wallet.directory),
        wallet.counter,
        str(rounds),
    ]
    process = await asyncio.create_subprocess_exec(sys.executable, *words, cwd=ROOT)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _ended(process: asyncio.subprocess.Process) -> int:
    async with asyncio.timeout(30):
        return await process.wait()


async def _killed(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGKILL)
    assert await _ended(process) == -signal.SIGKILL
