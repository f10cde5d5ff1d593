"""Short ways to say intervals, looks at a market, and the premiums that they show."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from keeper.domain.numbers import E18
from keeper.domain.quote import Depth, Level
from keeper.domain.rates.fold import RateEstimate, RatePlan, RateState
from keeper.domain.rates.method import Charge, FundingMethod, Pool, RateInputs, Span
from keeper.domain.rates.versions import Versions
from keeper.domain.time import SECOND, Timestamp, from_seconds
from tests.domain.pricing.builders import OWN

DAWN_S = 1_699_920_000
"""2023-11-14 00:00 UTC: a boundary of every interval."""
HUNDRED = 100 * E18
BP = E18 // 10_000


def look(at_s: float, premium_e18: int = 0, *, mark_e18: int | None = None, pool: Pool | None = None) -> RateInputs:
    """The book stands at index · (1 + premium), deep and without a spread; so does the mark unless it is given."""
    now = Timestamp(round(at_s * SECOND))
    price = HUNDRED + HUNDRED * premium_e18 // E18
    side = (Level(price, 10**9 * E18),)
    book = Depth(OWN, now, now, side, side)
    return RateInputs(now, HUNDRED, price if mark_e18 is None else mark_e18, book, 10_000 * E18, pool)


def blind(at_s: float, mark_e18: int = HUNDRED) -> RateInputs:
    """A look without a book."""
    return RateInputs(Timestamp(round(at_s * SECOND)), HUNDRED, mark_e18, None, 10_000 * E18)


def charged(
    method: FundingMethod[Any], looks: Iterable[RateInputs], *, last_e18: int = 0, now_s: float | None = None
) -> Charge:
    """What the method charges at the boundary of one interval from DAWN_S on, or what it would at `now_s`."""
    span = Span(DAWN_S, DAWN_S + method.interval_s)
    window = method.opened(None)
    for each in looks:
        window = method.sampled(window, span, last_e18, each)
    at = from_seconds(span.boundary_s) if now_s is None else Timestamp(round(now_s * SECOND))
    return method.charge(window, span, last_e18, at)


def steady(method: FundingMethod[Any], premium_e18: int, last_e18: int = 0, every_s: int | None = None) -> Charge:
    """One interval in which every sample is this premium."""
    step = every_s or getattr(method, "every_s", 1)
    looks = (look(DAWN_S + at, premium_e18) for at in range(0, method.interval_s, step))
    return charged(method, looks, last_e18=last_e18)


def plan(method: FundingMethod[Any]) -> RatePlan:
    return RatePlan(Versions.always(method), 10_000 * E18)


def walked(
    rates: RatePlan, looks: Iterable[RateInputs], state: RateState | None = None
) -> tuple[RateState, list[RateEstimate]]:
    """The fold over these looks, and what it said at each."""
    said = []
    for each in looks:
        state = rates.step(state, each)
        said.append(rates.estimate(state, each.now))
    if state is None:
        raise ValueError("no look at all")
    return state, said
