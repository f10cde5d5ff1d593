"""A chain with contracts of others on it, at seconds of our choice, read through the keeper's own transport.

Bytecode comes from the npm packages that package.json pins: @uniswap/v3-core, @pythnetwork/pyth-sdk-solidity (MockPyth),
@chainlink/contracts 0.0.10 (EACAggregatorProxy and FluxAggregator as deployed on mainnet in 2020). Token and trader are ours.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from eth_abi.abi import encode

from keeper.adapters.encoding.contract import ContractPlan, compile_contract
from keeper.adapters.onchain.feed import Outcome, read_all
from keeper.adapters.onchain.source import Known, OnchainSource
from keeper.adapters.rpc import RpcChain
from keeper.adapters.rpc_http import RpcEndpoint
from keeper.devnet.jsonrpc import JsonRpc
from keeper.devnet.node import AnvilNode, NodeOptions
from keeper.domain.chain import BlockRef
from keeper.domain.ids import Address, SourceId, address
from tests.chain.stage import Log, Tally

HERE = Path(__file__).parent
PACKAGES = HERE / "node_modules"
START = 1_800_000_000
GAS = hex(12_000_000)
UNISWAP = "@uniswap/v3-core/artifacts/contracts"
NAME = SourceId("source:one")


@dataclass(frozen=True, slots=True)
class Artifact:
    abi: list[dict[str, Any]]
    bytecode: str

    def creation(self, *arguments: Any) -> str:
        kinds = [part["type"] for entry in self.abi if entry["type"] == "constructor" for part in entry["inputs"]]
        return "0x" + self.bytecode.removeprefix("0x") + encode(kinds, arguments).hex()


def package(path: str) -> Path:
    found = PACKAGES / path
    assert found.is_file(), "type: npm ci --ignore-scripts --prefix tests/onchain"
    return found


def uniswap(name: str) -> Artifact:
    raw = json.loads(package(f"{UNISWAP}/{name}.sol/{name}.json").read_text())
    return Artifact(raw["abi"], raw["bytecode"])


def chainlink(name: str) -> Artifact:
    raw = json.loads(package(f"@chainlink/contracts/abi/v0.6/{name}.json").read_text())["compilerOutput"]
    return Artifact(raw["abi"], raw["evm"]["bytecode"]["object"])


def mock_pyth() -> Artifact:
    folder = "@pythnetwork/pyth-sdk-solidity"
    abi = json.loads(package(f"{folder}/abis/MockPyth.json").read_text())
    return Artifact(abi, package(f"{folder}/build/MockPyth_sol_MockPyth.bin").read_text().strip())


def ours(name: str) -> Artifact:
    raw = json.loads((HERE / "contracts" / f"{name}.json").read_text())
    return Artifact(raw["abi"], raw["bytecode"])


def _plan(abi: list[dict[str, Any]]) -> ContractPlan:
    """Overloads and events are of no use here."""
    names = [entry.get("name") for entry in abi if entry["type"] == "function"]
    return compile_contract([e for e in abi if e["type"] == "function" and names.count(e["name"]) == 1])


@dataclass(frozen=True, slots=True)
class Contract:
    stage: Stage
    at: Address
    plan: ContractPlan

    async def send(self, function: str, *arguments: Any, value: int = 0) -> None:
        data = self.plan.functions[function].calldata(*arguments)
        await self.stage.send({"to": self.at, "data": "0x" + data.hex(), "value": hex(value)})

    async def read(self, function: str, *arguments: Any) -> tuple[Any, ...]:
        known = self.plan.functions[function]
        call = {"to": self.at, "data": "0x" + known.calldata(*arguments).hex()}
        return known.result(bytes.fromhex((await self.stage.rpc.call("eth_call", call, "latest"))[2:]))


@dataclass(slots=True)
class Stage:
    """`now_s` is the second of the newest block; every transaction is mined a second after the one before."""

    rpc: JsonRpc
    chain: RpcChain
    sender: str
    now_s: int = START

    async def send(self, words: dict[str, str]) -> dict[str, Any]:
        sent = await self.rpc.call("eth_sendTransaction", {"from": self.sender, "gas": GAS, **words})
        await self.mine()
        receipt: dict[str, Any] = await self.rpc.call("eth_getTransactionReceipt", sent)
        assert receipt["status"] == "0x1", receipt
        return receipt

    async def mine(self, seconds: int = 1) -> BlockRef:
        self.now_s += seconds
        await self.rpc.call("evm_mine", hex(self.now_s))
        head = await self.chain.head()
        assert head.timestamp_s == self.now_s
        return head

    async def deploy(self, artifact: Artifact, *arguments: Any) -> Contract:
        receipt = await self.send({"data": artifact.creation(*arguments)})
        return Contract(self, address(receipt["contractAddress"]), _plan(artifact.abi))

    async def at(self, where: str, artifact: Artifact) -> Contract:
        return Contract(self, address(where), _plan(artifact.abi))

    async def look(self, source: OnchainSource, known: dict[SourceId, Known] | None = None) -> Outcome:
        """What the source says at the newest block, pinned by hash."""
        head = await self.chain.head()
        found = await read_all(self.chain, {NAME: source}, {} if known is None else known, head, head)
        return found[NAME]


@asynccontextmanager
async def staged() -> AsyncIterator[Stage]:
    options = NodeOptions(mining=False, timestamp_s=START)
    async with AnvilNode(options) as node, aiohttp.ClientSession() as session:
        rpc = JsonRpc(session, node.url)
        async with RpcChain([RpcEndpoint(node.url, "node")], 31337, meter=Tally(), log=Log()) as chain:
            stage = Stage(rpc, chain, (await rpc.call("eth_accounts"))[0])
            await stage.mine(10)
            yield stage
