"""`Timezone;Mon,…,Sun;exceptions`: opening hours in local time, daylight saving included.

A day is `O` (open throughout), `C` (closed) or `HHMM-HHMM[&HHMM-HHMM]`; `2400` ends a day. An exception is `MMDD/day` for
every year or `YYYYMMDD/day` for one. The notation is Pyth's, with the year as ours:
https://docs.pyth.network/price-feeds/core/pythnet-reference/schedule-format
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from keeper.domain.session import Calendar, Session, merged
from keeper.domain.time import Timestamp, from_seconds
from keeper.errors import ConfigError

Span = tuple[int, int]
"""Minutes of a local day, from and until."""
_SPAN = re.compile(r"([0-2]\d)([0-5]\d)-([0-2]\d)([0-5]\d)", re.ASCII)
_EXCEPTION = re.compile(r"(\d{4})?(\d{2})(\d{2})/(.+)", re.ASCII)
_DAY_MINUTES = 24 * 60
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True, slots=True)
class Schedule:
    """`yearly` by month and day, `single` by date; a single one goes before a yearly one."""

    zone: ZoneInfo
    week: tuple[tuple[Span, ...], ...]
    yearly: Mapping[tuple[int, int], tuple[Span, ...]]
    single: Mapping[date, tuple[Span, ...]]

    def on(self, day: date) -> tuple[Span, ...]:
        if (found := self.single.get(day)) is not None:
            return found
        return self.yearly.get((day.month, day.day), self.week[day.weekday()])


def parse_schedule(text: str) -> Schedule:
    """Raises ConfigError that names the part."""
    parts = [part.strip() for part in text.split(";")]
    if len(parts) not in (2, 3):
        raise ConfigError(
            "a schedule is `Timezone;Mon,Tue,Wed,Thu,Fri,Sat,Sun;exceptions`, the exceptions may be left out"
        )
    days = [day.strip() for day in parts[1].split(",")]
    if len(days) != len(_DAYS):
        raise ConfigError(f"a schedule names seven days from Monday on, this one {len(days)}")
    week = tuple(_spans(day, name) for day, name in zip(days, _DAYS, strict=True))
    yearly, single = _exceptions(parts[2] if len(parts) == 3 else "")
    return Schedule(_zone(parts[0]), week, yearly, single)


def sessions_of(schedule: Schedule, name: str, first: date, last: date) -> Calendar:
    """The calendar from `first` up to but not including `last`, in local days."""
    zone = schedule.zone
    return Calendar(name, merged(_sessions(schedule, first, last)), _instant(zone, first, 0), _instant(zone, last, 0))


def _sessions(schedule: Schedule, first: date, last: date) -> Iterator[Session]:
    day = first
    while day < last:
        for opens, closes in schedule.on(day):
            yield Session(_instant(schedule.zone, day, opens), _instant(schedule.zone, day, closes))
        day += timedelta(days=1)


def _instant(zone: ZoneInfo, day: date, minutes: int) -> Timestamp:
    days, left = divmod(minutes, _DAY_MINUTES)
    local = datetime.combine(day + timedelta(days=days), time(left // 60, left % 60), zone)
    return from_seconds(int(local.astimezone(UTC).timestamp()))


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f"{name[:60]!r} is not a time zone; write one like `America/New_York`") from None


def _spans(text: str, where: str) -> tuple[Span, ...]:
    if text in ("O", "C"):
        return ((0, _DAY_MINUTES),) if text == "O" else ()
    found: list[Span] = []
    for part in text.split("&"):
        if not (match := _SPAN.fullmatch(part.strip())):
            raise ConfigError(f"{where}: {part[:40]!r} is neither O, C nor hours like 0930-1600")
        numbers = [int(each) for each in match.groups()]
        opens, closes = numbers[0] * 60 + numbers[1], numbers[2] * 60 + numbers[3]
        if not (found[-1][1] if found else 0) <= opens < closes <= _DAY_MINUTES:
            raise ConfigError(f"{where}: {part[:40]!r} ends before it begins, overlaps, or leaves the day")
        found.append((opens, closes))
    return tuple(found)


def _exceptions(text: str) -> tuple[dict[tuple[int, int], tuple[Span, ...]], dict[date, tuple[Span, ...]]]:
    yearly: dict[tuple[int, int], tuple[Span, ...]] = {}
    single: dict[date, tuple[Span, ...]] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        if not (match := _EXCEPTION.fullmatch(part)):
            raise ConfigError(f"exception {part[:40]!r} is not MMDD/day or YYYYMMDD/day")
        year, month, day, hours = match[1], int(match[2]), int(match[3]), match[4]
        try:
            when = date(int(year or 2000), month, day)  # 2000 had a 29th of February
        except ValueError:
            raise ConfigError(f"exception {part[:40]!r} names no day of the calendar") from None
        if when in single if year else (month, day) in yearly:
            raise ConfigError(f"exception {part[:40]!r}: that day stands there twice")
        if year:
            single[when] = _spans(hours, part[:40])
        else:
            yearly[month, day] = _spans(hours, part[:40])
    return yearly, single
