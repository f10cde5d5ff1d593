"""How old the price on chain gets when the base fee rises tenfold: this keeper beside a sender that never replaces.

    python -m benchmarks.fee_spike

One chain under go-ethereum's pool rules (`keeper.devnet.simulator` before anvil), two wallets, the same prices: a new one
every half second. The naive sender is what most bots are: nonce from the node, fees as a library suggests them (twice the
base fee and a tip), then it waits for its receipt, for ever if need be, and sends the newest price next. The base fee
stays calm, rises within a block to ten times as much, stays there, and falls again. The age of a price is taken at each
block: since when the newest that is mined was wanted. Before that, 400,000 random replacements are checked against the
pool's rule, and the ten vectors of Optimism's txmgr against the rule of update.
Every transaction that the keeper sends must be taken by the pool: no replacement is underpriced.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.figures import machine, quantile, verdict
from benchmarks.quiet import Quiet
from keeper.adapters.clock import SystemClock
from keeper.adapters.encoding.keccak import keccak
from keeper.adapters.journal import Journal
from keeper.adapters.rpc import RpcChain
from keeper.adapters.rpc_http import RpcEndpoint
from keeper.adapters.signers.curve import signing_key
from keeper.adapters.signers.key_signer import KeySigner
from keeper.devnet.jsonrpc import JsonRpc
from keeper.devnet.simulator import Simulator, SimulatorOptions, simulated
from keeper.domain.chain import BlockRef, Call
from keeper.domain.fees import Fees, replacement
from keeper.domain.heads import Head
from keeper.domain.ids import Address, DeploymentId
from keeper.domain.transaction import Intent, Lane, intent_id
from keeper.ports.protocol import Revert
from keeper.ports.signer import UnsignedTransaction
from keeper.runtime.board import Board
from keeper.runtime.mailbox import Mailbox
from keeper.runtime.pulse import Pulse
from keeper.services.heads import HeadService, Pace
from keeper.services.outbox import Outbox, Wallet

CHAIN_ID, GWEI, CASES = 31337, 10**9, 400_000
BLOCK_S, PRICE_EVERY_S = 0.5, 0.5
CALM, HIGH = GWEI, 10 * GWEI
PHASES = (("calm", 16), ("×10", 30), ("calm again", 24))
"""Blocks of each."""
ORACLE, GAS = Address("0x" + "0a" * 20), 60_000
DEPLOYMENT = DeploymentId("bench")
VECTORS = {
    (90, 900): (110, 2310), (101, 1000): (110, 2310), (100, 1001): (110, 2310), (101, 900): (110, 2310),
    (90, 1010): (110, 2310), (101, 2000): (110, 4110), (120, 900): (120, 2310), (120, 1100): (120, 2320),
    (120, 1140): (120, 2400), (120, 1200): (120, 2520),
}  # fmt: skip


def check_replacements(cases: int) -> float:
    """Raises SystemExit at the first violation; µs each."""
    for (tip, base), (new_tip, new_cap) in VECTORS.items():
        if replacement(Fees(2100, 100), tip, base, 10) != Fees(new_cap, new_tip):
            raise SystemExit(f"vector {tip}, {base}: {replacement(Fees(2100, 100), tip, base, 10)}")
    dice, began = random.Random(5), time.perf_counter()
    for _ in range(cases):
        tip = dice.choice((0, 1, dice.randrange(100), dice.randrange(10**12)))
        old = Fees(tip + dice.choice((0, 1, dice.randrange(10**12))), tip)
        new = replacement(old, dice.randrange(10**12), dice.randrange(10**12), 10)
        pays = new.max_fee_wei * 100 >= old.max_fee_wei * 110 - 99 and new.tip_wei * 100 >= old.tip_wei * 110 - 99
        if not (pays and new.max_fee_wei > old.max_fee_wei and new.tip_wei > old.tip_wei <= new.max_fee_wei):
            raise SystemExit(f"{old} replaced by {new}")
    return 1e6 * (time.perf_counter() - began) / cases


@dataclass(slots=True)
class Wanted:
    """When each price was wanted, in seconds of the event loop; its number is the payload."""

    at: list[float] = field(default_factory=list)

    def another(self) -> int:
        self.at.append(asyncio.get_running_loop().time())
        return len(self.at) - 1


class Answers(Quiet):
    """A meter that keeps what nodes said to our transactions."""

    def __init__(self) -> None:
        self.said: Counter[str] = Counter()

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        if name == "keeper_tx_attempts_total":
            self.said[labels["answer"]] += int(amount)


def call(number: int) -> Call:
    return Call(ORACLE, number.to_bytes(32, "big"), 0, GAS)


@dataclass(slots=True)
class Watched:
    """The newest price of one sender that is mined, and its age at each block, by phase."""

    sender: str
    newest: int = 0
    ages: dict[str, list[float]] = field(default_factory=dict)
    mined: int = 0

    def look(self, simulator: Simulator, hashes: Sequence[str], phase: str, wanted: Wanted) -> None:
        for each in hashes:
            tx = simulator.find(each)
            if tx is not None and tx.sender.lower() == self.sender:
                self.mined += 1
                self.newest = max(self.newest, int.from_bytes(tx.data, "big"))
        self.ages.setdefault(phase, []).append(asyncio.get_running_loop().time() - wanted.at[self.newest])


async def keeper_side(directory: Path, url: str, signer: KeySigner, wanted: Wanted, answers: Answers) -> None:
    """Outbox, heads and transport as `keeper run` has them."""
    clock, quiet = SystemClock(), Quiet()
    heads, blocks, prices = Board[str, Head](), Board[str, BlockRef](), Board[DeploymentId, Intent]()
    inbox: Mailbox[Intent] = Mailbox("bench", 8)
    with Journal.open(directory, clock) as journal:
        async with RpcChain([RpcEndpoint(url, "node")], CHAIN_ID, meter=quiet, log=quiet) as chain:
            wallet = Wallet(
                "bench", CHAIN_ID, chain, signer, journal.ledger, _unexplained, clock, quiet, answers
            )  # fmt: skip
            pulse = Pulse(clock)
            outbox = Outbox(wallet, prices, inbox, heads, pulse)
            watch = HeadService(CHAIN_ID, chain, heads, blocks, clock, quiet, quiet, pulse, Pace(poll_max_s=0.1))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(watch.run())
                tasks.create_task(outbox.run())
                tasks.create_task(_priced(prices, clock, wanted))


def _unexplained(_intent: Intent, _data: bytes) -> Revert:
    return Revert("", "", benign=False)


async def _priced(prices: Board[DeploymentId, Intent], clock: SystemClock, wanted: Wanted) -> None:
    while True:
        number = wanted.another()
        words = intent_id(CHAIN_ID, ORACLE, Lane.PRICE, str(number))
        prices.put(DEPLOYMENT, Intent(words, DEPLOYMENT, Lane.PRICE, str(number), call(number), clock.now(), None, ()))
        await asyncio.sleep(PRICE_EVERY_S)


async def naive_side(rpc: JsonRpc, signer: KeySigner, wanted: Wanted) -> None:
    """Waits for its receipt and never replaces."""
    while True:
        number = wanted.another()
        nonce = int(await rpc.call("eth_getTransactionCount", signer.address, "pending"), 16)
        block = await rpc.call("eth_getBlockByNumber", "latest", False)
        tip = GWEI // 10
        cap = 2 * int(block["baseFeePerGas"], 16) + tip
        done = await signer.sign_transaction(UnsignedTransaction(CHAIN_ID, nonce, call(number), GAS, cap, tip))
        sent = await rpc.call("eth_sendRawTransaction", "0x" + done.raw.hex())
        await mined(rpc, sent)
        await asyncio.sleep(PRICE_EVERY_S)


async def mined(rpc: JsonRpc, tx_hash: str) -> None:
    """However long that takes."""
    receipt = None
    while receipt is None:
        await asyncio.sleep(0.1)
        receipt = await rpc.call("eth_getTransactionReceipt", tx_hash)


async def blocks(simulator: Simulator, watched: Sequence[tuple[Watched, Wanted]]) -> None:
    """Mines through the phases."""
    for phase, count in PHASES:
        fee = HIGH if phase == "×10" else CALM
        for _ in range(count):
            await asyncio.sleep(BLOCK_S)
            await simulator.set_base_fee(fee)
            found = await simulator.mine()
            for each, wanted in watched:
                each.look(simulator, found.hashes, phase, wanted)


async def raced(directory: Path) -> tuple[Watched, Watched]:
    """Keeper and naive sender. Raises SystemExit when the pool refused anything of the keeper's."""
    answers = Answers()
    async with aiohttp.ClientSession() as session, simulated(session, SimulatorOptions(endpoints=2)) as simulator:
        await simulator.set_base_fee(CALM)
        await simulator.mine()
        signers = [_signer(name) for name in (b"keeper", b"naive")]
        for signer in signers:
            await simulator.fund(signer.address, 10**20)
        wanted = [Wanted(), Wanted()]
        found = [Watched(signer.address) for signer in signers]
        tasks = [
            asyncio.create_task(keeper_side(directory, simulator.urls[0], signers[0], wanted[0], answers)),
            asyncio.create_task(naive_side(JsonRpc(session, simulator.urls[1]), signers[1], wanted[1])),
        ]
        try:
            async with asyncio.timeout(10):
                while not all(each.at for each in wanted):
                    await asyncio.sleep(0.01)
                    _raise_if_ended(tasks)
            await blocks(simulator, list(zip(found, wanted, strict=True)))
            _raise_if_ended(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    if refused := {said: count for said, count in answers.said.items() if said not in ("accepted", "already_known")}:
        raise SystemExit(f"the pool refused: {refused}")
    return found[0], found[1]


def _raise_if_ended(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        if task.done():
            task.result()


def _signer(name: bytes) -> KeySigner:
    key = signing_key(keccak(b"fee spike " + name))
    assert key is not None
    return KeySigner(key, CHAIN_ID)


async def main() -> int:
    print(f"price age under a tenfold base fee, blocks of {BLOCK_S} s; {machine()}")
    each_us = check_replacements(CASES)
    with tempfile.TemporaryDirectory(prefix="keeper-bench-") as directory:
        kept, naive = await raced(Path(directory))
    print(f"{'age of the price on chain, s':32}" + "".join(f"{phase:>22}" for phase, _ in PHASES))
    print(f"{'':32}" + f"{'p50':>15}{'max':>7}" * len(PHASES))
    for name, one in (("keeper", kept), ("waits for its receipt", naive)):
        cells = "".join(f"{quantile(one.ages[phase], 0.5):15.1f}{max(one.ages[phase]):7.1f}" for phase, _ in PHASES)
        print(f"{name:32}{cells}   {one.mined} mined")
    worst, other = max(kept.ages["×10"]), max(naive.ages["×10"])
    print(verdict(True, "no replacement violates the pool's rule", f"10 vectors, {CASES} cases, {each_us:.1f} µs each"))
    met = worst * 3 <= other
    print(verdict(met, ">= 3x fresher at worst", f"{worst:.1f} s against {other:.1f} s"))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
