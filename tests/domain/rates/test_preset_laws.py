"""What every funding method by name must obey, over a whole interval of whatever premiums: its bound, and order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.domain.numbers import E18
from keeper.domain.rates import FUNDING_METHODS, pushed
from keeper.domain.rates.method import DAY_S, EIGHT_HOURS_S, Charge, Ratio
from tests.domain.pricing.builders import LAW
from tests.domain.rates.scenes import BP, DAWN_S, HUNDRED, charged, look

LOOKS = 24
FEW = settings(LAW, max_examples=15)
PREMIUMS = st.lists(st.integers(-E18 // 2, E18 // 2) | st.integers(-20 * BP, 20 * BP), min_size=LOOKS, max_size=LOOKS)
MORE = st.lists(st.integers(0, E18 // 4) | st.integers(0, 5 * BP) | st.just(0), min_size=LOOKS, max_size=LOOKS)
CAPPED = sorted(name for name, method in FUNDING_METHODS.items() if {"cap", "high"} & {f.name for f in fields(method)})  # type: ignore[arg-type]


def made(name: str, **options: Any) -> Any:
    """With a grid as wide as the looks are apart, so that a day's worth of them is not needed to fill it."""
    method: Any = FUNDING_METHODS[name]()
    known, apart = {field.name for field in fields(method)}, method.interval_s // LOOKS
    grid = {"every_s": apart, "hold_s": apart, "sample_s": apart, "vote_s": apart, "min_votes": 1}
    return replace(method, **{key: value for key, value in grid.items() if key in known}, **options)


def told(method: Any, premiums: Sequence[int]) -> Charge:
    """The own book stands so far from its reference: from the mark, which then stays at the index, or from the index."""
    apart, mark = method.interval_s // LOOKS, HUNDRED if getattr(method, "against", "") == "mark" else None
    looks = (look(DAWN_S + n * apart, premium, mark_e18=mark) for n, premium in enumerate(premiums))
    return charged(method, looks)


def bound(method: Any) -> int | None:
    """The largest rate of one interval, by size, from the method's options; None: it has none."""
    known = {field.name for field in fields(method)}
    hours_8, day = (method.interval_s * E18 // period for period in (EIGHT_HOURS_S, DAY_S))
    if "rate_factor" in known:
        return method.rate_factor * (method.initial_margin - method.maintenance_margin) * hours_8 // E18 + 1
    if "max_spread" in known:
        return method.max_spread * day // E18 + 1
    if "max_premium" in known:
        return method.max_premium * day // E18 + 1
    if method.name == "dydx_v1":
        return pushed.MAX_ABS_VALUE * method.interval_s
    if "high" in known:
        return None if method.high is None else max(-method.low, method.high)
    return getattr(method, "cap", None)


BOUNDED = sorted(name for name in FUNDING_METHODS if bound(FUNDING_METHODS[name]()) is not None)


def test_bounds__of_the_presets__are_known_where_the_venue_states_one() -> None:
    unbounded = set(FUNDING_METHODS) - set(BOUNDED)
    assert unbounded == {
        "interest_clamp", "clamped_premium", "bybit", "gate", "phemex",
        "dydx_v3", "ftx", "btse", "coinbase_intx", "deribit", "synthetix", "gmx_v1",
    }  # fmt: skip


@pytest.mark.parametrize("name", BOUNDED)
@FEW
@given(premiums=PREMIUMS)
def test_rate__of_every_preset_with_a_bound__stays_within_it(name: str, premiums: list[int]) -> None:
    method = made(name)
    most = bound(method)
    assert most is not None
    assert abs(told(method, premiums).rate_e18) <= most


@pytest.mark.parametrize("name", CAPPED)
@FEW
@given(premiums=PREMIUMS, cap=st.integers(0, 100 * BP))
def test_rate__of_every_preset_that_takes_a_cap__stays_within_the_chosen_one(
    name: str, premiums: list[int], cap: int
) -> None:
    plain = made(name)
    chosen = {"cap": Ratio(cap)} if hasattr(plain, "cap") else {"low": Ratio(-cap), "high": Ratio(cap)}
    assert abs(told(replace(plain, **chosen), premiums).rate_e18) <= cap


@pytest.mark.parametrize("name", sorted(FUNDING_METHODS))
@FEW
@given(premiums=PREMIUMS, more=MORE)
def test_rate__of_every_preset__no_sample_lower__is_never_lower(
    name: str, premiums: list[int], more: list[int]
) -> None:
    """Sample by sample, not only on the mean."""
    method = made(name)
    higher = [premium + step for premium, step in zip(premiums, more, strict=True)]
    assert told(method, premiums).rate_e18 <= told(method, higher).rate_e18


@pytest.mark.parametrize("name", sorted(set(FUNDING_METHODS) - {"synthetix", "gmx_v1"}))
def test_rate__of_every_preset_that_looks_at_the_premium__tells_above_from_below(name: str) -> None:
    """So that the laws above are about something. The other two charge by their pool."""
    method = made(name)
    assert told(method, [100 * BP] * LOOKS).rate_e18 > told(method, [-100 * BP] * LOOKS).rate_e18
