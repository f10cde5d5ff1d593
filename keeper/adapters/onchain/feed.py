"""All prices that contracts hold, read at each head: one batch, pinned to the head's hash. Implements QuoteFeed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from keeper.adapters.causes import shortened
from keeper.adapters.onchain.source import Answer, Known, Learnt, OnchainSource, Reading, Unusable
from keeper.domain.chain import At, BlockRef, Call
from keeper.domain.ids import SourceId
from keeper.domain.quote import Quote
from keeper.domain.time import Timestamp
from keeper.errors import AbiMismatch, DataError, TransientError
from keeper.ports.chain import ChainReader
from keeper.ports.clock import Clock
from keeper.ports.feed import Emit, FeedNotice, NoticeKind, Notify
from keeper.runtime.board import Board

ONCHAIN = "onchain"
"""The feed's name."""
_ROUNDS = 4
"""At the first head decimals, then bounds or tokens, then the price; a replaced aggregator is learnt anew."""
_UNREAD = Unusable("unsettled", "it tells something else each time it is asked")
Outcome = Reading | Unusable


async def read_all(
    chain: ChainReader, sources: Mapping[SourceId, OnchainSource], known: dict[SourceId, Known], at: BlockRef, pin: At
) -> dict[SourceId, Outcome]:
    """What each source holds at `at`, which the calls name as `pin`. What was learnt stays in `known`.

    Raises what the node raises.
    """
    found: dict[SourceId, Outcome] = {}
    waiting = dict(sources)
    for _ in range(_ROUNDS):
        if not waiting:
            break
        calls = {name: source.calls(known.get(name)) for name, source in waiting.items()}
        answers = await chain.ask_each([call for group in calls.values() for call in group], pin)
        for name, group in _dealt(calls, answers):
            outcome = understood(waiting[name], known.get(name), group, at)
            if isinstance(outcome, Learnt):
                known[name] = outcome.known
            else:
                found[name] = outcome
                del waiting[name]
    return {**found, **dict.fromkeys(waiting, _UNREAD)}


def _dealt(
    calls: Mapping[SourceId, Sequence[Call]], answers: Sequence[Answer]
) -> list[tuple[SourceId, Sequence[Answer]]]:
    dealt, start = [], 0
    for name, group in calls.items():
        dealt.append((name, answers[start : start + len(group)]))
        start += len(group)
    return dealt


def understood(source: OnchainSource, known: Known, answers: Sequence[Answer], at: BlockRef) -> Outcome | Learnt:
    """An answer that is none is unusable, as is a contract that is not there."""
    try:
        return source.read(known, answers, at)
    except AbiMismatch as error:
        return Unusable("unreadable", str(error))


@dataclass(frozen=True, slots=True)
class OnchainFeed:
    """`blocks` holds the newest head. A price that became unusable is taken back by a quote that states none: what was
    refused must not go on voting until it is old.
    """

    sources: Mapping[SourceId, OnchainSource]
    chain: ChainReader
    blocks: Board[str, BlockRef]
    clock: Clock
    known: dict[SourceId, Known] = field(default_factory=dict)
    told: dict[SourceId, str] = field(default_factory=dict)
    last: dict[SourceId, Quote] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return ONCHAIN

    async def run(self, emit: Emit, notify: Notify) -> None:
        self.told.clear()  # after a defect everything is told anew
        while True:
            version, head = self.blocks.version, self.blocks.get("head")
            if head is not None:
                await self.look(head, emit, notify)
            await self.blocks.changed(version)

    async def look(self, head: BlockRef, emit: Emit, notify: Notify) -> None:
        """One head. Trouble with the node is told once; the next head is another chance."""
        try:
            found = await read_all(self.chain, self.sources, self.known, head, head)
        except (TransientError, DataError) as error:
            for source in self.sources:
                self._tell(source, "disconnected", "rpc", str(error), notify)
            return
        now = self.clock.now()
        for source, outcome in found.items():
            if isinstance(outcome, Unusable):
                self._tell(source, "reading_refused", outcome.reason, outcome.detail, notify)
            else:
                self._tell(source, "connected", "", outcome.detail, notify)
            self._emit(source, outcome, head, now, emit)

    def _emit(self, source: SourceId, outcome: Outcome, head: BlockRef, now: Timestamp, emit: Emit) -> None:
        price = outcome.price_e18 if isinstance(outcome, Reading) else None
        observed_at = outcome.observed_at if isinstance(outcome, Reading) else None
        before = self.last.get(source)
        same = before is not None and (before.last_e18, before.observed_at) == (price, observed_at)
        changed_at = before.changed_at if before is not None and same else now
        quote = Quote(source, now, changed_at, observed_at, last_e18=price, frame_hash=head.hash[2:18])
        self.last[source] = quote
        emit(quote)

    def _tell(self, source: SourceId, kind: NoticeKind, reason: str, detail: str, notify: Notify) -> None:
        """Changes alone."""
        word = f"{kind}:{reason}"
        if self.told.get(source) != word:
            self.told[source] = word
            notify(FeedNotice(kind, ONCHAIN, (source,), self.clock.now(), reason, shortened(detail)))
