"""The European Central Bank's euro reference rates: one fix a TARGET day, published around 16:00 Central European Time.

https://www.ecb.europa.eu/stats/policy_and_exchange_rates/euro_reference_exchange_rates (for information only)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import ClassVar
from xml.parsers import expat
from zoneinfo import ZoneInfo

from keeper.adapters.references.reference import Fix
from keeper.domain.numbers import E18, parse_e18
from keeper.domain.time import Timestamp, from_seconds
from keeper.errors import FeedProtocolError

_EURO = "EUR"
_PAIR = re.compile(r"([A-Z]{3})/([A-Z]{3})", re.ASCII)
_CODE = re.compile(r"[A-Z]{3}", re.ASCII)
_RATE = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?", re.ASCII)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_CUBE = "http://www.ecb.int/vocabulary/2002-08-01/eurofxref Cube"
_MAX_ELEMENTS = 500
_MAX_DEPTH = 8
_ZONE = ZoneInfo("Europe/Berlin")
_FIXED_AT = time(16, 0)
_EURO_BEGAN = date(1999, 1, 4)
_NEVER = date(2100, 1, 1)


@dataclass(frozen=True, slots=True)
class Ecb:
    """Symbols are pairs of its currencies, `EUR/USD` or crosses: `GBP/USD` is the quotient of two fixes, rounded down."""

    name: ClassVar[str] = "ecb"
    every_s: ClassVar[float] = 900.0
    max_bytes: ClassVar[int] = 65_536

    rest_url: str = "https://www.ecb.europa.eu/stats/eurofxref/eurofxref-daily.xml"

    def read(self, body: bytes) -> Fix:
        """Raises FeedProtocolError."""
        return parse_ecb(body)

    @staticmethod
    def currencies(symbol: str) -> tuple[str, str]:
        """Base and quote. Raises FeedProtocolError for what is no pair."""
        match = _PAIR.fullmatch(symbol)
        if match is None or match[1] == match[2]:
            raise FeedProtocolError(f"{symbol!r} is not a pair of currencies like EUR/USD")
        return match[1], match[2]

    def price_e18(self, symbol: str, fix: Fix) -> int | None:
        """None for a currency that it does not fix. Raises FeedProtocolError for what is no pair."""
        base, quote = (E18 if code == _EURO else fix.rates_e18.get(code) for code in self.currencies(symbol))
        return None if base is None or quote is None else quote * E18 // base


def parse_ecb(body: bytes) -> Fix:
    """The one fix of the daily file. No document type, no entities, bounded in size and depth."""
    reader = _Reader()
    parser = expat.ParserCreate(encoding="UTF-8", namespace_separator=" ")
    parser.StartElementHandler = reader.begins
    parser.EndElementHandler = reader.ends
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    parser.ExternalEntityRefHandler = _refuse
    parser.ProcessingInstructionHandler = _refuse
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise FeedProtocolError(f"not XML: {expat.errors.messages.get(error.code, 'unreadable')}") from None
    return reader.fix()


def _refuse(*_words: object) -> int:
    raise FeedProtocolError("XML with a document type, entities or instructions")


class _Reader:
    """Cubes within cubes: the day on one, each currency on one below it."""

    def __init__(self) -> None:
        self.depth = self.elements = 0
        self.day: date | None = None
        self.rates: dict[str, int] = {}

    def begins(self, name: str, words: dict[str, str]) -> None:
        self.depth += 1
        self.elements += 1
        if self.depth > _MAX_DEPTH or self.elements > _MAX_ELEMENTS:
            raise FeedProtocolError("more XML than a daily fix has")
        if name != _CUBE or not words:
            return
        if "time" in words:
            self._dated(words["time"])
        else:
            self._rated(words.get("currency", ""), words.get("rate", ""))

    def ends(self, _name: str) -> None:
        self.depth -= 1

    def _dated(self, text: str) -> None:
        if self.day is not None:
            raise FeedProtocolError("more than one day")
        try:
            self.day = date.fromisoformat(text) if _DAY.fullmatch(text) else None
        except ValueError:
            self.day = None
        if self.day is None or not _EURO_BEGAN <= self.day < _NEVER:
            raise FeedProtocolError(f"no day: {text[:20]!r}")

    def _rated(self, code: str, rate: str) -> None:
        if self.day is None or not _CODE.fullmatch(code) or not _RATE.fullmatch(rate) or code in self.rates:
            raise FeedProtocolError(f"no rate: {code[:10]!r} {rate[:20]!r}")
        self.rates[code] = parse_e18(rate)
        if not self.rates[code]:
            raise FeedProtocolError(f"{code} is worth nothing")

    def fix(self) -> Fix:
        if self.day is None or not self.rates:
            raise FeedProtocolError("no day or no rates")
        return Fix(fixed_at(self.day), self.rates)


def fixed_at(day: date) -> Timestamp:
    """16:00 in Frankfurt, daylight saving included."""
    local = datetime.combine(day, _FIXED_AT, _ZONE)
    return from_seconds(int(local.astimezone(UTC).timestamp()))
