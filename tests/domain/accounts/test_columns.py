"""Columns must name exactly the accounts that the integers name, at the boundary and at any magnitude."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.domain.account import Account, Position
from keeper.domain.columns import AccountColumns
from keeper.domain.exchange import Tier
from keeper.domain.margin import Terms, health_in, is_liquidatable
from keeper.domain.numbers import BPS, E18, cdiv
from tests.domain.accounts.bridge import ENGINE, parameters_of, who
from tests.domain.accounts.reference import Rules
from tests.domain.accounts.strategies import positions, terms

RULES = parameters_of(Rules(((0, 50), (50_000 * 10**6, 100), (250_000 * 10**6, 250), (10**12, 500))))


def market(mark, number=1, cum=0):
    return Terms(number, RULES, mark, cum, fresh=True, passable=True)


def columns_of(*accounts):
    columns = AccountColumns(ENGINE)
    columns.put_all(accounts)
    return columns


def exact(accounts, markets, ratio_bps=BPS):
    found = set()
    for account in accounts:
        health = health_in(account, markets)
        if account.positions and account.address != ENGINE and health.equity * BPS < health.maintenance * ratio_bps:
            found.add(account.address)
    return found


def planted(account, markets, offset, ratio_bps=BPS):
    """The account with the margin that puts it `offset` units beside the threshold."""
    found = health_in(account, markets)
    threshold = cdiv(found.maintenance * ratio_bps, BPS)
    return replace(account, margin_units=account.margin_units + threshold + offset - found.equity)


@st.composite
def crowds(draw):
    """Up to 4 markets of any magnitude and accounts of which most are planted within 3 units of the threshold."""
    numbers = range(1, draw(st.integers(1, 4)) + 1)
    markets = {number: draw(terms(number)) for number in numbers}
    accounts = []
    for index in range(draw(st.integers(1, 12))):
        held = sorted(draw(st.sets(st.sampled_from(numbers), min_size=1)))
        account = Account(who(index + 1), 0, {n: draw(positions(markets[n])) for n in held})
        accounts.append(planted(account, markets, draw(st.integers(-3, 3) | st.integers(-(10**14), 10**14))))
    return markets, accounts


@settings(max_examples=80, deadline=None)
@given(crowds(), st.integers(0, 20_000))
def test_below__planted_accounts__is_the_exact_set(crowd, move_bps):
    markets, accounts = crowd
    columns, known = columns_of(*accounts), {a.address: a for a in accounts}
    assert set(columns.below(known, markets)) == exact(accounts, markets)
    elsewhere = {n: replace(t, mark_e18=max(1, t.mark_e18 * move_bps // BPS)) for n, t in markets.items()}
    assert set(columns.below(known, elsewhere)) == exact(accounts, elsewhere)
    for ratio in (9_000, 11_000, 15_000):
        assert set(columns.below(known, markets, ratio)) == exact(accounts, markets, ratio)


@settings(max_examples=80, deadline=None)
@given(crowds())
def test_judge__any_crowd__sure_is_liquidatable_and_the_rest_is_not(crowd):
    """The proof of the band: nobody outside it is on the wrong side."""
    markets, accounts = crowd
    judged = columns_of(*accounts).judge(markets)
    liquidatable = exact(accounts, markets)
    assert set(judged.sure) <= liquidatable <= set(judged.sure) | set(judged.doubtful)


def test_judge__ordinary_amounts__doubts_only_what_lies_within_a_few_units():
    markets = {1: market(3_000 * E18), 2: market(60_000 * E18, 2)}
    rows = [
        Account(who(i), 0, {1: Position(E18, -3_000 * 10**6, 0), 2: Position(-E18, 60_000 * 10**6, 0)})
        for i in (1, 2, 3)
    ]
    accounts = [planted(row, markets, offset) for row, offset in zip(rows, (-100, 0, 100), strict=True)]
    judged = columns_of(*accounts).judge(markets)
    assert (judged.sure, judged.doubtful) == ((who(1),), (who(2),))
    assert judged.band_units < 13


def test_judge__chunks_and_growth__every_row_is_seen():
    """More rows than a chunk and than the first capacity; markets appear one by one."""
    dice = random.Random(1)
    markets = {n: market(dice.randrange(10**16, 10**23), n) for n in range(1, 6)}
    accounts = []
    for index in range(10_000):
        held = {}
        for number in dice.sample(range(1, 6), dice.randint(1, 3)):
            size = dice.randrange(1, 10**6) * 10**30 * 10**6 // markets[number].mark_e18 * dice.choice((1, -1))
            held[number] = Position(size, -size * markets[number].mark_e18 // 10**30, dice.randrange(10**36))
        accounts.append(planted(Account(who(index + 1), 0, held), markets, dice.choice((-1, 0, 1, 10**9))))
    columns, known = columns_of(*accounts), {a.address: a for a in accounts}
    assert len(columns) == 10_000
    assert set(columns.below(known, markets)) == exact(accounts, markets)


def test_put__again__replaces_the_row():
    markets = {1: market(3_000 * E18), 2: market(E18, 2)}
    poor = Account(who(1), 0, {1: Position(E18, -3_000 * 10**6, 0), 2: Position(E18, 0, 0)})
    columns = columns_of(poor)
    assert columns.judge(markets).sure == (who(1),)
    columns.put(replace(poor, positions={2: Position(E18, 0, 0)}))
    assert columns.judge(markets).sure == ()
    columns.put(poor)
    columns.sync({}, [who(1)])
    assert columns.judge(markets).sure == ()
    assert len(columns) == 1


def test_judge__engine_and_accounts_without_a_position__never():
    held = {1: Position(E18, -(10**12), 0)}
    columns = columns_of(Account(ENGINE, 0, held), Account(who(1), -5), Account(who(2), 0, held))
    assert columns.judge({1: market(E18)}).sure == (who(2),)


def test_judge__held_market_without_terms__is_an_error_and_an_empty_one_is_not():
    columns = columns_of(Account(who(1), 0, {1: Position(E18, 0, 0), 2: Position(E18, 0, 0)}))
    with pytest.raises(KeyError):
        columns.judge({1: market(E18)})
    columns.put(Account(who(1), 0, {1: Position(E18, 0, 0)}))
    assert columns.judge({1: market(E18)}).doubtful == ()


def test_judge__nobody__is_empty():
    assert AccountColumns(ENGINE).judge({}).sure == ()


def test_judge__whale_beyond_float_precision__is_left_to_the_integers():
    """Of 1e18 units of notional a float knows no single unit: the band grows, the set stays exact."""
    rules = replace(RULES, tiers=(Tier(0, 50),))
    markets = {1: Terms(1, rules, 10**22 + 1, 0, fresh=True, passable=True)}
    whale = Account(who(1), 0, {1: Position(10**26, -(10**18), 0)})
    accounts = [planted(replace(whale, address=who(i)), markets, offset) for i, offset in enumerate((-1, 0, 1), 1)]
    columns = columns_of(*accounts)
    assert columns.judge(markets).sure == ()
    assert columns.below({a.address: a for a in accounts}, markets) == (who(1),)
    assert is_liquidatable(accounts[0], markets)
