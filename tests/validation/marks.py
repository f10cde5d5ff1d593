"""One step of a mark method on recorded inputs, through its fold."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from keeper.domain.ids import IndexId, MarketId, SourceId
from keeper.domain.index import IndexPrice
from keeper.domain.mark.method import FundingEstimate, MarkInputs, MarkMethod
from keeper.domain.numbers import E18, decimal_of
from keeper.domain.quote import Depth, Level, Trade
from keeper.domain.time import MILLISECOND, Timestamp
from tests.validation.data import e18

_VENUE = SourceId("venue:X")
_DEEP = 10**12 * E18


def inputs(found: dict[str, Any], **given: Any) -> MarkInputs:
    """A row's `index`, `bid` and `ask`, `last` and `funding`, as far as it has them, at its `ts`; `given` replaces any."""
    row = {"ts": 0} | found | given
    at = Timestamp(int(row["ts"]) * MILLISECOND)
    index = IndexPrice(IndexId("X-USD"), e18(row["index"]), at, ())
    book = Depth(_VENUE, at, at, _side(row["bid"]), _side(row["ask"])) if "bid" in row else None
    trade = Trade(_VENUE, at, at, e18(row["last"]), E18) if "last" in row else None
    return MarkInputs(MarketId("X-USD"), index, book, trade, _funding(row), at)


def _side(price: Decimal) -> tuple[Level, ...]:
    """So deep that the best price is the impact price too."""
    return (Level(e18(price), _DEEP),)


def _funding(row: dict[str, Any]) -> FundingEstimate | None:
    if "funding" not in row or "next_funding" not in row:
        return None
    return FundingEstimate(e18(row["funding"]), int(row["next_funding"]) // 1000, int(row["funding_interval_s"]))


def mark(method: MarkMethod[Any], found: MarkInputs, state: Any = None) -> Decimal:
    """What the method gives, from a fresh start or from `state`."""
    _, price = method.step(method.start() if state is None else state, found)
    return decimal_of(price.price_e18)


def displayed_tick(*texts: Decimal) -> Decimal:
    """One unit of the last digit that the venue shows; trailing zeros are cut, so the longest of its prices tells."""
    return Decimal(1).scaleb(min(int(text.as_tuple().exponent) for text in map(Decimal, texts)))
