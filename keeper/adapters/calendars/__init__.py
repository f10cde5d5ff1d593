"""Market calendars by name, or written out as a schedule."""

from keeper.adapters.calendars.book import CALENDARS, calendar, examine_calendar
from keeper.adapters.calendars.schedule import Schedule, parse_schedule, sessions_of

__all__ = ["CALENDARS", "Schedule", "calendar", "examine_calendar", "parse_schedule", "sessions_of"]
