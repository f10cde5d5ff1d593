"""When an underlying trades: sessions of a calendar, and what that means for its price at an instant.

Outside its sessions a stock has no price that anybody would trade at, and the first prices of a session are thin. What a
perpetual does meanwhile is the market's choice (`OffHours`); whether it is open is the calendar's word, never a guess: past
its last day a calendar knows nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from keeper.domain.time import SECOND, Timestamp

ENDING_NS = 60 * 86_400 * SECOND
"""For so long before a calendar ends it is told of."""


@dataclass(frozen=True, slots=True)
class Session:
    """Open from `opens_at` up to but not including `closes_at`."""

    opens_at: Timestamp
    closes_at: Timestamp


class Phase(StrEnum):
    OPEN = "open"
    OPENING = "opening"
    """Open, but for so short a time that its prices are not yet acted upon."""
    CLOSED = "closed"
    UNKNOWN = "unknown"
    """The calendar does not reach this day."""


@dataclass(frozen=True, slots=True)
class Hours:
    """`since` the phase lasts, and when the next change is due; None where the calendar does not say."""

    phase: Phase
    since: Timestamp | None
    until: Timestamp | None


@dataclass(frozen=True, slots=True)
class Calendar:
    """Sessions in order, none touching the next, known from `first` up to `last`."""

    name: str
    sessions: tuple[Session, ...]
    first: Timestamp
    last: Timestamp

    def __post_init__(self) -> None:
        if self.last <= self.first:
            raise ValueError(f"{self.name}: a calendar of no days")
        before = self.first
        for session in self.sessions:
            if not before <= session.opens_at < session.closes_at <= self.last:
                raise ValueError(f"{self.name}: sessions overlap, touch or leave its days near {session.opens_at}")
            before = Timestamp(session.closes_at + 1)

    def hours(self, now: Timestamp, opening_ns: int = 0) -> Hours:
        """`opening_ns`: for how long after the bell the phase is OPENING."""
        if not self.first <= now < self.last:
            return Hours(Phase.UNKNOWN, None, None)
        at = bisect_right(self.sessions, now, key=lambda session: session.opens_at)
        following = self.sessions[at].opens_at if at < len(self.sessions) else None
        if at == 0:
            return Hours(Phase.CLOSED, None, following)
        session = self.sessions[at - 1]
        if now >= session.closes_at:
            return Hours(Phase.CLOSED, session.closes_at, following)
        settled_at = Timestamp(session.opens_at + opening_ns)
        if now < settled_at:
            return Hours(Phase.OPENING, session.opens_at, min(settled_at, session.closes_at))
        return Hours(Phase.OPEN, settled_at, session.closes_at)

    def opened(self, now: Timestamp) -> Timestamp:
        """When the session of now, or else the last one before, began; the first day where none is known."""
        at = bisect_right(self.sessions, now, key=lambda session: session.opens_at)
        return self.sessions[at - 1].opens_at if at else self.first


class OffHours(StrEnum):
    HOLD = "hold"
    """The last index of the session stays, flagged; its heartbeat goes on, nothing is liquidated."""
    WITHHOLD = "withhold"
    """No index: the contract's own age limit stops trading."""
    OWN_BOOK = "own_book"
    """The index drifts toward the perpetual's own book, slowly and within a band around the close."""


@dataclass(frozen=True, slots=True)
class SessionRules:
    """`opening_ns` after the bell an index needs `opening_sources`, and nothing is liquidated.

    `drift_half_life_ns` and `drift_band_bps` belong to OWN_BOOK.
    """

    calendar: Calendar
    off_hours: OffHours = OffHours.HOLD
    opening_ns: int = 60 * SECOND
    opening_sources: int = 2
    drift_half_life_ns: int = 4 * 3600 * SECOND
    drift_band_bps: int = 500

    def __post_init__(self) -> None:
        if min(self.opening_ns, self.opening_sources) < 0 or self.drift_half_life_ns <= 0:
            raise ValueError("opening_s and opening_sources must not be negative, drift_half_life_s must be positive")
        if not 0 < self.drift_band_bps < 10_000:
            raise ValueError("need 0 < drift_band_bps < 10000")

    def ending(self, now: Timestamp) -> bool:
        """The calendar ends so soon that somebody has to see to it."""
        return self.calendar.last - now < ENDING_NS

    def hours(self, now: Timestamp) -> Hours:
        return self.calendar.hours(now, self.opening_ns)


def merged(sessions: Iterable[Session]) -> tuple[Session, ...]:
    """In order, with those that touch or overlap made one: a day that ends at 24:00 goes on with the next."""
    found: list[Session] = []
    for session in sorted(sessions, key=lambda each: (each.opens_at, each.closes_at)):
        if found and session.opens_at <= found[-1].closes_at:
            found[-1] = Session(found[-1].opens_at, max(found[-1].closes_at, session.closes_at))
        else:
            found.append(session)
    return tuple(found)
