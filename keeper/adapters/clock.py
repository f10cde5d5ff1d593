"""The machine's wall clock: the only place that asks it."""

from __future__ import annotations

import time

from keeper.domain.time import Timestamp


class SystemClock:
    def now(self) -> Timestamp:
        return Timestamp(time.time_ns())
