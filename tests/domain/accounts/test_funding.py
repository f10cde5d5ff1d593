from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.domain.exchange import FeedState, MarketState
from keeper.domain.feed import observe
from keeper.domain.funding import (
    Due,
    FundingEstimate,
    NotDue,
    cum_now,
    due,
    funding_rate,
    last_boundary,
    next_boundary,
    predict,
    settled,
)
from keeper.domain.margin import owed
from keeper.domain.numbers import E18
from tests.domain.accounts.bridge import parameters_of
from tests.domain.accounts.reference import Rules

EIGHT_HOURS = 28_800
T = EIGHT_HOURS * 60_000
INDEX, MARK = 3_000 * E18, 3_050 * E18 + E18 // 2
PREMIUM = 16_833_333_333_333_333


def feed(interval=EIGHT_HOURS, hold=EIGHT_HOURS, kind=0):
    return FeedState(1, interval, hold, 500, 300, kind, False, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


def market(kind=0, cap=4 * 10**16, **more):
    rules = replace(parameters_of(Rules(((0, 50),), kind=kind, cap=cap)), **more)
    return MarketState(1, rules, 0, T, 0, 0, 0)


def priced(at_s=T, index=INDEX, mark=MARK, **more):
    return observe(feed(**more), at_s, at_s * 1_000, index, mark)


@pytest.mark.parametrize(("kind", "rate"), [(0, 16_333_333_333_333_333), (1, 266_666_666_666_666)])
def test_due__vector_of_docs_reference_protocol__comes_out(kind, rate):
    """Index 3000, mark 3050.5, interest 1e14, clamp 5e14, eight hours covered."""
    payment = due(market(kind), priced(), T + EIGHT_HOURS)
    assert isinstance(payment, Due)
    assert (payment.premium_e18, payment.rate_e18, payment.covered_s) == (PREMIUM, rate, EIGHT_HOURS)
    assert payment.cum_e36 == rate * MARK
    assert payment.rate_e18 // 10**12 != 1_767  # 0.0005 / 3 is 0.000167, not 0.001667


def test_owed__vector_of_docs_reference_protocol__rounds_against_both_sides():
    payment = due(market(1), priced(), T + EIGHT_HOURS)
    assert owed(E18, payment.cum_e36) == 813_467
    assert owed(-E18, payment.cum_e36) == -813_466


def test_due__cap__holds_in_both_directions():
    assert due(market(0, cap=75 * 10**14), priced(), T + EIGHT_HOURS).rate_e18 == 75 * 10**14
    down = priced(mark=2_900 * E18)
    assert due(market(0, cap=75 * 10**14), down, T + EIGHT_HOURS).rate_e18 == -75 * 10**14


@pytest.mark.parametrize(("covered", "premium"), [(14_400, PREMIUM), (14_399, 0)])
def test_due__half_of_the_window_covered__is_enough(covered, premium):
    payment = due(market(), priced(hold=covered), T + EIGHT_HOURS)
    assert (payment.premium_e18, payment.covered_s) == (premium, covered)


def test_due__thin_feed__charges_interest_only():
    assert due(market(), priced(hold=60), T + EIGHT_HOURS).rate_e18 == 10**14


def test_due__three_boundaries_missed__is_one_settlement_of_three_intervals():
    payment = due(market(), priced(hold=3 * EIGHT_HOURS), T + 3 * EIGHT_HOURS + 5)
    assert (payment.boundary_s, payment.intervals) == (T + 3 * EIGHT_HOURS, 3)
    assert payment.cum_e36 == 3 * payment.rate_e18 * MARK


def test_due__before_the_boundary__says_when():
    assert due(market(), priced(), T + EIGHT_HOURS - 1) == NotDue(T + EIGHT_HOURS)
    assert cum_now(market(), priced(), T + EIGHT_HOURS - 1) == 0


def test_due__paused__nothing_until_the_next_boundary():
    assert due(market(), priced(), T + EIGHT_HOURS, funding_paused=True) == NotDue(T + 2 * EIGHT_HOURS)
    assert cum_now(market(), priced(), T + EIGHT_HOURS, funding_paused=True) == 0


def test_settled__then__nothing_is_due_and_the_index_stays():
    payment = due(market(), priced(), T + EIGHT_HOURS)
    after = settled(market(), payment)
    assert due(after, priced(), T + EIGHT_HOURS + 100) == NotDue(T + 2 * EIGHT_HOURS)
    assert cum_now(after, priced(), T + EIGHT_HOURS + 100) == payment.cum_e36


def test_due__a_push_mined_after_the_settlement__counts_in_the_next_window():
    """Settling between two pushes or after both gives the same sum over both windows."""
    late = T + EIGHT_HOURS - 10
    first = priced(hold=EIGHT_HOURS)
    second = observe(first, late, late * 1_000, INDEX, INDEX)
    early = settled(market(), due(market(), first, T + EIGHT_HOURS))
    end = T + 2 * EIGHT_HOURS
    assert due(early, second, end).snap_acc == due(market(), second, end).snap_acc
    assert due(early, second, end).snap_covered == due(market(), second, end).snap_covered
    assert due(early, second, end).covered_s < due(market(), second, end).covered_s


@settings(deadline=None)
@given(
    st.integers(1, 300), st.lists(st.tuples(st.integers(0, 3_599), st.integers(2_000, 4_000)), max_size=4),
    st.integers(0, 3_599), st.integers(0, 40), st.sampled_from([0, 1]),
)  # fmt: skip
def test_due__any_moment_and_any_pushes_within_the_interval__is_the_same(hold, pushes, moment, missed, kind):
    start = T + 3_600 * missed
    before = observe(feed(3_600, hold), T - 10, (T - 10) * 1_000, INDEX, MARK)
    at_once = due(replace(market(kind), funding_at_s=T - 3_600), before, start)
    later, last = before, 0
    for offset, mark in sorted(pushes):
        if offset <= moment:
            last += 1
            later = observe(later, start + offset, (start + offset) * 1_000 + last, INDEX, mark * E18)
    assert due(replace(market(kind), funding_at_s=T - 3_600), later, start + moment) == at_once


@settings(deadline=None)
@given(st.lists(st.integers(-(10**24), 10**24), min_size=1, max_size=30), st.integers(-(10**42), 10**42))
def test_owed__matched_positions__sums_to_the_protocol_s_favour_within_rounding(sizes, delta):
    sizes.append(-sum(sizes))
    total = sum(owed(size, delta) for size in sizes)
    assert 0 <= total < len(sizes)


@settings(deadline=None)
@given(st.integers(-E18, E18), st.integers(-E18, E18), st.sampled_from([0, 1]), st.sampled_from([10, 3_600, 86_400]))
def test_funding_rate__larger_premium__never_lowers_it(one, other, kind, interval):
    rules = market(kind).parameters
    low, high = (funding_rate(rules, interval, p) for p in sorted((one, other)))
    assert -rules.cap_e18 <= low <= high <= rules.cap_e18


def test_boundaries__tables():
    assert (last_boundary(7_200, 3_600), next_boundary(7_200, 3_600)) == (7_200, 10_800)
    assert (last_boundary(7_199, 3_600), next_boundary(7_199, 3_600)) == (3_600, 7_200)


def test_predict__last_premium_persists__is_what_the_boundary_then_charges():
    estimate = predict(market(), priced(), T + 3_600)
    assert estimate == FundingEstimate(16_333_333_333_333_333, PREMIUM, T + EIGHT_HOURS, EIGHT_HOURS)


def test_predict__prices_go_on__becomes_exact():
    known, now = priced(hold=60), T
    for _ in range(100):
        now += 60
        known = observe(known, now, now * 1_000, INDEX, MARK)
    estimate = predict(market(), known, now)
    while now < T + EIGHT_HOURS - 60:
        now += 60
        known = observe(known, now, now * 1_000, INDEX, MARK)
    payment = due(market(), known, T + EIGHT_HOURS)
    assert (payment.rate_e18, payment.premium_e18) == (estimate.rate_e18, estimate.premium_e18)


def test_predict__outage_so_far__stays_uncovered():
    """Without a price for seven of eight hours, no premium can reach half the window."""
    estimate = predict(market(), priced(hold=60), T + 7 * 3_600)
    assert (estimate.premium_e18, estimate.rate_e18) == (0, 10**14)


def test_predict__boundary_due_but_not_settled__looks_at_the_one_after():
    estimate = predict(market(), priced(hold=60), T + EIGHT_HOURS + 1)
    assert estimate.boundary_s == T + 2 * EIGHT_HOURS
    assert estimate.premium_e18 == PREMIUM


def test_predict__no_price_yet__is_interest_only():
    assert predict(market(), feed(), T + 5).rate_e18 == 10**14
