"""What it costs to never lose a transaction: the journal and its bookkeeping beside a bare sign-and-send.

    python -m benchmarks.transactions [count]

The chain is in memory and answers at once, so that what is timed is the keeper's own work and the disk's. Three parts:
time from the intent to the bytes' arrival at the chain, against the same signer and chain without anything between;
how long the event loop is held up while 1,000 transactions are pending, mined at once and confirmed; and journal size
and resident memory over `count` transactions (50,000), with settled ones forgotten as `keeper run` forgets them.
Every transaction must have arrived exactly once and be confirmed. Goals: at most 0.5 ms added at p99 beyond the disk's own
durable write, no lag above 20 ms, nothing grows.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.figures import machine, quantile, verdict
from benchmarks.instant_chain import InstantChain
from benchmarks.quiet import Quiet
from keeper.adapters.clock import SystemClock
from keeper.adapters.encoding.keccak import keccak
from keeper.adapters.journal import Journal, JournalLimits
from keeper.adapters.signers.curve import signing_key
from keeper.adapters.signers.key_signer import KeySigner
from keeper.domain.chain import Call
from keeper.domain.heads import Head
from keeper.domain.ids import Address, DeploymentId
from keeper.domain.transaction import Intent, IntentState, Lane, intent_id
from keeper.ports.protocol import Revert
from keeper.ports.signer import UnsignedTransaction
from keeper.runtime.board import Board
from keeper.runtime.mailbox import Mailbox
from keeper.runtime.pulse import Pulse
from keeper.services.outbox import Outbox, OutboxRules, Wallet

CHAIN_ID, TIMED, PENDING, MANY = 31337, 1_000, 1_000, 50_000
CONTRACT = Address("0x" + "c0" * 20)
GOAL_ADDED_MS, GOAL_LAG_MS, GOAL_GROWTH = 0.5, 20.0, 1.1
_BATCH, _REAP_EVERY = 50, 2_000
_MIB = 1 << 20


@dataclass(slots=True)
class Stage:
    chain: InstantChain
    signer: KeySigner
    journal: Journal
    outbox: Outbox
    inbox: Mailbox[Intent]
    heads: Board[str, Head]
    clock: SystemClock

    def intent(self, number: int) -> Intent:
        call = Call(CONTRACT, number.to_bytes(36, "big"), 0, 100_000)
        key = str(number)
        words = intent_id(CHAIN_ID, CONTRACT, Lane.FUNDING, key)
        return Intent(words, DeploymentId("bench"), Lane.FUNDING, key, call, self.clock.now(), None, ())

    def mine(self) -> None:
        self.heads.put("head", self.chain.mine())

    async def confirmed(self, count: int) -> None:
        """Until so many are confirmed. Raises TimeoutError."""
        outcomes = self.outbox.wallet.outcomes
        async with asyncio.timeout(120):
            while self.outbox.wallet.desk.counts[Lane.FUNDING, IntentState.CONFIRMED] < count:
                await outcomes.changed(outcomes.version)


@asynccontextmanager
async def staged(directory: Path, rules: OutboxRules) -> AsyncIterator[Stage]:
    key, clock, quiet = signing_key(keccak(b"benchmark")), SystemClock(), Quiet()
    assert key is not None
    chain, signer = InstantChain(), KeySigner(key, CHAIN_ID)
    answering: Any = chain  # what an outbox asks of a chain, and no more
    with Journal.open(directory, clock, JournalLimits(keep_settled_s=0.5)) as journal:
        prices, heads = Board[DeploymentId, Intent](), Board[str, Head]()
        inbox: Mailbox[Intent] = Mailbox("bench", 4096)
        wallet = Wallet(
            "bench",
            CHAIN_ID,
            answering,
            signer,
            journal.ledger,
            lambda _intent, _data: Revert("", "", benign=False),
            clock,
            quiet,
            quiet,
            rules=rules,
        )
        outbox = Outbox(wallet, prices, inbox, heads, Pulse(clock))
        stage = Stage(chain, signer, journal, outbox, inbox, heads, clock)
        async with asyncio.TaskGroup() as running:  # its failure ends the run, which would wait for ever
            task = running.create_task(outbox.run())
            stage.mine()
            yield stage
            task.cancel()


async def bare(stage: Stage, count: int) -> list[float]:
    """Sign and send, and nothing else: ms each."""
    chain, found = InstantChain(), []
    for number in range(count):
        intent, began = stage.intent(number), time.perf_counter()
        unsigned = UnsignedTransaction(CHAIN_ID, number, intent.call, 100_000, 10**10, 10**8)
        await chain.broadcast((await stage.signer.sign_transaction(unsigned)).raw)
        found.append(1e3 * (time.perf_counter() - began))
    return found


async def journalled(stage: Stage, count: int) -> list[float]:
    """From the intent's arrival in the inbox until the chain has the bytes: ms each."""
    found = []
    for number in range(count):
        intent, began = stage.intent(number), time.perf_counter()
        await stage.inbox.put(intent)
        await stage.chain.holds(number + 1)
        found.append(1e3 * (time.perf_counter() - began))
        stage.mine()
        await stage.confirmed(number + 1)
    return found


