"""Receipts as several endpoints tell them: one that hides what was mined, or says something else of it, must not be believed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence

from keeper.domain.chain import BlockRef, Receipt
from keeper.errors import ChainInconsistent

_Verdict = tuple[str, int, tuple[tuple[str, tuple[str, ...]], ...]]


async def agreed(told: Iterable[Receipt | None], block: Callable[[int], Awaitable[BlockRef | None]]) -> Receipt | None:
    """What most of those tell who know of it; where they differ, only of a block that is there. None: nobody knows of it.

    Raises ChainInconsistent while they contradict one another: that is another thing than a receipt that is not there.
    """
    known = [each for each in told if each is not None]
    if len({_verdict(each) for each in known}) > 1:
        known = [each for each in known if await _is_there(each, block)]
    votes = Counter(_verdict(each) for each in known).most_common(2)
    if not votes:
        return None
    if len(votes) > 1 and votes[0][1] == votes[1][1]:
        raise ChainInconsistent(f"endpoints contradict one another on the receipt of {known[0].tx_hash}")
    return next(each for each in known if _verdict(each) == votes[0][0])


def is_seconded(found: Receipt, told: Sequence[Receipt | None]) -> bool:
    """Whether `found` is more than one endpoint's word: two tell the same, or one that tells it once more is all there is."""
    same = sum(each is not None and _verdict(each) == _verdict(found) for each in told)
    return same > 1 or 0 < same == len(told)


def _verdict(receipt: Receipt) -> _Verdict:
    """With what it logged: an effect is proven by that, and a receipt that leaves it out denies the effect."""
    return receipt.block_hash, receipt.status, tuple((log.address, log.topics) for log in receipt.logs)


async def _is_there(receipt: Receipt, block: Callable[[int], Awaitable[BlockRef | None]]) -> bool:
    found = await block(receipt.block_number)
    return found is not None and found.hash == receipt.block_hash
