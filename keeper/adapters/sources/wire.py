"""Reading venues' text: exact numbers, times with their unit named, hashes, and one error for all of it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from keeper.domain.numbers import parse_e18
from keeper.domain.time import MICROSECOND, MILLISECOND, SECOND, Timestamp
from keeper.errors import FeedProtocolError
from keeper.ports.venue import Frame

T = TypeVar("T")

_SCALE: tuple[int, ...] = tuple(10**power for power in range(18, -1, -1))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = 1_483_228_800 * SECOND
"""2017-01-01: a time before it was read in the wrong unit."""
_LATEST = 4_102_444_800 * SECOND
"""2100-01-01: a time after it was read in the wrong unit."""


def e18(text: str) -> int:
    """`parse_e18`, with a short way for the plain positive decimals that venues send. Raises FeedProtocolError."""
    whole, _, fraction = text.partition(".")
    digits = whole + fraction
    if whole and len(digits) <= 40 and len(fraction) <= 18 and digits.isdigit() and digits.isascii():
        return int(digits) * _SCALE[len(fraction)]
    try:
        value = parse_e18(text)
    except ValueError as error:
        raise FeedProtocolError(str(error)) from error
    if value < 0:
        raise FeedProtocolError(f"{text[:40]!r} is negative")
    return value


def side_e18(text: str | None) -> int | None:
    """A price or size that venues state as zero or as an empty text when there is none."""
    return (e18(text) or None) if text else None


def number_e18(raw: msgspec.Raw) -> int | None:
    """A JSON number in its own digits: it never becomes a float. Zero and null mean none."""
    text = str(raw, "ascii")
    return None if text == "null" else (e18(text) or None)


def frame_hash(frame: Frame) -> str:
    """First 16 hexadecimal digits of the SHA-256 of the raw frame."""
    return hashlib.sha256(frame.encode() if isinstance(frame, str) else frame).hexdigest()[:16]


def _sane(at: int) -> Timestamp:
    if not _EARLIEST < at < _LATEST:
        raise FeedProtocolError(f"time {at} ns lies outside 2017 to 2100: the wrong unit?")
    return Timestamp(at)


def from_seconds_text(text: str) -> Timestamp:
    return _sane(_integer(text) * SECOND)


def from_millis(value: int | str) -> Timestamp:
    return _sane((value if isinstance(value, int) else _integer(value)) * MILLISECOND)


def from_micros_text(text: str) -> Timestamp:
    return _sane(_integer(text) * MICROSECOND)


def from_iso(text: str) -> Timestamp:
    """ISO 8601 in UTC, to the microsecond."""
    try:
        since = datetime.fromisoformat(text) - _EPOCH
    except (ValueError, TypeError) as error:
        raise FeedProtocolError(f"{text[:40]!r} is not an ISO 8601 time in UTC") from error
    return _sane(since // timedelta(microseconds=1) * MICROSECOND)


def _integer(text: str) -> int:
    if not (text.isdigit() and text.isascii() and len(text) < 20):
        raise FeedProtocolError(f"{text[:40]!r} is not a whole number")
    return int(text)


def decode(decoder: msgspec.json.Decoder[T], frame: Frame) -> T:
    """Raises FeedProtocolError where the frame is no JSON or breaks the schema."""
    try:
        return decoder.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FeedProtocolError(f"{error}") from error


def encode(message: Any) -> str:
    """Compact JSON text to send."""
    return msgspec.json.encode(message).decode()


def present(value: T | None, field: str) -> T:
    """Raises FeedProtocolError when the venue left out a field that its schema promises."""
    if value is None:
        raise FeedProtocolError(f"field {field} is missing")
    return value


def batches(symbols: tuple[str, ...], size: int) -> list[tuple[str, ...]]:
    return [symbols[start : start + size] for start in range(0, len(symbols), size)]


def endpoints(url: str, default: str, alternates: tuple[str, ...]) -> tuple[str, ...]:
    """The alternates belong to the venue's public address: an operator's own URL stands alone."""
    return (url, *alternates) if url == default else (url,)
