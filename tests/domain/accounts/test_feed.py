from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.domain.exchange import FeedState, OracleState
from keeper.domain.feed import PREMIUM_REPORTED, derived_premium, fresh, observe, premium_at
from keeper.domain.numbers import E18, MAX_PRICE_E18

EMPTY = FeedState(1, 3_600, 120, 500, 300, 0, False, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
T = 3_600 * 1_000


def push(feed, at_s, index=100 * E18, mark=101 * E18, premium=0):
    return observe(feed, at_s, at_s * 1_000, index, mark, premium)


@pytest.mark.parametrize(
    ("index", "mark", "premium"),
    [
        (3_000 * E18, 3_050 * E18 + E18 // 2, 16_833_333_333_333_333),
        (3, 2, -333_333_333_333_333_333),  # toward zero
        (3, 4, 333_333_333_333_333_333),
        (1, MAX_PRICE_E18, E18),
        (MAX_PRICE_E18, 1, -999_999_999_999_999_999),
        (5, 5, 0),
    ],
)
def test_derived_premium__tables(index, mark, premium):
    assert derived_premium(index, mark) == premium


def test_observe__first_price_ever__stores_an_empty_checkpoint_and_no_sums():
    feed = push(EMPTY, T + 30)
    assert (feed.checkpoint_at_s, feed.checkpoint_acc, feed.checkpoint_covered, feed.checkpoint_mark_e18) == (
        T,
        0,
        0,
        0,
    )
    assert (feed.acc, feed.covered, feed.premium_e18) == (0, 0, E18 // 100)
    assert premium_at(feed, T) == (0, 0, 0)


def test_observe__gap_longer_than_hold__counts_hold_seconds_only():
    feed = push(push(EMPTY, T + 30), T + 1_000)
    assert (feed.acc, feed.covered) == (120 * E18 // 100, 120)


def test_observe__over_a_boundary__checkpoint_has_the_sums_and_mark_of_before():
    feed = push(push(EMPTY, T + 3_580), T + 3_610, mark=90 * E18)
    checkpoint = (20 * E18 // 100, 20, 101 * E18)
    assert premium_at(feed, T + 3_600) == checkpoint
    assert (feed.acc, feed.covered, feed.mark_e18) == (30 * E18 // 100, 30, 90 * E18)
    assert premium_at(push(feed, T + 3_640), T + 3_600) == checkpoint  # later pushes leave it


def test_observe__exactly_on_the_boundary__belongs_to_the_next_interval():
    feed = push(push(EMPTY, T + 3_580), T + 3_600, mark=90 * E18)
    assert premium_at(feed, T + 3_600) == (20 * E18 // 100, 20, 101 * E18)


def test_observe__reported_kind__takes_the_batch_s_premium():
    feed = push(replace(EMPTY, premium_kind=PREMIUM_REPORTED), T, premium=-7)
    assert feed.premium_e18 == -7
    assert push(EMPTY, T, premium=-7).premium_e18 == E18 // 100


def test_observe__round_not_newer__is_refused():
    feed = push(EMPTY, T)
    with pytest.raises(ValueError, match="does not follow"):
        push(feed, T)


def test_premium_at__before_the_first_price__is_zero():
    assert premium_at(EMPTY, T) == (0, 0, 0)


def test_premium_at__a_boundary_passed_long_ago__is_refused():
    with pytest.raises(ValueError, match="no checkpoint"):
        premium_at(push(push(EMPTY, T), T + 7_300), T + 3_600)


def test_premium_at__after_an_outage__counts_hold_seconds_only():
    assert premium_at(push(EMPTY, T), T + 36_000) == (120 * E18 // 100, 120, 101 * E18)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 2_000), st.integers(1, 200)), min_size=1, max_size=20), st.integers(0, 3_599))
def test_premium_at__whatever_is_observed_after_a_boundary__is_the_same(pushes, later):
    """A boundary's inputs commute with every push observed at or after it and before the next."""
    feed, at = EMPTY, T
    for gap, mark in pushes:
        at += gap
        feed = push(feed, at, mark=mark * E18)
    boundary = at - at % 3_600 + 3_600
    assert premium_at(push(feed, boundary + later, mark=E18), boundary) == premium_at(feed, boundary)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 500), st.integers(1, 200)), min_size=2, max_size=30))
def test_observe__any_pushes__sum_is_the_integral_of_held_premiums(pushes):
    feed, at, seen = EMPTY, T, []
    for gap, mark in pushes:
        at += gap
        feed = push(feed, at, mark=mark * E18)
        seen.append((at, derived_premium(100 * E18, mark * E18)))
    held = [min(b - a, 120) for (a, _), (b, _) in itertools.pairwise(seen)]
    assert feed.covered == sum(held)
    assert feed.acc == sum(p * h for (_, p), h in zip(seen, held, strict=False))


@pytest.mark.parametrize(
    ("age", "frozen", "paused", "priced", "expected"),
    [(60, False, False, True, True), (61, False, False, True, False), (0, True, False, True, False),
     (0, False, True, True, False), (0, False, False, False, False)],
)  # fmt: skip
def test_fresh__tables(age, frozen, paused, priced, expected):
    feed = replace(push(EMPTY, T) if priced else EMPTY, frozen=frozen)
    assert fresh(feed, OracleState((), 1, 1, 1, 60, 60, paused), T + age, 60) is expected
