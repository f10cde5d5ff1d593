"""`keeper tx` as a person types it: against a keeper that runs, against one that stands still, against none."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from keeper.devnet.configure import address_of
from tests.process.stage import CALM, REPOSITORY, KeeperProcess, Stage, stage

pytestmark = pytest.mark.timeout(240)


async def stuck_push(scene: Stage, keeper: KeeperProcess) -> int:
    """A price that is with the node, which mines nothing any more; its nonce."""
    await keeper.published()
    await scene.rpc.call("evm_setIntervalMining", 0)
    mined = int(await scene.rpc.call("eth_getTransactionCount", address_of(scene.keys.sender), "latest"), 16)
    scene.market.jump("BTC", 0.004)
    await keeper.until(
        lambda status: any(
            each["lane"] == "price" and each["state"] == "broadcast" and each["nonce"] == mined
            for each in status["transactions"]["pending"]
        )
    )
    return mined


async def tx(scene: Stage, config: Path, *words: str) -> tuple[int, str]:
    return await scene.command("tx", *words, "--config", str(config))


async def listed(scene: Stage, config: Path, *words: str) -> dict[str, Any]:
    code, printed = await tx(scene, config, "list", "--json", *words)
    assert code == 0, printed
    found: dict[str, Any] = json.loads(printed[printed.index("{") :])
    return found


async def test_tx__of_a_stuck_price__is_listed_shown_bumped_and_cancelled(tmp_path: Path) -> None:
    async with stage(tmp_path, listings=CALM) as scene:
        config = scene.configure()
        keeper = await scene.keeper(config)
        nonce = await stuck_push(scene, keeper)
        found = await listed(scene, config)
        (row,) = [each for each in found["transactions"] if each["nonce"] == nonce]
        assert found["note"] == ""
        assert (row["lane"], row["state"], row["answer"], row["attempts"]) == ("price", "broadcast", "accepted", 1)
        code, printed = await tx(scene, config, "list")
        assert code == 0
        assert row["hash"][:12] in printed

        for name in (str(nonce), row["hash"], row["intent_id"], row["hash"][:12]):
            code, printed = await tx(scene, config, "show", name)
            assert code == 0, printed
            assert row["hash"] in printed
            assert row["intent_id"] in printed
            soon, later = "the fee is raised at block", "the same bytes go out again with the next block"
            assert soon in printed or later in printed, "the latter once it has waited for `resend_after_s`"

        code, printed = await tx(scene, config, "bump", str(nonce))
        assert code == 0, printed
        assert f"nonce {nonce}: its fee is raised" in printed
        assert printed.strip().endswith("accepted")

        code, printed = await tx(scene, config, "bump", str(nonce + 40))
        assert (code, printed.count("\n")) == (1, 1)
        assert f"pending: {nonce}" in printed

        code, printed = await tx(scene, config, "cancel", str(nonce))
        assert code == 0, printed
        shown = json.loads((await tx(scene, config, "show", str(nonce), "--json"))[1])
        assert [each["purpose"] for each in shown["made"]] == ["call", "bump", "cancel"]
        assert (shown["state"], shown["outcome"]["state"]) == ("cancelling", "abandoned")
        await scene.rpc.call("evm_setIntervalMining", 1)
        before = (await keeper.market())["onchain"]["round_id"]
        await keeper.until(lambda status: status["markets"]["BTC-USD"]["onchain"]["round_id"] > before)
        assert keeper.events("tx.cancelled")
        assert await keeper.stop() == 0


async def test_tx_plunge__with_confirmation_and_without__then_everything_pending_goes(tmp_path: Path) -> None:
    async with stage(tmp_path, listings=CALM) as scene:
        config = scene.configure()
        keeper = await scene.keeper(config)
        nonce = await stuck_push(scene, keeper)
        code, printed = await tx(scene, config, "plunge")
        assert code == 1, printed
        assert "Cancel all 1 pending transactions?" in printed
        assert (await listed(scene, config))["transactions"][-1]["state"] == "broadcast"
        code, printed = await tx(scene, config, "plunge", "--yes")
        assert code == 0, printed
        assert f"nonce {nonce}: an empty transfer takes its place" in printed
        await scene.rpc.call("evm_mine")
        await keeper.until(lambda _status: bool(keeper.events("tx.cancelled")))
        await scene.rpc.call("evm_setIntervalMining", 1)
        assert await keeper.stop() == 0


async def test_tx__without_a_keeper__reads_its_journal_and_gives_no_orders(tmp_path: Path) -> None:
    async with stage(tmp_path, listings=CALM) as scene:
        config = scene.configure()
        code, printed = await tx(scene, config, "list")
        assert code == 1
        assert "no keeper runs here, nor did one ever" in printed
        keeper = await scene.keeper(config)
        nonce = await stuck_push(scene, keeper)
        keeper.kill()
        await keeper.process.wait()
        before = {file.name: file.read_bytes() for file in (config.parent / "state").glob("journal.sqlite")}

        found = await listed(scene, config)
        assert "no keeper runs here: nobody answers at" in found["note"]
        assert "journal.sqlite" in found["note"]
        (row,) = [each for each in found["transactions"] if each["nonce"] == nonce]
        code, printed = await tx(scene, config, "list", "--all")
        assert "final" in printed or "confirmed" in printed
        code, printed = await tx(scene, config, "show", str(nonce))
        assert code == 0, printed
        assert row["hash"] in printed
        code, printed = await tx(scene, config, "show", "9999")
        assert (code, f"pending: {nonce}" in printed) == (1, True)
        for order in (("bump", str(nonce)), ("cancel", str(nonce)), ("plunge",), ("plunge", "--yes")):
            code, printed = await tx(scene, config, *order)
            assert code == 1
            assert printed.startswith("keeper: no keeper runs here: nobody answers at ")
            assert printed.count("\n") == 1
        assert before == {file.name: file.read_bytes() for file in (config.parent / "state").glob("journal.sqlite")}


async def test_tx_list__watched__repaints_until_it_is_interrupted(tmp_path: Path) -> None:
    """Through the keeper's death and back, off a terminal: one line of JSON a second."""
    async with stage(tmp_path) as scene:
        config = scene.configure()
        keeper = await scene.keeper(config)
        await keeper.published()
        words = ("tx", "list", "--watch", "--json", "--config", str(config))
        watching = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "keeper", *words, cwd=REPOSITORY, env=dict(os.environ),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            assert watching.stdout is not None
            for _ in range(2):
                assert json.loads(await watching.stdout.readline())["note"] == ""
            keeper.kill()
            await keeper.process.wait()
            async with asyncio.timeout(20):
                while not json.loads(await watching.stdout.readline())["note"]:
                    pass
            watching.send_signal(signal.SIGINT)
            assert await asyncio.wait_for(watching.wait(), 10) == 0
        finally:
            if watching.returncode is None:
                watching.kill()
                await watching.wait()
