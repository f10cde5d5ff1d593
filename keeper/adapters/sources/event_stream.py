"""The inside of one server-sent event: https://html.spec.whatwg.org/multipage/server-sent-events.html"""

from __future__ import annotations

import re
from typing import NamedTuple

from keeper.errors import FeedProtocolError
from keeper.ports.venue import Frame

_LINE_END = re.compile(r"\r\n|\n|\r")
_KNOWN = frozenset({"event", "data", "id", "retry"})


class Event(NamedTuple):
    """`data` is None for an event that is nothing but comments, or settings of the stream."""

    kind: str
    data: str | None


def event_of(frame: Frame) -> Event:
    """Raises FeedProtocolError where a line is neither a field of the format nor a comment."""
    kind, data = "message", []
    for line in _LINE_END.split(_text(frame)):
        name, colon, value = line.partition(":")
        if colon and not name:
            continue
        if name not in _KNOWN:
            raise FeedProtocolError(f"{line[:40]!r} is no line of an event stream")
        value = value.removeprefix(" ")
        if name == "data":
            data.append(value)
        elif name == "event":
            kind = value
    return Event(kind, "\n".join(data) if data else None)


def _text(frame: Frame) -> str:
    if isinstance(frame, str):
        return frame
    try:
        return frame.decode()
    except UnicodeDecodeError as error:
        raise FeedProtocolError(f"no UTF-8: {error.reason}") from error
