"""One file per venue or data set, each with `rows()`. A new one is a file and a line here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.validation.checks import (
    binance_marks,
    bitmex,
    deribit_family,
    funding_examples,
    funding_recorded,
    index_compositions,
    index_golden,
    margin_prices,
    margin_tiers,
    other_marks,
    spot_multi,
)
from tests.validation.row import Row

CHECKS: tuple[Callable[[], Sequence[Row]], ...] = (
    index_compositions.rows,
    margin_tiers.rows,
    margin_prices.rows,
    bitmex.rows,
    binance_marks.rows,
    deribit_family.rows,
    other_marks.rows,
    funding_recorded.rows,
    funding_examples.rows,
    index_golden.rows,
    spot_multi.rows,
)
