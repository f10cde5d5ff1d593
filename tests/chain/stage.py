"""A keeper's sending side on a real chain: journal, heads and outbox around one wallet, killed and started at will."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp

from keeper.adapters.clock import SystemClock
from keeper.adapters.encoding.keccak import keccak
from keeper.adapters.journal import Journal
from keeper.adapters.rpc import RpcChain
from keeper.adapters.rpc_http import RpcEndpoint
from keeper.adapters.signers.curve import signing_key
from keeper.adapters.signers.key_signer import KeySigner
from keeper.devnet.jsonrpc import JsonRpc
from keeper.devnet.node import AnvilNode, NodeOptions
from keeper.domain.chain import BlockRef, Call
from keeper.domain.heads import Head
from keeper.domain.ids import Address, DeploymentId, Hash, address
from keeper.domain.time import Timestamp, nanos
from keeper.domain.transaction import Expectation, Intent, IntentState, Lane, Outcome, intent_id
from keeper.ports.protocol import Revert
from keeper.ports.signer import SignedTransaction, UnsignedTransaction
from keeper.runtime.board import Board
from keeper.runtime.mailbox import Mailbox
from keeper.runtime.pulse import Pulse
from keeper.services.heads import HeadService, Pace
from keeper.services.outbox import Outbox, OutboxRules, Wallet
from keeper.services.outbox.wallet import never_barred
from tests.canary import assert_kept, signed

CHAIN_ID = 31337
DEPLOYMENT = DeploymentId("test")
COUNTER = json.loads((Path(__file__).parent / "contracts" / "Counter.json").read_text())
RECORDED = Hash("0x" + keccak(b"Recorded(uint256,uint256)").hex())
KEY_SEED = b"a key that only tests use"
CROWDED_GAS = 250_000
"""Of a block: room for one transaction of 200,000, not for that and another."""
ROUND_NOT_NEWER = keccak(b"RoundNotNewer(uint256,uint256)")[:4]
RULES = OutboxRules(tick_s=0.3, resend_after_s=1.0, finality_blocks=20, orphan_after_s=0.0)
FAST = Pace(poll_min_s=0.03, poll_max_s=0.1, recheck_s=0.1)


@dataclass
class Log:
    """Every event with its level and keys."""

    events: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def debug(self, event: str, **keys: Any) -> None:
        self.events.append(("debug", event, keys))

    def info(self, event: str, **keys: Any) -> None:
        self.events.append(("info", event, keys))

    def warning(self, event: str, **keys: Any) -> None:
        self.events.append(("warning", event, keys))

    def error(self, event: str, **keys: Any) -> None:
        self.events.append(("error", event, keys))

    def exception(self, event: str, **keys: Any) -> None:
        self.events.append(("error", event, keys))

    def critical(self, event: str, **keys: Any) -> None:
        self.events.append(("critical", event, keys))

    def named(self, event: str) -> list[dict[str, Any]]:
        return [keys for _, name, keys in self.events if name == event]


@dataclass
class Tally:
    """A Meter that keeps the sums."""

    counts: dict[tuple[str, tuple[tuple[str, str], ...]], float] = field(default_factory=dict)

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        key = (name, tuple(sorted(labels.items())))
        self.counts[key] = self.counts.get(key, 0) + amount

    def gauge(self, name: str, value: float, **labels: str) -> None:
        self.counts[name, tuple(sorted(labels.items()))] = value

    def observe(self, name: str, value: float, **labels: str) -> None:
        self.count(name, 1, **labels)

    def total(self, name: str, **labels: str) -> float:
        wanted = set(labels.items())
        return sum(value for (key, found), value in self.counts.items() if key == name and wanted <= set(found))


def selector(signature: str) -> bytes:
    return keccak(signature.encode())[:4]


def explain(intent: Intent, data: bytes) -> Revert:
    return Revert(
        "RoundNotNewer" if data[:4] == ROUND_NOT_NEWER else "0x" + data.hex(), "", data[:4] == ROUND_NOT_NEWER
    )


class Keeper:
    """One life of the sending side. `stop` ends it as a kill would: nothing is told to anybody."""

    def __init__(
        self,
        stage: Stage,
        rules: OutboxRules,
        halted: Callable[[], str],
        url: str,
        barred: Callable[[Intent], str] = never_barred,
    ) -> None:
        self.log, self.meter = stage.log, stage.meter
        self.journal = Journal.open(stage.directory, stage.clock)
        self.chain = RpcChain([RpcEndpoint(url, "node")], CHAIN_ID, meter=stage.meter, log=stage.log)
        self.wallet = Wallet(
            name="pusher",
            chain_id=CHAIN_ID,
            chain=self.chain,
            signer=stage.signer,
            ledger=self.journal.ledger,
            explain=explain,
            clock=stage.clock,
            log=stage.log,
            meter=stage.meter,
            halted=halted,
            barred=barred,
            rules=rules,
        )
        self.prices: Board[DeploymentId, Intent] = Board()
        self.inbox: Mailbox[Intent] = Mailbox("intents", 32)
        heads: Board[str, Head] = Board()
        blocks: Board[str, BlockRef] = Board()
        pulse = Pulse(stage.clock)
        self.heads = HeadService(CHAIN_ID, self.chain, heads, blocks, stage.clock, stage.log, stage.meter, pulse, FAST)
        self.outbox = Outbox(self.wallet, self.prices, self.inbox, heads, pulse)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await self.chain.open()
        self._tasks = [asyncio.create_task(self.heads.run()), asyncio.create_task(self.outbox.run())]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.chain.close()
        self.journal.close()
        for error in ended:
            if isinstance(error, Exception):
                raise error

    async def outcome(self, intent: Intent, *states: IntentState, within_s: float = 10.0) -> Outcome:
        """The outcome as soon as it is one of `states`."""
        board = self.wallet.outcomes
        async with asyncio.timeout(within_s):
            while True:
                version = board.version
                found = board.get(intent.id)
                if found is not None and found.state in states:
                    return found
                self._raise_if_ended()
                await board.changed(version)

    async def until(self, condition: Callable[[], bool], within_s: float = 10.0) -> None:
        async with asyncio.timeout(within_s):
            while not condition():
                self._raise_if_ended()
                await asyncio.sleep(0.01)

    def _raise_if_ended(self) -> None:
        for task in self._tasks:
            if task.done():
                task.result()


@dataclass
class Stage:
    """A chain with a Counter on it, a funded wallet and a directory for the journal."""

    node: AnvilNode
    rpc: JsonRpc
    counter: Address
    signer: KeySigner
    directory: Path
    clock: SystemClock = field(default_factory=SystemClock)
    log: Log = field(default_factory=Log)
    meter: Tally = field(default_factory=Tally)
    keepers: list[Keeper] = field(default_factory=list)
    crowds: int = 0

    async def keeper(
        self,
        rules: OutboxRules = RULES,
        halted: Callable[[], str] = lambda: "",
        url: str = "",
        barred: Callable[[Intent], str] = never_barred,
        **changes: Any,
    ) -> Keeper:
        keeper = Keeper(self, replace(rules, **changes), halted, url or self.node.url, barred)
        self.keepers.append(keeper)
        await keeper.start()
        return keeper

    async def kill(self, keeper: Keeper) -> None:
        self.keepers.remove(keeper)
        await keeper.stop()

    def intent(
        self,
        number: int,
        lane: Lane = Lane.FUNDING,
        function: str = "record",
        deadline_s: float | None = None,
        gas_limit: int | None = 200_000,
        key: str = "",
    ) -> Intent:
        """`record(number)` unless another function is named; the Recorded log of that round proves it."""
        now = self.clock.now()
        words = key or f"{function}:{number}"
        topic = Hash("0x" + number.to_bytes(32, "big").hex())
        return Intent(
            id=intent_id(CHAIN_ID, self.counter, lane, words),
            deployment=DEPLOYMENT,
            lane=lane,
            key=words,
            call=Call(self.counter, selector(f"{function}(uint256)") + number.to_bytes(32, "big"), 0, gas_limit),
            created_at=now,
            deadline=None if deadline_s is None else Timestamp(now + nanos(deadline_s)),
            expects=(Expectation(self.counter, RECORDED, topic),),
        )

    async def count(self) -> int:
        """How many rounds the contract recorded."""
        return await self._view("count()")

    async def round(self) -> int:
        return await self._view("round()")

    async def mine(self) -> None:
        await self.rpc.call("evm_mine")

    async def mine_later(self, seconds: int = 5) -> None:
        """A block that is stamped so much ahead: past a deadline that was counted to, whatever second that was in."""
        await self.rpc.call("evm_increaseTime", seconds)
        await self.mine()

    async def mine_without_us(self) -> None:
        """A block that somebody richer fills: ours stay in the pool, as on a crowded chain."""
        await self.rpc.call("evm_setBlockGasLimit", hex(CROWDED_GAS))
        sender = (await self.rpc.call("eth_accounts"))[2]
        tip_wei = int(10**9 * 1.2**self.crowds)
        self.crowds += 1
        fees = {"maxFeePerGas": hex(10**12 + tip_wei), "maxPriorityFeePerGas": hex(tip_wei)}
        burn = {"from": sender, "data": "0xfe", "gas": hex(CROWDED_GAS - 10_000)}  # an invalid opcode burns it all
        await self.rpc.call("eth_sendTransaction", {**burn, **fees})
        await self.mine()

    async def mined_nonce(self) -> int:
        return int(await self.rpc.call("eth_getTransactionCount", self.signer.address, "latest"), 16)

    async def pooled(self) -> list[dict[str, Any]]:
        """The wallet's transactions that wait in the pool."""
        content = await self.rpc.call("txpool_content")
        found = {sender.lower(): list(each.values()) for sender, each in content["pending"].items()}
        return found.get(self.signer.address, [])

    async def record_as_other(self, number: int) -> None:
        """Somebody else records the round first."""
        sender = (await self.rpc.call("eth_accounts"))[1]
        data = "0x" + (selector("record(uint256)") + number.to_bytes(32, "big")).hex()
        fees = {"maxFeePerGas": hex(10**12), "maxPriorityFeePerGas": hex(10**11)}
        await self.rpc.call(
            "eth_sendTransaction", {"from": sender, "to": self.counter, "data": data, "gas": hex(200_000), **fees}
        )

    async def _view(self, signature: str) -> int:
        data = "0x" + selector(signature).hex()
        return int(await self.rpc.call("eth_call", {"to": self.counter, "data": data}, "latest"), 16)


