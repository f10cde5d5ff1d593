"""Methods without boundaries of their own: what is owed runs on over the end of a shown interval, and nothing twice."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.numbers import BPS, E18
from keeper.domain.rates import presets
from keeper.domain.rates.method import Pool, RateFlag, RateInputs, Ratio
from keeper.domain.rates.twaps import Twaps, added, means
from keeper.domain.time import SECOND, Timestamp
from tests.domain.pricing.builders import LAW
from tests.domain.rates.scenes import DAWN_S, HUNDRED, blind, charged, look, plan, walked

HOUR_S = 3_600


@pytest.mark.parametrize("gap", [(30, 15), (59, 1), (1, 59)])
def test_deribit__a_look_on_each_side_of_the_boundary__shares_the_time_between_them(gap: tuple[int, int]) -> None:
    """Two intervals together accrue what one that had no boundary there would."""
    before, after = gap
    rates = plan(presets.Deribit(interval_s=HOUR_S, damper=Ratio(0)))
    high = HUNDRED + HUNDRED // 100
    looks = [blind(DAWN_S + HOUR_S - before - 10, high), blind(DAWN_S + HOUR_S - before, high)]
    state, _ = walked(rates, looks)
    state, said = walked(rates, [blind(DAWN_S + HOUR_S + after, high)], state)
    assert state.last is not None
    assert state.last.charge.rate_e18 == E18 // 100 * (before + 10) // 28_800
    assert said[0].charge.rate_e18 == E18 // 100 * after // 28_800


def test_deribit__after_a_minute_without_a_look__nothing_accrues() -> None:
    rates = plan(presets.Deribit(interval_s=HOUR_S, damper=Ratio(0)))
    high = HUNDRED + HUNDRED // 100
    state, _ = walked(rates, [blind(DAWN_S + HOUR_S - 40, high)])
    _, said = walked(rates, [blind(DAWN_S + HOUR_S + 900, high)], state)
    assert said[0].charge.rate_e18 == E18 // 100 * 20 // 28_800
    assert said[0].charge.seen_bps == 20 * BPS // 900


def test_curie__a_look_on_each_side_of_the_boundary__shares_the_time_between_them() -> None:
    rates = plan(presets.Curie())
    state, _ = walked(rates, [blind(DAWN_S + HOUR_S - 30, 101 * E18)])
    state, said = walked(rates, [blind(DAWN_S + HOUR_S + 12, 101 * E18)], state)
    assert state.last is not None
    assert state.last.charge.rate_e18 == E18 // 100 * 30 // 86_400
    assert said[0].charge.rate_e18 == E18 // 100 * 12 // 86_400


def test_synthetix__over_the_boundary__the_rate_goes_on_and_the_area_begins_anew() -> None:
    rates = plan(presets.Synthetix(max_velocity=Ratio(E18), skew_scale=Ratio(E18)))
    pool = Pool(E18, 0, 0)
    looks = [look(DAWN_S + at, pool=pool) for at in range(0, 2 * HOUR_S + 1, 40)]
    state, said = walked(rates, looks[:-1])
    day = 86_400
    assert state.last is not None
    assert abs(state.last.charge.rate_e18 - E18 * HOUR_S**2 // (2 * day**2)) < 200
    state, said = walked(rates, looks[-1:], state)
    assert state.last is not None
    assert abs(state.last.charge.rate_e18 - 3 * E18 * HOUR_S**2 // (2 * day**2)) < 400
    assert abs(said[0].charge.premium_e18 - E18 * 2 * HOUR_S // day) < 400, (
        "the rate itself, without a step at the boundary"
    )


@LAW
@given(
    looks=st.lists(
        st.tuples(st.integers(1, 60), st.integers(1, 1_000), st.integers(1, 1_000)), min_size=1, max_size=60
    ),
    window_s=st.sampled_from([120, 900]),
)
def test_means__over_a_window__are_those_of_the_prices_that_held(
    looks: list[tuple[int, int, int]], window_s: int
) -> None:
    """Against every second added up, while no look is left out (a point for each)."""
    twaps, at, held = Twaps(), DAWN_S, []
    for wait, mark, index in looks:
        inputs = RateInputs(Timestamp(at * SECOND), index * E18, mark * E18, None, 0)
        twaps = added(twaps, inputs, window_s * SECOND, SECOND)
        held += [(mark, index)] * wait
        at += wait
    seconds = held[-window_s:]
    found = means(twaps, Timestamp(at * SECOND), window_s * SECOND)
    assert found is not None
    assert found.mark_e18 == Fraction(sum(mark for mark, _ in seconds) * E18, len(seconds)).__floor__()
    assert found.index_e18 == Fraction(sum(index for _, index in seconds) * E18, len(seconds)).__floor__()
    assert found.covered_ns == len(seconds) * SECOND


def test_means__looked_at_often__keep_few_points() -> None:
    twaps = Twaps()
    for tick in range(20_000):
        inputs = RateInputs(Timestamp(DAWN_S * SECOND + tick * SECOND // 4), HUNDRED, HUNDRED + tick, None, 0)
        twaps = added(twaps, inputs, 900 * SECOND, 15 * SECOND)
    assert 60 <= len(twaps.points) <= 63


def test_drift__first_minutes__are_thin_until_half_an_hour_is_seen() -> None:
    method = presets.Drift()
    looks = [blind(DAWN_S + at) for at in range(0, 1_830, 30)]
    assert RateFlag.THIN in charged(method, looks[:59], now_s=DAWN_S + 1_799).flags
    assert charged(method, looks, now_s=DAWN_S + 1_800).flags == ()
    assert charged(method, []).flags == (RateFlag.THIN,)


def test_synthetix__seen__is_the_time_since_the_first_look_of_the_interval() -> None:
    method, pool = presets.Synthetix(), Pool(E18, 0, 0)
    looks = [look(DAWN_S + at, pool=pool) for at in range(1_800, HOUR_S, 30)]
    assert charged(method, looks).seen_bps == BPS // 2
    assert charged(method, looks[:1], now_s=DAWN_S + 1_800).seen_bps == 0
    assert charged(method, looks[:1], now_s=DAWN_S).seen_bps == 0


def test_drift__premium__is_a_part_of_the_mean_index() -> None:
    method = presets.Drift()
    found = charged(method, [blind(DAWN_S + at, 101 * E18) for at in range(0, HOUR_S, 30)])
    assert found.premium_e18 == E18 // 100
