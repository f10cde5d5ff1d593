"""A tape's file member by member, so that one that is damaged does not hide those behind it.

The writer adds one gzip member each second: https://www.rfc-editor.org/rfc/rfc1952#page-5 (2.2, file format).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import NamedTuple

_GZIP = 16 + zlib.MAX_WBITS
MAGIC = b"\x1f\x8b"
_HEADER = MAGIC + b"\x08\x00\x00\x00\x00\x00"
"""As the writer begins each: deflate, no flags, no time."""
_CHUNK = 1 << 16
_A_LOOK = 4096
"""So many bytes show whether a member begins there."""


class Member(NamedTuple):
    """What stands from byte `at` to before byte `end`. `cut`: the file ends within it, as after a crash; `text` is what came before.

    `text` is None for what is damaged.
    """

    at: int
    end: int
    text: bytes | None
    cut: bool = False


def members(raw: bytes) -> Iterator[Member]:
    at = 0
    while at < len(raw):
        found = _member(raw, at)
        yield found
        at = found.end


def _member(raw: bytes, at: int) -> Member:
    try:
        text, end, whole = _unpacked(raw, at)
    except zlib.error:
        end = _next(raw, at + 1)
        return Member(at, end, None) if end < len(raw) else _last(raw, at)
    if whole:
        return Member(at, end, text)
    # It was followed to the end of the file: it is damaged when another begins before that.
    end = _next(raw, at + 1)
    return Member(at, end, None) if end < len(raw) else Member(at, end, text, cut=True)


def _last(raw: bytes, at: int) -> Member:
    """A machine that stops may leave a file its length and not its end: zeros."""
    try:
        text, _, whole = _unpacked(raw[at:].rstrip(b"\0"), 0)
    except zlib.error:
        return Member(at, len(raw), None)
    return Member(at, len(raw), None) if whole else Member(at, len(raw), text, cut=True)


def _unpacked(raw: bytes, at: int) -> tuple[bytes, int, bool]:
    """What the member from `at` holds, where it ends, and whether it came to its end. Raises zlib.error."""
    unpacking, texts = zlib.decompressobj(_GZIP), []
    while at < len(raw) and not unpacking.eof:
        texts.append(unpacking.decompress(raw[at : at + _CHUNK]))
        at = min(at + _CHUNK, len(raw))
    return b"".join(texts), at - len(unpacking.unused_data), unpacking.eof


def _next(raw: bytes, start: int) -> int:
    """Where the next member begins, or the end."""
    while (start := raw.find(_HEADER, start)) >= 0:
        try:
            if zlib.decompressobj(_GZIP).decompress(raw[start : start + _A_LOOK]).startswith(b"["):
                return start
        except zlib.error:
            pass
        start += 1
    return len(raw)
