"""What can be made to go wrong at a local venue, at run time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

FAULTS: Mapping[str, str] = MappingProxyType(
    {
        "stall": "the socket stays up and heartbeats go on, but no data is sent; REST goes on",
        "late": "prices and venue times of `lag_s` ago (30)",
        "wrong_unit": "prices times `factor` (100)",
        "fat_finger": "prices times `factor` (1.5)",
        "crossed": "the bid stands above the ask by `fraction` (0.001)",
        "drop": "closes every connection at once; with `hold` also every new one until switched off",
        "half_open": "the TCP connection stays up, and nothing at all is sent or answered",
        "close_24h": "announces the end of every connection where the venue does so, closes it `notice_s` (2) later",
        "rate_limit": "connects and REST requests are refused with a Retry-After of `retry_after_s` (5)",
        "bad_json": "data frames are cut in half",
        "schema_drift": "data frames carry renamed fields",
        "future": "venue times lie `ahead_s` (3600) in the future",
        "quiet": "no trade and no change of price, while everything works; REST agrees",
    }
)
ONE_SHOT = frozenset({"drop", "close_24h"})


class UnknownFault(ValueError):
    """No fault goes by that name."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault that is on. `symbol` None means all symbols. `options` as listed in FAULTS, in seconds or ratios."""

    name: str
    symbol: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def number(self, option: str, default: float) -> float:
        return float(self.options.get(option, default))


@dataclass(slots=True, eq=False)
class FaultBoard:
    """The switches of one venue. `on_change` is called after each switch, with the fault that was switched on."""

    on_change: Callable[[Fault | None], None]
    _on: dict[tuple[str, str | None], Fault] = field(default_factory=dict)
    _left: dict[tuple[str, str | None], int] = field(default_factory=dict)

    def switch(self, name: str, on: bool = True, symbol: str | None = None, **options: Any) -> None:
        """`count` among the options limits the fault to so many ticks. Raises UnknownFault."""
        if name not in FAULTS:
            raise UnknownFault(f"{name!r} is not one of {sorted(FAULTS)}")
        key = (name, symbol)
        self._on.pop(key, None)
        self._left.pop(key, None)
        if not on:
            self.on_change(None)
            return
        fault = Fault(name, symbol, options)
        if name not in ONE_SHOT or options.get("hold"):
            self._on[key] = fault
        if "count" in options:
            self._left[key] = int(options["count"])
        self.on_change(fault)

    def clear(self) -> None:
        self._on.clear()
        self._left.clear()
        self.on_change(None)

    def active(self, name: str, symbol: str | None = None) -> Fault | None:
        return self._on.get((name, None)) or self._on.get((name, symbol))

    def spend(self, symbol: str) -> None:
        """One tick of `symbol` has passed: counted faults come nearer to their end."""
        for key in [k for k in self._left if k[1] in (None, symbol)]:
            self._left[key] -= 1
            if self._left[key] <= 0:
                del self._left[key]
                self._on.pop(key, None)

    def listing(self) -> dict[str, Any]:
        """For `GET /_fault`."""
        active = [{"fault": f.name, "symbol": f.symbol, **f.options} for f in self._on.values()]
        return {"active": active, "known": dict(FAULTS)}
