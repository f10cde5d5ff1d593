"""Receipts as several endpoints tell them: one that hides what was mined, or says something else of it, must not be believed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable

from keeper.domain.chain import BlockRef, Receipt


async def agreed(told: Iterable[Receipt | None], block: Callable[[int], Awaitable[BlockRef | None]]) -> Receipt | None:
    """What most of those tell who know of it; where they differ, only of a block that is there.

    None when nobody knows of it, and while they contradict one another: no evidence, as a receipt that is not there yet.
    """
    known = [each for each in told if each is not None]
    if len({_verdict(each) for each in known}) > 1:
        known = [each for each in known if await _is_there(each, block)]
    votes = Counter(_verdict(each) for each in known).most_common(2)
    if not votes or (len(votes) > 1 and votes[0][1] == votes[1][1]):
        return None
    return next(each for each in known if _verdict(each) == votes[0][0])


def _verdict(receipt: Receipt) -> tuple[str, int]:
    return receipt.block_hash, receipt.status


async def _is_there(receipt: Receipt, block: Callable[[int], Awaitable[BlockRef | None]]) -> bool:
    found = await block(receipt.block_number)
    return found is not None and found.hash == receipt.block_hash
