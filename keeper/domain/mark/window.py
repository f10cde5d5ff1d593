"""Mean of a price over the last so many seconds, weighted by time.

A price counts for as long as it stood, and the last one stands until now. How often it is looked at changes nothing. The integral
is kept per sixtieth of the window; within the oldest sixtieth the price counts as even. Where nothing was seen for longer than
the largest gap, all from before is forgotten: no mean runs across a gap.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from keeper.domain.mark.averages import optional
from keeper.domain.mark.method import Plain
from keeper.domain.time import Timestamp

PARTS = 60


class WindowState(NamedTuple):
    """`parts`: number of a part of the window, and the integral of the price over it (1e18 · ns). `standing` stands since `at`.

    `part_ns` is the length of a part.
    """

    since: Timestamp | None = None
    at: Timestamp | None = None
    seen_at: Timestamp | None = None
    standing: int = 0
    parts: tuple[tuple[int, int], ...] = ()
    part_ns: int = 0

    def to_plain(self) -> dict[str, Any]:
        return {
            "at": self.at,
            "part_ns": self.part_ns,
            "parts": [list(part) for part in self.parts],
            "seen_at": self.seen_at,
            "since": self.since,
            "standing": self.standing,
        }


def restored_window(plain: Plain) -> WindowState:
    """Raises KeyError or ValueError on a document that `to_plain` did not write."""
    if not plain:
        return WindowState()
    times = (optional(plain[name]) for name in ("since", "at", "seen_at"))
    since, at, seen_at = (None if each is None else Timestamp(each) for each in times)
    parts = tuple((int(number), int(integral)) for number, integral in plain["parts"])
    return WindowState(since, at, seen_at, int(plain["standing"]), parts, int(plain["part_ns"]))


class Window(NamedTuple):
    window_ns: int
    max_gap_ns: int

    @property
    def part_ns(self) -> int:
        return self.window_ns // PARTS

    def step(self, state: WindowState, sample: int | None, now: Timestamp) -> WindowState:
        """Counts what stood until now; `sample` stands from now on, what stood before goes on standing without one."""
        gone = state.seen_at is None or abs(now - state.seen_at) > self.max_gap_ns
        if gone or state.at is None or state.part_ns != self.part_ns:
            return WindowState() if sample is None else WindowState(now, now, now, sample, (), self.part_ns)
        parts = self._counted(state, state.at, now) if now > state.at else state.parts
        standing, seen_at = (state.standing, state.seen_at) if sample is None else (sample, now)
        return WindowState(state.since, Timestamp(max(state.at, now)), seen_at, standing, parts, self.part_ns)

    def _counted(self, state: WindowState, start: int, now: int) -> tuple[tuple[int, int], ...]:
        parts, oldest = state.parts, (now - self.window_ns) // self.part_ns
        start = max(start, oldest * self.part_ns)  # what lies before is no part of the mean
        while start < now:
            number = start // self.part_ns
            end = min(now, (number + 1) * self.part_ns)
            added = state.standing * (end - start)
            if parts and parts[-1][0] == number:
                parts = (*parts[:-1], (number, parts[-1][1] + added))
            else:
                parts = (*parts, (number, added))
            start = end
        return parts if parts[0][0] >= oldest else tuple(part for part in parts if part[0] >= oldest)

    def mean(self, state: WindowState, over_ns: int) -> int | None:
        """Over the last `over_ns` before the last step, or over all that was seen if that is less; rounded down."""
        if state.since is None or state.at is None:
            return None
        start, total = max(state.since, state.at - over_ns), 0
        if start == state.at:
            return state.standing
        oldest = start // self.part_ns
        for number, integral in state.parts:
            if number > oldest:
                total += integral
            elif number == oldest:
                low, high = max(number * self.part_ns, state.since), min((number + 1) * self.part_ns, state.at)
                total += integral * (high - start) // (high - low)
        return total // (state.at - start)

    def covered_ns(self, state: WindowState) -> int:
        """How much of the window was seen."""
        if state.since is None or state.at is None:
            return 0
        return min(self.window_ns, state.at - state.since)
