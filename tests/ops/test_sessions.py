"""What `keeper check` and /status say of a market's hours, with the calendars as they ship."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from keeper.app.registries import REGISTRIES
from keeper.app.sessions import check_sessions, hours_page, plans_of
from keeper.domain.time import SECOND, Timestamp
from keeper.settings.load import load
from keeper.settings.models import Settings
from tests.settings.examples import MARKET, written


def at(text: str) -> Timestamp:
    return Timestamp(int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND)


def settings(tmp_path: Path, calendar: str = "XNYS") -> Settings:
    return load(written(tmp_path, BTC=f'{MARKET}session: {{calendar: "{calendar}"}}\n'), REGISTRIES, {})


@pytest.mark.parametrize(
    ("now", "status", "detail"),
    [
        ("2026-11-25T15:00", "ok", "XNYS: open until 2026-11-25 21:00 UTC"),
        ("2026-11-25T14:30", "ok", "XNYS: opening until 2026-11-25 14:31 UTC"),
        ("2026-11-26T15:00", "ok", "XNYS: closed until 2026-11-27 14:30 UTC"),  # Thanksgiving
        ("2026-11-27T18:00", "ok", "XNYS: closed until 2026-11-30 14:30 UTC"),  # the half day after it
        ("2026-07-01T13:31", "ok", "XNYS: open until 2026-07-01 20:00 UTC"),  # daylight saving
    ],
)
def test_check__of_the_new_york_stock_exchange__knows_its_days(
    tmp_path: Path, now: str, status: str, detail: str
) -> None:
    (found,) = check_sessions(settings(tmp_path), at(now))
    assert (found.subject, found.check, found.status, found.detail) == ("BTC-USD", "session", status, detail)


def test_check__sixty_days_before_a_calendar_ends__warns_and_past_it_fails(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    ends = plans_of(chosen, at("2026-11-25T15:00"))["BTC-USD"].session.calendar.last  # type: ignore[index, union-attr]
    day = 86_400 * SECOND
    assert [check_sessions(chosen, Timestamp(ends - left * day))[0].status for left in (61, 60, 59)] == [
        "ok",
        "ok",
        "warn",
    ]
    (ended,) = check_sessions(chosen, Timestamp(ends + 400 * day))
    assert ended.status == "fail"
    assert "calendar XNYS ended on " in ended.detail


def test_page__of_a_schedule_written_out__gives_phase_and_next_change(tmp_path: Path) -> None:
    now = at("2026-11-28T12:00")  # a Saturday
    plans = plans_of(settings(tmp_path, "Europe/Berlin;0900-1730,0900-1730,0900-1730,0900-1730,0900-1730,C,C"), now)
    page = hours_page(plans, next(iter(plans)), now)
    assert page is not None
    assert (page["phase"], page["until_s"]) == ("closed", at("2026-11-30T08:00") // SECOND)
    assert page["since_s"] == at("2026-11-27T16:30") // SECOND
