"""Lanes with wallets of their own, as real processes: one lane that is stuck is nobody else's trouble."""

from __future__ import annotations

import json
import os
import secrets
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from keeper.adapters.encoding.price_batch import PUSH_SELECTOR
from keeper.adapters.protocols.contracts import contracts
from keeper.devnet.configure import address_of
from keeper.devnet.demo.wallet import fund
from keeper.devnet.demo.world import journal_of
from tests.canary import assert_kept, signed
from tests.process.gate import rpc_gate
from tests.process.stage import QUICK, Edit, KeeperProcess, Stage, stage

pytestmark = pytest.mark.timeout(240)

SETTLE = [contracts().exchange.functions[name].selector for name in ("settleFunding", "settleFundingMany")]


def wallet(status: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [each for each in status["wallets"] if each["name"] == name]
    return dict(found)


def stuck(status: dict[str, Any]) -> list[dict[str, Any]]:
    """Settlements that no node has."""
    return [each for each in status["transactions"]["pending"] if each["lane"] == "funding" and each["attempts"]]


def rounds(status: dict[str, Any]) -> int:
    onchain = status["markets"]["BTC-USD"]["onchain"]
    return int(onchain["round_id"]) if onchain is not None else 0


async def sent_by(scene: Stage, sender: str) -> list[tuple[int, bytes]]:
    """(nonce, selector) of everything mined from an address, in order."""
    newest = int(await scene.rpc.call("eth_blockNumber"), 16)
    blocks = [await scene.rpc.call("eth_getBlockByNumber", hex(number), True) for number in range(newest + 1)]
    mined = [tx for block in blocks for tx in block["transactions"] if tx["from"].lower() == sender.lower()]
    return [(int(tx["nonce"], 16), bytes.fromhex(tx["input"][2:10])) for tx in mined]


def key_file(path: Path, key: bytes) -> Path:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as out:
        out.write("0x" + key.hex())
    return path


def two_wallets(rpc: str, file: Path) -> Edit:
    def edit(settings: dict[str, Any], _markets: dict[str, Any]) -> None:
        settings["chain"]["rpc"] = [rpc]
        settings["signers"]["wallets"] = {"pusher": {"kind": "key_file", "file": str(file)}}
        settings["signers"]["lanes"] = {"price": "pusher"}

    return edit


async def moved(scene: Stage, keeper: KeeperProcess, share: float) -> dict[str, Any]:
    """/status once a price that was decided after the jump is on chain."""
    before = rounds(await keeper.until(lambda status: rounds(status) > 0))
    scene.market.jump("BTC", share)
    return await keeper.until(lambda status: rounds(status) > before)


async def assert_names_the_wallet(scene: Stage, config: Path, nonce: int, both: str) -> None:
    """What an operator types about a nonce has to say whose it is."""
    code, printed = await scene.command("tx", "bump", str(nonce), "--config", str(config))
    assert (code != 0, printed) == (True, f"keeper: which --wallet? {both}\n")
    words = ("tx", "show", str(nonce), "--wallet", "sender", "--json")
    code, printed = await scene.command(*words, "--config", str(config))
    assert (code, json.loads(printed)["lane"]) == (0, "funding")


async def test_wallets__the_senders_lane_is_stuck__a_price_goes_out_from_its_own_and_a_restart_recovers_both(
    tmp_path: Path,
) -> None:
    file = key_file(tmp_path / "pusher.key", key := secrets.token_bytes(32))
    async with AsyncExitStack() as stack:
        scene = await stack.enter_async_context(stage(tmp_path, listings=QUICK))
        gate = await stack.enter_async_context(rpc_gate(scene.session, scene.node.url))
        sender, pusher = address_of(scene.keys.sender).lower(), address_of(key).lower()
        await fund(scene.rpc, pusher)
        gate.refuse([*SETTLE, bytes.fromhex(sender[2:])])  # its empty transfers, which go to itself, neither
        keeper = await scene.keeper(scene.configure(two_wallets(gate.url, file)))
        (held, *_) = stuck(await keeper.until(lambda status: bool(stuck(status)), timeout_s=40))
        assert held["wallet"] == "sender"
        for share in (0.004, -0.004):
            status = await moved(scene, keeper, share)
        assert stuck(status)[0]["nonce"] == held["nonce"], "the other lane still waits"
        assert wallet(status, "pusher")["lanes"] == ["price"]
        assert wallet(status, "sender")["in_flight"] >= 1
        assert wallet(status, "sender")["reserved_wei"] > 0
        await assert_names_the_wallet(scene, keeper.config, held["nonce"], f"sender ({sender}), pusher ({pusher})")

        keeper.kill()
        await keeper.process.wait()
        gate.refuse()
        lines = len(keeper.events())
        keeper = await scene.keeper(keeper.config)
        await moved(scene, keeper, 0.004)
        await keeper.until(lambda _status: _is_recovered(keeper, sender, held["nonce"]), 40)
        started = {each["wallet"]: each for each in keeper.events()[lines:] if each["event"] == "outbox.reconciled"}
        assert started.keys() == {sender, pusher}
        assert started[sender]["open"] >= 1, "the journal did not know what was under way"
        assert await keeper.stop() == 0
        assert not keeper.events("wallet.used_elsewhere")
        settled, pushed = await sent_by(scene, sender), await sent_by(scene, pusher)
        assert {selector for _, selector in pushed} == {PUSH_SELECTOR}
        assert {selector for _, selector in settled} <= {*SETTLE, b""}, "a cancellation, if its boundary was over"
        for mined, least in ((settled, 1), (pushed, 3)):
            assert [nonce for nonce, _ in mined] == list(range(max(least, len(mined))))
        assert_kept(keeper.log_file.read_text(), [key], signed(journal_of(keeper.config.parent)))


def _is_recovered(keeper: KeeperProcess, sender: str, nonce: int) -> bool:
    """What was stuck is mined, as it was or cancelled, and a settlement has been since the restart."""
    mined = [each for each in keeper.events("tx.mined") if each["wallet"] == sender]
    cancelled = [each for each in keeper.events("tx.cancelled") if each["wallet"] == sender]
    return bool(mined) and any(each["nonce"] == nonce for each in (*mined, *cancelled))
