"""Announces due instants. It decides when to look, never what is due: that is recomputed from the chain's own record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

Announce = Callable[[], None]


class Schedule(Protocol):
    def every(self, name: str, interval_s: int, announce: Announce) -> None:
        """Calls `announce` at each multiple of `interval_s` since the epoch, late rather than never."""
        ...

    def cancel(self, name: str) -> None: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...
