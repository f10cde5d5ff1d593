"""Who is alive: each loop beats when it went round, and the watchdog is fed only while all critical ones do."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from keeper.domain.time import Timestamp
from keeper.ports.clock import Clock


@dataclass(slots=True)
class Pulse:
    """`beats`: when each beat last, by the wall clock, to be told. How long ago that is goes by the loop's, which nobody sets."""

    clock: Clock
    beats: dict[str, Timestamp] = field(default_factory=dict)
    patience_s: dict[str, float] = field(default_factory=dict)
    _turned_s: dict[str, float] = field(default_factory=dict)

    def expect(self, service: str, within_s: float) -> None:
        """From now on `service` must beat at least every `within_s`."""
        self.patience_s[service] = within_s
        if service not in self.beats:
            self.beat(service)

    def forget(self, service: str) -> None:
        """It is not to beat any more: somebody has stopped it."""
        for each in (self.patience_s, self.beats, self._turned_s):
            each.pop(service, None)

    def beat(self, service: str) -> None:
        self.beats[service], self._turned_s[service] = self.clock.now(), _now_s()

    def late(self) -> Mapping[str, float]:
        """Seconds since the last beat of every expected service that is over its time."""
        ages = {name: _now_s() - self._turned_s[name] for name in self.patience_s}
        return {name: age for name, age in sorted(ages.items()) if age > self.patience_s[name]}


def _now_s() -> float:
    return asyncio.get_running_loop().time()
