"""What a venue allows this process: one account of connects, requests and imposed waits, shared by all its users."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from keeper.domain.time import SECOND, Timestamp
from keeper.ports.venue import Limits

LIMITING = frozenset({403, 418, 429, 451})
"""HTTP statuses by which venues slow down, ban or refuse a caller: never retried hot."""


def retry_after_s(headers: Mapping[str, str], now: Timestamp) -> float | None:
    """Seconds named by Retry-After, in either of its two forms; None where it is absent or makes no sense.

    Source: RFC 9110, section 10.2.3.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal() and len(text) < 9:
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    left = (at.replace(tzinfo=at.tzinfo or UTC) - datetime.fromtimestamp(now / SECOND, UTC)).total_seconds()
    return max(0.0, left)


@dataclass(slots=True)
class Budget:
    """Times are the event loop's, in seconds."""

    limits: Limits
    rest_every_s: float | None = None
    """Overrides the limit of that name."""
    blocked_until: float = 0.0
    connects: deque[float] = field(default_factory=deque)
    next_rest: float = 0.0

    def block(self, now: float, wait_s: float) -> None:
        self.blocked_until = max(self.blocked_until, now + wait_s)

    def blocked_s(self, now: float) -> float:
        return max(0.0, self.blocked_until - now)

    def connect_at(self, now: float) -> float:
        """Earliest time of the next connect."""
        while self.connects and self.connects[0] <= now - self.limits.connects_window_s:
            self.connects.popleft()
        free = now if len(self.connects) < self.limits.connects else self.connects[0] + self.limits.connects_window_s
        return max(free, self.blocked_until)

    def spend_connect(self, now: float) -> None:
        self.connects.append(now)

    def reserve_rest(self, now: float) -> float:
        """Takes the next free slot and returns the seconds until it."""
        slot = max(now, self.next_rest)
        self.next_rest = slot + (self.limits.rest_every_s if self.rest_every_s is None else self.rest_every_s)
        return slot - now

    def status_wait_s(self, status: int) -> float:
        """The venue's documented wait for a status that came without Retry-After."""
        return self.limits.wait_s.get(status, 60.0)
