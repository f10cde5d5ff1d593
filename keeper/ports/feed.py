"""A running feed pushes what it hears; it never yields from inside a connection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from keeper.domain.ids import SourceId
from keeper.domain.quote import Observation
from keeper.domain.time import Timestamp

NoticeKind = Literal[
    "connected",
    "disconnected",
    "rotated",
    "subscribed",
    "symbol_refused",
    "frame_dropped",
    "benched",
    "readmitted",
    "rate_limited",
    "future_refused",
    "probed",
    "reading_refused",
]


@dataclass(frozen=True, slots=True)
class FeedNotice:
    """Something that happened to a feed, for logs, metrics and the table. `sources` are those it concerns."""

    kind: NoticeKind
    venue: str
    sources: tuple[SourceId, ...]
    at: Timestamp
    reason: str = ""
    detail: str = ""
    retry_in_s: float | None = None


Emit = Callable[[Observation], None]
Notify = Callable[[FeedNotice], None]


class QuoteFeed(Protocol):
    """Runs until cancelled; heals its own connections; raises only on a defect of its own."""

    @property
    def name(self) -> str: ...

    async def run(self, emit: Emit, notify: Notify) -> None: ...
