"""What befalls venues, chain, endpoints and keeper in a storm: drawn from the seed before the run, so that it can be had again.

Times are seconds after trading opened. The keeper's endpoints are a liar, one that is dead for most of the time, and an
honest one, in this order.
"""

from __future__ import annotations

import random
from collections.abc import Container, Iterator
from dataclasses import dataclass
from enum import StrEnum

STORM_FAULTS = (
    "stall",
    "drop",
    "bad_json",
    "wrong_unit",
    "half_open",
    "crossed",
    "close_24h",
    "rate_limit",
    "schema_drift",
    "fat_finger",
)
"""Faults after which what the keeper may still use of the venue is what its tape says."""
BENCHING = ("bad_json", "schema_drift")
"""Faults after which the keeper does without the venue for a minute: together with the next one's they would be two."""
LIES = (
    "stale head",
    "no receipts",
    "fees ×100",
    "wrong ids",
    "false receipts",
    "error texts",
    "delays",
)
"""What the liar does, one after the other; `keeper.devnet.demo.liar` says how."""
FIRST_S, CALM_END_S = 6.0, 15.0
"""Nothing befalls chain and keeper before and after: it must have begun, and its end is the calm demo's."""
SHORTEST_SLOT_S = 5.0
LONG_WINDOW_S, SHORT_WINDOW_S = 100.0, 15.0


class Kind(StrEnum):
    """What can befall chain, endpoints and keeper."""

    KILL = "kill"
    FEES = "fees"
    REORG = "reorg"
    HALT = "halt"
    HANG = "hang"
    DEAD = "dead"
    LIE = "lie"


@dataclass(frozen=True, slots=True)
class VenueFault:
    """One venue misbehaves for a while."""

    at_s: float
    venue: str
    fault: str
    for_s: float


@dataclass(frozen=True, slots=True)
class Trouble:
    """`depth` of a reorg in blocks, and whether some of the keeper's transactions are `lost` by it; `lie` is one of LIES."""

    at_s: float
    kind: Kind
    for_s: float = 0.0
    depth: int = 0
    lost: bool = False
    lie: str = ""


_CHAIN = (
    Kind.REORG,
    Kind.FEES,
    Kind.HALT,
    Kind.HANG,
    Kind.REORG,
    Kind.REORG,
    Kind.HANG,
    Kind.REORG,
    Kind.HANG,
)
"""As many of them, from the front, as there is time for; never two at a time, but with a kill, a lie or a dead endpoint."""


def venue_faults(length_s: float, venues: tuple[str, ...], scarce: Container[str], pick: int) -> tuple[VenueFault, ...]:
    """Every six seconds another venue with another fault, for four seconds: never two at a time.

    The `scarce` ones, of which an index cannot do without two, get none that outlasts its end.
    """
    count = max(0, int((length_s - 8.0) // 6.0))
    return tuple(_venue_fault(n, venues[(pick + n) % len(venues)], scarce, pick) for n in range(count))


def _venue_fault(n: int, venue: str, scarce: Container[str], pick: int) -> VenueFault:
    kinds = [kind for kind in STORM_FAULTS if venue not in scarce or kind not in BENCHING]
    return VenueFault(6.0 + 6.0 * n, venue, kinds[(pick + 3 * n) % len(kinds)], 4.0)


def troubles(length_s: float, seed: int) -> tuple[Trouble, ...]:
    """All that befalls chain, endpoints and keeper in a run of this length, in the order in which it begins."""
    chance = random.Random(f"storm/{seed}")  # noqa: S311 - a storm that can be repeated
    window_s = length_s - FIRST_S - CALM_END_S
    drawn = [*_to_the_chain(chance, window_s), *_kills(chance, window_s)]
    drawn += [*_lies(chance, length_s - CALM_END_S), *_deaths(chance, length_s - CALM_END_S)]
    return tuple(sorted(drawn, key=lambda trouble: trouble.at_s))


def _to_the_chain(chance: random.Random, window_s: float) -> Iterator[Trouble]:
    """In equal slots, each somewhere in its own."""
    kinds = list(_CHAIN[: max(0, int(window_s // SHORTEST_SLOT_S))])
    depths = chance.sample((1, 2, 3, 4), 4)
    losing = chance.sample((1, 2, 3, 4), 2)
    chance.shuffle(kinds)
    for place, kind in enumerate(kinds):
        slot_s = window_s / len(kinds)
        for_s = {Kind.HALT: chance.uniform(3, 6), Kind.HANG: chance.uniform(2.5, 5)}.get(kind, 0.0)
        at_s = FIRST_S + place * slot_s + chance.uniform(0, max(0.0, slot_s - for_s))
        if kind is Kind.REORG:
            depth = depths.pop()
            yield Trouble(at_s, kind, depth=depth, lost=depth in losing)
        else:
            yield Trouble(at_s, kind, min(for_s, slot_s))


def _kills(chance: random.Random, window_s: float) -> Iterator[Trouble]:
    """At random moments of equal parts of the run: it must have been up to be killed again."""
    count = 2 + chance.randrange(2) if window_s >= LONG_WINDOW_S else int(window_s >= SHORT_WINDOW_S)
    for place in range(count):
        yield Trouble(FIRST_S + (place + chance.uniform(0, 0.75)) * window_s / count, Kind.KILL)


def _lies(chance: random.Random, until_s: float) -> Iterator[Trouble]:
    """One after the other, with moments of truth, and none again before all others had their turn.

    Not before the chain is long enough for a head that is several blocks behind to have the contracts.
    """
    at_s, told, left = FIRST_S, "", list[str]()
    while at_s < until_s:
        left = left or [lie for lie in chance.sample(LIES, len(LIES)) if lie != told]
        for_s = min(chance.uniform(4, 9), until_s - at_s)
        depth, told = chance.randint(2, 8), left.pop()
        yield Trouble(at_s, Kind.LIE, for_s, depth, lie=told)
        at_s += for_s + chance.uniform(0, 3)


def _deaths(chance: random.Random, until_s: float) -> Iterator[Trouble]:
    """From the beginning, and again and again after a short life."""
    at_s = 0.0
    while at_s < until_s:
        for_s = min(chance.uniform(20, 35), until_s - at_s)
        yield Trouble(at_s, Kind.DEAD, for_s)
        at_s += for_s + chance.uniform(8, 14)
