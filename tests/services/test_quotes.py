"""What a feed says, on the boards, in the log and in the metrics."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from keeper.app.intake import listen
from keeper.domain.ids import SourceId
from keeper.domain.time import SECOND
from keeper.ports.feed import FeedNotice
from keeper.runtime.board import Board
from keeper.runtime.supervisor import Supervisor
from keeper.runtime.virtual import VirtualClock, run_virtual
from keeper.services.quotes import QuoteService, silent_s
from tests.domain.pricing.builders import NOW, after, book, quote, trade
from tests.services.fakes import RecordingLog, RecordingMeter, play

SOURCE = SourceId("venue:BTC-USD")


def notice(kind: str, at_s: float = 0, **more: Any) -> FeedNotice:
    return FeedNotice(kind, "venue", (SOURCE,), after(at_s), **more)  # type: ignore[arg-type]


@dataclass
class Stage:
    """A feed that says its script and ends."""

    script: list[Any]
    log: RecordingLog = field(default_factory=RecordingLog)
    meter: RecordingMeter = field(default_factory=RecordingMeter)
    name: str = "venue"

    def __post_init__(self) -> None:
        self.quotes, self.books, self.trades, self.feeds = (Board() for _ in range(4))  # type: ignore[var-annotated]

    async def run(self, emit: Any, notify: Any) -> None:
        for word in self.script:
            (notify if isinstance(word, FeedNotice) else emit)(word)

    def play(self) -> Stage:
        service = QuoteService(self, self.quotes, self.books, self.trades, self.feeds, self.meter, self.log)
        play(service.run)
        return self

    @property
    def status(self) -> Any:
        return self.feeds.get(SOURCE)

    @property
    def connected(self) -> float:
        return self.meter.gauges[f"keeper_feed_connected source={SOURCE}"]


def test_run__quote_book_and_trade__each_on_its_board_newest_first():
    stage = Stage([quote("a", 1), quote("a", 2), quote("b", 3), book(100), trade(7)]).play()
    assert {source: each.bid_e18 // 10**18 for source, each in stage.quotes.snapshot().items()} == {"a": 2, "b": 3}
    assert len(stage.books.snapshot()) == len(stage.trades.snapshot()) == 1
    assert stage.meter.counts["keeper_quotes_received_total source=a"] == 2
    assert sum(stage.meter.counts.values()) == 5


@pytest.mark.parametrize(
    ("kind", "state", "level"),
    [
        ("connected", "connected", "info"),
        ("subscribed", "connected", "debug"),
        ("readmitted", "connected", "info"),
        ("disconnected", "disconnected", "info"),
        ("benched", "benched", "error"),
        ("symbol_refused", "refused", "error"),
        ("rate_limited", "rate_limited", "info"),
        ("rotated", "starting", "info"),
        ("frame_dropped", "starting", "debug"),
    ],
)
def test_notice__of_each_kind__is_a_state_a_gauge_and_a_line(kind, state, level):
    stage = Stage([notice(kind, reason="why", detail="what", retry_in_s=1.234)]).play()
    assert (stage.status.state, stage.connected) == (state, float(state == "connected"))
    ((said, event, keys),) = stage.log.lines
    assert (said, event, keys["reason"], keys["retry_in_s"]) == (level, f"feed.{kind}", "why", 1.23)
    assert ("advice" in keys) == (level == "error")


def test_notice__connection_lost_twice__reconnects_are_counted_and_time_runs_from_the_change():
    stage = Stage(
        [notice("connected", 0), notice("disconnected", 5, reason="eof"), notice("disconnected", 9, reason="eof")]
    ).play()
    assert (stage.status.reconnects, stage.status.state, stage.status.reason) == (2, "disconnected", "eof")
    assert stage.meter.counts[f"keeper_feed_reconnects_total reason=eof source={SOURCE}"] == 2
    assert silent_s(stage.status, NOW + 12 * SECOND) == 7


@pytest.mark.parametrize("code", ["http_429", "http_418"])
def test_notice__lost_because_the_venue_asked_to_wait__is_shown_as_such(code):
    stage = Stage([notice("connected"), notice("disconnected", 1, reason=code)]).play()
    assert (stage.status.state, stage.connected) == ("rate_limited", 0)


def test_notice__back_again__reason_is_gone():
    stage = Stage([notice("disconnected", reason="eof"), notice("subscribed", 3)]).play()
    assert (stage.status.state, stage.status.reason, stage.connected) == ("connected", "", 1)


def test_notice__frames_dropped__counted_by_reason():
    script = [notice("frame_dropped", reason="json"), notice("future_refused"), notice("connected")]
    stage = Stage(script).play()
    assert stage.meter.counts[f"keeper_frames_dropped_total reason=json source={SOURCE}"] == 1
    assert stage.meter.counts[f"keeper_frames_dropped_total reason=future_refused source={SOURCE}"] == 1


@pytest.mark.parametrize("told", [True, False])
def test_failed__by_a_defect__is_told_and_no_source_of_it_is_taken_for_connected(told: bool):
    stage = Stage([notice("connected")] if told else [])
    service = QuoteService(
        stage, stage.quotes, stage.books, stage.trades, stage.feeds, stage.meter, stage.log, frozenset({SOURCE})
    )
    play(service.run)
    service.failed(KeyError("x"), after(9), 10.0)
    assert (stage.status.state, stage.status.reason, stage.status.since) == ("disconnected", "defect", after(9))
    assert stage.connected == 0
    assert stage.meter.counts[f"keeper_feed_reconnects_total reason=defect source={SOURCE}"] == 1
    (failed,) = (line for line in stage.log.lines if line[1] == "feed.failed")
    assert failed[0] == "error"


@dataclass
class Defective:
    """A feed whose parser has a defect that each message meets."""

    name: str = "venue"

    async def run(self, emit: Any, notify: Any) -> None:
        notify(notice("connected"))
        await asyncio.sleep(1)
        raise KeyError("a field that no parser asked for")


def test_listen__to_a_feed_with_a_defect__the_other_goes_on_and_the_program_too():
    stage, heard = Stage([]), []

    @dataclass
    class Sound:
        name: str = "sound"

        async def run(self, emit: Any, notify: Any) -> None:
            while True:
                await asyncio.sleep(1)
                heard.append(asyncio.get_running_loop().time())
                emit(quote("a", 1))

    async def scenario() -> tuple[str, ...]:
        supervisor = Supervisor()
        for feed in (Defective(), Sound()):
            asked = frozenset({SOURCE} if feed.name == "venue" else ())
            service = QuoteService(
                feed, stage.quotes, stage.books, stage.trades, stage.feeds, stage.meter, stage.log, asked
            )
            listen(supervisor, service, VirtualClock(NOW))
        await supervisor.watch(lambda: asyncio.sleep(59.5))
        running = supervisor.keys
        await supervisor.stop_all()
        return running

    assert run_virtual(scenario) == ("quotes:sound", "quotes:venue")
    assert len(heard) == 59
    assert [line[1] for line in stage.log.lines].count("feed.failed") == 6
    assert stage.status.reconnects == 6
