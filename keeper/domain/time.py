"""Instants as integers: nanoseconds since the epoch, UTC."""

from __future__ import annotations

from typing import NewType

Timestamp = NewType("Timestamp", int)

MICROSECOND = 1_000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000


def from_seconds(seconds: int) -> Timestamp:
    return Timestamp(seconds * SECOND)


def from_millis(millis: int) -> Timestamp:
    return Timestamp(millis * MILLISECOND)


def to_seconds(at: Timestamp) -> int:
    """Whole second that contains `at`."""
    return at // SECOND


def to_millis(at: Timestamp) -> int:
    return at // MILLISECOND


def age_ms(at: Timestamp, now: Timestamp) -> int:
    """Milliseconds from `at` to `now`, for logs; negative when `at` lies ahead."""
    return (now - at) // MILLISECOND


def nanos(seconds: float) -> int:
    """A setting in seconds as nanoseconds."""
    return round(seconds * SECOND)
