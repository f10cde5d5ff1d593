"""Start, beat and stop of the real daemon as systemd sees them; and what must never leave it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from keeper.devnet.configure import Endpoints, Keys, Listing, address_of, market_documents, write_config
from keeper.devnet.demo.world import free_port
from keeper.devnet.deploy import Deployment
from keeper.domain.ids import address
from tests.process.gate import rpc_gate
from tests.process.ledger import sender_receipts
from tests.process.stage import CALM, KeeperProcess, Stage, stage, started

pytestmark = pytest.mark.timeout(240)

VENUES = ("binance", "coinbase", "kraken", "bitstamp")
LISTED = [
    *(Listing("binance", f"{base}USDT", base, "USDT") for base in ("BTC", "ETH")),
    *(Listing("coinbase", f"{base}-USD", base, "USD") for base in ("BTC", "ETH", "USDT")),
    *(Listing("kraken", f"{base}/USD", base, "USD") for base in ("BTC", "ETH", "USDT")),
    *(Listing("bitstamp", f"{base.lower()}usd", base, "USD") for base in ("BTC", "ETH", "USDT")),
]


class Systemd:
    """The other end of NOTIFY_SOCKET: keeps every message."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)
        self.heard: list[str] = []

    def environ(self, **more: str) -> Mapping[str, str]:
        return {"NOTIFY_SOCKET": str(self.path), **more}

    def count(self, start: str) -> int:
        while True:
            try:
                self.heard.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                break
        return sum(message.startswith(start) for message in self.heard)

    async def hears(self, start: str, count: int = 1, timeout_s: float = 20.0) -> None:
        async with asyncio.timeout(timeout_s):
            while self.count(start) < count:  # noqa: ASYNC110 - another process sets it
                await asyncio.sleep(0.02)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
async def systemd(tmp_path: Path) -> AsyncIterator[Systemd]:
    found = Systemd(tmp_path / "notify")
    yield found
    found.close()


def nowhere(directory: Path, port: int) -> Path:
    """A right configuration in a world where no node and no venue listens."""
    closed = free_port()
    venues = {name: {"url": f"ws://127.0.0.1:{closed}/", "rest_url": f"http://127.0.0.1:{closed}"} for name in VENUES}
    venues["perp"] = {"url": f"ws://127.0.0.1:{closed}/"}
    somewhere = [address(address_of(os.urandom(32))) for _ in range(5)]
    deployment = Deployment(31337, 1, *somewhere, (1, 2))
    endpoints = Endpoints(f"http://127.0.0.1:{closed}", venues, port)
    return write_config(directory / "keeper", market_documents(LISTED, "perp"), deployment, Keys.fresh(), endpoints)


async def test_start__with_no_node_and_no_venue__then_it_is_up_and_beats_and_is_not_ready(
    tmp_path: Path, systemd: Systemd
) -> None:
    port = free_port()
    path = nowhere(tmp_path, port)
    async with aiohttp.ClientSession() as session:
        keeper = await started(path, session, port, environ=systemd.environ(WATCHDOG_USEC="900000"))
        try:
            await systemd.hears("READY=1")
            assert (await keeper.get("/livez"))[0] == 200
            code, body = await keeper.get("/readyz")
            assert code == 503
            assert [check["check"] for check in body["checks"] if not check["ok"]] == ["chain"]
            assert (await keeper.get("/readyz?market=BTC-USD"))[0] == 503
            beats = systemd.count("WATCHDOG=1")
            await systemd.hears("WATCHDOG=1", beats + 3)
            assert not systemd.count("STOPPING=1")
            assert await keeper.stop() == 0
            assert systemd.count("STOPPING=1") == 1
        finally:
            await keeper.end()


async def test_stop__with_a_push_under_way__then_it_is_mined_before_the_end_and_the_code_is_0(
    tmp_path: Path, systemd: Systemd
) -> None:
    async with stage(tmp_path, listings=CALM) as scene:
        keeper = await scene.keeper(scene.configure(), environ=systemd.environ())
        await keeper.published()
        await scene.rpc.call("evm_setIntervalMining", 0)
        nonce = await pending_push(scene, keeper)
        stopping = asyncio.create_task(keeper.stop())
        await systemd.hears("STOPPING=1")
        assert not stopping.done()
        await scene.rpc.call("evm_setIntervalMining", 1)
        assert await stopping == 0
        assert nonce in {row["nonce"] for row in await sender_receipts(scene)}
        assert keeper.events("keeper.stopped")


