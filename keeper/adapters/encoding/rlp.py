"""Recursive length prefix, encoding only (https://ethereum.org/en/developers/docs/data-structures-and-encoding/rlp)."""

from __future__ import annotations

_SELF = 0x80
"""Single bytes below it stand for themselves."""
_LONG = 55
"""Longest payload whose length fits into the prefix byte."""


def rlp_bytes(data: bytes) -> bytes:
    if len(data) == 1 and data[0] < _SELF:
        return data
    return _prefix(_SELF, len(data)) + data


def rlp_int(value: int) -> bytes:
    """Big-endian without leading zeros; zero is the empty string. Raises OverflowError for negative values."""
    if 0 < value < _SELF:
        return value.to_bytes(1, "big")
    return rlp_bytes(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def rlp_list(encoded_items: bytes) -> bytes:
    """A list whose items are already encoded and joined."""
    return _prefix(0xC0, len(encoded_items)) + encoded_items


def _prefix(offset: int, length: int) -> bytes:
    if length <= _LONG:
        return bytes((offset + length,))
    digits = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((offset + _LONG + len(digits),)) + digits
