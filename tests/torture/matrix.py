"""Runs cases on several chains at once and hands on each result as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.torture.lane import Result, lane
from tests.torture.plan import Case

_CASES_PER_NODE = 40
"""anvil remembers every block: now and then a new one starts."""


async def run_all(
    cases: Sequence[Case], directory: Path, lanes: int, sender: str, done: Callable[[Result], None]
) -> list[Result]:
    waiting, results = list(reversed(cases)), list[Result]()

    async def work(place: Path) -> None:
        while waiting:
            async with lane(place) as here:
                for _ in range(_CASES_PER_NODE):
                    if not waiting:
                        return
                    results.append(await here.run(waiting.pop(), sender))
                    done(results[-1])

    async with asyncio.TaskGroup() as group:
        for number in range(lanes):
            group.create_task(work(directory / str(number)))
    return results