async def test_stop__with_a_push_that_is_never_mined__then_code_1_and_a_critical_event(tmp_path: Path) -> None:
    def impatient(settings: dict[str, Any], _markets: dict[str, Any]) -> None:
        settings["grace_s"] = 2

    async with stage(tmp_path, listings=CALM) as scene:
        keeper = await scene.keeper(scene.configure(impatient))
        await keeper.published()
        await scene.rpc.call("evm_setIntervalMining", 0)
        await pending_push(scene, keeper)
        assert await keeper.stop() == 1
        (told,) = keeper.events("outbox.undrained")
        assert told["level"] == "critical"
        assert told["intents"]
        assert "not mined after 2 s" in keeper.tail()
        assert "Traceback" not in keeper.tail()


async def pending_push(scene: Stage, keeper: KeeperProcess) -> int:
    """Waits until a price is with the node, which mines nothing any more; its nonce."""
    mined = int(await scene.rpc.call("eth_getTransactionCount", address_of(scene.keys.sender), "latest"), 16)
    scene.market.jump("BTC", 0.004)
    await keeper.until(
        lambda status: any(
            each["lane"] == "price" and each["state"] == "broadcast" and each["nonce"] == mined
            for each in status["transactions"]["pending"]
        )
    )
    return mined


async def test_dry_run__then_it_decides_and_sends_nothing(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        keeper = await scene.keeper(scene.configure(), "--dry-run")
        await keeper.until(lambda status: status["markets"]["BTC-USD"]["decision"]["kind"] == "publish")
        await keeper.until(lambda _status: len(keeper.events("tx.withheld")) >= 2)
        status = await keeper.status()
        assert status["mode"] == "dry-run"
        assert keeper.events("keeper.ready")[0]["mode"] == "dry-run"
        assert status["transactions"]["counts"]["price"]["withheld"] >= 1
        sender = address_of(scene.keys.sender)
        assert int(await scene.rpc.call("eth_getTransactionCount", sender, "pending"), 16) == 0
        assert not keeper.events("tx.signed")
        assert await keeper.stop() == 0


async def test_secrets__of_keys_and_endpoints__then_they_are_nowhere_but_in_their_files(tmp_path: Path) -> None:
    """Through a whole life: publishing, an endpoint that fails, /status, /metrics, the command line, a stop."""
    canary = "canary-7f3a9c"

    async with stage(tmp_path) as scene, rpc_gate(scene.session, scene.node.url) as gate:

        def keyed_endpoints(settings: dict[str, Any], _markets: dict[str, Any]) -> None:
            settings["chain"]["rpc"] = [
                f"http://127.0.0.1:{free_port()}/v3/{canary}?key={canary}",
                f"{gate.url}v3/{canary}?key={canary}",
            ]
            settings["log"]["level"] = "debug"

        path = scene.configure(keyed_endpoints)
        keeper = await scene.keeper(path)
        await keeper.published()
        seen = [str(await keeper.get(page)) for page in ("/status", "/metrics", "/readyz", "/livez")]
        for words in (
            ("config", "show"),
            ("ctl", "status"),
            ("check",),
            ("accounts",),
            ("price", "BTC-USD", "--trace"),
        ):
            _, printed = await scene.command(*words, "--config", str(path))
            seen.append(printed)
        assert await keeper.stop() == 0

        directory = path.parent
        files = [file for file in directory.rglob("*") if file.is_file() and "keys" not in file.parts]
        assert {"keeper.log", "keeper.yaml"} < {file.name for file in files}
        keys = [key.hex().encode() for key in (*scene.keys.reports, scene.keys.sender)]
        raw_keys = [bytes(key) for key in (*scene.keys.reports, scene.keys.sender)]
        for name, content in [
            *((file.name, file.read_bytes()) for file in files),
            *(("page", text.encode()) for text in seen),
        ]:
            lowered = content.lower()
            assert not any(key in lowered for key in keys), name
            assert not any(key in content for key in raw_keys), name
            assert name == "keeper.yaml" or canary.encode() not in content, name
