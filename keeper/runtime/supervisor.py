"""The only place where tasks are born. A failure in shared code ends the program; a market's own ends that market, a feed's that
feed until it starts again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol


class Service(Protocol):
    @property
    def name(self) -> str: ...

    async def run(self) -> None: ...


OnFailure = Callable[[str, Exception], None]


@dataclass(frozen=True, slots=True)
class _Started:
    """What `start` was given."""

    key: str
    service: Service
    on_failure: OnFailure | None
    again_s: float | None

    async def run(self, wait_s: float) -> None:
        if wait_s:
            await asyncio.sleep(wait_s)
        await self.service.run()


class Supervisor:
    """Starts and stops services by key, at run time too (reload, shards).

    With `on_failure` a service's unexpected exception halts that key alone and is handed to the callback, and with `again_s`
    the service starts anew so long after; without it the exception leaves `run` and the program ends: the next start
    reconciles (crash-only). `stopped` is told the key of each that was stopped on purpose.
    """

    def __init__(self, stopped: Callable[[str], object] = lambda _key: None) -> None:
        self._stopped = stopped
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._failed: asyncio.Future[None] | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(sorted(self._tasks))

    def start(
        self, key: str, service: Service, on_failure: OnFailure | None = None, again_s: float | None = None
    ) -> None:
        if key in self._tasks:
            raise ValueError(f"{key} already runs")
        self._launch(_Started(key, service, on_failure, again_s))

    def _launch(self, started: _Started, wait_s: float = 0.0) -> None:
        task = asyncio.get_running_loop().create_task(started.run(wait_s), name=started.key)
        self._tasks[started.key] = task
        task.add_done_callback(lambda done: self._ended(started, done))

    async def stop(self, key: str) -> None:
        """Cancels one service and waits until it has ended. Unknown keys are ignored: stopping twice is harmless."""
        task = self._tasks.pop(key, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._stopped(key)

    async def stop_all(self, keep: Callable[[str], bool] | None = None) -> None:
        for key in [key for key in self.keys if keep is None or not keep(key)]:
            await self.stop(key)

    async def watch(self, stop: Callable[[], Awaitable[object]]) -> None:
        """Returns when `stop()` does; raises the first failure of a service that must not fail."""
        loop = asyncio.get_running_loop()
        self._failed = loop.create_future()
        for task in list(self._tasks.values()):
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error
        waiter: asyncio.Future[object] = asyncio.ensure_future(stop())
        either: set[asyncio.Future[object] | asyncio.Future[None]] = {waiter, self._failed}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if self._failed.done():
                self._failed.result()
        finally:
            waiter.cancel()
            self._failed.cancel()

    def _ended(self, started: _Started, task: asyncio.Task[None]) -> None:
        key = started.key
        wanted = self._tasks.get(key) is task
        if wanted:
            del self._tasks[key]
        if task.cancelled() or (error := task.exception()) is None:
            return
        if started.on_failure is not None and isinstance(error, Exception):
            started.on_failure(key, error)
            if wanted and started.again_s is not None:
                self._launch(started, started.again_s)
        elif self._failed is not None and not self._failed.done():
            self._failed.set_exception(error)
        else:
            self._tasks[key] = task
