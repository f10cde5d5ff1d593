"""Kills the sending side with -9 at every failpoint, many times, on a real chain, and counts what was mined.

    make torture                                              24 places × 50 seeds × 2 contracts
    make torture ARGS="--seeds 5 --contract probe"            fewer
    make torture ARGS="--contract probe --failpoint after_sign --seed 17"     one case again

Exits 1 when anything was done twice or not at all, when a nonce is missing, or when a naive sender gets through as well.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.torture.lane import Result
from tests.torture.matrix import run_all
from tests.torture.plan import CONTRACTS, FAILPOINTS, Case
from tests.torture.report import Progress, show


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make torture")
    parser.add_argument("--contract", choices=CONTRACTS, action="append")
    parser.add_argument("--failpoint", choices=FAILPOINTS, action="append")
    parser.add_argument("--seeds", type=int, default=50, help="how many, from --first-seed")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--naive-seeds", type=int, default=2, help="how many the naive sender is put through")
    parser.add_argument("--lanes", type=int, default=(os.cpu_count() or 2) + 1, help="chains at once")
    return parser.parse_args()


def _cases(chosen: argparse.Namespace, seeds: Sequence[int]) -> list[Case]:
    contracts, failpoints = chosen.contract or CONTRACTS, chosen.failpoint or FAILPOINTS
    return [Case(*words, seed) for seed in seeds for words in [(c, f) for f in failpoints for c in contracts]]


def _run(chosen: argparse.Namespace, cases: list[Case], sender: str, directory: Path) -> list[Result]:
    progress = Progress(len(cases), quiet=sender == "naive")
    return asyncio.run(run_all(cases, directory / sender, min(chosen.lanes, len(cases)), sender, progress))


def main() -> int:
    chosen = _arguments()
    alone = chosen.seed is not None
    seeds = [chosen.seed] if alone else range(chosen.first_seed, chosen.first_seed + chosen.seeds)
    directory = Path(tempfile.mkdtemp(prefix="torture-"))
    print(f"seeds {seeds[0]}…{seeds[-1]}; journals and events under {directory}", flush=True)
    results = _run(chosen, _cases(chosen, seeds), "keeper", directory)
    for contract in CONTRACTS:
        if ours := [each for each in results if each.case.contract == contract]:
            show(f"keeper, {contract}", ours)
    failed = [each for each in results if each.verdict.violations]
    print(f"{len(failed)} of {len(results)} cases violated")
    if alone or chosen.naive_seeds == 0:
        return int(bool(failed))
    naive = _run(chosen, _cases(chosen, seeds[: chosen.naive_seeds]), "naive", directory)
    show("a naive sender through the same", naive)
    caught = [each for each in naive if each.verdict.violations]
    print(f"{len(caught)} of {len(naive)} cases caught it")
    return int(bool(failed) or not caught)


if __name__ == "__main__":
    sys.exit(main())
