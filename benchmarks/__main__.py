"""All benchmarks one after the other, and what became of their goals.

    python -m benchmarks            everything, about ten minutes
    python -m benchmarks index rpc  these alone

A missed goal is a figure and no failure: the exit code is 1 only if a benchmark broke, or found something to be wrong.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.figures import machine

BENCHMARKS = {
    "parse": "recorded ticker → quote",
    "index": "index of 500 markets × 10 sources",
    "engine": "a tick of 500 markets, and messages from bytes to index",
    "encode": "20 prices → signed transaction",
    "rpc": "one read or send",
    "tick_to_chain": "tick → signed transaction at the node",
    "health": "a tick over 100,000 accounts",
    "backfill": "log backfill",
    "steady": "steady cost",
    "fee_spike": "age of prices under a tenfold base fee",
    "transactions": "journal and bookkeeping of a transaction",
}
_GOAL = re.compile(r"goal (?P<goal>.+?): (?P<outcome>.+)")


@dataclass(frozen=True, slots=True)
class Run:
    name: str
    goals: Sequence[tuple[str, str]]
    seconds: float


def run(name: str) -> Run:
    """Passes on what it prints."""
    begun, goals = time.monotonic(), []
    print(f"── {name}: {BENCHMARKS[name]}", flush=True)
    command = [sys.executable, "-u", "-m", f"benchmarks.{name}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            if found := _GOAL.match(line):
                goals.append((found["goal"], found["outcome"].strip()))
    print(flush=True)
    return Run(name, goals, time.monotonic() - begun)


def show(runs: Sequence[Run]) -> None:
    print(f"── goals; {machine()}")
    print(f"{'benchmark':16}{'goal':34}{'outcome':58}{'s':>5}")
    for one in runs:
        for place, (goal, outcome) in enumerate(one.goals or [("", "BROKEN: no figure")]):
            name, seconds = (one.name, f"{one.seconds:.0f}") if place == 0 else ("", "")
            print(f"{name:16}{goal:34}{outcome:58}{seconds:>5}")


def main() -> int:
    wanted = sys.argv[1:] or list(BENCHMARKS)
    if unknown := [name for name in wanted if name not in BENCHMARKS]:
        raise SystemExit(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    here = [name for name in wanted if importlib.util.find_spec(f"benchmarks.{name}") is not None]
    runs = [run(name) for name in here]
    show(runs)
    return 0 if all(one.goals for one in runs) else 1


if __name__ == "__main__":
    sys.exit(main())
