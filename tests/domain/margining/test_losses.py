from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.margining.contracts import INVERSE, LINEAR, ceil
from keeper.domain.margining.losses import (
    Candidate,
    Cover,
    Penalty,
    PenaltyRules,
    adl_order,
    adl_score,
    cover,
    penalty,
    socialised,
)
from tests.domain.margining.bridge import e18

CURIE = PenaltyRules(Fraction(25, 1000))


def test_penalty__by_hand():
    """2.5 % of 1,000: half each; all to the keeper when nothing is left, and the fund's loss grows by it."""
    assert penalty(e18(1_000), e18(100), CURIE) == Penalty(e18("12.5"), e18("12.5"), 0)
    assert penalty(e18(1_000), e18(10), CURIE) == Penalty(e18("12.5"), e18("12.5"), e18(15))
    assert penalty(e18(1_000), 0, CURIE) == Penalty(e18(25), 0, e18(25))
    assert penalty(e18(1_000), -e18(5), CURIE) == Penalty(e18(25), 0, e18(30))
    capped = PenaltyRules(CURIE.rate, capped=True)
    assert penalty(e18(1_000), e18(10), capped) == Penalty(e18(5), e18(5), 0)
    assert penalty(e18(1_000), -e18(5), capped) == Penalty(0, 0, e18(5))


@given(st.integers(0, 10**24), st.integers(-(10**24), 10**24), st.fractions(0, 1), st.fractions(0, 1), st.booleans())
def test_penalty__any__splits_without_loss_and_leaves_the_deficit(closed, equity, rate, share, capped):
    found = penalty(closed, equity, PenaltyRules(rate, share, capped))
    charged = found.keeper_e18 + found.fund_e18
    assert min(found.keeper_e18, found.fund_e18, found.deficit_e18) >= 0
    assert found.deficit_e18 == max(0, charged - equity)
    if capped:
        assert charged <= max(0, equity)
    else:
        assert charged == ceil(rate * closed)


def test_cover__fund_first():
    assert [cover(10, fund) for fund in (20, 4, 0, -3)] == [Cover(10, 0), Cover(4, 6), Cover(0, 10), Cover(0, 10)]


def test_socialised__by_hand():
    assert socialised(10, {"a": 30, "b": 30, "c": 40, "d": -5}) == {"a": 3, "b": 3, "c": 4}
    assert socialised(10, {"b": 50, "a": 50, "c": 50}) == {"a": 4, "b": 3, "c": 3}
    assert socialised(10, {"a": 9}) is None
    assert socialised(0, {}) == {}


@given(st.integers(0, 10**20), st.dictionaries(st.text("abc", max_size=4), st.integers(-(10**20), 10**20), max_size=8))
def test_socialised__any__adds_up_and_takes_no_more_than_the_share(loss, profits):
    shares = socialised(loss, profits)
    total = sum(max(0, profit) for profit in profits.values())
    if shares is None:
        assert loss > total
        return
    assert sum(shares.values()) == loss
    for name, share in shares.items():
        assert 0 <= share <= profits[name]
        assert abs(share - Fraction(loss * profits[name], total)) < 1


def of(name, size, entry, mark, left, contract=LINEAR):
    return Candidate(name, contract, e18(size), e18(entry), e18(mark), e18(left))


def test_adl__by_hand():
    """A profit ranks by leverage times, a loss by leverage under: 10 % at 5x, 20 % at 2x, −10 % at 9x and at 3x."""
    assert adl_score(of("a", 1, 100, 110, 22)) == Fraction(1, 2)
    assert adl_score(of("b", -1, 100, 80, 40)) == Fraction(2, 5)
    assert adl_score(of("c", 1, 100, 90, 10)) == -Fraction(1, 90)
    assert adl_score(of("d", 1, 100, 90, 30)) == -Fraction(1, 30)
    assert adl_score(of("gone", 1, 100, 90, 0)) is None
    book = [of("d", 1, 100, 90, 30), of("b", -1, 100, 80, 40), of("gone", 1, 1, 9, -1), of("c", 1, 100, 90, 10)]
    assert adl_order([*book, of("a2", 1, 100, 110, 22), of("a1", 1, 100, 110, 22)]) == ("a1", "a2", "b", "c", "d")


def test_adl__inverse__profit_counts_in_coins():
    """60,000 USD short from 50,000 to 40,000: 0.3 BTC on 1.2, at 1.5 BTC over 0.5 left."""
    assert adl_score(of("a", -60_000, 50_000, 40_000, "0.5", INVERSE)) == Fraction(1, 4) * 3


money = st.integers(10**15, 10**24)


@given(st.sampled_from([LINEAR, INVERSE]), st.sampled_from([1, -1]), money, money, money, money, money)
def test_adl__any_two__more_profit_or_more_leverage_comes_first(contract, side, size, entry, mark, better, left):
    one = Candidate("one", contract, side * size, entry, mark, left)
    gains = (mark > entry) == (side > 0) and mark != entry
    thinner = Candidate("thin", contract, side * size, entry, mark, max(1, left // 2))
    assert adl_score(thinner) >= adl_score(one)
    if gains:
        assert adl_score(one) > 0
        assert adl_order([one, thinner])[0] == "thin" or left == 1
    # The same money left and the same worth now, from an entry that makes the profit larger.
    cheaper = min(entry, better) if side > 0 else max(entry, better)
    assert adl_score(Candidate("b", contract, side * size, cheaper, mark, left)) >= adl_score(one)
    assert adl_score(Candidate("k", contract, 7 * side * size, entry, mark, 7 * left)) == adl_score(one)
