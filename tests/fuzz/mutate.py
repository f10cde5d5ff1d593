"""How a message is spoiled. All of it follows from the generator that is given."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

_NUMBER = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_TEXT = re.compile(rb'"[^"\\]{0,80}"')
NUMBERS: Sequence[bytes] = (
    b"0",
    b"-0",
    b"-1",
    b"-0.0",
    b"1e999",
    b"-1e999",
    b"1E-999",
    b"1e-30",
    b"9" * 19,
    b"9" * 40,
    b"9" * 41,
    b"9" * 400,
    b"9" * 5_000,
    b"0." + b"0" * 70 + b"1",
    b"1" + b"0" * 4_400,
    b"9223372036854775807",
    b"-9223372036854775808",
    b"18446744073709551616",
    b"1.7976931348623157e308",
    b"5e-324",
    b"NaN",
    b"Infinity",
    b"0x10",
    b"1_000",
    b"00",
    b"1.",
    b".5",
    b"+1",
    b"",
    "٣".encode(),
)
VALUES: Sequence[bytes] = (
    b"null",
    b"true",
    b"[]",
    b"{}",
    b'""',
    b"0",
    b'"x"',
    b'"\xc3\xa9"',
    b'"\\ud800"',
    b'"\\u0000"',
    b'"\xff"',
    b'"1970-01-01T00:00:00Z"',
    b'"9999-12-31T23:59:59.999999999Z"',
    b'"0001-01-01T00:00Z"',
    b'"' + b"A" * 70_000 + b'"',
    b"[" * 40 + b"]" * 40,
    b"[" * 3_000 + b"]" * 3_000,
    b'{"a":' * 3_000 + b"1" + b"}" * 3_000,
    b'[["1","2"]]',
    b"[1,2]",
)
BYTES = b'\x00\x01\x7f\x80\xff"{}[],:0-9eE.\n\r \\'


def flip(frame: bytes, rng: Random) -> bytes:
    spoiled = bytearray(frame)
    for _ in range(rng.choice((1, 1, 2, 8))):
        spoiled[rng.randrange(len(spoiled))] ^= 1 << rng.randrange(8)
    return bytes(spoiled)


def overwrite(frame: bytes, rng: Random) -> bytes:
    spoiled, at = bytearray(frame), rng.randrange(len(frame))
    spoiled[at : at + rng.choice((1, 1, 4))] = bytes(rng.choice(BYTES) for _ in range(rng.choice((0, 1, 2, 6))))
    return bytes(spoiled)


def truncate(frame: bytes, rng: Random) -> bytes:
    at = rng.randrange(len(frame))
    return frame[:at] if rng.random() < 0.8 else frame[at:]


def repeat(frame: bytes, rng: Random) -> bytes:
    start = rng.randrange(len(frame))
    end = min(len(frame), start + rng.randrange(1, 40))
    return frame[:end] + frame[start:end] * rng.choice((1, 2, 50)) + frame[end:]


def extreme(frame: bytes, rng: Random) -> bytes:
    """A number becomes another one, in its place and in its quotes."""
    return _replaced(frame, _NUMBER, NUMBERS, rng)


def retype(frame: bytes, rng: Random) -> bytes:
    """A text becomes something else altogether."""
    return _replaced(frame, _TEXT, VALUES, rng)


def restructure(frame: bytes, rng: Random) -> bytes:
    """A key is lost, renamed or given another's value; still JSON, if it was."""
    start = frame.find(b"{")
    try:
        tree = json.loads(frame[max(start, 0) :])
    except (ValueError, RecursionError):
        return flip(frame, rng)
    places = list(_places(tree))
    if not places:
        return flip(frame, rng)
    (holder, key), (other, source) = rng.choice(places), rng.choice(places)
    match rng.randrange(3):
        case 0:
            del holder[key]
        case 1:
            holder[key] = json.loads(json.dumps(other[source]))
        case _ if isinstance(holder, dict):
            holder[f"{key}_"] = holder.pop(key)
        case _:
            holder.append(holder[key])
    return frame[: max(start, 0)] + json.dumps(tree, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")


def _places(tree: Any) -> list[tuple[Any, Any]]:
    keys = tree.keys() if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    found = [(tree, key) for key in keys]
    return found + [place for _, key in found for place in _places(tree[key])]


def _replaced(frame: bytes, pattern: re.Pattern[bytes], choices: Sequence[bytes], rng: Random) -> bytes:
    found = list(pattern.finditer(frame))
    if not found:
        return flip(frame, rng)
    match = rng.choice(found)
    return frame[: match.start()] + rng.choice(choices) + frame[match.end() :]


SPOILERS: Sequence[Callable[[bytes, Random], bytes]] = (
    flip,
    overwrite,
    truncate,
    repeat,
    extreme,
    extreme,
    retype,
    retype,
    restructure,
    restructure,
)


def spliced(frame: bytes, other: bytes, rng: Random) -> bytes:
    """The beginning of one and the end of another."""
    return frame[: rng.randrange(len(frame) + 1)] + other[rng.randrange(len(other) + 1) :]


def spoiled(frame: bytes, others: Sequence[bytes], rng: Random) -> bytes:
    """Once, or a few times over."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if not frame:
            break
        frame = spliced(frame, rng.choice(others), rng) if rng.random() < 0.1 else rng.choice(SPOILERS)(frame, rng)
    return frame
