"""Mutated recorded messages through every venue's parser, and a count of what they came to.

    python -m tests.fuzz --frames 1000000 --seed 1

Exits 1 where a parser raised anything but FeedProtocolError, gave out something insane, or memory stayed behind.
"""

from __future__ import annotations

import argparse
import time

from tests.fuzz.campaign import USUAL, campaign


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    started = time.perf_counter()
    outcome = campaign(chosen.frames, chosen.seed, watch_memory=True)
    took_s = time.perf_counter() - started
    print(f"{'parser':24}" + "".join(f"{word:>10}" for word in USUAL))
    for name in sorted({name for name, _ in outcome.counts}):
        print(f"{name:24}" + "".join(f"{outcome.counts[name, word]:10}" for word in USUAL))
    print(
        f"{outcome.counts.total()} frames of seed {chosen.seed} in {took_s:.0f} s; {outcome.grown / 1024:.0f} KiB kept"
    )
    for fault in outcome.faults:
        print(fault)
    print("FAILED" if outcome.faults else "nothing but FeedProtocolError")
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
