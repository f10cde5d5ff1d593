"""Makes the money path slightly wrong, one place at a time, and looks whether a test notices.

    make mutate                                  500 places, drawn by seed 1, at least 85 in 100 noticed
    make mutate ARGS="--count 60 --seed 7"       other places
    make mutate ARGS="--part mark"               of one part

Exits 1 below the mark, and names the survivors.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator

from hypothesis import HealthCheck, settings
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.mutation.coverage_map import Watch
from tests.mutation.plan import TARGETS, TESTS, drawn, files
from tests.mutation.sites import Site
from tests.mutation.trial import Fate, Running, Trial, begin, observed

NOTICED = frozenset({Fate.KILLED, Fate.TIMEOUT})
_LOOK_S = 0.01


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutate")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--part", choices=tuple(TARGETS), action="append")
    parser.add_argument("--least", type=float, default=85.0, help="percent that must be noticed")
    parser.add_argument("--tests", action="append", help="only these may notice")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2)
    return parser.parse_args()


def trials(sites: list[Site], watch: Watch, jobs: int) -> Iterator[Trial]:
    waiting, running = list(reversed(sites)), list[Running]()
    while waiting or running:
        while waiting and len(running) < jobs:
            begun = begin(waiting.pop(), watch)
            if isinstance(begun, Trial):
                yield begun
            else:
                running.append(begun)
        time.sleep(_LOOK_S)  # not a wait for the next to end: one that never ends has to be stopped in time
        for each in list(running):
            if (ended := each.ended()) is not None:
                running.remove(each)
                yield ended


def _shown(found: list[Trial], parts: tuple[str, ...]) -> Table:
    table = Table("part", "places", *(fate.value for fate in Fate), "noticed")
    for part in (*parts, "all"):
        paths = set(files(part)) if part != "all" else None
        own = [each for each in found if paths is None or each.site.path in paths]
        fates = Counter(each.fate for each in own)
        noticed = sum(fates[fate] for fate in NOTICED)
        share = f"{100 * noticed / len(own):.1f} %" if own else "-"
        table.add_row(part, str(len(own)), *(str(fates[fate]) for fate in Fate), share)
    return table


def main() -> int:
    chosen = _arguments()
    parts = tuple(chosen.part or TARGETS)
    settings.register_profile(
        "mutation", derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    settings.load_profile("mutation")
    sites, console, begun = drawn(chosen.count, chosen.seed, parts), Console(), time.monotonic()
    watch = observed(chosen.tests or TESTS)
    console.print(f"seed {chosen.seed}: {len(sites)} places, {len(watch.seconds)} tests")
    running = trials(sites, watch, chosen.jobs)
    found = list(track(running, "changing", total=len(sites), console=console, disable=not console.is_terminal))
    for each in sorted((each for each in found if each.fate not in NOTICED), key=lambda each: str(each.site)):
        console.print(f"{each.fate.value}: {each.site}: {each.said}", markup=False, highlight=False, soft_wrap=True)
    console.print(_shown(found, parts))
    share = 100 * sum(each.fate in NOTICED for each in found) / max(1, len(found))
    console.print(f"{share:.1f} % noticed in {time.monotonic() - begun:.0f} s; asked: {chosen.least} %")
    return int(share < chosen.least)


if __name__ == "__main__":
    sys.exit(main())
