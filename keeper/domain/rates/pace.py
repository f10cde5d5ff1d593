"""How the length of the interval answers to the market.

Binance: a rate at its cap makes the interval one hour, and 16 intervals in a row below it make it four hours again
(https://www.binance.com/en/support/faq/360033525031).
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Pace(NamedTuple):
    """The interval as it stands, and how many boundaries in a row were not at the cap since it was shortened.

    `interval_s` 0: the method's own.
    """

    interval_s: int = 0
    calm: int = 0

    def to_plain(self) -> dict[str, Any]:
        return {"calm": self.calm, "interval_s": self.interval_s}


class Switching(NamedTuple):
    """At the cap the interval becomes `capped_s`; after `calm_intervals` below it, `calm_s`."""

    capped_s: int = 3_600
    calm_s: int = 14_400
    calm_intervals: int = 16

    def after(self, pace: Pace, *, at_cap: bool) -> Pace:
        """The pace after a boundary. An interval that was never shortened stays what it was."""
        if at_cap:
            return Pace(self.capped_s, 0)
        if pace.interval_s != self.capped_s:
            return pace
        calm = pace.calm + 1
        return Pace(self.calm_s, 0) if calm >= self.calm_intervals else Pace(pace.interval_s, calm)
