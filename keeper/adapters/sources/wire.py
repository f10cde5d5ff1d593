"""Reading venues' text: exact numbers, times with their unit named, hashes, and one error for all of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Any, TypeVar

import msgspec

from keeper.domain.ids import SourceId, source_id
from keeper.domain.numbers import parse_e18
from keeper.domain.quote import Quote, Trade
from keeper.domain.time import MICROSECOND, MILLISECOND, SECOND, Timestamp
from keeper.errors import FeedProtocolError
from keeper.ports.venue import Frame

T = TypeVar("T")

_SCALE: tuple[int, ...] = tuple(10**power for power in range(18, -1, -1))
_LONG = 41
"""Digits that no price has."""
_TOO_LARGE = 10 ** (_LONG + 18)
_LONGEST_SYMBOL = 100
_SEQUENCES = 1 << 64
_ISO_MICROS = len("2021-04-17T16:43:30.244075Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = 1_483_228_800 * SECOND
"""2017-01-01: a time before it was read in the wrong unit."""
_LATEST = 4_102_444_800 * SECOND
"""2100-01-01: a time after it was read in the wrong unit."""


@lru_cache(maxsize=8192)
def e18(text: str) -> int:
    """`parse_e18`, with a short way for the plain positive decimals that venues send. Raises FeedProtocolError.

    Cached, for most of what a ticker says it has said before: 60 numbers in 12 recorded OKX tickers are 14 values.
    """
    whole, _, fraction = text.partition(".")
    digits = whole + fraction
    if digits.isdigit() and len(digits) < _LONG and whole and digits.isascii():
        try:
            return int(digits) * _SCALE[len(fraction)]
        except IndexError:  # more than 18 decimals: the long way cuts them off
            pass
    return _uncommon_e18(text)


def _uncommon_e18(text: str) -> int:
    try:
        value = parse_e18(text)
    except ValueError as error:
        raise FeedProtocolError(str(error)) from error
    if value < 0:
        raise FeedProtocolError(f"{text[:40]!r} is negative")
    if value >= _TOO_LARGE:
        raise FeedProtocolError(f"{text[:40]!r} is larger than any price or size")
    return value


ABSENT = msgspec.Raw(b"")
"""Default of a field that must be there. (A union with None would hide the number's text.)"""


def side_e18(text: str | None) -> int | None:
    """A price or size that venues state as zero or as an empty text when there is none."""
    return (e18(text) or None) if text else None


def number_e18(raw: msgspec.Raw) -> int | None:
    """A JSON number in its own digits: it never becomes a float. Zero and null mean none."""
    text = ascii_text(raw)
    if not text:
        raise FeedProtocolError("a number is missing")
    return None if text == "null" else (e18(text) or None)


def ascii_text(raw: msgspec.Raw) -> str:
    """JSON as it stands. Raises FeedProtocolError on a character that no number has."""
    try:
        return str(raw, "ascii")
    except UnicodeDecodeError as error:
        raise FeedProtocolError("a number that is not ASCII") from error


def frame_hash(frame: Frame) -> str:
    """First 16 hexadecimal digits of the SHA-256 of the raw frame."""
    return sha256(frame.encode() if isinstance(frame, str) else frame).digest()[:8].hex()


def quote(  # in the order of Quote's fields
    source: SourceId,
    received_at: Timestamp,
    observed_at: Timestamp | None,
    bid_e18: int | None,
    ask_e18: int | None,
    bid_size_e18: int | None,
    ask_size_e18: int | None,
    last_e18: int | None,
    sequence: int | None,
    digest: str,
) -> Quote:
    """A fresh quote, changed when received. Raises FeedProtocolError on a sequence that does not fit into 64 bits.

    Fills the slots directly: the `__init__` of a frozen dataclass pays a checked setattr for every field, which is a
    third of the time from a frame to its quote.
    """
    if sequence is not None and not 0 <= sequence < _SEQUENCES:
        raise _no_sequence(sequence)
    made = _new_quote(Quote)
    _set_source(made, source)
    _set_received_at(made, received_at)
    _set_changed_at(made, received_at)
    _set_observed_at(made, observed_at)
    _set_bid(made, bid_e18)
    _set_ask(made, ask_e18)
    _set_bid_size(made, bid_size_e18)
    _set_ask_size(made, ask_size_e18)
    _set_last(made, last_e18)
    _set_sequence(made, sequence)
    _set_frame_hash(made, digest)
    return made


def sequence(number: int) -> int:
    """Raises FeedProtocolError on one that does not fit into 64 bits."""
    if not 0 <= number < _SEQUENCES:
        raise _no_sequence(number)
    return number


def _no_sequence(number: int) -> FeedProtocolError:
    return FeedProtocolError(f"a sequence number of {number.bit_length()} bits")


def trade(
    source: SourceId,
    received_at: Timestamp,
    observed_at: Timestamp | None,
    price: str,
    size: str,
    trade_id: str | None,
    digest: str,
) -> Trade:
    """One trade in the venue's own digits."""
    return Trade(source, received_at, observed_at, e18(price), e18(size), trade_id, digest)


def asked_trades(symbol: str, trades: frozenset[str]) -> str:
    """Raises FeedProtocolError on a trade of a symbol whose trades nobody asked for."""
    if symbol not in trades:
        raise FeedProtocolError(f"a trade of {symbol[:40]!r}, which was not asked for")
    return symbol


_new_quote = Quote.__new__
(
    _set_source,
    _set_received_at,
    _set_changed_at,
    _set_observed_at,
    _set_bid,
    _set_ask,
    _set_bid_size,
    _set_ask_size,
    _set_last,
    _set_sequence,
    _set_frame_hash,
) = (Quote.__dict__[field.name].__set__ for field in fields(Quote))


def _sane(at: int) -> Timestamp:
    if not _EARLIEST < at < _LATEST:
        # Not in its own digits: of more than 4300 of them Python makes no text.
        raise FeedProtocolError(f"time {at:#x} ns"[:40] + " lies outside 2017 to 2100: the wrong unit?")
    return Timestamp(at)


def from_seconds_text(text: str) -> Timestamp:
    return _sane(_integer(text) * SECOND)


def from_seconds(value: int) -> Timestamp:
    return _sane(value * SECOND)


def from_millis(value: int) -> Timestamp:
    return _sane(value * MILLISECOND)


def from_millis_text(text: str) -> Timestamp:
    return _sane(_integer(text) * MILLISECOND)


def from_micros_text(text: str) -> Timestamp:
    return _sane(_integer(text) * MICROSECOND)


def from_nanos(value: int) -> Timestamp:
    return _sane(value)


def from_iso(text: str) -> Timestamp:
    """ISO 8601 in UTC with `Z`, to the nanosecond: `2021-04-17T16:43:30.244075Z`."""
    if (
        len(text) == _ISO_MICROS
        and text[19] == "."
        and text[26] == "Z"
        and (digits := text[17:19] + text[20:26]).isdecimal()
    ):
        return Timestamp(_minute(text[:16]) + int(digits) * MICROSECOND)
    minute, second, point, fraction, zone = text[:16], text[16:19], text[19:20], text[20:-1], text[-1:]
    if zone != "Z" or second[:1] != ":" or len(fraction) > 9 or point not in (".", "Z"):
        raise FeedProtocolError(f"{text[:40]!r} is not an ISO 8601 time in UTC")
    nanos = _integer(fraction) * 10 ** (9 - len(fraction)) if fraction else 0
    return Timestamp(_minute(minute) + _integer(second[1:]) * SECOND + nanos)


@lru_cache(maxsize=64)
def _minute(text: str) -> int:
    """Nanoseconds at the start of a minute; cached, for a minute lasts many frames."""
    try:
        return _sane((datetime.fromisoformat(text).replace(tzinfo=UTC) - _EPOCH) // timedelta(minutes=1) * 60 * SECOND)
    except ValueError as error:
        raise FeedProtocolError(f"{text!r} is not a date and a minute") from error


def whole(text: str) -> int:
    """A number that a venue states as text. Raises FeedProtocolError."""
    return _integer(text)


def _integer(text: str) -> int:
    if not (text.isdigit() and text.isascii() and len(text) < _LONG):
        raise FeedProtocolError(f"{text[:40]!r} is not a whole number")
    return int(text)


@lru_cache(maxsize=16_384)
def source(venue: str, symbol: str) -> SourceId:
    """`source_id`, the same object each time. Raises FeedProtocolError on a symbol longer than any: thousands are kept."""
    if len(symbol) > _LONGEST_SYMBOL:
        raise FeedProtocolError(f"a symbol longer than {_LONGEST_SYMBOL} characters: {symbol[:40]!r}")
    return source_id(venue, symbol)


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


def answered(symbol: str, named: str) -> None:
    """Raises FeedProtocolError where the venue answered about another symbol than the one asked for."""
    if named != symbol:
        raise FeedProtocolError(f"asked for {symbol}, answered about {named[:40]!r}")


def agreeing(outside: str, inside: str) -> None:
    """Raises FeedProtocolError where a frame is addressed as one channel, or symbol, and tells of another."""
    if outside != inside:
        raise FeedProtocolError(f"{inside[:60]!r} under the name of {outside[:60]!r}")


def asked(symbols: Sequence[str], number: int | str | None) -> tuple[str, ...]:
    """The symbol that request `number` was about, where requests are numbered from 1; nothing for any other number."""
    if isinstance(number, str):
        number = int(number) if number.isdigit() and number.isascii() and len(number) < _LONG else None
    return (symbols[number - 1],) if number is not None and 0 < number <= len(symbols) else ()


def batches(symbols: tuple[str, ...], size: int) -> list[tuple[str, ...]]:
    return [symbols[start : start + size] for start in range(0, len(symbols), size)]


def endpoints(url: str, default: str, alternates: tuple[str, ...]) -> tuple[str, ...]:
    """The alternates belong to the venue's public address: an operator's own URL stands alone."""
    return (url, *alternates) if url == default else (url,)
