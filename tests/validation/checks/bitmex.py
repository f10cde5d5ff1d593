"""Perpetuals and dated futures of BitMEX: marks and yearly basis rates."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from keeper.domain.mark.venues import Bitmex, BitmexDated
from keeper.domain.numbers import decimal_of
from tests.validation.data import golden, observations
from tests.validation.marks import displayed_tick, inputs, mark
from tests.validation.row import Row, relative


def rows() -> Sequence[Row]:
    found = observations("bitmex")
    perps = [each for each in found if "next_funding" in each]
    dated = [each for each in found if "next_funding" not in each]
    vectors = [each for name, each in golden().items() if name.startswith("bitmex_fair_")]
    ticks = [_ticks(each, each["mark"]) for each in perps]
    exact = sum(each <= Decimal("0.5") for each in ticks)
    return (
        Row(
            "BitMEX",
            "bitmex",
            "mark `bitmex`: index · (1 + F · t/8 h), t in whole minutes, rounded up",
            ticks,
            Decimal(1),
            "last digit",
            note=f"{exact} of {len(ticks)} are exact at the digits shown; the other one is off by half of the last.",
        ),
        Row("BitMEX", "bitmex", "mark `bitmex`", [_error(each) for each in perps], Decimal("6.8e-5")),
        Row(
            "BitMEX",
            "bitmex",
            "yearly basis: F · (24 h / 8 h) · 365",
            [abs(each["funding"] * 1095 - each["fair_basis_rate"]) for each in perps],
            Decimal("1e-12"),
            "rate",
        ),
        Row("BitMEX", "bitmex", "mark `bitmex_dated`: yearly basis", [_dated(each)[0] for each in dated], Decimal(0), "rate"),
        Row(
            "BitMEX",
            "bitmex",
            "mark `bitmex_dated`: index · (1 + basis · years left)",
            [_dated(each)[1] for each in dated],
            Decimal("8.7e-5"),
            note="all 11 are within half of the last digit shown.",
        ),
        Row(
            "BitMEX",
            "golden_vectors",
            "mark `bitmex`",
            [_ticks(each["inputs"], Decimal(each["published"])) for each in vectors],
            Decimal("0.5"),
            "last digit",
        ),
    )  # fmt: skip


def _ticks(found: dict[str, Any], published: Decimal) -> Decimal:
    return abs(mark(Bitmex(), inputs(found)) - published) / displayed_tick(published, found["index"])


def _error(found: dict[str, Any]) -> Decimal:
    return relative(mark(Bitmex(), inputs(found)), found["mark"])


def _dated(found: dict[str, Any]) -> tuple[Decimal, Decimal]:
    """Errors of rate and price. What the venue kept while its book was thin is not in the record, and was not needed."""
    method = BitmexDated(
        expires_at_s=found["expiry"] // 1000, max_impact_spread_bps=int(found["maint_margin"] * 10_000)
    )
    _, price = method.step(method.start(), inputs(found, bid=found["impact_bid"], ask=found["impact_ask"]))
    rate = decimal_of(dict(price.components)["yearly_basis"])
    return abs(rate - found["fair_basis_rate"]), relative(decimal_of(price.price_e18), found["mark"])
