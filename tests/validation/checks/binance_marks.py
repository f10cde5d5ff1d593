"""One look at all of Binance's perpetuals: index, mark, rate and next funding, but neither book nor last trade."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from keeper.domain.grade import Grade
from keeper.domain.mark.averages import TickState
from keeper.domain.mark.funding_fair import FundingFair
from keeper.domain.mark.moving import MovingState
from keeper.domain.mark.venues import Binance
from keeper.domain.time import SECOND
from tests.validation.data import e18, observations
from tests.validation.marks import inputs, mark
from tests.validation.row import Row

_LAST_DIGIT = Decimal("1e-8")
_WIDEST = 9999
_FAR = Decimal("0.0001")


def rows() -> Sequence[Row]:
    found = [each for each in observations("binance_usdm") if each["next_funding"]]
    fair = [(each, _fair(each)) for each in found]
    first = [abs(price - each["mark"]) for each, price in fair if _is_fair(each, price)]
    others = [each for each, price in fair if not _is_fair(each, price)]
    traded = sum(-int(each["mark"].as_tuple().exponent) <= 5 for each in others)
    counts = ((len(found), 375), (len(first), 27), (traded, 188), (len(others) - traded, 160))
    return (
        Row(
            "Binance",
            "binance_usdm",
            "funding-fair price, where it is the median",
            first,
            _LAST_DIGIT,
            "price",
            Grade.CONSISTENT,
            "the rows are those that the formula fits to the last of 8 digits; among 375 a handful might by chance, not 27. "
            "Relative to the price 17 of the 27 are within 1e-8.",
        ),
        Row(
            "Binance",
            "binance_usdm",
            "branches of the median: usable rows, funding-fair, last trade, basis",
            [Decimal(abs(counted - recorded)) for counted, recorded in counts],
            Decimal(0),
            "count",
            Grade.CONSISTENT,
            "funding-fair: equal to it; last trade: at most 5 decimals; basis: the rest. Each branch occurs. Interval: 8 h where "
            "interest is 0.01 %, else 4 h.",
        ),
        Row(
            "Binance",
            "binance_usdm",
            "mark `binance`: median of the three, the branch's price as recorded",
            [_branch(each, price) for each, price in fair],
            _LAST_DIGIT,
            "price",
            Grade.CONSISTENT,
            "neither book nor trade was recorded: the price that makes the branch is the mark itself, the third lies beyond it.",
        ),
    )


def _asked(found: dict[str, Any], **given: Any) -> Any:
    return inputs(found, funding_interval_s=28_800 if found["interest"] == Decimal("0.0001") else 14_400, **given)


def _fair(found: dict[str, Any]) -> Decimal:
    return mark(FundingFair(max_basis_bps=_WIDEST), _asked(found))


def _is_fair(found: dict[str, Any], fair: Decimal) -> bool:
    return abs(fair - found["mark"]) <= _LAST_DIGIT


def _branch(found: dict[str, Any], fair: Decimal) -> Decimal:
    published = found["mark"]
    shifted, last = published, 2 * published - fair
    if _is_fair(found, fair):
        shifted, last = fair * (1 - _FAR), fair * (1 + _FAR)
    elif -int(published.as_tuple().exponent) <= 5:
        shifted, last = last, shifted
    method = Binance(max_basis_bps=_WIDEST)
    asked = _asked(found, last=last.quantize(Decimal("1e-18")))
    basis = e18((shifted - found["index"]).quantize(Decimal("1e-18")))
    tick = asked.now // (method.every_s * SECOND)
    state = MovingState(TickState((), basis, 1, method.samples, tick, basis, asked.now))
    return abs(mark(method, asked, state) - published)
