"""Premium samples: how far the perp stands from its reference now, by the venue's own definition.

All are fractions scaled by 1e18, toward zero, at most 1 in size. None: the book gives no sample.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from keeper.domain.numbers import E18, clamp, tdiv
from keeper.domain.premium import MAX_PREMIUM_E18, ImpactPrices, impact_prices
from keeper.domain.rates.method import RateInputs, Span
from keeper.domain.time import SECOND


class SampleOf(NamedTuple):
    """`against` mark instead of index is what some venues measure the impact prices from; it is divided by the index."""

    kind: str
    against: str


def impact_premium(impact: ImpactPrices, reference_e18: int, index_e18: int) -> int:
    """(max(0, impact bid − R) − max(0, R − impact ask)) / index: zero while R lies between the two."""
    above = max(0, impact.bid_e18 - reference_e18)
    below = max(0, reference_e18 - impact.ask_e18)
    return _bounded((above - below) * E18, index_e18)


def middle_premium(bid_e18: int, ask_e18: int, reference_e18: int) -> int:
    """(bid + ask) / 2 over the reference, minus 1: no dead band. Of impact prices: HIP-3's premium."""
    return _bounded((bid_e18 + ask_e18 - 2 * reference_e18) * E18, 2 * reference_e18)


def mark_premium(mark_e18: int, index_e18: int) -> int:
    """(mark − index) / index."""
    return _bounded((mark_e18 - index_e18) * E18, index_e18)


def fair_basis(last_rate_e18: int, span: Span, inputs: RateInputs) -> int:
    """What of the running rate is still to be paid: rate · time left / interval. BitMEX adds it to the impact premium."""
    left = span.interval_s * SECOND - span.elapsed_ns(inputs.now)
    return tdiv(last_rate_e18 * left, span.interval_s * SECOND)


def _bounded(numerator: int, denominator: int) -> int:
    return clamp(tdiv(numerator, denominator), -MAX_PREMIUM_E18, MAX_PREMIUM_E18)


def _impact(against: str, inputs: RateInputs, span: Span, last_e18: int) -> int | None:  # noqa: ARG001
    impact = _impact_of(inputs)
    return None if impact is None else impact_premium(impact, _reference(against, inputs), inputs.index_e18)


def _impact_basis(against: str, inputs: RateInputs, span: Span, last_e18: int) -> int | None:
    found = _impact(against, inputs, span, last_e18)
    return None if found is None else found + fair_basis(last_e18, span, inputs)


def _impact_middle(against: str, inputs: RateInputs, span: Span, last_e18: int) -> int | None:  # noqa: ARG001
    impact = _impact_of(inputs)
    return None if impact is None else middle_premium(impact.bid_e18, impact.ask_e18, _reference(against, inputs))


def _middle(against: str, inputs: RateInputs, span: Span, last_e18: int) -> int | None:  # noqa: ARG001
    if inputs.book is None:
        return None
    bid, ask = inputs.book.bids[0].price_e18, inputs.book.asks[0].price_e18
    return middle_premium(bid, ask, _reference(against, inputs))


def _mark(against: str, inputs: RateInputs, span: Span, last_e18: int) -> int | None:  # noqa: ARG001
    return mark_premium(inputs.mark_e18, inputs.index_e18)


def _impact_of(inputs: RateInputs) -> ImpactPrices | None:
    if inputs.book is None or inputs.impact_notional_e18 <= 0:
        return None
    return impact_prices(inputs.book, inputs.impact_notional_e18)


def _reference(against: str, inputs: RateInputs) -> int:
    return inputs.mark_e18 if against == "mark" else inputs.index_e18


SAMPLES: Mapping[str, Callable[[str, RateInputs, Span, int], int | None]] = {
    "impact": _impact,
    "impact_basis": _impact_basis,
    "impact_middle": _impact_middle,
    "middle": _middle,
    "mark": _mark,
}
"""By the name that an operator writes as `sample`."""

AGAINST = ("index", "mark")


def sample(of: SampleOf, inputs: RateInputs, span: Span, last_e18: int) -> int | None:
    """One sample; `last_e18` is the rate of the last interval, which only a fair basis needs."""
    return SAMPLES[of.kind](of.against, inputs, span, last_e18)
