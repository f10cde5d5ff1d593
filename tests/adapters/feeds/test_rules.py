"""The pure parts of a feed: backoff, bench, silence, order, waits."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.adapters.backoff import ceiling_s, full_jitter_s
from keeper.adapters.bench import FRESH, Bench, BenchRules, judge
from keeper.adapters.budget import Budget, retry_after_s
from keeper.adapters.intake import Intake, Order
from keeper.adapters.liveness import judge_silence, unchanged
from keeper.domain.ids import SourceId
from keeper.domain.quote import Quote
from keeper.domain.time import SECOND, Timestamp
from keeper.ports.venue import Limits
from tests.venues.harness import Heard

S = SourceId("v:S")
T0 = Timestamp(1_700_000_000 * SECOND)


def at(seconds: float) -> Timestamp:
    return Timestamp(T0 + round(seconds * SECOND))


def quote(seconds: float = 0.0, observed: float | None = None, **content: int) -> Quote:
    now = at(seconds)
    return Quote(S, now, now, None if observed is None else at(observed), **content)


# Backoff


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_backoff__after_any_number_of_failures__stays_below_its_ceiling(failures: int, draw: float) -> None:
    """Defect seen elsewhere: a delay that doubles without an end; after ten drops a reconnect took 17 minutes."""
    assert 0.0 <= full_jitter_s(failures, draw) <= ceiling_s(failures) <= 32.0


def test_backoff__doubles_from_half_a_second_to_its_cap() -> None:
    assert [ceiling_s(n) for n in range(9)] == [0.5, 1, 2, 4, 8, 16, 32, 32, 32]
    assert full_jitter_s(3, 0.5) == 2.0


# Bench

RULES = BenchRules()


def record(frames: str, start: Bench = FRESH, every_s: float = 1.0) -> Bench:
    bench = start
    for number, frame in enumerate(frames):
        bench = judge(bench, frame == "+", at(number * every_s), RULES)
    return bench


@pytest.mark.parametrize(
    ("frames", "benched"),
    [("-" * 4, False), ("-" * 5, True), ("-+++-+++-+++-+++-", True), ("-++++-++++-++++-++++-", False)],
)
def test_bench__takes_five_bad_of_the_last_twenty(frames: str, benched: bool) -> None:
    assert record(frames).benched is benched


def test_bench__readmits_after_sixty_seconds_of_good_frames_only() -> None:
    benched = record("-----")
    assert record("+" * 60, benched).benched
    assert record("+" * 61, benched) == FRESH
    assert record("+" * 40 + "-" + "+" * 60, benched).benched, "a bad frame starts the minute anew"


# Silence


def test_silence__of_a_book_channel__is_a_stall_when_rest_shows_any_other_price() -> None:
    heard = quote(bid_e18=1, ask_e18=2, last_e18=1)
    assert judge_silence(heard, quote(bid_e18=1, ask_e18=2), trade_driven=False) == "quiet"
    assert judge_silence(heard, quote(bid_e18=1, ask_e18=3), trade_driven=False) == "stalled"
    assert judge_silence(heard, quote(bid_e18=1, ask_e18=2, last_e18=2), trade_driven=False) == "stalled"
    assert judge_silence(None, heard, trade_driven=False) == "unheard"


def test_silence__of_a_trade_channel__is_a_stall_only_when_a_trade_was_missed() -> None:
    heard = quote(observed=0, bid_e18=1, ask_e18=2, last_e18=1)
    assert judge_silence(heard, quote(observed=0, bid_e18=5, ask_e18=6, last_e18=1), trade_driven=True) == "quiet"
    assert judge_silence(heard, quote(observed=1, bid_e18=1, ask_e18=2, last_e18=1), trade_driven=True) == "stalled"
    assert judge_silence(heard, quote(observed=0, bid_e18=1, ask_e18=2, last_e18=2), trade_driven=True) == "stalled"


def test_unchanged__compares_what_both_state() -> None:
    assert unchanged(quote(bid_e18=1, sequence=5), quote(bid_e18=1))
    assert not unchanged(quote(bid_e18=1, sequence=5), quote(bid_e18=1, sequence=6))


# Intake


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def intake(heard: Heard) -> Intake:
    return Intake("v", heard.emit, heard.notify, 2.0, RULES)


def test_order__is_by_the_venues_time__and_by_sequence_where_there_is_none() -> None:
    timed, counted = Order(), Order()
    assert [timed.advance(quote(observed=t)) for t in (5, 4, 5, 6)] == [True, False, True, True]
    assert [counted.advance(quote(sequence=n)) for n in (5, 4, 5, 6)] == [True, False, True, True]
    assert timed.advance(quote(observed=7, sequence=9))
    assert timed.advance(quote(observed=8, sequence=1)), "Bybit restarts its counter; the time decides"


def test_future_stamp__is_refused_without_a_trace(intake: Intake, heard: Heard) -> None:
    order = Order()
    assert intake.admit(quote(0, observed=2.0, bid_e18=1), order)
    assert not intake.admit(quote(1, observed=3.000000001, bid_e18=1), order)
    assert intake.admit(quote(2, observed=2.5, bid_e18=1), order), "the refused time does not stand in the way"
    assert [n.kind for n in heard.notices] == ["future_refused"]


def test_changed_at__moves_with_content_only(intake: Intake, heard: Heard) -> None:
    order = Order()
    for seconds, bid in ((0, 1), (1, 1), (2, 2), (3, 2)):
        intake.admit(quote(seconds, bid_e18=bid), order)
    assert [q.changed_at for q in heard.quotes] == [at(0), at(0), at(2), at(2)]


def test_confirmation__moves_received_at_and_nothing_else(intake: Intake, heard: Heard) -> None:
    order = Order()
    intake.admit(quote(0, observed=0, bid_e18=1), order)
    intake.confirm(quote(5, observed=0, bid_e18=1), order)
    intake.confirm(quote(6, observed=-1, bid_e18=1), order)
    first, confirmed = heard.quotes
    assert confirmed == dataclasses.replace(first, received_at=at(5))


def test_benched_source__is_silent_until_readmitted(intake: Intake, heard: Heard) -> None:
    order = Order()
    for second in range(5):
        intake.bad((S,), at(second), "no bid")
    assert not intake.admit(quote(5, bid_e18=1), order)
    for second in range(6, 67):
        intake.good((S,), at(second))
    assert intake.admit(quote(67, bid_e18=1), order)
    assert [n.kind for n in heard.notices if n.kind != "frame_dropped"] == ["benched", "readmitted"]


# Budget


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30.0),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0.0),
        ("soon", None),
        ("", None),
        ("-5", None),
        ("1e9", None),
        ("²", None),
        ("Tue, 14 Nov 99999999999 22:13:50 GMT", None),
        ("Tue, 14 Nov 2023 22:13:50 +99999999999999", None),
    ],
)
def test_retry_after__in_seconds_or_as_a_date__is_understood(text: str, expected: float | None) -> None:
    assert retry_after_s({"Retry-After": text}, T0) == expected


def test_connects__are_spaced_by_the_venues_rate__and_wait_for_a_block() -> None:
    budget = Budget(Limits("doc", 1, connects=2, connects_window_s=10.0))
    for now in (0.0, 1.0):
        assert budget.connect_at(now) == now
        budget.spend_connect(now)
    assert budget.connect_at(2.0) == 10.0
    budget.block(2.0, 30.0)
    assert budget.connect_at(2.0) == 32.0
    budget.block(2.0, 5.0)
    assert budget.blocked_s(2.0) == 30.0, "a shorter wait does not lift a longer one"


def test_rest_slots__are_one_interval_apart() -> None:
    budget = Budget(Limits("doc", 1, rest_every_s=0.5))
    assert [budget.reserve_rest(0.0), budget.reserve_rest(0.0), budget.reserve_rest(2.0)] == [0.0, 0.5, 0.0]


def test_intake__content_last_changed_by_a_clock_that_was_ahead__has_changed_now() -> None:
    """Else a venue that repeats itself would count as moving until the clock gets there."""
    heard = Heard()
    intake, order = Intake("v", heard.emit, heard.notify, 2.0, RULES), Order()
    intake.admit(quote(3_600, last_e18=7), order)
    intake.admit(quote(1, last_e18=7), order)
    intake.admit(quote(2, last_e18=7), order)
    assert [each.changed_at for each in heard.quotes] == [at(3_600), at(1), at(1)]
