"""Minutes of BTC through the de-peg of USDC in March 2023, as quotes: Binance.US in USD, USDT and USDC, Kraken in USDC."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from keeper.domain.ids import SourceId
from keeper.domain.numbers import parse_e18
from keeper.domain.quote import Quote
from keeper.domain.time import SECOND, Timestamp

FILE = Path(__file__).parents[1] / "data/venues/spot_multi_202303.csv.gz"
USD, USDT, USDC, KRAKEN = (
    SourceId(f"{name}") for name in ("binance_us:USD", "binance_us:USDT", "binance_us:USDC", "kraken:USDC")
)
_COLUMNS = {USD: "bus_btcusd", USDT: "bus_btcusdt", USDC: "bus_btcusdc"}
_MINUTE_S = 60


class Minute(NamedTuple):
    """`now` its end; `reference` the USD close."""

    now: Timestamp
    quotes: dict[SourceId, Quote]
    reference: Decimal


def minutes() -> Iterator[Minute]:
    """A close is as old as its last trade: a minute without volume repeats one of before."""
    traded: dict[SourceId, Timestamp] = {}
    with gzip.open(FILE, "rt") as opened:
        for row in csv.DictReader(opened):
            now = Timestamp((int(row["ts_minute_open"]) + _MINUTE_S) * SECOND)
            quotes = {}
            for source, column in _COLUMNS.items():
                if Decimal(row[f"{column}_vol"]) > 0 or source not in traded:
                    traded[source] = now
                quotes[source] = _quote(source, row[column], now, traded[source])
            age_s = int(float(row["krk_age_s"]))
            quotes[KRAKEN] = _quote(KRAKEN, row["krk_btcusdc"], now, Timestamp(now - age_s * SECOND))
            yield Minute(now, quotes, Decimal(row["bus_btcusd"]))


def _quote(source: SourceId, close: str, now: Timestamp, changed: Timestamp) -> Quote:
    return Quote(source, now, changed, last_e18=parse_e18(close))
