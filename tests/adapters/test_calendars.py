"""Opening hours by calendar: daylight saving, holidays, half days, lunch, the week of foreign exchange, and the last known day."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.adapters.calendars import CALENDARS, calendar, parse_schedule, sessions_of
from keeper.domain.session import Calendar, Phase, Session, SessionRules, merged
from keeper.domain.time import SECOND, Timestamp
from keeper.errors import ConfigError

FIRST, LAST = date(2026, 1, 1), date(2027, 1, 1)


def at(text: str) -> Timestamp:
    return Timestamp(int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND)


def phase(name: str, text: str) -> Phase:
    first, last = (FIRST, LAST) if text > "2025-06" else (date(2024, 1, 1), date(2025, 1, 1))
    return calendar(name, first, last).hours(at(text)).phase


@pytest.mark.parametrize(
    ("name", "instant", "wanted"),
    [
        ("XNYS", "2026-03-06T14:29:59", "closed"),  # the Friday before daylight saving: opens 14:30 UTC
        ("XNYS", "2026-03-06T14:30:00", "open"),
        ("XNYS", "2026-03-09T13:29:59", "closed"),  # the Monday after: 13:30 UTC
        ("XNYS", "2026-03-09T13:30:00", "open"),
        ("XNYS", "2026-11-26T16:00:00", "closed"),  # Thanksgiving
        ("XNYS", "2026-11-27T17:59:59", "open"),  # the half day after it: 13:00 in New York
        ("XNYS", "2026-11-27T18:00:00", "closed"),
        ("XNYS", "2026-07-03T15:00:00", "closed"),  # Independence Day falls on a Saturday
        ("XTKS", "2026-06-01T02:29:59", "open"),
        ("XTKS", "2026-06-01T02:30:00", "closed"),  # lunch
        ("XTKS", "2026-06-01T03:30:00", "open"),
        ("XHKG", "2026-02-17T03:00:00", "closed"),  # New Year of the lunar calendar
        ("XLON", "2026-12-24T12:29:00", "open"),
        ("XLON", "2026-12-24T12:31:00", "closed"),  # Christmas Eve: until 12:30
        ("FX", "2026-06-05T20:59:59", "open"),  # Friday 17:00 in New York is 21:00 UTC in summer
        ("FX", "2026-06-05T21:00:00", "closed"),
        ("FX", "2026-06-07T20:59:59", "closed"),
        ("FX", "2026-06-07T21:00:00", "open"),
        ("FX", "2026-01-09T21:59:59", "open"),  # and 22:00 in winter
        ("FX", "2026-01-09T22:00:00", "closed"),
        ("FX", "2024-12-24T22:30:00", "closed"),  # Christmas: from 17:00 of the day before
        ("FX", "2024-12-25T21:59:59", "closed"),
        ("FX", "2024-12-25T22:00:00", "open"),  # until 17:00
        ("FX", "2026-12-25T23:00:00", "closed"),  # a Friday: until Sunday
        ("FX", "2026-11-26T21:00:00", "open"),  # Thanksgiving is no holiday of currencies
        ("METALS", "2026-06-03T21:30:00", "closed"),  # the daily break
        ("METALS", "2026-06-03T22:00:00", "open"),
        *(
            (name, instant, wanted)
            for name in ("METALS", "ENERGY")
            for instant, wanted in (
                ("2026-04-02T20:59:59", "open"),  # Maundy Thursday ends at 17:00 in New York
                ("2026-04-02T22:30:00", "closed"),
                ("2026-04-03T15:00:00", "closed"),  # Good Friday, 11:00
                ("2026-04-05T21:59:59", "closed"),
                ("2026-04-05T22:00:00", "open"),  # Easter Sunday, 18:00
                ("2026-11-26T19:29:59", "open"),  # Thanksgiving: until 14:30
                ("2026-11-26T21:00:00", "closed"),
                ("2026-11-26T23:00:00", "open"),  # and again from 18:00, for the Friday
                ("2026-11-27T19:44:59", "open"),  # the day after it: until 14:45
                ("2026-11-27T19:45:00", "closed"),
                ("2026-12-24T18:44:59", "open"),  # Christmas Eve: until 13:45
                ("2026-12-25T00:30:00", "closed"),
                ("2026-12-25T18:00:00", "closed"),
                ("2026-12-27T23:00:00", "open"),
                ("2026-01-01T22:59:59", "closed"),  # New Year's Day: from 18:00 on
                ("2026-01-01T23:00:00", "open"),
                ("2026-01-19T19:30:00", "closed"),  # Martin Luther King Day: until 14:30
                ("2026-06-19T17:30:00", "closed"),  # Juneteenth, a Friday: until 13:00
                ("2026-07-03T16:59:59", "open"),  # the day before Independence Day, a Friday: until 13:00
                ("2026-07-03T17:00:00", "closed"),
            )
        ),
        ("XNYS", "2027-06-01T15:00:00", "unknown"),
        ("XNYS", "2025-12-31T15:00:00", "unknown"),
    ],
)
def test_hours__on_days_that_differ__are_those_of_the_exchange(name: str, instant: str, wanted: str) -> None:
    assert phase(name, instant) is Phase(wanted)


def test_hours__of_the_fx_week__is_one_session_over_midnight_and_the_clock_change() -> None:
    """From Sunday 17:00 in New York to Friday 17:00: 120 hours, one less in the week that begins with the lost hour."""
    sessions = calendar("FX", date(2026, 3, 2), date(2026, 3, 28)).sessions
    lengths = [(each.closes_at - each.opens_at) // (3600 * SECOND) for each in sessions]
    assert lengths[1:3] == [120, 120]
    gaps = [(b.opens_at - a.closes_at) // (3600 * SECOND) for a, b in itertools.pairwise(sessions)]
    assert gaps[:2] == [47, 48]


def test_opening__for_a_minute_after_the_bell__is_told_apart() -> None:
    rules = SessionRules(calendar("XNYS", FIRST, LAST), opening_ns=60 * SECOND)
    bell = at("2026-06-01T13:30:00")
    assert rules.hours(Timestamp(bell - 1)).phase is Phase.CLOSED
    assert rules.hours(Timestamp(bell - 1)).until == bell
    assert rules.hours(bell).phase is Phase.OPENING
    assert rules.hours(Timestamp(bell + 60 * SECOND)).phase is Phase.OPEN
    assert rules.hours(Timestamp(bell + 60 * SECOND)).until == at("2026-06-01T20:00:00")


@pytest.mark.parametrize("name", sorted(CALENDARS))
def test_named__every_calendar__is_known_for_this_year_and_opens_on_most_weekdays(name: str) -> None:
    found = calendar(name, FIRST, LAST)
    days = {datetime.fromtimestamp(each.opens_at / SECOND, UTC).date() for each in found.sessions}
    assert (found.first, found.last) <= (at("2026-01-01T12:00:00"), at("2027-01-01T12:00:00"))
    assert len(found.sessions) >= 52
    assert len(days) >= 52


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("America/New_York", "seven days|Timezone;Mon"),
        ("Nowhere/Land;O,O,O,O,O,C,C", "not a time zone"),
        ("UTC;O,O,O", "names seven days from Monday on, this one 3"),
        ("UTC;O,O,O,O,O,X,C", "Saturday: 'X' is neither O, C nor hours"),
        ("UTC;0930-0900,O,O,O,O,C,C", "Monday: '0930-0900' ends before it begins"),
        ("UTC;0930-1200&1100-1300,O,O,O,O,C,C", "overlaps"),
        ("UTC;O,O,O,O,O,C,C;1340/C", "names no day"),
        ("UTC;O,O,O,O,O,C,C;Easter/C", "not MMDD/day or YYYYMMDD/day"),
        ("../../etc/passwd;O,O,O,O,O,C,C", "not a time zone"),
    ],
)
def test_schedule__with_a_mistake__names_the_part(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_schedule(text)


def test_calendar__unknown_name__lists_those_there_are() -> None:
    with pytest.raises(ConfigError, match="XETR"):
        calendar("NYSE", FIRST, LAST)


def test_schedule__written_out__an_exception_of_one_year_goes_before_one_of_every_year() -> None:
    found = sessions_of(parse_schedule("UTC;O,O,O,O,O,O,O;0704/C,20260704/1000-1200"), "x", FIRST, LAST)
    assert found.hours(at("2026-07-04T09:00:00")).phase is Phase.CLOSED
    assert found.hours(at("2026-07-04T11:00:00")).phase is Phase.OPEN


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), max_size=12), st.integers(0, 80))
def test_merged__any_spans__open_exactly_when_one_of_them_is(spans: list[tuple[int, int]], now: int) -> None:
    sessions = [Session(Timestamp(start), Timestamp(start + length)) for start, length in spans]
    found = Calendar("x", merged(sessions), Timestamp(0), Timestamp(100))
    wanted = any(each.opens_at <= now < each.closes_at for each in sessions)
    assert (found.hours(Timestamp(now)).phase is Phase.OPEN) is wanted


@given(st.integers(0, 366 * 24 * 60))
def test_hours__any_minute__until_is_where_the_phase_changes(minute: int) -> None:
    found = calendar("XTKS", FIRST, LAST)
    now = Timestamp(at("2026-01-01T00:00:00") + minute * 60 * SECOND)
    hours = found.hours(now)
    if hours.until is not None:
        before = found.hours(Timestamp(hours.until - 1)).phase
        assert before is hours.phase
        assert found.hours(hours.until).phase is not hours.phase
    if hours.since is not None:
        assert hours.since <= now


def test_calendar__overlapping_sessions__is_refused() -> None:
    sessions = (Session(Timestamp(0), Timestamp(5)), Session(Timestamp(5), Timestamp(9)))
    with pytest.raises(ValueError, match="touch"):
        Calendar("x", sessions, Timestamp(0), Timestamp(10))
