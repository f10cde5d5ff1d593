"""Many blocks, and clocks that are wrong. SOAK_BLOCKS makes the soak a long one: `make soak`."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from keeper.adapters.clock import SystemClock
from keeper.domain.time import SECOND, Timestamp
from keeper.domain.transaction import IntentState, Lane, Purpose
from tests.chain.stage import DEPLOYMENT
from tests.scenarios.stage import Scene, staged
from tests.services.fakes import play, running
from tests.services.test_funding import FIRST
from tests.services.test_funding import Stage as FundingStage

CONFIRMED = IntentState.CONFIRMED
BLOCKS = int(os.environ.get("SOAK_BLOCKS", "150"))
ROOT = Path(__file__).parents[2]
HOUR = 3600 * SECOND
MIB = 2**20


@dataclass
class Vitals:
    rounds: int
    resident: int
    descriptors: int
    journal: int


@pytest.mark.timeout(60 + BLOCKS)
async def test_t32__soak__memory_descriptors_and_journal_do_not_grow(scene: Scene, capsys) -> None:
    words = ["-m", "tests.scenarios.soak_worker", ",".join(scene.sim.urls), str(scene.wallet.directory)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, scene.wallet.counter, str(BLOCKS), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    mining = asyncio.create_task(_mine_what_comes(scene))
    try:
        seen = [_vitals(process.pid, int(line), scene.wallet.directory) async for line in process.stdout]
        assert await process.wait() == 0
    finally:
        mining.cancel()
        if process.returncode is None:
            process.kill()
            await process.wait()
    later = [each for each in seen if each.rounds > BLOCKS // 2]
    first, last = later[0], later[-1]
    with capsys.disabled():
        sys.stdout.write(f"\nsoak: {BLOCKS} blocks; from {first} to {last}\n")
    assert last.resident - first.resident < max(1 * MIB, first.resident // 20)
    assert last.descriptors <= first.descriptors + len(scene.sim.endpoints), (
        "a connection more to each, on a busy machine"
    )
    assert last.journal <= max(8 * MIB, first.journal)
    assert await scene.is_settled(effects=BLOCKS, nonces=BLOCKS)


@pytest.mark.parametrize("hours", [1, -1])
async def test_t33__wall_clock_jumps__what_is_under_way_is_bumped_and_mined_by_blocks(
    tmp_path: Path, hours: int
) -> None:
    async with staged(tmp_path / "state") as scene:
        clock = Jumping()
        scene.wallet.clock = clock
        keeper = await scene.keeper()
        intent, price = scene.wallet.intent(1), scene.wallet.intent(2, Lane.PRICE)
        await keeper.inbox.put(intent)
        await keeper.pooled()
        clock.ahead_ns = hours * HOUR
        await scene.sim.drop(keeper.tx().last.hash)
        while len(keeper.attempts()) < 2:
            await scene.pass_by(keeper)
        keeper.prices.put(DEPLOYMENT, price)
        await keeper.pooled(2)
        await scene.mine(keeper)
        for each in (intent, price):
            await keeper.outcome(each, CONFIRMED)
        assert not scene.wallet.log.named("tx.expired")
        assert await scene.is_settled(effects=2, nonces=2)


@pytest.mark.parametrize("hours", [1, -1])
async def test_t33__wall_clock_jumps__a_deadline_that_the_chain_has_not_come_to_is_kept(
    scene: Scene, hours: int
) -> None:
    scene.wallet.clock = clock = Jumping()
    keeper = await scene.keeper()
    intent, second = (scene.wallet.intent(number, deadline_s=1800) for number in (1, 2))
    await keeper.inbox.put(intent)
    await keeper.pooled()
    clock.ahead_ns = hours * HOUR
    await scene.pass_by(keeper)
    await keeper.inbox.put(second)
    await keeper.pooled(2)
    await scene.mine(keeper)
    for each in (intent, second):
        await keeper.outcome(each, CONFIRMED)


@pytest.mark.parametrize("hours", [0, 1, -1])
async def test_t33__wall_clock_jumps__a_deadline_that_the_chain_has_come_to_is_not(scene: Scene, hours: int) -> None:
    scene.wallet.clock = clock = Jumping()
    keeper = await scene.keeper(bump_blocks=dict.fromkeys(Lane, 10**6))
    intent, second = (scene.wallet.intent(number, deadline_s=1800) for number in (1, 2))
    await keeper.inbox.put(intent)
    await keeper.pooled()
    clock.ahead_ns = hours * HOUR
    await scene.sim.rpc.call("evm_increaseTime", 1801)
    await scene.pass_by(keeper)
    await keeper.attempted(2)
    await keeper.inbox.put(second)
    await scene.mine(keeper)
    for each in (intent, second):
        await keeper.outcome(each, IntentState.EXPIRED)
    assert await scene.is_settled(effects=0, nonces=1)


async def test_t33__heads_stop__a_deadline_passes_all_the_same(scene: Scene) -> None:
    """By the time that no clock can be set to: the next block will be stamped with what has passed."""
    scene.wallet.clock = clock = Jumping()
    keeper = await scene.keeper()
    await scene.pass_by(keeper)
    intent = scene.wallet.intent(1, deadline_s=2.0)
    await keeper.inbox.put(intent)
    await keeper.pooled()
    clock.ahead_ns = -HOUR
    await keeper.attempted(2)
    assert keeper.tx().last.purpose is Purpose.CANCEL


@pytest.mark.parametrize("hours", [1, -1])
def test_t33__wall_clock_jumps__funding_is_due_by_the_chains_time_alone(hours: int) -> None:
    async def scenario() -> None:
        stage = FundingStage()
        async with running(stage.service):
            await stage.head(FIRST - 2)
            stage.desk.clock.offset_s += 3600 * hours
            stage.wake.put("schedule", 1)
            await stage.head(FIRST - 1)
            assert stage.letters() == [], "an hour later only by our own clock"
            await stage.head(FIRST)
            assert {each.lane for each in stage.letters()} == {Lane.FUNDING}

    play(scenario)


class Jumping(SystemClock):
    """Somebody sets it."""

    ahead_ns = 0

    def now(self) -> Timestamp:
        return Timestamp(super().now() + self.ahead_ns)


def _vitals(pid: int, rounds: int, directory: Path) -> Vitals:
    process = Path(f"/proc/{pid}")
    resident = int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    journal = sum(each.stat().st_size for each in directory.iterdir())
    return Vitals(rounds, resident, len(list((process / "fd").iterdir())), journal)


async def _mine_what_comes(scene: Scene) -> None:
    """A block as soon as there is something to put into it."""
    while True:
        if scene.sim.pool.pending():
            await scene.sim.mine()
            scene.sim.record.clear()
            scene.sim.chain.known.clear()
        await asyncio.sleep(0.001)
