"""Metrics by name. Names and labels are declared in `keeper.adapters.prometheus` and documented in docs/metrics.md."""

from __future__ import annotations

from typing import Protocol


class Meter(Protocol):
    def count(self, name: str, amount: float = 1, **labels: str) -> None: ...

    def gauge(self, name: str, value: float, **labels: str) -> None: ...

    def observe(self, name: str, value: float, **labels: str) -> None: ...
