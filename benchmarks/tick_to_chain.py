"""Last byte of a tick in → signed transaction at the node: 20 markets, 2,000 ticks a second, everything switched on.

    python -m benchmarks.tick_to_chain

The keeper is a process of its own, built as `keeper run` builds it: journal on this disk with synchronous=FULL, evidence,
screening, guard, logs, metrics, accounts, funding and liquidations. One tick of one venue moves one market's median by 20
bps; the 19 others ride along. The clock runs from before the tick's first byte is written until the last byte of the
transaction has been read at the other end. The baseline is the same keeper with digest, signature, calldata and
transaction by web3 and eth-account. Every transaction is read back by eth-account and eth-abi, its evidence traced to
the journal, its records computed anew, and its receipt asked for.
Goals: p50 at most 2 ms, p99 at most 6 ms, at least 8 times the web3 path.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import machine, quantile, verdict
from benchmarks.pushed import Pushed, Recomputed, behind, entries, pushed, received_at
from benchmarks.stage import BASES, MARKETS, Daemon, Stage, bases_in_turn, moved, running, staged
from keeper.app.registries import REGISTRIES
from keeper.devnet.configure import address_of
from keeper.domain.ids import source_id
from keeper.settings.load import load

PER_S, WARM = 2_000, 4
PHASES = (("keeper", 36), ("web3", 18), ("keeper", 36), ("rate", 12), ("alone", 18))
"""In turns, so that a busy minute of the machine falls on more than one. `rate`: USDT moves, and with it all markets.
`alone`: nobody rides along."""
GOAL_P50_MS, GOAL_P99_MS, GOAL_RATIO = 2.0, 6.0, 8.0
LOST_AFTER_S, PAUSE_S = 5.0, (0.02, 0.06)


@dataclass(frozen=True, slots=True)
class Round:
    """Times in ns of CLOCK_MONOTONIC; `base` moved."""

    base: str
    told_at: int
    arrived_at: int
    raw: bytes

    @property
    def ms(self) -> float:
        return (self.arrived_at - self.told_at) / 1e6


@dataclass(frozen=True, slots=True)
class Phase:
    """`parts_us` of each round: until received, until priced, until it arrived. `beside`: rounds that brought nothing in
    time, or were overtaken by a push that was decided before their tick.
    """

    kind: str
    rounds: Sequence[Round]
    parts_us: Sequence[tuple[float, float, float]]
    beside: int


async def rounds(stage: Stage, bases: Sequence[str]) -> tuple[list[Round], int]:
    """Moves one market after the other, each once the last push has landed. And how many moves brought nothing."""
    dice, up, done, lost = random.Random(9), dict.fromkeys([*BASES, "USDT"], False), [], 0
    for base in bases:
        await asyncio.sleep(dice.uniform(*PAUSE_S))
        before = len(stage.relay.arrived)
        up[base] = not up[base]
        told_at = await stage.exchanges.move(stage.movers[base], moved(stage, base, up[base]))
        if await stage.relay.next_after(before, LOST_AFTER_S):
            done.append(Round(base, told_at, *stage.relay.arrived[before]))
        else:
            lost += 1
        await stage.relay.landed(LOST_AFTER_S)
    return done, lost


async def phase(stage: Stage, kind: str, count: int, number: int) -> Phase:
    options = ("--library",) if kind == "web3" else ()
    bases = ["USDT"] * (WARM + count) if kind == "rate" else bases_in_turn(WARM + count)
    async with running(stage, f"{number}-{kind}", *options, together=kind != "alone") as daemon:
        offset = time.time_ns() - time.monotonic_ns()
        done, lost = await rounds(stage, bases)
        for base in set(bases):
            stage.exchanges.put(stage.movers[base], moved(stage, base, up=False))
    await proved(stage, done)
    prices = 1 if kind == "alone" else MARKETS
    timed = parts(stage, daemon, done[WARM:], prices, offset)
    measured = [(each, times) for each, times in zip(done[WARM:], timed, strict=True) if times[0] >= 0]
    beside = lost + len(timed) - len(measured)
    return Phase(kind, [each for each, _ in measured], [times for _, times in measured], beside)


def parts(
    stage: Stage, daemon: Daemon, done: Sequence[Round], prices: int, offset: int
) -> list[tuple[float, float, float]]:
    """Checks every push against the journal and takes its times from there. Raises SystemExit at the first fault."""
    kept, recomputed = behind(daemon.journal), Recomputed(load(daemon.config, REGISTRIES))
    found = []
    for each in done:
        push = read(stage, each, prices)
        documents = kept.get(push.report.evidence)
        if documents is None:
            raise SystemExit(f"round {push.report.round_id}: its evidence is not in the journal")
        sent = {(price.market_no, price.index_e18, price.mark_e18, price.premium_e18) for price in push.report.prices}
        if entries(documents) != sent:
            raise SystemExit(f"round {push.report.round_id}: the records say other prices")
        if problem := next(filter(None, map(recomputed.differs, documents)), ""):
            raise SystemExit(f"round {push.report.round_id}: {problem}")
        mover = stage.movers[each.base]
        source = source_id(mover.kind, mover.symbol)
        own = [one for one in documents if each.base in ("USDT", str(one["market"]).removesuffix("-USD"))]
        document = (own or documents)[0]
        received, priced = received_at(document, source) - offset, int(document["now"]) - offset
        times = (received - each.told_at, priced - received, each.arrived_at - priced)
        found.append((times[0] / 1e3, times[1] / 1e3, times[2] / 1e3))
    return found


def read(stage: Stage, each: Round, prices: int) -> Pushed:
    """Raises SystemExit unless the right keys signed so many prices."""
    push = pushed(each.raw, stage.deployment.chain_id, stage.deployment.oracle)
    if push.signer != address_of(stage.keys.reports[0]) or push.sender != address_of(stage.keys.sender):
        raise SystemExit(f"round {push.report.round_id} is signed by {push.signer}, sent by {push.sender}")
    if len(push.report.prices) != prices:
        raise SystemExit(f"round {push.report.round_id} has {len(push.report.prices)} prices")
    return push


async def proved(stage: Stage, done: Sequence[Round]) -> None:
    """Raises SystemExit unless the chain took every transaction."""
    hashes = [await stage.rpc.call("web3_sha3", "0x" + each.raw.hex()) for each in done]
    receipts = await stage.rpc.batch([("eth_getTransactionReceipt", [tx]) for tx in hashes])
    if bad := sum(not isinstance(receipt, dict) or int(receipt["status"], 16) != 1 for receipt in receipts):
        raise SystemExit(f"{bad} of {len(done)} transactions failed on chain")


def commits_us(directory: Path) -> list[float]:
    """One durable write of 60 kB, as a batch's records are, on the disk of the journal."""
    connection = sqlite3.connect(directory / "commits.sqlite", isolation_level=None)
    for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "CREATE TABLE t(a INTEGER, b TEXT)"):
        connection.execute(statement)
    found = []
    for _ in range(60):
        begun = time.perf_counter()
        connection.execute("INSERT INTO t(b) VALUES (?)", ("x" * 60_000,))
        found.append(1e6 * (time.perf_counter() - begun))
    connection.close()
    return found


