"""The tape's lines. One JSON array each, first when it came (ns) and what it is; files of them, compressed.

`text`, `data`   a websocket frame: connection, frame (binary in base64)
`dial`, `sent`, `shut`, `fail`   connection opened, what we said on it, its end with the close code, a failed attempt
`http`   an answer: venue, what was asked (method, path, query), status, headers that matter, body
`state`, `paused`   what the chain said at a block, a market stopped by the operator (null: no longer)
`resumed`, `lifted`, `accepted`   what the operator's `resume` meant to a market: a defect's halt or its condition's taken back, a level believed
`held`, `sequencer`   a price that a contract holds or a reference has fixed, and what the rollup's uptime feed told, as read at a head
`said`   a report that was signed: deployment, round, evidence, per market index, mark, premium
`head`, `saved`   what wrote the tape; the moving state of the prices

A file also begins with what it needs to be read alone, said before: such lines have a `~` before their kind.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from keeper.adapters import foreign_json
from keeper.domain.time import Timestamp

FORMAT = 1
PROLOGUE = "~"
_encode = msgspec.json.Encoder().encode
_LATEST = 1 << 63
_NOTHING = type(None)
_Kinds = tuple[type, ...]
_SHAPES: Mapping[str, tuple[_Kinds, ...]] = {
    "text": ((str,), (str,)),
    "data": ((str,), (str,)),
    "dial": ((str,),),
    "sent": ((str,), (str,)),
    "shut": ((str,), (int, _NOTHING)),
    "fail": ((str,), (str,)),
    "http": ((str,), (str,), (int,), (dict,), (str,)),
    "state": ((str,), (dict,)),
    "paused": ((str,), (str, _NOTHING)),
    "resumed": ((str,),),
    "lifted": ((str,),),
    "accepted": ((str,),),
    "held": ((dict,),),
    "sequencer": ((dict,),),
    "said": ((str,), (int,), (str,), (dict,)),
    "head": ((dict,),),
    "saved": ((str,), (str,)),
}
"""What a line of each kind holds at least. A tape may come from anywhere."""


class Line(NamedTuple):
    at: Timestamp
    kind: str
    words: Sequence[Any]


def line(at: Timestamp, kind: str, *words: Any) -> bytes:
    """One line with its end. What `words` hold must be JSON-able, or a dataclass of such."""
    return bytes(_encode((at, kind, *words))) + b"\n"


def framed(at: Timestamp, connection: str, frame: bytes) -> bytes:
    """A frame's line: as text where it is text, so that a tape can be read by people."""
    try:
        return line(at, "text", connection, frame.decode())
    except UnicodeDecodeError:
        return line(at, "data", connection, base64.b64encode(frame).decode())


def frame_of(found: Line) -> bytes:
    """The frame that `framed` wrote. Raises ValueError."""
    return str(found.words[1]).encode() if found.kind == "text" else base64.b64decode(found.words[1], validate=True)


def parsed(raw: bytes) -> Line:
    """Raises ValueError on what `line` did not write."""
    try:
        at, kind, *words = foreign_json.decode(raw)
    except (TypeError, ValueError) as error:
        raise ValueError(f"not a line of a tape: {error}") from None
    if type(at) is not int or type(kind) is not str or not 0 <= at < _LATEST:
        raise ValueError("a line of a tape begins with a time and a kind")
    found = Line(Timestamp(at), kind, words)
    if not _is_sound(found._replace(kind=kind.removeprefix(PROLOGUE))):
        raise ValueError(f"a line of the kind {kind} that does not hold what such a line holds")
    return found


def _is_sound(found: Line) -> bool:
    kind, words = found.kind, found.words
    shape = _SHAPES.get(kind, ())
    if len(words) < len(shape) or not all(isinstance(each, kinds) for each, kinds in zip(words, shape, strict=False)):
        return False
    try:
        if kind == "data":
            frame_of(found)
        elif kind == "http":
            words[4].encode("latin-1")
        elif kind == "said":
            return all(len([int(number) for number in numbers]) == 3 for numbers in words[3].values())
    except (ValueError, TypeError):
        return False
    return True
