"""Worked examples of index rules, from their authors' own texts and tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from keeper.domain.grade import Grade
from keeper.domain.index_methods import ClampedWeightedMean, WeightedMean, WeightedMedian
from keeper.domain.ladder import Ladder, Rung
from keeper.domain.numbers import BPS
from keeper.domain.outlier_rules import Exclude, KeepAll
from keeper.domain.rounding import Rounding, RoundingMode
from tests.validation.data import golden
from tests.validation.indices import priced, spec_of
from tests.validation.row import Row, relative

_DATA = "golden_vectors"


_PUBLISHED = {
    "okx_BTC-USDT": ("OKX", RoundingMode.HALF_UP, 10),
    "bybit_1000BTTUSDT": ("Bybit", RoundingMode.HALF_UP, 7),
    "okx_SOPH-USDT": ("OKX", RoundingMode.TRUNCATE, 6),
}
"""Venue and rounding of each published composition, by decimals of the price."""


def rows() -> Sequence[Row]:
    found = golden()
    medians = [_weighted_median(found[f"wmedian_{number}"]) for number in (1, 2, 3)]
    return (
        _row("bothan", "weighted median, a tie is the mean of the two", medians, "the unit tests of its source"),
        _row("Deribit", "weighted mean, clamped to 0.5 % of the median", [_deribit(found["deribit_index_clamp"])], ""),
        _row(
            "BitMEX",
            "more than 25 % from the median is excluded",
            [_bitmex(found["bitmex_exclusion"])],
            "the rule is its own; the prices of the example are not",
        ),
        *(_composition(found[f"index_{name}"], *choice) for name, choice in _PUBLISHED.items()),
    )


def _row(venue: str, formula: str, errors: list[Decimal], note: str) -> Row:
    return Row(venue, _DATA, formula, errors, Decimal(0), grade=Grade.DOCUMENTED, note=note)


def _composition(vector: dict[str, Any], venue: str, mode: RoundingMode, decimals: int) -> Row:
    parts = vector["inputs"]["components"]
    rounding = Rounding(mode, 10 ** (18 - decimals))
    spec = replace(
        spec_of([part["weight"] for part in parts]), method=WeightedMean(), outliers=KeepAll(), rounding=rounding
    )
    error = relative(priced(spec, [part["price"] for part in parts]), Decimal(vector["published"]))
    words = "truncated" if mode is RoundingMode.TRUNCATE else "rounded"
    return _row(venue, f"index, weighted mean {words} to {decimals} decimals", [error], "a published composition")


def _weighted_median(vector: dict[str, Any]) -> Decimal:
    prices, weights = zip(*vector["inputs"], strict=True)
    spec = replace(spec_of(weights), method=WeightedMedian(), outliers=KeepAll())
    return relative(priced(spec, prices), Decimal(vector["published"]))


def _deribit(vector: dict[str, Any]) -> Decimal:
    given = vector["inputs"]
    method = ClampedWeightedMean(int(given["band"] * BPS))
    return relative(
        priced(replace(spec_of(given["w"]), method=method, outliers=KeepAll()), given["p"]), vector["published"]
    )


def _bitmex(vector: dict[str, Any]) -> Decimal:
    """Three sources of the same weight; two are left, and they make the price."""
    given = vector["inputs"]["p"]
    spec = replace(spec_of([1] * len(given)), method=WeightedMean(), outliers=Exclude(), ladder=Ladder(two=Rung.USUAL))
    return relative(priced(spec, given), Decimal(vector["published"]))
