"""Rates of foreign quote currencies: indices of their own, computed in the same tick, each inside its guard band."""

from __future__ import annotations

from collections.abc import Mapping

from keeper.domain.ids import IndexId
from keeper.domain.index import IndexPrice, Withheld
from keeper.domain.index_spec import IndexSpec, PegSpec
from keeper.domain.numbers import text_of
from keeper.domain.screening import Rates, Refusal, Rejected


def rates_of(spec: IndexSpec, priced: Mapping[IndexId, IndexPrice | Withheld]) -> Rates:
    """The rate of each quote currency that `spec` converts. `priced` must hold every index that it names."""
    return {quote: _rate(peg, priced[peg.index]) for quote, peg in spec.conversions.items()}


def _rate(peg: PegSpec, rate: IndexPrice | Withheld) -> int | Refusal:
    if isinstance(rate, Withheld):
        return Refusal(Rejected.UNCONVERTED, f"{peg.index} is withheld: {rate.reason}")
    if not peg.low_e18 <= rate.price_e18 <= peg.high_e18:
        band = f"{text_of(peg.low_e18)}…{text_of(peg.high_e18)}"
        return Refusal(Rejected.PEG, f"{peg.index} at {text_of(rate.price_e18)} is outside {band}")
    return rate.price_e18
