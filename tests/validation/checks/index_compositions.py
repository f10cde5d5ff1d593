"""Indices whose venue published the components beside them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from keeper.domain.aggregation import clamped_weighted_mean
from keeper.domain.numbers import BPS
from tests.validation.data import e18, observations
from tests.validation.row import Row, relative

_WIDEST = BPS - 1
"""No clamp: these venues publish what is left of it."""


def rows() -> Sequence[Row]:
    error = [_error(found) for found in observations("index_compositions") if found["venue"] == "okx"][:1]
    return (Row("OKX", "index_compositions", "weighted mean", error, Decimal("1e-12")),)


def _error(found: dict[str, Any]) -> Decimal:
    votes = sorted((e18(each["price"]), e18(each["weight"])) for each in found["components"])
    got = Decimal(clamped_weighted_mean(votes, _WIDEST)).scaleb(-18)
    return relative(got, found["published"])