def line(name: str, phases: Sequence[Phase]) -> tuple[float, float]:
    """Prints one path; p50 and p99 in ms."""
    times = [each.ms for one in phases for each in one.rounds]
    middle = [
        statistics.median(part) for part in zip(*[times for one in phases for times in one.parts_us], strict=True)
    ]
    p50, p99 = quantile(times, 0.5), quantile(times, 0.99)
    print(
        f"{name:34}{len(times):5}{sum(one.beside for one in phases):8}{min(times):8.2f}{p50:8.2f}{p99:8.2f}"
        + "".join(f"{part:12.0f}" for part in middle)
    )
    return p50, p99


async def main() -> int:
    print(f"tick → signed transaction at the node, {MARKETS} prices, {PER_S} ticks/s; {machine()}")
    with tempfile.TemporaryDirectory(prefix="keeper-bench-") as directory:
        commits = commits_us(Path(directory))
        async with staged(Path(directory), PER_S) as stage:
            found = [await phase(stage, kind, count, number) for number, (kind, count) in enumerate(PHASES)]
            connections = len(stage.exchanges.paths)
    print(f"{connections} connections; a durable write of 60 kB: p50 {statistics.median(commits):.0f} µs, "
          f"p99 {quantile(commits, 0.99):.0f} µs; every push checked against journal, libraries and chain")  # fmt: skip
    print(
        f"{'ms':34}{'n':>5}{'beside':>8}{'best':>8}{'p50':>8}{'p99':>8}{'→ received':>12}{'→ priced':>12}{'→ node, µs':>12}"
    )
    p50, p99 = line("keeper, one moves, 19 ride along", [one for one in found if one.kind == "keeper"])
    web3_p50, _ = line("the same by web3, eth-account", [one for one in found if one.kind == "web3"])
    line("keeper, USDT moves all 20", [one for one in found if one.kind == "rate"])
    line("keeper, nobody rides along", [one for one in found if one.kind == "alone"])
    ratio = web3_p50 / p50
    met = p50 <= GOAL_P50_MS and p99 <= GOAL_P99_MS and ratio >= GOAL_RATIO
    print(verdict(p50 <= GOAL_P50_MS, f"p50 <= {GOAL_P50_MS:.0f} ms", f"{p50:.2f} ms"))
    print(verdict(p99 <= GOAL_P99_MS, f"p99 <= {GOAL_P99_MS:.0f} ms", f"{p99:.2f} ms"))
    print(verdict(ratio >= GOAL_RATIO, f">= {GOAL_RATIO:.0f}x web3", f"{ratio:.1f}x"))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
