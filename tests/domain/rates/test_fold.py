"""The interval that runs: grid, coverage, freeze, late and missed boundaries, versions, restart."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.evidence import canonical_json
from keeper.domain.numbers import E18
from keeper.domain.rates import FUNDING_METHODS, presets
from keeper.domain.rates.fold import RatePlan
from keeper.domain.rates.history import HISTORY
from keeper.domain.rates.method import HOUR_S, Pool, RateFlag, Ratio, Span
from keeper.domain.rates.versions import Versions
from tests.domain.pricing.builders import LAW
from tests.domain.rates.scenes import BP, DAWN_S, HUNDRED, blind, charged, look, plan, walked

PREMIUM = presets.Ftx(sample="middle", every_s=60)
"""The rate is the mean premium over 24, whatever it is: what the window saw can be read off."""


def test_sample__missing__is_skipped_and_not_a_zero() -> None:
    looks = [look(DAWN_S + at, 24 * BP) if at % 120 else blind(DAWN_S + at) for at in range(0, HOUR_S, 60)]
    found = charged(PREMIUM, looks)
    assert found.rate_e18 == BP
    assert found.seen_bps == 5_000
    zeros = charged(replace(PREMIUM, missing="zero"), looks)
    assert zeros.rate_e18 == BP // 2


def test_sample__less_than_half__charges_the_interest_alone_and_says_so() -> None:
    looks = [look(DAWN_S + at, 24 * BP) for at in range(0, HOUR_S, 60)]
    thin = charged(replace(PREMIUM, interest=Ratio(48 * BP)), looks[:29])
    assert thin.flags == (RateFlag.THIN,)
    assert thin.rate_e18 == 2 * BP
    assert charged(PREMIUM, looks[:30]).flags == ()


def test_sample__many_looks_in_one_place_of_the_grid__count_once_the_first_usable() -> None:
    looks = [blind(DAWN_S), look(DAWN_S + 1, 24 * BP), look(DAWN_S + 2, 9_999 * BP), look(DAWN_S + 59.9, 7 * BP)]
    assert charged(PREMIUM, looks, now_s=DAWN_S + 59.9).rate_e18 == BP


def test_linear_weights__a_skipped_sample__does_not_move_the_others() -> None:
    method = replace(PREMIUM, weights="linear")
    looks = [look(DAWN_S, 24 * BP), blind(DAWN_S + 60), look(DAWN_S + 120, 0)]
    assert charged(method, looks, now_s=DAWN_S + 120).premium_e18 == 24 * BP * 1 // 4
    filled = replace(method, missing="zero")
    assert charged(filled, looks, now_s=DAWN_S + 120).premium_e18 == 24 * BP * 1 // 6


def test_boundary__first_look_after_it__freezes_the_interval_and_counts_in_the_next() -> None:
    rates = plan(PREMIUM)
    looks = [look(DAWN_S + at, 24 * BP) for at in range(0, HOUR_S, 60)]
    state, _ = walked(rates, looks)
    late, said = walked(rates, [look(DAWN_S + HOUR_S + 0.001, 2_400 * BP)], state)
    assert late.last is not None
    assert late.last.span == Span(DAWN_S, DAWN_S + HOUR_S)
    assert late.last.charge.rate_e18 == BP
    assert said[0].span == Span(DAWN_S + HOUR_S, DAWN_S + 2 * HOUR_S)
    assert said[0].charge.premium_e18 == 2_400 * BP


@pytest.mark.parametrize("late_s", [0, 1, 59, 1_433, 3_599])
def test_settlement__however_late__charges_the_scheduled_interval_by_its_own_version(late_s: float) -> None:
    """The longest delay on record is 1,433 s; the parameters change at the very next boundary."""
    doubled = replace(PREMIUM, period_s=PREMIUM.period_s // 2)
    rates = RatePlan(Versions(((0, PREMIUM), (DAWN_S + HOUR_S + 1, doubled))))
    state, _ = walked(rates, [look(DAWN_S + at, 24 * BP) for at in range(0, HOUR_S, 60)])
    state, _ = walked(rates, [look(DAWN_S + HOUR_S + late_s, 24 * BP)], state)
    assert state.last is not None
    assert state.last.charge.rate_e18 == BP
    state, _ = walked(rates, [look(DAWN_S + HOUR_S + at, 24 * BP) for at in range(3_540, 7_200, 60)], state)
    assert state.last is not None
    assert state.last.span.boundary_s == DAWN_S + 2 * HOUR_S
    assert rates.settle(state).charge.rate_e18 == 2 * BP


def test_settlement__of_a_smoothed_rate__goes_on_from_the_last_one() -> None:
    rates = plan(presets.CoinbaseIntx(every_s=60))
    looks = [look(DAWN_S + at, 24 * 16 * BP) for at in range(0, 2 * HOUR_S + 1, 60)]
    state, _ = walked(rates, looks)
    assert state.last is not None
    assert state.last.charge.rate_e18 == 12 * BP + 3 * BP


def test_intervals__that_nobody_saw__are_not_made_up() -> None:
    rates = plan(replace(PREMIUM, interest=Ratio(24 * BP)))
    state, _ = walked(rates, [look(DAWN_S + at, 240 * BP) for at in range(0, HOUR_S, 60)])
    state, said = walked(rates, [look(DAWN_S + 5 * HOUR_S + 10, 0)], state)
    assert state.last is not None
    assert state.last.span == Span(DAWN_S + 4 * HOUR_S, DAWN_S + 5 * HOUR_S)
    assert state.last.charge.rate_e18 == BP
    assert state.last.charge.flags == (RateFlag.UNSEEN, RateFlag.THIN)
    assert said[0].span == Span(DAWN_S + 5 * HOUR_S, DAWN_S + 6 * HOUR_S)


def test_clock__that_goes_back_by_hours__starts_anew_but_not_by_a_moment() -> None:
    rates = plan(PREMIUM)
    state, _ = walked(rates, [look(DAWN_S + HOUR_S + 1, 24 * BP)])
    same, _ = walked(rates, [look(DAWN_S + HOUR_S - 1, 0)], state)
    assert same == state
    anew, _ = walked(rates, [look(DAWN_S - HOUR_S, 0)], state)
    assert anew.span == Span(DAWN_S - HOUR_S, DAWN_S)


def test_schedule__of_hyperliquids_history__has_the_recorded_numbers_of_boundaries() -> None:
    rates = RatePlan(HISTORY["hyperliquid"])
    at, boundaries = 1_683_849_599, []
    while at < 1_689_390_000:
        at = rates.next_boundary(at)
        boundaries.append(at)
    gaps = [after - before for before, after in itertools.pairwise(boundaries)]
    assert gaps.count(28_800) == 81, "82 boundaries at 8 h"
    assert gaps.count(3_600) == 212 + 678 + 1
    assert set(gaps) == {28_800, 3_600}
    assert rates.last_boundary(1_686_186_000 - 1) == 1_686_182_400


def test_schedule__before_anything_is_known__waits_for_the_first_version() -> None:
    rates = RatePlan(HISTORY["hyperliquid"])
    state, said = walked(rates, [look(1_600_000_000, 24 * BP), look(1_600_000_005, 24 * BP)])
    assert state.span.boundary_s == 1_683_849_600
    assert [each.charge.seen_bps for each in said] == [10_000, 10_000]
    with pytest.raises(ValueError, match="nothing is known"):
        rates.versions.at(1_600_000_000)


def test_schedule__with_another_offset_from_a_time_on__has_no_boundary_of_the_old_grid_there() -> None:
    shifted = replace(PREMIUM, offset_s=1_800)
    rates = RatePlan(Versions(((0, PREMIUM), (DAWN_S, shifted))))
    assert rates.next_boundary(DAWN_S - 2 * HOUR_S) == DAWN_S - HOUR_S
    assert rates.next_boundary(DAWN_S - HOUR_S) == DAWN_S + 1_800
    assert rates.last_boundary(DAWN_S + 1_799) == DAWN_S - HOUR_S
    assert rates.last_boundary(DAWN_S + 1_800) == DAWN_S + 1_800


def test_bitmex__boundaries__are_at_four_twelve_and_twenty() -> None:
    rates = plan(presets.Bitmex())
    assert [(rates.next_boundary(DAWN_S + at) - DAWN_S) // HOUR_S for at in (0, 4 * HOUR_S, 12 * HOUR_S)] == [4, 12, 20]


def test_binance__rate_at_its_cap__makes_the_next_interval_an_hour_and_calm_makes_it_four() -> None:
    rates = plan(replace(presets.Binance(), every_s=600))
    state, _ = walked(rates, [look(DAWN_S + at, 500 * BP) for at in range(0, 8 * HOUR_S + 1, 600)])
    assert state.span.interval_s == HOUR_S
    start = state.span.opened_s
    state, said = walked(rates, [look(start + at, 0) for at in range(600, 21 * HOUR_S, 600)], state)
    lengths = [each.span.interval_s for each in said]
    assert lengths.count(HOUR_S) == 16 * 6 - 1
    assert state.span.interval_s == 4 * HOUR_S


LOOKS = st.lists(
    st.tuples(st.integers(1, 900), st.integers(-(10**16), 10**16), st.booleans(), st.integers(0, 10**18)), max_size=40
)


@LAW
@pytest.mark.parametrize("name", sorted(FUNDING_METHODS))
@given(steps=LOOKS, cut=st.integers(0, 40))
def test_fold__restored_anywhere__goes_on_as_if_never_interrupted(
    name: str, steps: list[tuple[int, int, bool, int]], cut: int
) -> None:
    rates, at, looks = plan(FUNDING_METHODS[name]()), float(DAWN_S + 7 * HOUR_S), []
    for wait, premium, sees, skew in steps:
        at += wait
        price = HUNDRED + HUNDRED * premium // E18
        looks.append(look(at, premium, pool=Pool(skew, skew, E18)) if sees else blind(at, price))
    state, said = None, []
    for number, each in enumerate(looks):
        if number == cut and state is not None:
            state = rates.restore(json.loads(canonical_json(state.to_plain())))
        state = rates.step(state, each)
        said.append(rates.estimate(state, each.now))
    if looks:
        assert (state, said) == walked(rates, looks)


def test_restore__state_of_another_method__is_refused() -> None:
    state, _ = walked(plan(PREMIUM), [look(DAWN_S)])
    with pytest.raises(ValueError, match="the state is of ftx"):
        plan(presets.Binance()).restore(state.to_plain())
