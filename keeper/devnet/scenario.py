"""What happens in the demo, and how much of it a run of a given length must show.

Times are seconds after trading opened, as parts of the run: a third of calm, a fall of 8 % within ten seconds, noise.

| length  | boundaries per market | liquidations | bankrupt | deleveragings | pushes per market |
|---------|-----------------------|--------------|----------|---------------|-------------------|
| ≥ 110 s | 4                     | 20           | 1        | 1             | 20                |
| ≥ 75 s  | 2                     | 20           | 1        | 1             | 15                |
| ≥ 40 s  | 1                     | 20           | 1        | 1             | 10                |
| shorter | 0                     | 0            | 0        | 0             | 1                 |
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from keeper.devnet.verify.recording import Requirements

FUNDING_INTERVAL_S = 20
SHORTEST_CRASH_S, LONG_S = 40.0, 110.0
_TABLE = (
    (LONG_S, Requirements(pushes=20, boundaries=4, liquidations=20, bankruptcies=1, deleveragings=1)),
    (75.0, Requirements(pushes=15, boundaries=2, liquidations=20, bankruptcies=1, deleveragings=1)),
    (SHORTEST_CRASH_S, Requirements(pushes=10, boundaries=1, liquidations=20, bankruptcies=1, deleveragings=1)),
    (0.0, Requirements(pushes=1, boundaries=0, liquidations=0, bankruptcies=0, deleveragings=0)),
)


def requirements(duration_s: float, fell: bool = True) -> Requirements:
    """What a run that was watched for `duration_s` must show; `fell`: the fall, and a moment to deal with it, were in it."""
    needed = next(needed for length, needed in _TABLE if duration_s >= length)
    return needed if fell else replace(needed, liquidations=0, bankruptcies=0, deleveragings=0)


@dataclass(frozen=True, slots=True)
class Move:
    """The market moves by `change_bps` of its level, evenly over `over_s`, beginning `at_s` after trading opened."""

    at_s: float
    base: str
    change_bps: int
    over_s: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """When the parts of one run begin, in seconds after trading opened."""

    length_s: float
    opens_s: float
    crash_s: float | None
    whales_s: float
    refill_s: float
    aftershock_s: float | None
    withdrawals_s: tuple[float, ...]

    @property
    def crash_end_s(self) -> float | None:
        return None if self.crash_s is None else self.crash_s + CRASH_SECONDS


CRASH_SECONDS = 10.0
GAP_START_BPS, GAP_END_BPS = 250, 542
"""Total fall before and after the gap in its middle, which no liquidation can be fast enough for: who goes under water in
there owes more than he has when the next price is on chain."""
_SLOPES = ((0.0, -250, 4.0), (5.0, -300, 0.05), (6.0, -270, 4.0))
"""(seconds into the fall, bps, seconds): steep but steady, a gap, steep again. 0.975 · 0.97 · 0.973 = 0.92."""
AFTERSHOCK_BPS, AFTERSHOCK_OVER_S = -150, 5.0
"""In a long run, after the fund was filled: what it takes over now it can sell back into the book."""


def timeline(length_s: float | None) -> Timeline:
    """The parts of a run; None is an open end with the crash after 40 s."""
    length = 120.0 if length_s is None else length_s
    if length < SHORTEST_CRASH_S:
        return Timeline(length, 0.6 * length, None, length, length, None, (0.5 * length,))
    crash = min(length / 3, 45.0)
    rest = length - crash
    shock = crash + 0.65 * rest if length >= LONG_S else None
    withdrawals = (0.5 * crash, crash + 0.85 * rest)
    return Timeline(length, crash - 5.0, crash, crash - 4.5, crash + 0.5 * rest, shock, withdrawals)


def moves(parts: Timeline, bases: tuple[str, ...]) -> tuple[Move, ...]:
    """All that happens to the market on purpose."""
    shock = () if parts.aftershock_s is None else (parts.aftershock_s,)
    after = (Move(at, base, AFTERSHOCK_BPS, AFTERSHOCK_OVER_S) for at in shock for base in bases)
    return (*(crash(parts.crash_s, bases) if parts.crash_s is not None else ()), *after)


def crash(at_s: float, bases: tuple[str, ...]) -> tuple[Move, ...]:
    """−8 % within ten seconds in each base, the second base a moment behind the first."""
    return tuple(
        Move(at_s + offset + 0.3 * place, base, change, over)
        for place, base in enumerate(bases)
        for offset, change, over in _SLOPES
    )
