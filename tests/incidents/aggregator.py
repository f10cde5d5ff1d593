"""A Chainlink aggregator as a chain holds it, and the keeper's own feed that reads it head by head.

Answers are the contract's bytes; what becomes of them decides `keeper.adapters.onchain`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from keeper.adapters.onchain.chainlink import LATEST_ROUND, Chainlink
from keeper.adapters.onchain.feed import OnchainFeed
from keeper.adapters.onchain.source import view
from keeper.domain.chain import At, BlockRef, Call
from keeper.domain.ids import Address, SourceId
from keeper.domain.quote import Quote
from keeper.domain.time import Timestamp, to_seconds
from keeper.errors import Reverted
from keeper.ports.feed import FeedNotice
from keeper.runtime.board import Board
from tests.domain.accounts.bridge import block

_AT = Address("0x" + "11" * 20)
_DECIMALS = 8
_TYPES = {"decimals": "uint8", "minAnswer": "int192", "maxAnswer": "int192"}
_VIEWS = {name: view(name, [], [kind]) for name, kind in _TYPES.items()}
_HIGHEST = 10**30


@dataclass(slots=True)
class Aggregator:
    """Below its floor it tells the floor. `bounded`: its contract states that floor as its least answer."""

    floor: Decimal
    bounded: bool
    answer: int = 0
    updated_s: int = 0

    def observe(self, price: Decimal, now: Timestamp) -> None:
        self.answer, self.updated_s = round(max(price, self.floor).scaleb(_DECIMALS)), to_seconds(now)

    async def ask_each(self, calls: Sequence[Call], at: At) -> tuple[bytes | Reverted, ...]:
        return tuple(self._told(call.data[:4]) for call in calls)

    def _told(self, selector: bytes) -> bytes | Reverted:
        if selector == LATEST_ROUND.selector:
            return LATEST_ROUND.outputs.encode((1, self.answer, self.updated_s, self.updated_s, 1))
        held = {"decimals": _DECIMALS}
        if self.bounded:
            held |= {"minAnswer": round(self.floor.scaleb(_DECIMALS)), "maxAnswer": _HIGHEST}
        for name, value in held.items():
            if _VIEWS[name].selector == selector:
                return _VIEWS[name].outputs.encode((value,))
        return Reverted("no such function")


class _Clock:
    def __init__(self) -> None:
        self.at = Timestamp(0)

    def now(self) -> Timestamp:
        return self.at


@dataclass(slots=True)
class Reader:
    """The feed of one aggregator. `quote` is what it emitted last, `notices` what it told."""

    source: SourceId
    aggregator: Aggregator
    clock: _Clock = field(default_factory=_Clock)
    notices: list[FeedNotice] = field(default_factory=list)
    quotes: list[Quote] = field(default_factory=list)
    feed: OnchainFeed = field(init=False)

    def __post_init__(self) -> None:
        sources, chain, blocks = {self.source: Chainlink(_AT, 3_600.0)}, self.aggregator, Board[str, BlockRef]()
        self.feed = OnchainFeed(sources, chain, blocks, self.clock)  # type: ignore[arg-type]  asks nothing but `ask_each`

    def look(self, now: Timestamp) -> Quote:
        """One head of this second."""
        self.clock.at = now
        head, emit = block(to_seconds(now), at_s=to_seconds(now)), self._emitted
        asyncio.run(self.feed.look(head, emit, self.notices.append))
        return self.quotes[-1]

    def _emitted(self, observation: Any) -> None:
        self.quotes.append(observation)
