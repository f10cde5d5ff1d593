"""The sending side behind several endpoints of a simulated chain: geth's pool before anvil, faults at every endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp

from keeper.adapters.encoding.keccak import keccak
from keeper.adapters.rpc import RpcChain
from keeper.adapters.rpc_http import RpcEndpoint
from keeper.adapters.signers.curve import signing_key
from keeper.adapters.signers.key_signer import KeySigner
from keeper.devnet.simulator import Simulator, SimulatorOptions, simulated
from keeper.devnet.simulator.faults import Fault, Switch
from keeper.devnet.simulator.record import SEND
from keeper.domain.chain import Call
from keeper.domain.fees import GWEI, Fees
from keeper.domain.heads import Head
from keeper.domain.transaction import Attempt, TxRecord
from keeper.ports.signer import SignedTransaction, UnsignedTransaction
from keeper.services.outbox import Outbox, OutboxRules, OutcomeBoard
from tests.chain.stage import CHAIN_ID, KEY_SEED, Keeper, Stage, _deployed

RULES = OutboxRules(tick_s=0.2, resend_after_s=1.0, finality_blocks=20, orphan_after_s=0.0, send_timeout_s=2.0)
TRANSPORT: Mapping[str, Any] = {"compare_every_s": 0.1, "timeout_s": 2.0, "timeouts_s": {}}
RECEIPT = "eth_getTransactionReceipt"
COUNT = "eth_getTransactionCount"
__all__ = ["COUNT", "RECEIPT", "RULES", "SEND", "Scene", "Sender", "staged"]


@dataclass
class Rounds:
    """Up to which block the outbox has acted, and how often it looked."""

    block: int = -1
    rounds: int = 0


class Watched(Outbox):
    """Counts its rounds. A beat is no sign of one: it beats between sends too."""

    counted: Rounds

    async def _tick(self, head: Head) -> None:
        await super()._tick(head)
        self.counted.block, self.counted.rounds = self.wallet.desk.block, self.counted.rounds + 1


class Sender(Keeper):
    """The chain tests' keeper, with as many endpoints as it is given, which it also compares with one another."""

    def __init__(
        self,
        wallet: Stage,
        rules: OutboxRules,
        urls: Sequence[str],
        halted: Callable[[], str],
        transport: Mapping[str, Any],
        outcomes: OutcomeBoard | None = None,
    ) -> None:
        super().__init__(wallet, rules, halted, urls[0])
        endpoints = [RpcEndpoint(url, f"node-{place}") for place, url in enumerate(urls, 1)]
        options = {**TRANSPORT, **transport}
        self.chain = RpcChain(endpoints, CHAIN_ID, meter=self.meter, log=self.log, clock=wallet.clock, **options)
        self.wallet = replace(self.wallet, chain=self.chain, outcomes=outcomes or self.wallet.outcomes)
        self.heads = replace(self.heads, chain=self.chain)
        self.rounds = Rounds()
        watched = Watched(self.wallet, self.prices, self.inbox, self.outbox.heads, self.outbox.pulse)
        object.__setattr__(watched, "counted", self.rounds)  # as everything else of an outbox it never changes
        self.outbox = watched

    async def start(self) -> None:
        await super().start()
        self._tasks.append(asyncio.create_task(self.chain.run()))

    def tx(self, nonce: int = 0) -> TxRecord:
        return self.wallet.desk.open[nonce]

    def attempts(self, nonce: int = 0) -> tuple[Attempt, ...]:
        found = self.wallet.desk.open.get(nonce)
        return () if found is None else found.attempts

    async def pooled(self, count: int = 1) -> None:
        """So many nonces are unmined, and some node has the newest attempt of each."""
        await self.until(lambda: self._taken() == count == len(self.wallet.desk.unmined()))

    def _taken(self) -> int:
        return sum(tx.last.answer in ("accepted", "already_known") for tx in self.wallet.desk.unmined())

    async def attempted(self, count: int, nonce: int = 0) -> None:
        """So many attempts at the nonce, and an answer for the newest."""
        await self.until(lambda: len(self.attempts(nonce)) >= count and self.tx(nonce).last.answer is not None)

    async def looked(self, times: int = 1) -> None:
        """The outbox has looked at everything so many times from now on."""
        wanted = self.rounds.rounds + times + 1  # the look that is under way began before
        await self.until(lambda: self.rounds.rounds >= wanted)


