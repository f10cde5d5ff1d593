"""An event loop on which an hour of waiting takes no time: replay and tests run the live code unchanged.

Wall time is read through a Clock; waiting is plain asyncio. Here the selector, instead of blocking, jumps to the next
timer. Virtual time and real sockets do not mix: the kernel delivers while time jumps.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from keeper.domain.time import SECOND, Timestamp

T = TypeVar("T")


class Deadlock(RuntimeError):
    """Every task waits and no timer is due: nothing can happen any more."""


class _JumpSelector(selectors.SelectSelector):
    elapsed_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise Deadlock("every task waits and no timer is due")
        self.elapsed_s += max(timeout, 0.0)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jump = _JumpSelector()
        super().__init__(self._jump)

    def time(self) -> float:
        return self._jump.elapsed_s

    def run_in_executor(self, *_: object) -> Any:
        raise RuntimeError("threads are not reproducible: inject a port instead")


class VirtualClock:
    """A Clock that follows the running virtual loop."""

    def __init__(self, start: Timestamp) -> None:
        self._start = start

    def now(self) -> Timestamp:
        return Timestamp(self._start + round(asyncio.get_running_loop().time() * SECOND))


def run_virtual(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())
