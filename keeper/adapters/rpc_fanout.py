"""The same bytes to several nodes at once: the best word counts, and nobody waits for the slowest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from keeper.domain.ids import Hash
from keeper.domain.transaction import NEVER_POOLED
from keeper.domain.txerrors import SendAnswer, classify, rank
from keeper.errors import RpcError

Send = Coroutine[Any, Any, Hash]


class FanOut:
    """Remembers the sends that are still under way when one node has already taken the transaction."""

    def __init__(self) -> None:
        self._late: set[asyncio.Task[Hash]] = set()

    async def send(self, sends: Sequence[Send], resting: Callable[[], Sequence[Send]] = tuple) -> Hash:
        """The hash as soon as one node names it; else raises what the best answer was (`txerrors.rank`).

        `resting` nodes are asked too before a word counts that pauses the wallet or frees the nonce: the one node that is
        well may be the one that lies.
        """
        failures = await self._failures(sends)
        if isinstance(failures, str):
            return failures
        if _answer(min(failures, key=_rank)) in NEVER_POOLED and (others := resting()):
            more = await self._failures(others)
            if isinstance(more, str):
                return more
            failures += more
        raise min(failures, key=_rank)

    async def _failures(self, sends: Sequence[Send]) -> Hash | list[Exception]:
        """Why none has taken it, or the hash."""
        tasks = [asyncio.ensure_future(each) for each in sends]
        self._late.update(tasks)
        for task in tasks:
            task.add_done_callback(self._ended)
        failures: list[Exception] = []
        for soonest in asyncio.as_completed(tasks):
            try:
                return await soonest
            except Exception as error:  # noqa: BLE001 - the best of them is raised
                failures.append(error)
        return failures

    async def close(self) -> None:
        late = list(self._late)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Hash]) -> None:
        self._late.discard(task)
        if not task.cancelled():
            task.exception()  # looked at: a node that failed after another took it is not worth a traceback


def _rank(error: Exception) -> int:
    return rank(_answer(error))


def _answer(error: Exception) -> SendAnswer:
    """No answer, or one that is none, leaves the outcome open."""
    return classify(str(error)) if isinstance(error, RpcError) else SendAnswer.UNKNOWN