@dataclass
class Scene:
    """`wallet` is the first of as many as a test asks for: each a key, a journal, a log and a meter of its own."""

    sim: Simulator
    wallet: Stage

    async def keeper(
        self,
        wallet: Stage | None = None,
        halted: Callable[[], str] = lambda: "",
        transport: Mapping[str, Any] | None = None,
        **rules: Any,
    ) -> Sender:
        chosen = wallet or self.wallet
        keeper = Sender(chosen, replace(RULES, **rules), self.sim.urls, halted, transport or {})
        self.wallet.keepers.append(keeper)
        await keeper.start()
        return keeper

    async def kill(self, keeper: Sender) -> None:
        await self.wallet.kill(keeper)

    async def another_wallet(self, number: int) -> Stage:
        signer = _signer(b"another key that only tests use %d" % number)
        await self.sim.fund(signer.address, 10**20)
        directory = self.wallet.directory.with_name(f"state-{number}")
        first = self.wallet
        return Stage(first.node, first.rpc, first.counter, signer, directory, clock=first.clock)

    async def mine(self, *keepers: Sender, count: int = 1) -> tuple[str, ...]:
        """Blocks by miners who take what pays; returns when the outboxes have acted on the last. Its hashes."""
        mined = await self.sim.mine(count)
        await self._seen(keepers)
        return mined.hashes

    async def pass_by(self, *keepers: Sender, count: int = 1) -> None:
        """Blocks of miners who take nothing, one after the other, each acted on by the outboxes."""
        for _ in range(count):
            await self.sim.rpc.call("evm_mine")
            await self.sim.refresh()
            await self._seen(keepers)

    async def _seen(self, keepers: Sequence[Sender]) -> None:
        height = int(await self.sim.rpc.call("eth_blockNumber"), 16)
        for keeper in keepers:
            await keeper.until(lambda keeper=keeper: keeper.rounds.block >= height)

    def everywhere(
        self, fault: Fault, methods: Collection[str] | None = None, times: int | None = None
    ) -> list[Switch]:
        """The same wrong at every endpoint, `times` at each."""
        return [each.faults.add(fault, methods=methods, times=times) for each in self.sim.endpoints]

    def heal(self) -> None:
        for each in self.sim.endpoints:
            each.faults.clear()

    def sent(self) -> list[str]:
        """Hashes as any endpoint was sent them, in order, each once for every time that it was sent to all."""
        return self.sim.record.sent()

    async def foreign(self, nonce: int, fees: Fees, wallet: Stage | None = None) -> SignedTransaction:
        """What another program signs with the same key: an empty transfer."""
        signer = (wallet or self.wallet).signer
        call = Call(signer.address, b"", 0, 21_000)
        return await signer.sign_transaction(
            UnsignedTransaction(CHAIN_ID, nonce, call, 21_000, fees.max_fee_wei, fees.tip_wei)
        )

    async def pool(self, signed: SignedTransaction) -> None:
        """Into the mempool, past the endpoints and their record."""
        assert await self.sim.chain.submit(signed.raw) == signed.hash.lower()

    async def is_settled(self, effects: int, nonces: int, wallet: Stage | None = None) -> bool:
        """So many rounds recorded with so many transactions of the wallet, and nothing of it left in the pool."""
        chosen = wallet or self.wallet
        waiting = chosen.signer.address in {*self.sim.pool.pending(), *self.sim.pool.queued()}
        return (await chosen.count(), await chosen.mined_nonce(), waiting) == (effects, nonces, False)


@asynccontextmanager
async def staged(directory: Path, options: SimulatorOptions | None = None) -> AsyncIterator[Scene]:
    async with aiohttp.ClientSession() as session, simulated(session, options) as sim:
        signer = _signer(KEY_SEED)
        await sim.fund(signer.address, 10**20)
        counter = await _deployed(sim.rpc)
        await sim.refresh()
        await sim.set_base_fee(GWEI)
        scene = Scene(sim, Stage(sim.node, sim.rpc, counter, signer, directory))
        try:
            yield scene
        finally:
            scene.heal()
            for keeper in scene.wallet.keepers:
                await keeper.stop()


def _signer(seed: bytes) -> KeySigner:
    key = signing_key(keccak(seed))
    assert key is not None
    return KeySigner(key, CHAIN_ID)
