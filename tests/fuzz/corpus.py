"""What is mutated: every recorded message of every venue, and who reads it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keeper.adapters.sources import BOOK_VENUES, STREAM_VENUES
from keeper.adapters.sources.event_stream import event_of
from keeper.adapters.sources.gzip_frame import inflated
from keeper.adapters.sources.protobuf import fields
from keeper.adapters.sse import EventSplitter
from keeper.devnet.venues import DEVNET_VENUES

VENUES = Path(__file__).parents[1] / "venues"
OWN_BOOK = (
    b'{"type":"subscribed","markets":["BTC-USD"]}',
    b'{"type":"error","markets":["X"],"reason":"unknown market"}',
    b'{"type":"book","market":"BTC-USD","seq":7,"ts":1795300737032,"bids":[["64000.5","0.1"]],"asks":[["64001","2"]]}',
    b'{"type":"trade","market":"BTC-USD","id":3,"ts":1795300737032,"price":"64001","size":"0.1","side":"buy"}',
    b'{"type":"heartbeat","ts":1795300738000}',
)
"""The perp's own dialect, from the docstring that defines it."""

Pack = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Prey:
    """A venue as it is fuzzed. Frames are as written in the recordings, `pack` is how they travel."""

    kind: str
    venue: Any
    symbols: tuple[str, ...]
    frames: tuple[bytes, ...]
    answers: tuple[tuple[str, int, bytes], ...]
    """Symbol, status and body of recorded REST answers."""
    pack: Pack


def prey() -> list[Prey]:
    """Every venue of both registries, whoever adds one."""
    registered: Mapping[str, Any] = {**STREAM_VENUES, **BOOK_VENUES}
    return [_prey(kind, registered[kind]()) for kind in sorted(registered)]


def _prey(kind: str, venue: Any) -> Prey:
    folder = VENUES / kind
    if not folder.is_dir():
        return Prey(kind, venue, ("BTC-USD", "X"), OWN_BOOK, (), bytes)
    frames = [line.encode() for line in (folder / "frames.jsonl").read_text(encoding="utf-8").splitlines()]
    controls = [row["frame"].encode() for row in _rows(folder / "control.jsonl")]
    expected, answers = _rows(folder / "expected.jsonl"), _rows(folder / "rest.jsonl")
    symbols = sorted({row["quote"] for row in expected if "quote" in row} | {row["symbol"] for row in answers})
    bodies = tuple((row["symbol"], row["status"], row["body"].encode()) for row in answers)
    return Prey(kind, venue, tuple(symbols), (*frames, *controls), bodies, _pack(kind))


def _rows(path: Path) -> Iterator[Any]:
    return map(json.loads, path.read_text(encoding="utf-8").splitlines())


def _pack(kind: str) -> Pack:
    """The local server's, as far as it takes what no server would say."""
    packed = DEVNET_VENUES[kind].packed

    def pack(text: bytes) -> bytes:
        try:
            made = packed(text.decode())
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
            return text
        return made.encode() if isinstance(made, str) else made

    return pack


def _split(stream: bytes) -> list[bytes]:
    splitter = EventSplitter(1_000)
    return [event for start in range(0, len(stream), 7) for event in splitter.feed(stream[start : start + 7])]


READERS: Mapping[str, tuple[Callable[[bytes], object], tuple[bytes, ...]]] = {
    "event_of": (event_of, (b"event:message\r\ndata:1\ndata: 2\n:comment\nid:7", b"retry: 5")),
    "inflated": (
        inflated,
        tuple(base64.b64decode(row["packed"]) for row in _rows(VENUES / "htx" / "packed.jsonl")),
    ),
    "protobuf": (fields, (bytes.fromhex("0896011a0308960120ffffffffffffffffff01250102030429" + "01" * 8),)),
    "splitter": (_split, (b"data:1\n\ndata:2\r\n\r\n:\r\r", b"data:" + b"x" * 900 + b"\n\n")),
}
"""What unpacks before a venue reads: on their own, for a damaged package rarely lets anything through."""
