"""Mutated recorded messages through every venue's parser, a bank's and contracts' answers, and a table of what they came to.

    python -m tests.fuzz --frames 1000000 --seed 1

Each venue, and all that is published together, has an equal share of the frames and a process of its own, two at a time, so that what stays in memory is its own.
Exits 1 where a parser raised anything but its own error (FeedProtocolError; AbiMismatch of a contract's answer), gave out something insane, or memory stayed behind.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor

from tests.fuzz.campaign import NO_VENUE, USUAL, Outcome, leg
from tests.fuzz.corpus import prey

HEADS = ("frames", *USUAL, "FAULT", "KiB kept")


def shares(frames: int) -> Mapping[str, int]:
    """As equal as whole numbers allow."""
    kinds = [*sorted(each.kind for each in prey()), NO_VENUE]
    share, left = divmod(frames, len(kinds))
    return {kind: share + (number < left) for number, kind in enumerate(kinds)}


def table(outcomes: Mapping[str, Outcome]) -> Counter[str]:
    """Prints a row for each venue, its stream, its REST answers and what unpacks them together. Returns the sums."""
    print(f"{'venue':18}" + "".join(f"{word:>10}" for word in HEADS))
    total: Counter[str] = Counter()
    for kind, outcome in outcomes.items():
        seen: Counter[str] = Counter()
        for (_, said), count in outcome.counts.items():
            seen[said] += count
        seen["frames"], seen["KiB kept"] = outcome.counts.total(), outcome.grown // 1024
        total += seen
        print(f"{kind:18}" + "".join(f"{seen[word]:10}" for word in HEADS))
    print(f"{'all':18}" + "".join(f"{total[word]:10}" for word in HEADS))
    return total


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    chosen = parser.parse_args()
    started = time.perf_counter()
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(chosen.jobs, mp_context=spawning, max_tasks_per_child=1) as pool:
        legs = {kind: pool.submit(leg, kind, share, chosen.seed) for kind, share in shares(chosen.frames).items()}
        outcomes = {kind: each.result() for kind, each in legs.items()}
    total = table(outcomes)
    print(f"{total['frames']} frames of seed {chosen.seed} in {time.perf_counter() - started:.0f} s")
    faults = [fault for outcome in outcomes.values() for fault in outcome.faults]
    for fault in faults:
        print(fault)
    print("FAILED" if faults else "nothing but the parsers' own errors")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
