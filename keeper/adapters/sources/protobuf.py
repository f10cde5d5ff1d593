"""Reading protocol buffers without their schema, bounded: https://protobuf.dev/programming-guides/encoding/

Only what a message says of itself: field numbers and values. A message inside a message is read by asking again, so the
depth is the caller's.
"""

from __future__ import annotations

from keeper.errors import FeedProtocolError

MAX_FIELDS = 4_096
"""Of one message. A quote has ten."""
_VARINT, _I64, _LENGTH, _I32 = 0, 1, 2, 5
_FIXED = {_I64: 8, _I32: 4}
_MAX_SHIFT = 63
_U64 = (1 << 64) - 1

Fields = dict[int, int | bytes]
"""Field number → varint as an unsigned integer, or raw bytes of any other kind. The last of several stands."""


def fields(message: bytes) -> Fields:
    """All fields of one message. Raises FeedProtocolError on anything malformed; groups are refused, as in proto3."""
    found: Fields = {}
    at, end, count = 0, len(message), 0
    while at < end:
        count += 1
        if count > MAX_FIELDS:
            raise FeedProtocolError(f"more than {MAX_FIELDS} fields in one message")
        tag, at = _varint(message, at, end)
        number, kind = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise FeedProtocolError(f"{number} is no field number")
        if kind == _VARINT:
            found[number], at = _varint(message, at, end)
            continue
        if kind == _LENGTH:
            size, at = _varint(message, at, end)
        elif kind in _FIXED:
            size = _FIXED[kind]
        else:
            raise FeedProtocolError(f"field {number} is of wire type {kind}")
        if size > end - at:
            raise FeedProtocolError(f"field {number} of {size} bytes ends after the message")
        found[number] = message[at : at + size]
        at += size
    return found


def text(found: Fields, number: int, name: str) -> str:
    """A string. Raises FeedProtocolError where it is missing, of another kind or no UTF-8."""
    value = found.get(number)
    if not isinstance(value, bytes):
        raise FeedProtocolError(f"field {name} is missing" if value is None else f"field {name} is no text")
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise FeedProtocolError(f"field {name} is no UTF-8") from error


def whole(found: Fields, number: int, name: str) -> int:
    """An int64. Raises FeedProtocolError where it is missing or of another kind."""
    value = found.get(number)
    if not isinstance(value, int):
        raise FeedProtocolError(f"field {name} is missing" if value is None else f"field {name} is no number")
    return value - (1 << 64) if value >> _MAX_SHIFT else value


def inner(found: Fields, number: int, name: str) -> Fields:
    """A message inside. Raises FeedProtocolError where it is missing, of another kind or malformed."""
    value = found.get(number)
    if not isinstance(value, bytes):
        raise FeedProtocolError(f"field {name} is missing" if value is None else f"field {name} is no message")
    return fields(value)


def _varint(message: bytes, at: int, end: int) -> tuple[int, int]:
    """The number, and where it ends."""
    if at < end and (first := message[at]) < 0x80:
        return first, at + 1
    value = shift = 0
    while at < end:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            if value > _U64:
                raise FeedProtocolError("a number of more than 64 bits")
            return value, at
        shift += 7
        if shift > _MAX_SHIFT:
            raise FeedProtocolError("a number of more than ten bytes")
    raise FeedProtocolError("a number is cut off")
