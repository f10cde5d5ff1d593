"""Rates of foreign quote currencies: indices of their own, computed in the same tick, each inside its guard band."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from keeper.domain.ids import IndexId
from keeper.domain.index import IndexFlag, IndexPrice, Withheld
from keeper.domain.index_spec import IndexSpec, PegSpec
from keeper.domain.numbers import E18, exceeds_bps, text_of
from keeper.domain.screening import Rates, Refusal, Rejected

_NO_RATES: Rates = MappingProxyType({})


def rates_of(spec: IndexSpec, priced: Mapping[IndexId, IndexPrice | Withheld]) -> tuple[Rates, bool]:
    """The rate of each quote currency that `spec` converts, and whether one of them has anything to tell (`rate_flags`).

    `priced` must hold every index that it names.
    """
    if not spec.conversions:
        return _NO_RATES, False
    rates: dict[str, int | Refusal] = {}
    telling = False
    for quote, peg in spec.conversions.items():
        rate = priced[peg.index]
        if isinstance(rate, Withheld):
            rates[quote] = Refusal(Rejected.UNCONVERTED, f"{peg.index} is withheld: {rate.reason}")
            continue
        exact = rate.price_e18 if rate.raw_e18 is None else rate.raw_e18
        if not peg.low_e18 <= exact <= peg.high_e18:
            band = f"{text_of(peg.low_e18)}…{text_of(peg.high_e18)}"
            rates[quote] = Refusal(Rejected.PEG, f"{peg.index} at {text_of(exact)} is outside {band}")
            continue
        rates[quote] = exact
        telling = telling or bool(rate.flags) or _alarming(peg, exact)
    return rates, telling


def _alarming(peg: PegSpec, rate_e18: int) -> bool:
    return peg.alert_bps is not None and exceeds_bps(rate_e18, E18, peg.alert_bps)


def rate_flags(
    spec: IndexSpec, priced: Mapping[IndexId, IndexPrice | Withheld], index: IndexPrice
) -> tuple[IndexFlag, ...]:
    """What the rates behind `index` have to tell, of those that converted one of its votes."""
    found: set[IndexFlag] = set()
    for quote, peg in spec.conversions.items():
        rate = priced[peg.index]
        if isinstance(rate, Withheld):
            continue
        told = [IndexFlag.DEGRADED_RATE] if rate.degraded else []
        if _alarming(peg, rate.exact_e18):
            told.append(IndexFlag.PEG_ALERT)
        if told and any(vote.spec.quote == quote for vote in index.inputs):
            found.update(told)
    return tuple(sorted(found))
