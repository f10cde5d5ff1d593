"""Who is alive: each loop beats when it went round, and the watchdog is fed only while all critical ones do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from keeper.domain.time import SECOND, Timestamp
from keeper.ports.clock import Clock


@dataclass(slots=True)
class Pulse:
    clock: Clock
    beats: dict[str, Timestamp] = field(default_factory=dict)
    patience_s: dict[str, float] = field(default_factory=dict)

    def expect(self, service: str, within_s: float) -> None:
        """From now on `service` must beat at least every `within_s`."""
        self.patience_s[service] = within_s
        self.beats.setdefault(service, self.clock.now())

    def forget(self, service: str) -> None:
        self.patience_s.pop(service, None)
        self.beats.pop(service, None)

    def beat(self, service: str) -> None:
        self.beats[service] = self.clock.now()

    def late(self) -> Mapping[str, float]:
        """Seconds since the last beat of every expected service that is over its time."""
        now = self.clock.now()
        ages = {name: (now - self.beats[name]) / SECOND for name in self.patience_s}
        return {name: age for name, age in sorted(ages.items()) if age > self.patience_s[name]}