def durable_write_ms(directory: Path) -> list[float]:
    """What the disk alone takes for one commit of the journal's kind."""
    found = []
    with Journal.open(directory, SystemClock()) as journal:
        for number in range(TIMED):
            began = time.perf_counter()
            journal.snapshots.save("round", str(number))
            found.append(1e3 * (time.perf_counter() - began))
    return found


async def overhead(directory: Path) -> tuple[float, float]:
    """Prints the table; ms added at p50 and p99 beyond one durable write."""
    disk = durable_write_ms(directory / "disk")
    async with staged(directory / "overhead", OutboxRules(finality_blocks=2)) as stage:
        plain, kept = await bare(stage, TIMED), await journalled(stage, TIMED)
    rows = {"bare sign-and-send": plain, "with journal and bookkeeping": kept, "one durable write": disk}
    print(f"{TIMED} transactions, ms{'':20}{'p50':>8}{'p99':>8}")
    for name, times in rows.items():
        print(f"{name:40}{quantile(times, 0.5):8.3f}{quantile(times, 0.99):8.3f}")
    p50, p99 = (quantile(kept, share) - quantile(plain, share) - quantile(disk, share) for share in (0.5, 0.99))
    return p50, p99


async def lag_ms(directory: Path) -> float:
    """The longest that the event loop was held up with PENDING transactions: sent, watched, mined at once, confirmed."""
    rules = OutboxRules(max_in_flight=PENDING + 10, queue_limit=PENDING + 10, finality_blocks=2, resend_after_s=3600)
    rules = replace(rules, bump_blocks=dict.fromkeys(Lane, 10**6))
    async with staged(directory / "pending", rules) as stage:
        lags: list[float] = []
        watch = asyncio.create_task(_watch(lags))
        for number in range(PENDING):
            await stage.inbox.put(stage.intent(number))
        async with asyncio.timeout(60):
            await stage.chain.holds(PENDING)
        sent = max(lags)
        for _ in range(20):  # heads that mine nothing of ours
            stage.chain.waiting, kept = [], stage.chain.waiting
            stage.mine()
            stage.chain.waiting = kept
            await asyncio.sleep(0.02)
        watched = max(lags)
        stage.mine()
        await stage.confirmed(PENDING)
        watch.cancel()
    print(
        f"{PENDING} pending: loop held up by {sent:.1f} ms while sending, {watched:.1f} with heads, {max(lags):.1f} in all"
    )
    return max(lags)


async def _watch(lags: list[float]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + 0.001
        await asyncio.sleep(0.001)
        lags.append(1e3 * (loop.time() - due))


async def growth(directory: Path, count: int) -> tuple[float, float]:
    """Prints size and memory on the way; how much both grew from a fifth of the way to the end."""
    sizes, memory = [], []
    async with staged(directory / "many", OutboxRules(finality_blocks=2, queue_limit=4096)) as stage:
        for number in range(0, count, _BATCH):
            for each in range(number, min(count, number + _BATCH)):
                await stage.inbox.put(stage.intent(each))
            done = min(count, number + _BATCH)
            async with asyncio.timeout(60):
                while stage.chain.sent < done:
                    stage.mine()
                    await asyncio.sleep(0)
            stage.mine()
            await stage.confirmed(done)
            if done % _REAP_EVERY == 0:
                stage.journal.reap()
                sizes.append(sum(path.stat().st_size for path in (directory / "many").iterdir()) / _MIB)
                memory.append(_resident_mib())
            if done % max(_REAP_EVERY, count // 5) == 0:
                print(
                    f"  {done:7} transactions: journal {sizes[-1]:6.2f} MiB, resident {memory[-1]:6.1f} MiB", flush=True
                )
        if stage.chain.sent != count:
            raise SystemExit(f"{stage.chain.sent} transactions arrived, {count} were wanted")
    early = max(1, len(sizes) // 5)
    return max(sizes[early:]) / max(sizes[:early]), max(memory[early:]) / max(memory[:early])


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / _MIB


async def main() -> int:
    count = max(5 * _REAP_EVERY, int(sys.argv[1])) if len(sys.argv) > 1 else MANY
    print(f"journalled transactions against bare ones; {machine()}")
    with tempfile.TemporaryDirectory(prefix="keeper-bench-") as name:
        directory = Path(name)
        p50, p99 = await overhead(directory)
        lag = await lag_ms(directory)
        size, memory = await growth(directory, count)
    met = p99 <= GOAL_ADDED_MS and lag <= GOAL_LAG_MS and max(size, memory) <= GOAL_GROWTH
    print(verdict(p99 <= GOAL_ADDED_MS, f"<= {GOAL_ADDED_MS} ms added at p99", f"{p99:.2f} ms, {p50:.2f} at p50"))
    print(verdict(lag <= GOAL_LAG_MS, f"lag <= {GOAL_LAG_MS:.0f} ms", f"{lag:.1f} ms"))
    grown = f"journal ×{size:.2f}, memory ×{memory:.2f} over {count}"
    print(verdict(max(size, memory) <= GOAL_GROWTH, "nothing grows", grown))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
