"""How many requests an endpoint's plan allows: a token bucket, https://en.wikipedia.org/wiki/Token_bucket."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Bucket:
    """Holds the requests of one second and refills at `per_s`; None: no limit. Times are the event loop's, in seconds."""

    per_s: float | None = None
    spent: float = 0.0
    """Requests taken and not refilled yet. More than `per_s` of them means that the last ones were ahead of their time."""
    seen_at: float = 0.0

    def wait_s(self, now: float, count: int) -> float:
        """How long to wait before `count` requests may go out. Nothing is taken yet."""
        if self.per_s is None:
            return 0.0
        most = max(self.per_s, count)
        return max(0.0, (self._left(now) + count - most) / self.per_s)

    def take(self, now: float, count: int) -> None:
        """Also when it is not their time yet: a transaction does not wait, what comes after it does."""
        self.spent, self.seen_at = self._left(now) + count, now

    def _left(self, now: float) -> float:
        return max(0.0, self.spent - (now - self.seen_at) * (self.per_s or 0.0))
