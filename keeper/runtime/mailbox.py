"""A bounded queue for what must not be lost: intents, logs, receipts. When it is full the producer waits."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    def __init__(self, name: str, capacity: int) -> None:
        if capacity < 1:
            raise ValueError("a mailbox holds at least one letter")
        self.name = name
        self._queue: asyncio.Queue[T] = asyncio.Queue(capacity)

    @property
    def depth(self) -> int:
        return self._queue.qsize()

    async def put(self, letter: T) -> None:
        await self._queue.put(letter)

    def offer(self, letter: T) -> bool:
        """Puts without waiting; False when the box is full."""
        try:
            self._queue.put_nowait(letter)
        except asyncio.QueueFull:
            return False
        return True

    async def get(self) -> T:
        return await self._queue.get()

    def take(self) -> T | None:
        """The next letter, or None when there is none now."""
        try:
            return self._queue.get_nowait()
        except asyncio.QueueEmpty:
            return None
