"""Catching up on logs: the account index from the chain's first block on, against AsyncWeb3.

    python -m benchmarks.backfill

A real node (anvil) holds the reference exchange's own events: deposits, many to a block. Both sides fetch and decode
them, in turns; web3 by `get_logs` of a sample of the blocks, and its rate is extrapolated. Every row of the sample is
compared. Besides, the service that the keeper runs folds all of them into its mirror, whose sums are then compared with
the chain's own. Goal: at least 10 times web3.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from web3 import AsyncHTTPProvider, AsyncWeb3, Web3

from benchmarks.figures import machine, verdict
from keeper.adapters.clock import SystemClock
from keeper.adapters.journal import Journal
from keeper.adapters.prometheus import PrometheusMeter
from keeper.adapters.protocols.contracts import load_abi
from keeper.adapters.protocols.reference import ReferencePerp
from keeper.adapters.rpc import RpcChain
from keeper.adapters.rpc_codec import log_param
from keeper.adapters.rpc_http import RpcEndpoint
from keeper.adapters.rpc_pages import pages
from keeper.app.boards import Boards, DeploymentBoards
from keeper.app.logs import configure
from keeper.devnet.artifacts import load
from keeper.devnet.configure import Keys, address_of
from keeper.devnet.demo.wallet import fund
from keeper.devnet.deploy import Deployment as Deployed
from keeper.devnet.deploy import DeployParameters, deploy
from keeper.devnet.jsonrpc import JsonRpc
from keeper.devnet.node import AnvilNode
from keeper.domain.events import MarginChanged
from keeper.domain.ids import ChainId, DeploymentId, MarketId, address
from keeper.ports.deployment import Deployment
from keeper.runtime.pulse import Pulse
from keeper.services.accounts import AccountIndexService
from keeper.settings.models import LogSettings

BLOCKS, A_BLOCK, ACCOUNTS, SAMPLE_BLOCKS, TURNS, GOAL = 260, 240, 2_000, 8, 3, 10.0
FIRST_ACCOUNT, GAS, AT_ONCE = 0xACC0 << 64, 25_000_000, 20
MAIN = DeploymentId("main")
DEPOSITOR = json.loads((Path(__file__).parent / "contracts" / "Depositor.json").read_text())

Row = tuple[int, str, int, str, str, int, int, int]


@dataclass(frozen=True, slots=True)
class Filled:
    """A chain with `events` in blocks first…last."""

    rpc: JsonRpc
    url: str
    deployed: Deployed
    first: int
    last: int
    events: int = BLOCKS * A_BLOCK

    @property
    def perp(self) -> ReferencePerp:
        at = self.deployed
        return ReferencePerp(at.oracle, at.exchange, at.lens, at.chain_id, at.block_number)


async def filled(node: AnvilNode, session: aiohttp.ClientSession) -> Filled:
    """Raises SystemExit if a deposit failed."""
    rpc, keys = JsonRpc(session, node.url), Keys.fresh()
    await fund(rpc, address_of(keys.deployer))
    signers = tuple(address(address_of(key)) for key in keys.reports)
    deployed = await deploy(node.url, "0x" + keys.deployer.hex(), DeployParameters(signers), mine=True)
    sender = (await rpc.call("eth_accounts"))[0]
    created = await rpc.call("eth_sendTransaction", {"from": sender, "data": DEPOSITOR["bytecode"], "gas": hex(10**6)})
    depositor = (await _receipts(rpc, [created]))[0]["contractAddress"]
    contract = Web3().eth.contract(Web3.to_checksum_address(depositor), abi=DEPOSITOR["abi"])
    token, exchange = (Web3.to_checksum_address(each) for each in (deployed.token, deployed.exchange))
    hashes: list[Any] = []
    for start in range(0, BLOCKS, AT_ONCE):
        sent = []
        for block in range(start, min(start + AT_ONCE, BLOCKS)):
            first = FIRST_ACCOUNT + block * A_BLOCK % ACCOUNTS
            data = contract.encode_abi("fill", [token, exchange, first, A_BLOCK, A_BLOCK])
            words = {"from": sender, "to": depositor, "data": data, "gas": hex(GAS)}
            sent.append(rpc.call("eth_sendTransaction", words))
        hashes += [await one for one in sent]
    receipts = await _receipts(rpc, hashes)
    if any(int(receipt["status"], 16) != 1 for receipt in receipts):
        raise SystemExit("a deposit failed")
    blocks = [int(receipt["blockNumber"], 16) for receipt in receipts]
    return Filled(rpc, node.url, deployed, min(blocks), max(blocks))


async def _receipts(rpc: JsonRpc, hashes: list[Any]) -> list[Any]:
    """Of all, once all are mined."""
    async with asyncio.timeout(30):
        while True:
            found = await rpc.batch([("eth_getTransactionReceipt", [each]) for each in hashes])
            if all(isinstance(each, dict) for each in found):
                return found
            await rpc.call("evm_mine")


async def catch_up(chain: RpcChain, filled: Filled, directory: Path) -> float:
    """Seconds from a new head to a mirror that contains it. Raises SystemExit unless its sums are the chain's."""
    clock, meter = SystemClock(), PrometheusMeter()
    log = configure(LogSettings(level="warning"), clock)
    deployment = Deployment(MAIN, ChainId(filled.deployed.chain_id), filled.perp, {1: MarketId("BTC-USD")})
    boards, own = Boards(), DeploymentBoards()
    head = await chain.head()
    with Journal.open(directory, clock) as journal:
        service = AccountIndexService(
            deployment, chain, lambda where, first, last: pages(chain, where, first, last), boards.blocks,
            boards.holdings, own.settlements, journal.snapshots, clock, Pulse(clock), meter, log,
        )  # fmt: skip
        task = asyncio.create_task(service.run())
        begun = time.perf_counter()
        boards.blocks.put("head", head)
        seen = 0
        while (view := boards.holdings.get(MAIN)) is None or view.behind:
            seen = await boards.holdings.changed(seen)
        taken = time.perf_counter() - begun
        held = len(view.accounts), sum(account.margin_units for account in view.accounts.values())
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    answer = await filled.rpc.call(
        "eth_call", {"to": filled.deployed.exchange, "data": "0x" + load("PerpExchange").call("totals").hex()}, "latest"
    )
    if held != tuple(load("PerpExchange").result("totals", bytes.fromhex(answer[2:]))[:2]):
        raise SystemExit(f"the mirror holds {held}, the chain says otherwise")
    return taken


