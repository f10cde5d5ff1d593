"""What a running keeper costs: 60 feeds over TLS, 2,000 ticks a second, index and mark of 20 markets live.

    python -m benchmarks.steady

The keeper is a process of its own, built as `keeper run` builds it, with everything on, pushing prices at their
heartbeat. Processor time and memory are the kernel's figures for that process. The baseline takes the same frames from
the same exchanges in turns: `websockets` on asyncio, decoding and nothing else. What the tape of everything heard costs is
the difference to the same keeper without one, in turns too.
Goals: at most 25 % of a core and 160 MB; the tape at most 2 %.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from benchmarks.figures import machine, verdict
from benchmarks.stage import MARKETS, ROOT, Stage, running, staged
from benchmarks.tls import Authority, made

PER_S, WINDOW_S, WINDOWS, TAPE_TURNS = 2_000, 5.0, 3, 2
GOAL_PERCENT, GOAL_MB, GOAL_TAPE_PERCENT = 25.0, 160.0, 2.0
TICKS_PER_S, PAGE_MB = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE") / 2**20
LEAST_SHARE = 0.95
"""Of the ticks told, that must have been decoded."""


@dataclass(frozen=True, slots=True)
class Cost:
    percent: float
    mb: float
    frames_per_s: float


def used(pid: int) -> tuple[float, float]:
    """(seconds of processor time, resident MB) of a process: proc(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S, int(fields[21]) * PAGE_MB


async def windows(stage: Stage, pid: int) -> list[Cost]:
    found = []
    for _ in range(WINDOWS):
        told, (before_s, _), begun = stage.exchanges.told, used(pid), time.monotonic()
        await asyncio.sleep(WINDOW_S)
        (after_s, mb), elapsed = used(pid), time.monotonic() - begun
        share = 100 * (after_s - before_s) / elapsed
        found.append(Cost(share, mb, (stage.exchanges.told - told) / elapsed))
    return found


async def keeper(stage: Stage, name: str, *options: str) -> tuple[list[Cost], float]:
    """Costs by window, and the seconds from the start to the first signed batch. Raises SystemExit if prices stood."""
    begun = time.monotonic_ns()
    async with running(stage, name, *options) as daemon:
        first_s = (stage.relay.arrived[0][0] - begun) / 1e9
        async with aiohttp.ClientSession() as session:
            before, told = await _quotes(session, daemon.ops_url), stage.exchanges.told
            costs = await windows(stage, daemon.pid)
            told = stage.exchanges.told - told
            heard = await _quotes(session, daemon.ops_url) - before
            async with session.get(f"{daemon.ops_url}/status") as answer:
                status = await answer.json()
    if heard < LEAST_SHARE * told:
        raise SystemExit(f"the keeper took {heard:.0f} of {told} ticks")
    live = [name for name, market in status["markets"].items() if market.get("mark")]
    if len(live) < MARKETS:
        raise SystemExit(f"only {len(live)} of {MARKETS} markets have a mark")
    return costs, first_s


async def _quotes(session: aiohttp.ClientSession, url: str) -> float:
    async with session.get(f"{url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("keeper_quotes_received_total{"))


async def baseline(stage: Stage, authority: Authority | None) -> list[Cost]:
    """Raises SystemExit if it decoded too little."""
    urls = [stage.exchanges.url + path for path in stage.exchanges.paths]
    environ = {**os.environ, **(authority.environ() if authority else {})}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.plain_client", *urls,
        stdout=asyncio.subprocess.PIPE, cwd=ROOT, env=environ,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        await _all_connected(stage)
        told, first = stage.exchanges.told, int(await process.stdout.readline())
        costs = await windows(stage, process.pid)
        seen, told = first, stage.exchanges.told - told
        with suppress(TimeoutError):
            while True:
                seen = int(await asyncio.wait_for(process.stdout.readline(), 0.2))
    finally:
        process.terminate()
        await process.wait()
    if seen - first < LEAST_SHARE * told - PER_S:
        raise SystemExit(f"the baseline decoded {seen - first} of {told} ticks")
    return costs


async def _all_connected(stage: Stage) -> None:
    async with asyncio.timeout(20):
        while stage.exchanges.connected < len(stage.exchanges.paths):  # noqa: ASYNC110 - another process connects
            await asyncio.sleep(0.05)
    await asyncio.sleep(1)


def line(name: str, costs: Sequence[Cost]) -> tuple[float, float]:
    percent, mb = statistics.median(cost.percent for cost in costs), max(cost.mb for cost in costs)
    shares = ", ".join(f"{cost.percent:.1f}" for cost in costs)
    rate = statistics.median(cost.frames_per_s for cost in costs)
    print(f"{name:34}{rate:10.0f}{percent:10.1f}   ({shares}){mb:10.0f}")
    return percent, mb


async def main() -> int:
    with tempfile.TemporaryDirectory(prefix="keeper-bench-") as directory:
        authority = made(Path(directory))
        tls = authority.server() if authority else None
        async with staged(Path(directory), PER_S, tls) as stage:
            stage.environ.update(authority.environ() if authority else {})
            theirs = await baseline(stage, authority)
            ours, first_s = await keeper(stage, "keeper")
            silent, _ = await keeper(stage, "silent", "--no-tape")
            for turn in range(1, TAPE_TURNS):
                ours += (await keeper(stage, f"keeper{turn}"))[0]
                silent += (await keeper(stage, f"silent{turn}", "--no-tape"))[0]
            connections = len(stage.exchanges.paths)
    kind = "TLS" if authority else "plain (there is no openssl)"
    print(f"{connections} {kind} connections, {MARKETS} markets, {WINDOWS} windows of {WINDOW_S:.0f} s; {machine()}")
    print(f"{'':34}{'ticks/s':>10}{'% of core':>10}   (each window){'MB':>10}")
    line("websockets, decoding only", theirs)
    percent, mb = line("keeper, everything on", ours)
    tape = percent - line("keeper without its tape", silent)[0]
    print(f"start to the first signed batch: {first_s:.1f} s")
    print(verdict(percent <= GOAL_PERCENT, f"<= {GOAL_PERCENT:.0f} % of a core", f"{percent:.1f} %"))
    print(verdict(mb <= GOAL_MB, f"<= {GOAL_MB:.0f} MB", f"{mb:.0f} MB"))
    print(verdict(tape <= GOAL_TAPE_PERCENT, f"tape <= {GOAL_TAPE_PERCENT:.0f} % of a core", f"{tape:.1f} %"))
    return 0 if percent <= GOAL_PERCENT and mb <= GOAL_MB and tape <= GOAL_TAPE_PERCENT else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
