"""A process kills itself with SIGKILL at a named place: nothing is flushed, closed or told to anybody."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class Trap:
    """Springs when `place` is passed for the `passing`-th time. `instead`: for a sender that lacks the place."""

    place: str = ""
    passing: int = 1
    instead: Mapping[str, str] = field(default_factory=dict)

    def passed(self, *places: str) -> None:
        if self.instead.get(self.place, self.place) not in places:
            return
        self.passing -= 1
        if self.passing == 0:
            os.kill(os.getpid(), signal.SIGKILL)
