"""What the keeper heard is on its tape, and the same build makes the same of it, whatever the seed of Python's hashes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keeper.adapters.clock import SystemClock
from keeper.adapters.tape.reader import read
from keeper.app.registries import REGISTRIES
from keeper.app.replay import replay
from keeper.domain.time import SECOND
from keeper.settings.load import load
from tests.canary import URL_SECRET, assert_kept
from tests.process.stage import REPOSITORY, Stage, stage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(tmp_path) as found:
        yield found


async def _replayed(tape: Path, config: Path, seed: str) -> tuple[int, dict]:
    words = ("replay", str(tape), "--config", str(config), "--verify", "--json")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "keeper", *words,
        stdout=asyncio.subprocess.PIPE, cwd=REPOSITORY, env={**os.environ, "PYTHONHASHSEED": seed},
    )  # fmt: skip
    printed, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, json.loads(printed)


async def test_replay__three_times_of_a_live_tape__the_same_decisions_and_near_what_was_published(world: Stage) -> None:
    config = world.configure()
    keeper = await world.keeper(config)
    await keeper.published("BTC-USD")
    await asyncio.sleep(10)
    assert await keeper.stop() == 0
    tape = config.parent / "state" / "tape"
    found = [await _replayed(tape, config, seed) for seed in ("1", "2", "4294967295")]
    assert len({document["hash"] for _, document in found}) == 1
    code, document = found[0]
    assert code == 0, document
    assert document["markets"]["BTC-USD"]["published_then"] > 0
    assert document["markets"]["BTC-USD"]["pushes"] > 0
    assert document["decisions"] > 0
    for file in tape.iterdir():
        assert_kept("".join(str(each) for each in read(file)), (*world.secrets, URL_SECRET.encode()))


async def test_replay__of_a_pause_that_was_taken_back__stands_still_and_goes_on_as_the_keeper_did(world: Stage) -> None:
    config, clock = world.configure(), SystemClock()
    keeper = await world.keeper(config)
    await keeper.published("BTC-USD")
    assert (await world.command("ctl", "pause", "BTC-USD", "--config", str(config)))[0] == 0
    paused = clock.now()
    await asyncio.sleep(4)
    before, resumed = (await keeper.market())["onchain"]["round_id"], clock.now()
    assert (await world.command("ctl", "resume", "BTC-USD", "--config", str(config)))[0] == 0
    world.market.jump("BTC", 0.003)
    await keeper.until(lambda status: status["markets"]["BTC-USD"]["onchain"]["round_id"] > before)
    await asyncio.sleep(5)
    assert await keeper.stop() == 0
    settings = load(config, REGISTRIES, {})
    played = await asyncio.to_thread(replay, config.parent / "state" / "tape", settings)
    for told in (played.live, played.series.said):
        times = [said.at for said in told if said.market == "BTC-USD"]
        assert [at for at in times if at < paused]
        assert not [at for at in times if paused + SECOND < at < resumed]
        assert [at for at in times if at > resumed]
    code, document = await _replayed(config.parent / "state" / "tape", config, "1")
    assert (code, document["markets"]["BTC-USD"]["apart"]) == (0, 0), document


async def test_replay__over_a_kill_and_a_restart__is_near_what_both_processes_published(world: Stage) -> None:
    config = world.configure()
    for last in (False, True):
        keeper = await world.keeper(config)
        await keeper.until(lambda status: sum(status["markets"]["BTC-USD"]["pushes"].values()) >= 2, timeout_s=60)
        await asyncio.sleep(2)  # by then the tape's lines of these pushes are on the disk
        if not last:
            keeper.kill()
            await keeper.process.wait()
    assert await keeper.stop() == 0
    code, document = await _replayed(config.parent / "state" / "tape", config, "1")
    found = document["markets"]["BTC-USD"]
    assert (code, found["apart"], len(document["processes"])) == (0, 0, 2), document
    assert found["published_then"] >= 4


async def test_record__beside_a_keeper__keeps_a_tape_that_can_be_replayed_and_drawn(world: Stage) -> None:
    config, out = world.configure(), world.directory / "tape"
    code, said = await world.command("record", "--out", str(out), "--for", "6s", "--config", str(config))
    assert code == 0, said
    kinds = {found.kind for found in read(out)}
    assert {"head", "dial", "text", "sent", "state"} <= kinds
    report = world.directory / "report.html"
    code, said = await world.command("replay", str(out), "--config", str(config), "--report", str(report))
    assert code == 0, said
    assert re.search(r"hash [0-9a-f]{64}", said)
    page = report.read_text()
    assert page.count("<svg") == 2
    assert "http" not in re.sub(
        r'xmlns(:\w+)?="[^"]*"|<metadata>.*?</metadata>|<!DOCTYPE[^>]*>', "", page, flags=re.DOTALL
    )


async def test_replay__of_something_else__one_sentence(world: Stage) -> None:
    code, said = await world.command("replay", str(world.directory / "none"), "--config", str(world.configure()))
    assert code == 1
    assert "no tape there" in said
