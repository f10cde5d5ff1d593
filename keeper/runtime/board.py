"""Latest value per key: writers never wait, readers always see the newest. For market data; a price is never queued."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Board(Generic[K, V]):
    """One writer per board. `version` grows with each put, so that a reader can wait for what it has not seen."""

    def __init__(self) -> None:
        self._values: dict[K, V] = {}
        self._version = 0
        self._waiters: list[asyncio.Future[None]] = []
        self._followers: list[Callable[[K, V], None]] = []
        self._bereaved: list[Callable[[K], None]] = []

    @property
    def version(self) -> int:
        return self._version

    def put(self, key: K, value: V) -> None:
        self._values[key] = value
        for heard in self._followers:
            heard(key, value)
        self._wake()

    def drop(self, key: K) -> None:
        if self._values.pop(key, None) is not None:
            for heard in self._bereaved:
                heard(key)
            self._wake()

    def get(self, key: K) -> V | None:
        return self._values.get(key)

    def snapshot(self) -> Mapping[K, V]:
        """A copy: what was known at one instant."""
        return dict(self._values)

    def follow(self, heard: Callable[[K, V], None]) -> None:
        """Calls `heard` within each put, before any waiting reader goes on: it must be quick and must not raise."""
        self._followers.append(heard)

    def unfollow(self, heard: Callable[[K, V], None]) -> None:
        self._followers.remove(heard)

    def follow_drops(self, heard: Callable[[K], None]) -> None:
        """As `follow`, within each drop of a key that was there."""
        self._bereaved.append(heard)

    async def changed(self, since: int) -> int:
        """Returns the version as soon as it differs from `since`."""
        while self._version == since:
            waiter = asyncio.get_running_loop().create_future()
            self.tell(waiter)
            try:
                await waiter
            finally:
                self.forget(waiter)
        return self._version

    def tell(self, waiter: asyncio.Future[None]) -> None:
        """Gives `waiter` its result at the next put, unless it is forgotten before."""
        self._waiters.append(waiter)

    def forget(self, waiter: asyncio.Future[None]) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)

    def _wake(self) -> None:
        self._version += 1
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


async def first_change(*watched: tuple[Board[Any, Any], int], timeout_s: float) -> bool:
    """Waits until one of the boards moved past the given version, or the time is over. True when a board moved.

    One future for all of them: a task for each would cost more than what the readers do with the news.
    """
    if any(board.version != since for board, since in watched):
        await asyncio.sleep(0)  # a reader that always finds news must let the writers in
        return True
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()
    for board, _ in watched:
        board.tell(waiter)
    timer = loop.call_later(timeout_s, _give_up, waiter)
    try:
        await waiter
    finally:
        timer.cancel()
        for board, _ in watched:
            board.forget(waiter)
    return any(board.version != since for board, since in watched)


def _give_up(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
