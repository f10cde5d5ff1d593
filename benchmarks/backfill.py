"""Catching up on logs: the account index from the chain's first block on, against AsyncWeb3.

    python -m benchmarks.backfill

A real node (anvil) holds the reference exchange's own events: deposits, many to a block. Ours is the service that the
keeper runs: pages, checked logs, decoded events, folded into the mirror, whose sums are then compared with the chain's
own. web3 gets the same events of a sample of the blocks by `get_logs` with decoding; its rate is extrapolated. Every
row of the sample is compared. Goal: at least 10 times web3.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
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
    """A chain with events in blocks first…last."""

    rpc: JsonRpc
    url: str
    deployed: Deployed
    first: int
    last: int

    @property
    def events(self) -> int:
        return (self.last - self.first + 1) * A_BLOCK

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
    depositor = (await rpc.call("eth_getTransactionReceipt", created))["contractAddress"]
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
    receipts: list[Any] = await rpc.batch([("eth_getTransactionReceipt", [each]) for each in hashes])
    if any(int(receipt["status"], 16) != 1 for receipt in receipts):
        raise SystemExit("a deposit failed")
    blocks = [int(receipt["blockNumber"], 16) for receipt in receipts]
    return Filled(rpc, node.url, deployed, min(blocks), max(blocks))


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


async def checked_logs(chain: RpcChain, filled: Filled) -> int:
    return sum([len(page.logs) async for page in pages(chain, filled.perp.log_filter(), filled.first, filled.last)])


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


async def timed(work: Callable[[], Awaitable[object]], turns: int = TURNS) -> float:
    """Seconds, the median of some turns."""
    found = []
    for _ in range(turns):
        begun = time.perf_counter()
        await work()
        found.append(time.perf_counter() - begun)
    return statistics.median(found)


async def main() -> int:
    async with AnvilNode() as node, aiohttp.ClientSession() as session:
        chain_of = await filled(node, session)
        meter, log = PrometheusMeter(), configure(LogSettings(level="warning"), SystemClock())
        endpoint = RpcEndpoint(node.url, "node")
        async with RpcChain([endpoint], chain_of.deployed.chain_id, meter=meter, log=log) as chain:
            asked = await ranges(chain, chain_of)
            last = chain_of.first + SAMPLE_BLOCKS - 1
            provider = AsyncHTTPProvider(node.url)
            exchange: Any = AsyncWeb3(provider).eth.contract(
                address=Web3.to_checksum_address(chain_of.deployed.exchange), abi=load_abi("PerpExchange")
            )
            ours, theirs = await own_rows(chain, chain_of, last), await web3_rows(exchange, chain_of.first, last)
            if ours != theirs or len(ours) != SAMPLE_BLOCKS * A_BLOCK:
                raise SystemExit(f"{len(ours)} rows of ours, {len(theirs)} of web3, and they differ")
            web3_s = await timed(lambda: web3_rows(exchange, chain_of.first, last))
            size = await raw_fetch(session, chain_of, asked)
            raw_s = await timed(lambda: raw_fetch(session, chain_of, asked))
            logs_s = await timed(lambda: checked_logs(chain, chain_of))
            with tempfile.TemporaryDirectory(prefix="keeper-bench-") as directory:
                numbers = iter(range(TURNS))
                taken = [await catch_up(chain, chain_of, Path(directory) / str(next(numbers))) for _ in range(TURNS)]
            await provider.disconnect()
    events, sampled = chain_of.events, SAMPLE_BLOCKS * A_BLOCK
    print(f"{events:,} events in {BLOCKS} blocks, {size / events:.0f} bytes each, {len(asked)} pages; {machine()}")
    print(f"{sampled:,} rows equal to web3's; mirror equal to the chain's totals")
    print(f"{'':44}{'events/s':>10}{'µs each':>10}{'x web3':>8}")
    rates = {
        f"AsyncWeb3 get_logs, decoded (sample of {sampled:,})": sampled / web3_s,
        "keeper: pages, decoded, mirrored": events / statistics.median(taken),
        "keeper: pages of checked logs alone": events / logs_s,
        "the node's answers, not looked at": events / raw_s,
    }
    web3, own, *_ = rates.values()
    for name, rate in rates.items():
        print(f"{name:44}{rate:10,.0f}{1e6 / rate:10.1f}{rate / web3:8.1f}")
    print(f"a million events, extrapolated: web3 {1e6 / web3 / 60:.1f} min, keeper {1e6 / own:.0f} s")
    print(verdict(own / web3 >= GOAL, f">= {GOAL:.0f}x AsyncWeb3", f"{own / web3:.1f}x, all of the keeper's work"))
    return 0 if own / web3 >= GOAL else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
