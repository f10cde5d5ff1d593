"""What stands in for the world in a replay: the chain as it was read, a log that counts, nobody who sends."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from keeper.adapters.tape.documents import restored
from keeper.adapters.tape.lines import Line
from keeper.adapters.tape.reader import TapeUnreadable
from keeper.app.boards import Boards
from keeper.app.operator import WORDS
from keeper.domain.exchange import ChainState
from keeper.domain.ids import DeploymentId, MarketId
from keeper.domain.quote import Quote
from keeper.domain.sequencer import Sequencer
from keeper.domain.time import SECOND
from keeper.domain.transaction import Intent
from keeper.ports.clock import Clock
from keeper.runtime.mailbox import Mailbox
from keeper.services.pricing import PricingService
from keeper.services.sequencer import KEY as SEQUENCER

T = TypeVar("T")
_PLAYED = frozenset({"state", "paused", "held", "sequencer", *WORDS})


@dataclass(slots=True)
class CountingLog:
    """An EventLog of which only the numbers are kept."""

    events: Counter[str] = field(default_factory=Counter)

    def debug(self, event: str, **_keys: Any) -> None:
        self.events[event] += 1

    info = warning = error = exception = critical = debug


@dataclass(frozen=True, slots=True)
class ChainPlayer:
    """Puts on the boards what the chain and the operator said, when they said it."""

    lines: Sequence[Line]
    boards: Boards
    clock: Clock
    pricing: Sequence[PricingService] = ()
    """Whoever the operator spoke to."""
    name: str = "chain"

    async def run(self) -> None:
        for found in self.lines:
            if found.kind not in _PLAYED:
                continue
            if (left := found.at - self.clock.now()) > 0:
                await asyncio.sleep(left / SECOND)
            self._put(found)
        await asyncio.get_running_loop().create_future()

    def _put(self, found: Line) -> None:
        if found.kind == "state":
            self.boards.states.put(DeploymentId(found.words[0]), told(found.words[1], ChainState))
        elif found.kind == "held":
            quote = told(found.words[0], Quote)
            self.boards.quotes.put(quote.source, quote)
        elif found.kind == "sequencer":
            self.boards.sequencer.put(SEQUENCER, told(found.words[0], Sequencer))
        elif found.kind in WORDS:
            for service in self.pricing:
                WORDS[found.kind](service, MarketId(found.words[0]))
        elif found.words[1] is None:
            self.boards.paused.drop(MarketId(found.words[0]))
        else:
            self.boards.paused.put(MarketId(found.words[0]), str(found.words[1]))


def told(said: object, kind: type[T]) -> T:
    """Raises TapeUnreadable."""
    try:
        return restored(said, kind)
    except ValueError as error:
        raise TapeUnreadable(f"what the tape tells is {error}") from None


@dataclass(frozen=True, slots=True)
class Acts:
    """Takes what would have been sent, each once."""

    inbox: Mailbox[Intent]
    clock: Clock
    taken: dict[str, tuple[int, Intent]]
    name: str = "acts"

    async def run(self) -> None:
        while True:
            self.note(await self.inbox.get())

    def note(self, intent: Intent) -> None:
        self.taken.setdefault(intent.id, (self.clock.now(), intent))