async def eventually(condition: Callable[[], Awaitable[bool]], within_s: float = 20.0) -> None:
    """Returns as soon as it holds; TimeoutError when it never does."""
    async with asyncio.timeout(within_s):
        for pause_s in itertools.chain((0.0,), itertools.repeat(0.01)):
            await asyncio.sleep(pause_s)
            if await condition():
                return


@dataclass
class SlowSigner:
    """One far away, as a key service is."""

    inner: KeySigner
    wait_s: float = 0.0

    @property
    def address(self) -> Address:
        return self.inner.address

    async def sign_transaction(self, tx: UnsignedTransaction) -> SignedTransaction:
        await asyncio.sleep(self.wait_s)
        return await self.inner.sign_transaction(tx)


@asynccontextmanager
async def staged(directory: Path, options: NodeOptions) -> AsyncIterator[Stage]:
    async with AnvilNode(options) as node, aiohttp.ClientSession() as session:
        rpc = JsonRpc(session, node.url)
        key = signing_key(keccak(KEY_SEED))
        assert key is not None
        await rpc.call("anvil_setBalance", key.address, hex(10**20))
        stage = Stage(node, rpc, await _deployed(rpc), KeySigner(key, CHAIN_ID), directory)
        try:
            yield stage
        finally:
            for keeper in stage.keepers:
                await keeper.stop()
            assert_kept(repr(stage.log.events), [keccak(KEY_SEED)], signed(directory / "journal.sqlite"))


async def _deployed(rpc: JsonRpc) -> Address:
    sender = (await rpc.call("eth_accounts"))[0]
    sent = await rpc.call("eth_sendTransaction", {"from": sender, "data": COUNTER["bytecode"], "gas": hex(2_000_000)})
    await rpc.call("evm_mine")
    receipt = await rpc.call("eth_getTransactionReceipt", sent)
    return address(receipt["contractAddress"])