async def ranges(chain: RpcChain, filled: Filled) -> list[tuple[int, int]]:
    """The pages that the keeper asks for."""
    found = pages(chain, filled.perp.log_filter(), filled.first, filled.last)
    return [(page.first, page.last) async for page in found]


async def raw_fetch(session: aiohttp.ClientSession, filled: Filled, asked: list[tuple[int, int]]) -> int:
    """The ceiling: the same pages, read and not looked at. Bytes."""
    total = 0
    for first, last in asked:
        where = log_param(filled.perp.log_filter(), first, last)
        body = {"jsonrpc": "2.0", "id": 1, "method": "eth_getLogs", "params": [where]}
        async with session.post(filled.url, json=body) as answer:
            total += len(await answer.read())
    return total


async def decoded(chain: RpcChain, filled: Filled) -> int:
    """All events as the keeper reads them. How many."""
    perp, count = filled.perp, 0
    async for page in pages(chain, perp.log_filter(), filled.first, filled.last):
        count += len([event for log in page.logs for event in perp.decode_log(log)])
    return count


async def own_rows(chain: RpcChain, filled: Filled, last: int) -> list[Row]:
    perp = filled.perp
    rows: list[Row] = []
    for log in await chain.logs(perp.log_filter(), filled.first, last):
        for event in perp.decode_log(log):
            if not isinstance(event, MarginChanged):
                raise SystemExit(f"an event that nobody caused: {event}")
            at = event.ref
            where = (at.block_number, at.block_hash, at.log_index, at.tx_hash)
            rows.append((*where, event.account, event.cause, event.delta_units, event.margin_units))
    return rows


