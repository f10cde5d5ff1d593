"""Unpacking gzip messages (RFC 1952) of a peer that is not trusted with our memory."""

from __future__ import annotations

import zlib

from keeper.errors import FeedProtocolError

MAX_INFLATED = 1 << 20
"""Bytes; a ticker has some hundred."""
_GZIP = 31
"""zlib's window bits for the gzip container: https://zlib.net/manual.html#Advanced"""


def inflated(packed: bytes, limit: int = MAX_INFLATED) -> bytes:
    """The content of exactly one gzip member.

    No more than `limit` bytes are ever made of it. Raises FeedProtocolError where it is damaged, unfinished, larger than
    that, or followed by something else.
    """
    stream = zlib.decompressobj(_GZIP)
    try:
        content = stream.decompress(packed, limit + 1)
    except zlib.error as error:
        raise FeedProtocolError(f"not a gzip message: {error}") from error
    if len(content) > limit:
        raise FeedProtocolError(f"a gzip message of more than {limit} bytes")
    if not stream.eof:
        raise FeedProtocolError("the gzip message is cut off")
    if stream.unused_data:
        raise FeedProtocolError(f"{len(stream.unused_data)} bytes after the gzip message")
    return content
