"""The calendars that have a name, from the data beside this file, which `scripts.render_calendars` renews."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib import resources

from keeper.adapters.calendars.schedule import parse_schedule, sessions_of
from keeper.domain.session import Calendar
from keeper.errors import ConfigError


def _book() -> Mapping[str, Mapping[str, str]]:
    text = resources.files("keeper.adapters.calendars").joinpath("calendars.json").read_text()
    return dict(json.loads(text))


CALENDARS: Mapping[str, Mapping[str, str]] = _book()
"""By name: `about`, `schedule`, and the days that it is known for, `first` up to `last`."""


def examine_calendar(name_or_schedule: str) -> None:
    """Raises ConfigError for what `calendar` would refuse, whatever the days."""
    parse_schedule(name_or_schedule if ";" in name_or_schedule else _named(name_or_schedule)["schedule"])


def _named(name: str) -> Mapping[str, str]:
    found = CALENDARS.get(name)
    if found is None:
        raise ConfigError(f"no calendar {name[:60]!r}; there are {', '.join(sorted(CALENDARS))}, or write a schedule")
    return found


@cache
def calendar(name_or_schedule: str, first: date, last: date) -> Calendar:
    """By name, or a schedule written out. Within `first` and `last`, and never beyond what a named one is known for.

    Raises ConfigError with the nearest names.
    """
    if ";" in name_or_schedule:
        return sessions_of(parse_schedule(name_or_schedule), "schedule", first, last)
    found = _named(name_or_schedule)
    begins = max(first, date.fromisoformat(found["first"]))
    ends = min(last, date.fromisoformat(found["last"]))
    return sessions_of(parse_schedule(found["schedule"]), name_or_schedule, begins, ends)
