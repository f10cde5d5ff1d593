"""Stretches of time, from and to in nanoseconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Span = tuple[int, int]


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same times in order and without overlaps."""
    found: list[Span] = []
    for since, until in sorted(spans):
        if found and since <= found[-1][1]:
            found[-1] = (found[-1][0], max(until, found[-1][1]))
        else:
            found.append((since, until))
    return found


def common(one: Iterable[Span], other: Iterable[Span]) -> list[Span]:
    """What lies in both."""
    others = list(other)
    pairs = [(max(a, c), min(b, d)) for a, b in one for c, d in others]
    return [(since, until) for since, until in pairs if since < until]


def taken_back(sightings: Iterable[Mapping[str, object]]) -> dict[int, Span]:
    """By number, of blocks that stand where another one was seen before: from that sighting until their own."""
    newest: dict[int, tuple[str, int]] = {}
    found: dict[int, Span] = {}
    for sighting in sightings:
        number, block, at = int(str(sighting["number"])), str(sighting["hash"]), int(str(sighting["t"]))
        before = newest.get(number)
        if before is not None and before[0] != block:
            found[number] = (found.get(number, before[1:] * 2)[0], at)
        newest[number] = (block, at)
    return found
