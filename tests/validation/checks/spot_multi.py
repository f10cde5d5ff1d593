"""Bitcoin in three currencies through the de-peg of USDC: no venue published an index, so the USD venue is the measure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from keeper.domain.aggregation import median
from keeper.domain.grade import Grade
from keeper.domain.numbers import decimal_of
from keeper.domain.quote_groups import group_votes, votes_of
from tests.drills.depeg import naive_prices
from tests.drills.minutes import Minute, minutes
from tests.validation.row import Row, relative

_DATA, _VENUE = "spot_multi_202303", "Binance.US"
_GROUPED = Decimal("0.0033")


def rows() -> Sequence[Row]:
    course = list(minutes())
    found = [naive_prices(minute.quotes) for minute in course]
    grouped = Row(
        _VENUE,
        _DATA,
        "index `quote_group_median`, nothing converted, against BTC/USD",
        [relative(_grouped(minute), minute.reference) for minute in course],
        _GROUPED,
        grade=Grade.CONSISTENT,
        note="the USD venue is one of three groups, so that it often is the median itself; what the engine publishes of it, and "
        "what it does without that venue, is in docs/depeg.md",
    )
    ungrouped = [
        Row(
            _VENUE,
            _DATA,
            f"{name} of USD, USDT and USDC taken for one currency, the common shortcut",
            [relative(each[name], minute.reference) for each, minute in zip(found, course, strict=True)],
            _GROUPED,
            grade=None,
            note="6.8 to 6.9 % at its worst: no rule for outliers sees an error that half of the sources share",
        )
        for name in found[0]
    ]
    return (grouped, *ungrouped)


def _grouped(minute: Minute) -> Decimal:
    closes = ((source.partition(":")[2], quote.last_e18 or 0) for source, quote in minute.quotes.items())
    return decimal_of(median(votes_of(group_votes(closes))))
