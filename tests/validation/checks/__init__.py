"""One file per venue or data set, each with `rows()`. A new one is a file and a line here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.validation.checks import (
    index_compositions,
    index_golden,
    margin_prices,
    margin_tiers,
)
from tests.validation.row import Row

CHECKS: tuple[Callable[[], Sequence[Row]], ...] = (
    index_compositions.rows,
    index_golden.rows,
    margin_tiers.rows,
    margin_prices.rows,
)
