"""Maintenance tiers: the recursion gives every published amount, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from typing import Any

from keeper.domain.margining.tiers import Refused, Tier, TierTable, published_table, tier_table
from tests.validation.data import e18, golden, observations
from tests.validation.row import Row

EXACT = Decimal(0)


def rows() -> Sequence[Row]:
    errors = [error for _, table in groupby(observations("binance_tiers"), _symbol) for error in _errors(list(table))]
    worked = [
        _worked("binance_cum_usdm", "0.005", "0.01", before_e18=e18(50)),
        _worked("binance_cum", "0.025", "0.05", before_e18=e18(Decimal("0.56"))),
    ]
    formula = "amount of a tier: floor · rise of the rate + amount before"
    return (
        Row("Binance", "binance_tiers", formula, errors, EXACT, "USDT", note="45 tiers above the first, 7 symbols"),
        Row("Binance", "golden_vectors", formula + ", FAQ", worked, EXACT, "USDT, BTC"),
    )


def _symbol(row: dict[str, Any]) -> str:
    return str(row["symbol"])


def _errors(published: list[dict[str, Any]]) -> list[Decimal]:
    """Of the tiers above the first; a table that is refused would fail here."""
    tiers = [Tier(e18(row["floor"]), Fraction(row["mmr"]), Fraction(e18(row["cum"]))) for row in published]
    table, made = published_table(tiers), tier_table([(tier.floor_e18, tier.rate) for tier in tiers])
    assert isinstance(table, TierTable), table
    assert not isinstance(made, Refused), made
    return [
        Decimal(int(abs(tier.amount_e18 - own.amount_e18))).scaleb(-18)
        for tier, own in zip(tiers[1:], made.tiers[1:], strict=True)
    ]


def _worked(name: str, low: str, high: str, *, before_e18: int) -> Decimal:
    """A worked example names one floor, both rates and the amount before, which a tier below must have made."""
    vector, rise = golden()[name], Fraction(low)
    floor = e18(vector["inputs"]["floor"])
    below = rise / 2
    first_floor = Fraction(before_e18) / (rise - below)
    assert first_floor.denominator == 1
    assert 0 < first_floor < floor
    table = tier_table([(0, below), (int(first_floor), rise), (floor, Fraction(high))])
    assert isinstance(table, TierTable), table
    amount = table.tiers[-1].amount_e18
    return abs(Decimal(int(amount)).scaleb(-18) - Decimal(vector["published"]))