async def web3_rows(contract: Any, first: int, last: int) -> list[Row]:
    """As its documentation shows it."""
    rows: list[Row] = []
    for log in await contract.events.MarginChanged().get_logs(from_block=first, to_block=last):
        words, told = log["args"], (log["blockNumber"], "0x" + log["blockHash"].hex(), log["logIndex"])
        where = (*told, "0x" + log["transactionHash"].hex())
        rows.append((*where, words["account"].lower(), words["cause"], words["delta"], words["margin"]))
    return rows


async def timed(work: Awaitable[object]) -> float:
    """Seconds."""
    begun = time.perf_counter()
    await work
    return time.perf_counter() - begun


async def measure(chain: RpcChain, filled: Filled, exchange: Any, directory: Path) -> tuple[dict[str, float], int]:
    """Seconds, each the median of some turns, and the size of all pages."""
    last, asked = filled.first + SAMPLE_BLOCKS - 1, await ranges(chain, filled)
    async with aiohttp.ClientSession() as session:
        size = await raw_fetch(session, filled, asked)
        taken: dict[str, list[float]] = {name: [] for name in ("web3", "decoded", "mirrored", "raw")}
        for turn in range(TURNS):
            taken["web3"].append(await timed(web3_rows(exchange, filled.first, last)))
            taken["decoded"].append(await timed(decoded(chain, filled)))
            taken["mirrored"].append(await catch_up(chain, filled, directory / str(turn)))
            taken["raw"].append(await timed(raw_fetch(session, filled, asked)))
    return {name: statistics.median(each) for name, each in taken.items()}, size


async def compared(chain: RpcChain, filled: Filled, exchange: Any) -> int:
    """How many rows of the sample are equal. Raises SystemExit if one is not, or if ours are not all there are."""
    last = filled.first + SAMPLE_BLOCKS - 1
    ours, theirs = await own_rows(chain, filled, last), await web3_rows(exchange, filled.first, last)
    if ours != theirs or not ours:
        raise SystemExit(f"{len(ours)} rows of ours, {len(theirs)} of web3, and they differ")
    if (count := await decoded(chain, filled)) != filled.events:
        raise SystemExit(f"{count} events of {filled.events}")
    return len(ours)


def show(taken: dict[str, float], events: int, sampled: int) -> float:
    """Prints the rates. How many times web3's ours is."""
    rates = {
        f"AsyncWeb3 get_logs (sample of {sampled:,})": sampled / taken["web3"],
        "keeper: pages, checked logs, events": events / taken["decoded"],
        "keeper: the same, and folded into the mirror": events / taken["mirrored"],
        "the node's answers, not looked at": events / taken["raw"],
    }
    web3, own, *_ = rates.values()
    print(f"{'':46}{'events/s':>10}{'µs each':>10}{'x web3':>8}")
    for name, rate in rates.items():
        print(f"{name:46}{rate:10,.0f}{1e6 / rate:10.1f}{rate / web3:8.1f}")
    print(f"a million events, extrapolated: web3 {1e6 / web3 / 60:.1f} min, keeper {1e6 / own:.0f} s")
    return own / web3


async def main() -> int:
    log, meter = configure(LogSettings(level="warning"), SystemClock()), PrometheusMeter()
    async with AnvilNode() as node, aiohttp.ClientSession() as session:
        chain_of = await filled(node, session)
        endpoint, provider = RpcEndpoint(node.url, "node"), AsyncHTTPProvider(node.url)
        exchange: Any = AsyncWeb3(provider).eth.contract(
            address=Web3.to_checksum_address(chain_of.deployed.exchange), abi=load_abi("PerpExchange")
        )
        async with RpcChain([endpoint], chain_of.deployed.chain_id, meter=meter, log=log) as chain:
            sampled = await compared(chain, chain_of, exchange)
            with tempfile.TemporaryDirectory(prefix="keeper-bench-") as directory:
                taken, size = await measure(chain, chain_of, exchange, Path(directory))
        await provider.disconnect()
    events = chain_of.events
    print(f"{events:,} events in {BLOCKS} blocks, {size / events:.0f} bytes each; {machine()}")
    print(f"{sampled:,} rows equal to web3's; the mirror's sums equal to the chain's")
    ratio = show(taken, events, sampled)
    print(verdict(ratio >= GOAL, f">= {GOAL:.0f}x AsyncWeb3", f"{ratio:.1f}x"))
    return 0 if ratio >= GOAL else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
