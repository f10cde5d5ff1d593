"""Writes keeper/adapters/calendars/calendars.json from two packages that are not needed otherwise.

    pip install exchange_calendars==4.13.2 pandas_market_calendars==5.5.0 && python -m scripts.render_calendars

A calendar is written as its usual week and every day that differs from it, so that people can read and check it.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
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
NEW_YORK = ZoneInfo("America/New_York")
COMMODITIES = {
    "METALS": "Gold and silver, spot: as the futures of CME Globex, Sunday 18:00 to Friday 17:00 in New York, an hour's break each day",
    "ENERGY": "WTI crude: as the futures of CME Globex, Sunday 18:00 to Friday 17:00 in New York, an hour's break each day",
}
"""That spot metals and WTI follow CME's holidays: https://docs.pyth.network/price-feeds/market-hours"""
GLOBEX = "CMEGlobex_EnergyAndMetals"
EVES, EVE_ENDS = (date(2024, 12, 24), date(2025, 12, 24)), time(13, 45)
"""Christmas Eves on weekdays, of which the package knows that of 2026 alone: https://www.cmegroup.com/trading-hours.html"""
FX = "Foreign exchange: Sunday 17:00 to Friday 17:00 in New York"
FX_CLOSED = ((12, 25), (1, 1))
"""Trading days that there are not: from 17:00 of the day before until 17:00 (pythclient/calendar.py of pyth-client-py, 2024)."""
Session = tuple[datetime, datetime]


def main() -> None:
    book = {name: _entry(name, about) for name, about in EXCHANGES.items()}
    book |= {name: _written(about, NEW_YORK, _days(_globex())) for name, about in COMMODITIES.items()}
    book["FX"] = _written(FX, NEW_YORK, _days(_fx()))
    TARGET.write_text(json.dumps(book, indent=1, sort_keys=True) + "\n")


def _entry(name: str, about: str) -> dict[str, str]:
    import exchange_calendars

    source = exchange_calendars.get_calendar(name, start=str(FIRST), end=str(LAST))
    zone = ZoneInfo(str(source.tz))
    days = {FIRST + timedelta(days=n): "C" for n in range((LAST - FIRST).days)}
    for row in source.schedule.itertuples():
        days[row.Index.date()] = _hours(row, zone)
    return _written(about, zone, days)


def _written(about: str, zone: ZoneInfo, days: Mapping[date, str]) -> dict[str, str]:
    week = [Counter(each for day, each in days.items() if day.weekday() == n).most_common(1)[0][0] for n in range(7)]
    others = [f"{day:%Y%m%d}/{each}" for day, each in days.items() if each != week[day.weekday()]]
    schedule = f"{zone.key};{','.join(week)};{','.join(others)}"
    return {"about": about, "first": str(FIRST), "last": str(LAST), "schedule": schedule}


def _hours(row: Any, zone: ZoneInfo) -> str:
    ends = [row.open, row.break_start, row.break_end, row.close]
    times = [each.to_pydatetime().astimezone(zone) for each in ends if each == each]  # noqa: PLR0124 - NaT is not itself
    return "&".join(f"{_at(times[n])}-{_at(times[n + 1])}" for n in range(0, len(times), 2))


def _globex() -> Iterator[Session]:
    """One for each trading day: it begins on the evening before."""
    import pandas_market_calendars

    found = pandas_market_calendars.get_calendar(GLOBEX).schedule(str(FIRST), str(LAST + timedelta(days=7)))
    for row in found.itertuples():
        opens, closes = (each.to_pydatetime().astimezone(NEW_YORK) for each in (row.market_open, row.market_close))
        yield opens, datetime.combine(closes, EVE_ENDS, NEW_YORK) if closes.date() in EVES else closes


def _fx() -> Iterator[Session]:
    for n in range((LAST - FIRST).days + 7):
        day = FIRST + timedelta(days=n)
        if day.weekday() < 5 and (day.month, day.day) not in FX_CLOSED:
            yield tuple(datetime.combine(each, time(17), NEW_YORK) for each in (day - timedelta(days=1), day))


def _days(sessions: Iterable[Session]) -> dict[date, str]:
    """Sessions that begin on the evening before, by the days of New York."""
    spans: dict[date, list[tuple[str, str]]] = defaultdict(list)
    for opens, closes in sessions:
        spans[opens.date()].append((_at(opens), "2400"))
        spans[closes.date()].append(("0000", _at(closes)))
    return {
        day: _spelled(sorted(spans[day])) for day in (FIRST + timedelta(days=n) for n in range((LAST - FIRST).days))
    }


def _spelled(spans: Sequence[tuple[str, str]]) -> str:
    if [end for _, end in spans[:-1]] == [begin for begin, _ in spans[1:]] and spans:
        spans = [(spans[0][0], spans[-1][1])]
    return "O" if spans == [("0000", "2400")] else "&".join(f"{begin}-{end}" for begin, end in spans) or "C"


def _at(when: datetime) -> str:
    return f"{when:%H%M}"


if __name__ == "__main__":
    main()
