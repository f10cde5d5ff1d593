"""Where a wallet's nonces go on when its journal is lost: what the chain counts, and what is still known of its pool."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Adoption:
    """`mined`: how many nonces the chain has consumed. `next`: the lowest that nobody has used, as far as can be known.

    `unknown`: nonces that some pool holds transactions for, of which nothing is known; whatever they do, they may still
    do it. `vacant`: below `next`, with nothing known of them in the journal or in any pool.
    """

    mined: int
    next: int
    unknown: tuple[int, ...] = ()
    vacant: tuple[int, ...] = ()


def adopted(counts: Mapping[K, tuple[int, int]], known: Collection[int]) -> Adoption:
    """`counts`: the latest and the pending nonce as each endpoint tells them, not empty. `known`: nonces whose signed bytes
    we have. The highest counts: a node that lags, or whose pool has forgotten, shows less than there is.
    """
    mined = max(latest for latest, _ in counts.values())
    pending = max(mined, *(pending for _, pending in counts.values()))
    top = max([pending, *(nonce + 1 for nonce in known)])
    return Adoption(
        mined,
        top,
        unknown=tuple(nonce for nonce in range(mined, pending) if nonce not in known),
        vacant=tuple(nonce for nonce in range(pending, top) if nonce not in known),
    )
