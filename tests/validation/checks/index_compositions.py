"""Indices whose venue published the components beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from keeper.domain.index_methods import WeightedMean
from keeper.domain.outlier_rules import Clamp
from keeper.domain.rounding import Rounding, RoundingMode
from tests.validation.data import e18, observations
from tests.validation.indices import priced, spec_of
from tests.validation.row import Row, relative

_DATA = "index_compositions"


def rows() -> Sequence[Row]:
    found = {each["index"]: each for each in observations(_DATA)}
    bitcoin, bittorrent, sophon = found["BTC-USDT"], found["1000BTTUSDT"], found["SOPH-USDT"]
    truncated = Rounding(RoundingMode.TRUNCATE, e18(Decimal("0.000001")))
    seven = Rounding(RoundingMode.HALF_UP, e18(Decimal("0.0000001")))
    return (
        Row("OKX", _DATA, "weighted mean, clamped to 2 % of the median", [_error(bitcoin, 200)], Decimal("2e-16")),
        Row("OKX", _DATA, "the same, truncated to 6 places", [_error(sophon, 200, truncated)], Decimal(0)),
        Row("Bybit", _DATA, "weighted mean, rounded to 7 places", [_error(bittorrent, 300, seven)], Decimal(0)),
    )


def _error(found: dict[str, Any], clamp_bps: int, rounding: Rounding | None = None) -> Decimal:
    components = found["components"]
    plain = spec_of([each["weight"] for each in components])
    spec = replace(plain, method=WeightedMean(), outliers=Clamp(clamp_bps), rounding=rounding)
    return relative(priced(spec, [each["price"] for each in components]), found["published"])
