"""One feed to the boards: the newest quote, book and trade of each source, and what happened to the feed."""

from __future__ import annotations

from dataclasses import dataclass

from keeper.domain.ids import SourceId
from keeper.domain.quote import Depth, Observation, Quote, Trade
from keeper.domain.time import SECOND, Timestamp
from keeper.ports.feed import FeedNotice, QuoteFeed
from keeper.ports.log import EventLog
from keeper.ports.meter import Meter
from keeper.runtime.board import Board

_LOUD = frozenset({"benched", "symbol_refused"})
_QUIET = frozenset({"subscribed", "probed", "frame_dropped"})
_EVENTS = {
    "connected": "feed.connected",
    "disconnected": "feed.disconnected",
    "rotated": "feed.rotated",
    "subscribed": "feed.subscribed",
    "symbol_refused": "feed.symbol_refused",
    "frame_dropped": "feed.frame_dropped",
    "benched": "feed.benched",
    "readmitted": "feed.readmitted",
    "rate_limited": "feed.rate_limited",
    "future_refused": "feed.future_refused",
    "probed": "feed.probed",
    "reading_refused": "feed.reading_refused",
}
_ASKED_TO_WAIT = frozenset({"http_429", "http_418"})
_FAILED = (
    "a defect in what listens to this venue: it starts again by itself, the others go on; report it with the traceback"
)
_ADVICE = {
    "benched": "the venue sends frames that do not match its documented format; see docs/operations.md#a-venue-is-benched",
    "symbol_refused": "the venue does not list this symbol; correct it in the market's file and reload",
}


@dataclass(frozen=True, slots=True)
class FeedStatus:
    """What the table shows of one source's connection."""

    state: str
    reason: str
    reconnects: int
    since: int


@dataclass(frozen=True, slots=True)
class QuoteService:
    feed: QuoteFeed
    quotes: Board[SourceId, Quote]
    books: Board[SourceId, Depth]
    trades: Board[SourceId, Trade]
    feeds: Board[SourceId, FeedStatus]
    meter: Meter
    log: EventLog
    sources: frozenset[SourceId] = frozenset()
    """What the feed was asked for."""

    @property
    def name(self) -> str:
        return f"quotes:{self.feed.name}"

    async def run(self) -> None:
        await self.feed.run(self._emit, self._notice)

    def failed(self, error: Exception, at: Timestamp, again_s: float) -> None:
        """A defect has ended the feed: nothing is heard of its sources until it runs again."""
        self.log.error(
            "feed.failed", venue=self.feed.name, error=repr(error), retry_in_s=again_s, advice=_FAILED, exc_info=error
        )
        for source in sorted(self.sources):
            self._follow(source, FeedNotice("disconnected", self.feed.name, (source,), at, "defect"))

    def _emit(self, observation: Observation) -> None:
        source = observation.source
        if isinstance(observation, Quote):
            self.quotes.put(source, observation)
        elif isinstance(observation, Depth):
            self.books.put(source, observation)
        else:
            self.trades.put(source, observation)
        self.meter.count("keeper_quotes_received_total", source=source)

    def _notice(self, notice: FeedNotice) -> None:
        keys: dict[str, object] = {
            "venue": notice.venue,
            "sources": list(notice.sources),
            "reason": notice.reason,
            "detail": notice.detail,
        }
        if notice.retry_in_s is not None:
            keys["retry_in_s"] = round(notice.retry_in_s, 2)
        if notice.kind in _LOUD:
            self.log.error(_EVENTS[notice.kind], advice=_ADVICE[notice.kind], **keys)
        elif notice.kind in _QUIET:
            self.log.debug(_EVENTS[notice.kind], **keys)
        else:
            self.log.info(_EVENTS[notice.kind], **keys)
        for source in notice.sources:
            self._follow(source, notice)

    def _follow(self, source: SourceId, notice: FeedNotice) -> None:
        """Keeps the state that the table and the metrics show."""
        old = self.feeds.get(source) or FeedStatus("starting", "", 0, notice.at)
        states = {
            "connected": "connected",
            "subscribed": "connected",
            "readmitted": "connected",
            "disconnected": "disconnected",
            "benched": "benched",
            "symbol_refused": "refused",
            "reading_refused": "refused",
            "rate_limited": "rate_limited",
        }
        state = states.get(notice.kind, old.state)
        lost = notice.kind == "disconnected"
        if lost and notice.reason in _ASKED_TO_WAIT:
            state = "rate_limited"
        if lost:
            self.meter.count("keeper_feed_reconnects_total", source=source, reason=notice.reason or "closed")
        if notice.kind in ("frame_dropped", "future_refused"):
            self.meter.count("keeper_frames_dropped_total", source=source, reason=notice.reason or notice.kind)
        self.meter.gauge("keeper_feed_connected", 1 if state == "connected" else 0, source=source)
        since = notice.at if state != old.state else old.since
        reason = notice.reason if state != "connected" else ""
        self.feeds.put(source, FeedStatus(state, reason, old.reconnects + lost, since))


def silent_s(status: FeedStatus, now: int) -> float:
    """Seconds since the feed's state last changed."""
    return (now - status.since) / SECOND
