"""Wall time, and the only way to read it."""

from __future__ import annotations

from typing import Protocol

from keeper.domain.time import Timestamp


class Clock(Protocol):
    def now(self) -> Timestamp: ...
