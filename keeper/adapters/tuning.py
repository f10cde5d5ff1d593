"""Patience of a feed: every duration is a parameter, so that a test or a demo can shorten it."""

from __future__ import annotations

from dataclasses import dataclass, field

from keeper.adapters.bench import BenchRules
from keeper.ports.venue import StreamVenue


@dataclass(frozen=True, slots=True)
class FeedTuning:
    """Defaults suit production. None takes the venue's own figure from its `Limits`."""

    quiet_s: float | None = None
    silence_s: float | None = None
    ping_s: float | None = None
    settle_s: float | None = None
    rotate_after_s: float | None = None
    rest_every_s: float | None = None
    symbols_per_connection: int | None = None
    max_future_s: float = 2.0
    """How far ahead of our clock a venue's time may lie."""
    bench: BenchRules = field(default_factory=BenchRules)
    backoff_base_s: float = 0.5
    backoff_cap_s: float = 32.0
    maintenance_wait_s: float = 5.0
    """Shortest wait after a connection that ended in maintenance (https://docs.kraken.com/api/docs/guides/spot-ws-intro)."""
    overlap_s: float = 30.0
    """How long a replacement may take to deliver before it is tried again; the old connection goes on meanwhile."""
    confirm_s: float = 1.0
    """Grace for the stream after REST has shown a move that it did not tell."""
    unanswered_probes: int = 3
    """Unanswered REST probes in a row after which silence counts as death."""
    fallback_after_s: float = 3.0
    fallback_every_s: float = 2.0
    connect_timeout_s: float = 10.0
    send_timeout_s: float = 5.0
    close_timeout_s: float = 1.0
    rest_timeout_s: float = 5.0
    protocol_ping_s: float = 15.0
    """Our websocket ping; a peer that does not answer within half of it is gone."""
    max_frame_bytes: int = 1_048_576

    def quiet_of(self, venue: StreamVenue[object]) -> float:
        return venue.limits.quiet_s if self.quiet_s is None else self.quiet_s

    def silence_of(self, venue: StreamVenue[object]) -> float | None:
        return venue.limits.silence_s if self.silence_s is None else self.silence_s

    def ping_of(self, venue: StreamVenue[object]) -> float | None:
        if venue.limits.ping_every_s is None:
            return None
        return venue.limits.ping_every_s if self.ping_s is None else self.ping_s

    def settle_of(self, venue: StreamVenue[object]) -> float:
        return venue.limits.settle_s if self.settle_s is None else self.settle_s

    def rotate_of(self, venue: StreamVenue[object]) -> float | None:
        return venue.limits.rotate_after_s if self.rotate_after_s is None else self.rotate_after_s

    def shard_size(self, venue: StreamVenue[object]) -> int:
        allowed = venue.limits.symbols_per_connection
        return allowed if self.symbols_per_connection is None else min(allowed, self.symbols_per_connection)
