"""One anvil and the cases that run on it one after the other, each with a wallet, contracts and a journal of its own."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from keeper.adapters.encoding.keccak import keccak
from keeper.adapters.signers.curve import signing_key
from keeper.devnet.jsonrpc import JsonRpc
from keeper.devnet.node import AnvilNode, NodeOptions
from keeper.domain.ids import Address, address
from tests.chain.stage import COUNTER
from tests.torture.audit import Audit, Verdict
from tests.torture.plan import Case, Kill, Plan, plan
from tests.torture.scene import Scene
from tests.torture.sky import ROOMY_GAS, Sky
from tests.torture.wire import Wire, wired

ROOT = Path(__file__).parents[2]
PROBE = json.loads((ROOT / "tests/chain/contracts/Probe.json").read_text())
_BYTECODE = {"counter": COUNTER["bytecode"], "probe": PROBE["bytecode"]}
_LONGEST_LIFE_S = 45.0
SENDERS = {"keeper": "tests.torture.worker", "naive": "tests.torture.naive"}


@dataclass
class Result:
    """`reached`: whether the process died where the case wants it to. `directory`: its journal and events. `first_send_s`: after each restart that sent."""

    case: Case
    verdict: Verdict
    kills: int
    restarts: int
    reached: bool
    directory: str
    first_send_s: list[float] = field(default_factory=list)


@dataclass
class Lane:
    rpc: JsonRpc
    url: str
    deployer: str
    directory: Path

    async def run(self, case: Case, sender: str = "keeper") -> Result:
        decided, draw = plan(case), random.Random(f"{case.name}/sky")
        secret = f"{case.name}/{time.time_ns()}"
        wallet = await self._funded(secret)
        targets = await self._deployed(case, decided)
        first = int(await self.rpc.call("eth_blockNumber"), 16)
        async with wired(self.url, decided.weather, draw) as wire:
            scene = self._scene(case, decided, wire.url, secret, targets)
            sky = Sky(self.rpc, wire, wallet, decided.weather, draw, first)
            result = Result(case, Verdict(), 0, 0, reached=False, directory=scene.directory)
            async with _weather(sky):
                last = await self._lives(decided, scene, wire, sky, result, SENDERS[sender])
        result.verdict = await Audit(self.rpc, scene, wallet, first).judge(last)
        if not result.verdict.violations:
            shutil.rmtree(scene.directory)
        return result

    async def _lives(
        self, decided: Plan, scene: Scene, wire: Wire, sky: Sky, result: Result, module: str
    ) -> int | None:
        for kill in (*decided.kills, None):
            sky.await_place(kill.failpoint if kill is not None and result.kills == 0 else "")
            wire.begin()
            begun = time.monotonic()
            code, said = await _life(module, scene, kill)
            if wire.first_send_at is not None and result.kills > 0:
                result.first_send_s.append(wire.first_send_at - begun)
            if code != -signal.SIGKILL:
                return int(said) if code == 0 else None
            result.reached |= result.kills == 0
            result.kills += 1
            result.restarts += 1
            sky.hold()
        return None

    async def _funded(self, secret: str) -> Address:
        key = signing_key(keccak(secret.encode()))
        assert key is not None
        await self.rpc.call("anvil_dropAllTransactions")
        await self.rpc.call("anvil_setBalance", key.address, hex(10**21))
        return key.address

    async def _deployed(self, case: Case, decided: Plan) -> list[Address]:
        """The price's contract and one for each key; of `probe` one for all."""
        count = 1 + decided.fundings + decided.liquidations if case.contract == "counter" else 1
        words = {"from": self.deployer, "data": _BYTECODE[case.contract], "gas": hex(1_000_000)}
        await self.rpc.call("evm_setBlockGasLimit", hex(ROOMY_GAS))
        hashes = await self.rpc.batch([("eth_sendTransaction", (words,))] * count)
        for _ in range(3):
            await self.rpc.call("evm_mine")
        receipts = await self.rpc.batch([("eth_getTransactionReceipt", (each,)) for each in hashes])
        return [address(each["contractAddress"]) for each in receipts]

    def _scene(self, case: Case, decided: Plan, url: str, secret: str, targets: list[Address]) -> Scene:
        keys = [f"funding:{number}" for number in range(decided.fundings)]
        keys += [f"liquidation:{number}" for number in range(decided.liquidations)]
        random.Random(case.name).shuffle(keys)
        places = targets[1:] or targets * len(keys)
        directory = self.directory / secret.replace("/", "-")
        directory.mkdir(parents=True)
        return Scene(
            url=url,
            direct_url=self.url,
            directory=str(directory),
            secret=secret,
            contract=case.contract,
            price=targets[0],
            keys=dict(zip(keys, places, strict=True)),
            prices=decided.prices,
            price_every_s=decided.price_every_s,
            price_deadline_s=decided.price_deadline_s,
        )


@asynccontextmanager
async def lane(directory: Path) -> AsyncIterator[Lane]:
    options = NodeOptions(mining=False, accounts=1)
    async with AnvilNode(options) as node, aiohttp.ClientSession() as session:
        rpc = JsonRpc(session, node.url)
        yield Lane(rpc, node.url, (await rpc.call("eth_accounts"))[0], directory)


async def _life(module: str, scene: Scene, kill: Kill | None) -> tuple[int | None, str]:
    """How the process ended, and what it said last. One that does not end is ended."""
    words = ["-m", module, scene.words(), *((kill.failpoint, str(kill.passing)) if kill else ("", "0"))]
    errors = (Path(scene.directory) / "stderr.txt").open("a")
    with errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *words, stdout=asyncio.subprocess.PIPE, stderr=errors, cwd=ROOT
        )
    try:
        async with asyncio.timeout(_LONGEST_LIFE_S):
            said, _ = await process.communicate()
            return process.returncode, said.decode().strip()
    except TimeoutError:
        return None, ""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def _weather(sky: Sky) -> AsyncIterator[None]:
    task = asyncio.create_task(sky.run())
    try:
        yield
    finally:
        sky.over = True
        await task
