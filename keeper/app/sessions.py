"""Market plans with the calendars of their sessions, for the days around now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from keeper.adapters.calendars import calendar
from keeper.app.findings import Finding, misconfigured, ok, warn
from keeper.domain.ids import MarketId
from keeper.domain.market import MarketPlan
from keeper.domain.session import Calendar, Phase, SessionRules
from keeper.domain.time import SECOND, Timestamp, nanos, to_seconds
from keeper.settings.market import MarketSettings
from keeper.settings.models import Settings
from keeper.settings.specs import market_plans

_BEHIND = timedelta(days=40)
_AHEAD = timedelta(days=1100)
"""Of a schedule that is written out and has no end of its own: no keeper runs for longer without a restart."""


def plans_of(settings: Settings, now: Timestamp) -> dict[MarketId, MarketPlan]:
    """Every perpetual. Raises ConfigError, also for a calendar that does not exist."""
    plans = market_plans(settings)
    return {market.id: replace(plans[market.id], session=session_rules(market, now)) for market in settings.perps}


def session_rules(market: MarketSettings, now: Timestamp) -> SessionRules | None:
    """Raises ConfigError or ValueError for what cannot work."""
    chosen = market.session
    if chosen is None:
        return None
    return SessionRules(
        around(chosen.calendar, now),
        chosen.off_hours,
        nanos(chosen.opening_s),
        chosen.opening_sources,
        nanos(chosen.drift_half_life_s),
        chosen.drift_band_bps,
    )


def around(name_or_schedule: str, now: Timestamp) -> Calendar:
    """A named calendar from its first day on, so that past its end it is there to say that it has ended."""
    today = _day(now)
    first = today - _BEHIND if ";" in name_or_schedule else date.min
    return calendar(name_or_schedule, first, today + _AHEAD)


def days_left(found: Calendar, now: Timestamp) -> float:
    return (found.last - now) / (86_400 * SECOND)


def check_sessions(settings: Settings, now: Timestamp) -> list[Finding]:
    """Each market's hours now, and calendars that end."""
    return [_checked(market.market, rules, now) for market in settings.perps if (rules := session_rules(market, now))]


def _checked(market: str, rules: SessionRules, now: Timestamp) -> Finding:
    hours, found = rules.hours(now), rules.calendar
    if hours.phase is Phase.UNKNOWN:
        return misconfigured(market, "session", f"calendar {found.name} ended on {_day(found.last)}")
    until = "" if hours.until is None else f" until {_minute(hours.until)}"
    words = f"{found.name}: {hours.phase.value}{until}"
    if rules.ending(now):
        return warn(market, "session", f"{words}; the calendar ends on {_day(found.last)}: renew it before")
    return ok(market, "session", words)


def _day(at: Timestamp) -> date:
    return datetime.fromtimestamp(to_seconds(at), UTC).date()


def _minute(at: Timestamp) -> str:
    return f"{datetime.fromtimestamp(to_seconds(at), UTC):%Y-%m-%d %H:%M} UTC"


def hours_page(plans: Mapping[MarketId, MarketPlan], market: MarketId, now: Timestamp) -> dict[str, object] | None:
    """What /status says of one market's session."""
    rules = plans[market].session
    if rules is None:
        return None
    hours = rules.hours(now)
    return {
        "calendar": rules.calendar.name,
        "phase": hours.phase.value,
        "off_hours": rules.off_hours.value,
        "since_s": None if hours.since is None else to_seconds(hours.since),
        "until_s": None if hours.until is None else to_seconds(hours.until),
        "calendar_ends_s": to_seconds(rules.calendar.last),
    }
