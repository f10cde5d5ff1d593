"""Writes keeper/adapters/calendars/calendars.json from the package exchange_calendars, which is not needed otherwise.

    pip install exchange_calendars && python -m scripts.render_calendars

A calendar is written as its usual week and every day that differs from it, so that people can read and check it.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

TARGET = Path(__file__).parents[1] / "keeper/adapters/calendars/calendars.json"
FIRST, LAST = date(2023, 1, 1), date(2027, 11, 1)
EXCHANGES = {
    "XNYS": "New York Stock Exchange, regular hours",
    "XLON": "London Stock Exchange",
    "XETR": "Xetra, Frankfurt",
    "XTKS": "Tokyo Stock Exchange",
    "XHKG": "Hong Kong Exchange",
    "XKRX": "Korea Exchange",
}
WRITTEN = {
    "FX": (
        "Foreign exchange: Sunday 17:00 to Friday 17:00 in New York",
        "America/New_York;O,O,O,O,0000-1700,C,1700-2400;1225/C,0101/C",
    ),
    "METALS": (
        "Gold and silver, spot: Sunday 18:00 to Friday 17:00 in New York, an hour's break each day",
        "America/New_York;" + "0000-1700&1800-2400," * 4 + "0000-1700,C,1800-2400;1225/C,0101/C",
    ),
    "ENERGY": (
        "WTI crude: Sunday 18:00 to Friday 17:00 in New York, an hour's break each day",
        "America/New_York;" + "0000-1700&1800-2400," * 4 + "0000-1700,C,1800-2400;1225/C,0101/C",
    ),
}


def main() -> None:
    book = {name: _entry(name, about) for name, about in EXCHANGES.items()}
    for name, (about, schedule) in WRITTEN.items():
        book[name] = {"about": about, "first": str(FIRST), "last": str(LAST), "schedule": schedule}
    TARGET.write_text(json.dumps(book, indent=1, sort_keys=True) + "\n")


def _entry(name: str, about: str) -> dict[str, str]:
    import exchange_calendars

    source = exchange_calendars.get_calendar(name, start=str(FIRST), end=str(LAST))
    zone = ZoneInfo(str(source.tz))
    days = {FIRST + timedelta(days=n): "C" for n in range((LAST - FIRST).days)}
    for row in source.schedule.itertuples():
        days[row.Index.date()] = _hours(row, zone)
    week = [Counter(each for day, each in days.items() if day.weekday() == n).most_common(1)[0][0] for n in range(7)]
    others = [f"{day:%Y%m%d}/{each}" for day, each in days.items() if each != week[day.weekday()]]
    schedule = f"{zone.key};{','.join(week)};{','.join(others)}"
    return {"about": about, "first": str(FIRST), "last": str(LAST), "schedule": schedule}


def _hours(row: Any, zone: ZoneInfo) -> str:
    ends = [row.open, row.break_start, row.break_end, row.close]
    times = [each.to_pydatetime().astimezone(zone) for each in ends if each == each]  # noqa: PLR0124 - NaT is not itself
    return "&".join(f"{_at(times[n])}-{_at(times[n + 1])}" for n in range(0, len(times), 2))


def _at(when: datetime) -> str:
    return f"{when:%H%M}"


if __name__ == "__main__":
    main()
