from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from keeper.domain.account import Account, Position
from keeper.domain.exchange import PAUSE_LIQUIDATE, Tier
from keeper.domain.liquidation import (
    FREE,
    LiquidationPlan,
    Reason,
    Skip,
    closing_of,
    expected_loss,
    plan,
    plan_batch,
    plan_in,
    rank,
    taken_over,
)
from keeper.domain.margin import Health, health_in, is_liquidatable, terms_of
from keeper.domain.numbers import BPS, E18, cdiv
from tests.domain.accounts.bridge import CALLER, ENGINE, accounts_of, reference_of, state_of, who
from tests.domain.accounts.reference import Exchange, Feed, Rules
from tests.domain.accounts.strategies import books

NOW = 1_700_000_000
FUND = Account(ENGINE, 10**12)
EMPTY_FUND = Account(ENGINE)
USD = 10**6


def state(mark=3_000 * E18, ages=(0, 0), frozen=(), paused=0, **rules):
    """Two markets at the same mark, last observed `ages` seconds ago."""
    exchange = Exchange()
    exchange.paused = paused
    for number, age in enumerate(ages, 1):
        exchange.feeds[number] = Feed(3_600, 120)
        exchange.push([(number, mark, mark, 0)], NOW - age, many=True)
        exchange.list(number, Rules(((0, 50),), **rules), NOW - age)
        exchange.feeds[number].frozen = number in frozen
    return state_of(exchange, NOW)


def holder(margin, size=E18, entry=3_000, number=1, name=1):
    return Account(who(name), margin, {number: Position(size, -size * entry // 10**12, 0)})


def ask(account, market_no=1, at=None, **more):
    return plan(account, market_no, at or state(), NOW, **({"engine": FUND, "liquidator": CALLER} | more))


@pytest.mark.parametrize(
    ("account", "market_no", "reason"),
    [
        (replace(holder(0), address=ENGINE), 1, Reason.SELF_OR_ENGINE),
        (replace(holder(0), address=CALLER), 1, Reason.SELF_OR_ENGINE),
        (holder(0), 2, Reason.NO_POSITION),
        (holder(0), 9, Reason.NO_POSITION),
        (holder(15 * USD), 1, Reason.HEALTHY),
    ],
)
def test_plan__contract_s_reasons__come_in_its_order(account, market_no, reason):
    assert ask(account, market_no).reason == reason


def test_plan__a_unit_below_maintenance__is_liquidated():
    assert isinstance(ask(holder(15 * USD - 1)), LiquidationPlan)


def test_plan__size_limit_below_a_lot__is_size_zero():
    assert ask(holder(0), max_size_e18=10**15 - 1).reason == Reason.SIZE_ZERO
    assert ask(holder(0), max_size_e18=2 * 10**15 - 1).size_e18 == 10**15


def test_plan__paused__is_refused_as_a_whole():
    assert ask(holder(0), at=state(paused=PAUSE_LIQUIDATE)).reason == Reason.PAUSED


@pytest.mark.parametrize(
    ("ages", "frozen", "stale"),
    [
        ((60, 60), (), False),
        ((61, 0), (), True),  # the market itself must be fresh
        ((4_000, 0), (), True),
        ((0, 61), (), True),
        ((0, 3_600), (), True),
        ((0, 3_601), (), False),  # past the grace it shields no more
        ((0, 3_601), (2,), True),
        ((0, 0), (2,), True),
        ((0, 0), (1,), True),
    ],
)
def test_plan__price_ages__follow_the_stale_rule(ages, frozen, stale):
    account = Account(who(1), 0, holder(0).positions | holder(0, number=2).positions)
    answer = ask(account, at=state(ages=ages, frozen=frozen))
    assert (isinstance(answer, Skip) and answer.reason == Reason.STALE) == stale
    # A market in which it holds nothing does not matter.
    assert isinstance(ask(holder(0), at=state(ages=(0, 100))), LiquidationPlan)


def test_plan__between_half_and_all_of_maintenance__closes_the_least_that_restores_the_buffer():
    """E 10, MM 15, buffer 1.1, penalty 0.4 % of 3,000: x = 6.5 / (16.5 − 12) is more than all; without penalty 6.5 / 16.5."""
    assert ask(holder(10 * USD)).size_e18 == E18
    answer = ask(holder(10 * USD), at=state(penalty=0))
    assert answer.size_e18 == 394 * 10**15  # 0.3939… up to a lot
    assert (answer.penalty, answer.reward, answer.loss) == (0, 0, 0)
    assert ask(holder(10 * USD), at=state(penalty=10)).size_e18 == 482 * 10**15  # 6.5 / 13.5 up to a lot
    assert ask(holder(10 * USD), at=state(penalty=10)).penalty == 1_446_000
    assert ask(holder(10 * USD), at=state(penalty=10)).reward == 723_000


def test_plan__rest_would_be_dust__closes_all():
    assert ask(holder(10 * USD), at=state(penalty=0, least=1_818 * USD)).size_e18 == 394 * 10**15
    assert ask(holder(10 * USD), at=state(penalty=0, least=1_818 * USD + 1)).size_e18 == E18


def test_plan__below_half_of_maintenance__closes_all():
    assert ask(holder(7_499_999), at=state(penalty=0)).size_e18 == E18
    assert ask(holder(7_500_000), at=state(penalty=0)).size_e18 < E18


def test_plan__penalty__never_exceeds_the_equity():
    answer = ask(holder(3 * USD))
    assert (answer.penalty, answer.reward) == (3 * USD, 3 * USD // 2)


def test_plan__bankrupt__the_fund_pays_and_nobody_is_rewarded():
    answer = ask(holder(-7 * USD))
    assert (answer.loss, answer.penalty, answer.reward) == (7 * USD, 0, 0)
    account, engine = taken_over(answer, holder(-7 * USD), FUND, terms_of(state(), NOW))
    assert (account.margin_units, account.positions) == (0, {})
    assert engine.margin_units == FUND.margin_units - 7 * USD
    assert engine.positions[1].size_e18 == E18


def test_plan__bankrupt_in_two_markets__spreads_the_hole_by_notional():
    account = Account(who(1), -9 * USD, holder(0).positions | holder(0, size=2 * E18, number=2).positions)
    answers = [ask(account, number).loss for number in (1, 2)]
    assert answers == [3 * USD, 6 * USD]


def test_plan__fund_short__says_with_which_size_it_is_used_up():
    answer = ask(holder(-7 * USD), engine=Account(ENGINE, 3 * USD))
    assert (answer.reason, answer.loss, answer.available) == (Reason.FUND_SHORT, 7 * USD, 3 * USD)
    assert answer.affordable_e18 == 428 * 10**15  # 3/7 down to a lot
    limited = ask(holder(-7 * USD), engine=Account(ENGINE, 3 * USD), max_size_e18=answer.affordable_e18)
    assert limited.loss == 2_996_000
    assert ask(holder(-7 * USD), engine=EMPTY_FUND).affordable_e18 == 0


def test_plan__fund_with_open_profit__pays_from_cash_only():
    rich = Account(ENGINE, 2 * USD, {1: Position(-E18, 4_000 * USD, 0)})
    assert ask(holder(-7 * USD), engine=rich).available == 2 * USD
    under = Account(ENGINE, 900 * USD, {1: Position(-E18, 2_000 * USD, 0)})
    assert ask(holder(-7 * USD), engine=under).available == 0


@settings(max_examples=120, deadline=None)
@given(books(most=2), st.integers(-20_000, 10_001), st.integers(0, 10**14), st.integers(1, 2**60))
def test_plan__any_book__is_what_the_reference_does(book, ratio_bps, fund, limit):
    """Reason, size, and after the take-over both accounts, to the unit."""
    markets, account = book
    account, engine = near_threshold(account, markets, ratio_bps), Account(ENGINE, fund)
    exchange = reference_of(markets, (account, engine), NOW)
    number = min(account.positions)
    for most in (FREE, limit * markets[number].parameters.lot_e18):
        answer = plan_in(account, number, markets, engine=engine, liquidator=CALLER, max_size_e18=most)
        reason, size = exchange.reason(account.address, number, most, CALLER, NOW)
        assert (answer.reason if isinstance(answer, Skip) else 0, answer.size_e18) == (reason, size)
    if isinstance(answer, LiquidationPlan):
        assert exchange.liquidate(account.address, number, answer.max_size_e18, CALLER, NOW) == 0
        done = accounts_of(exchange)
        after, taker = taken_over(answer, account, engine, markets)
        assert (after.margin_units, after.positions) == (done[who(1)].margin_units, done[who(1)].positions)
        assert (taker.margin_units, taker.positions) == (done[ENGINE].margin_units, done[ENGINE].positions)
        assert done.get(CALLER, Account(CALLER)).margin_units == answer.reward


@settings(max_examples=120, deadline=None)
@given(books(most=2), st.data())
def test_plan__partial_close_without_a_limit__restores_the_buffer(book, data):
    """The chord over the convex tiers: E ≥ buffer · MM after it, up to rounding, and so E ≥ MM of all but dust."""
    markets, account = book
    number = max(account.positions, key=lambda n: health_in(only(account, n), markets).maintenance)
    account = near_threshold(account, markets, data.draw(st.integers(8_000, 9_999)))
    answer = plan_in(account, number, markets, engine=replace(FUND, margin_units=10**30))
    assume(isinstance(answer, LiquidationPlan))
    assume(answer.size_e18 < abs(account.positions[number].size_e18))
    after, _ = taken_over(answer, account, FUND, markets)
    found, buffer = health_in(after, markets), markets[number].parameters.buffer_bps
    assert found.equity + ROUNDING_UNITS >= cdiv(found.maintenance * buffer, BPS)
    if found.maintenance * (buffer - BPS) >= ROUNDING_UNITS * BPS:
        assert found.equity >= found.maintenance


ROUNDING_UNITS = 5
"""Equity, penalty, notional and two maintenances may each round by a unit."""


def only(account, number):
    return replace(account, positions={number: account.positions[number]})


@settings(max_examples=80, deadline=None)
@given(books(), st.data())
def test_closing__any_size__costs_at_most_a_unit_of_equity(book, data):
    markets, account = book
    number = data.draw(st.sampled_from(sorted(account.positions)))
    found, market = health_in(account, markets), markets[number]
    size = data.draw(st.integers(1, abs(account.positions[number].size_e18)))
    closing = closing_of(account, number, size, found, market)
    assert found.equity - closing.equity in (0, 1)
    assert (closing.loss == 0) == (closing.equity >= 0)


@settings(max_examples=80, deadline=None)
@given(books(), st.data())
def test_affordable__any_fund__is_never_exceeded_and_a_lot_more_would_exceed_it(book, data):
    """Up to a unit of money: E1 may be a unit below E, and a loss is rounded up."""
    markets, account = book
    number = data.draw(st.sampled_from(sorted(account.positions)))
    account = near_threshold(account, markets, data.draw(st.integers(-30_000, -1)))
    found, market = health_in(account, markets), markets[number]
    fund = Account(ENGINE, -found.equity * data.draw(st.integers(0, 9_999)) // BPS)
    answer = plan_in(account, number, markets, engine=fund)
    assume(isinstance(answer, Skip) and answer.reason is Reason.FUND_SHORT)
    if answer.affordable_e18:
        limited = plan_in(account, number, markets, engine=fund, max_size_e18=answer.affordable_e18)
        assert isinstance(limited, LiquidationPlan)
        assert limited.size_e18 == answer.affordable_e18
    more = answer.affordable_e18 + market.parameters.lot_e18
    if more <= answer.size_e18:
        share = cdiv((1 - found.equity) * closing_of(account, number, more, found, market).notional, found.notional)
        assert share > fund.margin_units


def near_threshold(account, markets, ratio_bps):
    """The account with the margin that puts its equity at that part of its maintenance."""
    found = health_in(account, markets)
    target = found.maintenance * ratio_bps // BPS
    return replace(account, margin_units=account.margin_units + target - found.equity)


def crowd():
    """Four underwater longs, two of them alike, one healthy."""
    return {
        account.address: account
        for account in (
            holder(-5 * USD, name=1),
            holder(5 * USD, name=3),
            holder(5 * USD, name=2),
            holder(10 * USD, size=2 * E18, name=4),
            holder(900 * USD, name=5),
        )
    }


def test_rank__largest_expected_loss_first__ties_by_lower_address():
    """5 % of 3,000 less the equity; 300 − 10 for the larger one."""
    ranked = rank(crowd().values(), state(), NOW, engine=ENGINE)
    assert [(c.account, c.expected_loss) for c in ranked] == [
        (who(4), 290 * USD),
        (who(1), 155 * USD),
        (who(2), 145 * USD),
        (who(3), 145 * USD),
    ]
    assert ranked == rank(reversed(list(crowd().values())), state(), NOW, engine=ENGINE)


def test_rank__several_positions__most_maintenance_first():
    both = Account(who(1), 0, holder(0).positions | holder(0, size=-2 * E18, number=2).positions)
    assert [c.market_no for c in rank([both], state(), NOW, engine=ENGINE)] == [2, 1]


def test_rank__engine_and_holders_of_nothing__are_left_out():
    engine = Account(ENGINE, -(10**12), holder(0).positions)
    assert rank([engine, Account(who(1), -5)], state(), NOW, engine=ENGINE) == ()


def test_expected_loss__small_shock__is_nothing():
    assert expected_loss(Health(0, 10, 20, 40, 100), 500) == 0
    assert expected_loss(Health(0, -10, 20, 40, 101), 500) == 16


def test_plan_batch__fund_for_one__the_second_knows_what_the_first_used():
    """Holes of 5 and 6 and a fund of 8: the first in full, of the second a third, then nothing is left for the third."""
    accounts = {a.address: a for a in (holder(-6 * USD, name=1), holder(-5 * USD, name=2), holder(-4 * USD, name=3))}
    accounts[ENGINE] = Account(ENGINE, 8 * USD)
    candidates = rank(accounts.values(), state(), NOW, engine=ENGINE)
    batch = plan_batch(candidates, accounts, state(), NOW, engine=ENGINE, liquidator=CALLER)
    assert [(p.account, p.loss, p.max_size_e18) for p in batch.plans] == [
        (who(1), 6 * USD, FREE),
        (who(2), 2 * USD, 400 * 10**15),
    ]
    assert [(s.account, s.reason, s.available) for s in batch.skips] == [(who(3), Reason.FUND_SHORT, 0)]
    assert batch.accounts[ENGINE].margin_units == 0


def test_plan_batch__inventory__is_part_of_the_fund_s_equity():
    """ENGINE short 1 at 2,000 takes 1 long over at 3,000: its hole is realised, so nothing is left for others."""
    accounts = {a.address: a for a in (holder(3 * USD, name=1), holder(-4 * USD, name=2))}
    accounts[ENGINE] = Account(ENGINE, 1_000 * USD, {1: Position(-E18, 2_000 * USD, 0)})
    batch = plan_batch(rank(accounts.values(), state(), NOW, engine=ENGINE), accounts, state(), NOW, engine=ENGINE)
    assert [s.account for s in batch.skips] == [who(2)]
    assert batch.accounts[ENGINE].positions == {}
    assert batch.accounts[ENGINE].margin_units == 3 * USD - 3 * USD // 2


def test_plan_batch__first_market_cures__the_second_is_skipped():
    both = Account(who(1), 20 * USD, holder(0, size=3 * E18).positions | holder(0, number=2).positions)
    at = state(penalty=0)
    batch = plan_batch(rank([both], at, NOW, engine=ENGINE), {who(1): both}, at, NOW, engine=ENGINE)
    assert [(p.market_no) for p in batch.plans] == [1]
    assert [(s.market_no, s.reason) for s in batch.skips] == [(2, Reason.HEALTHY)]
    assert not is_liquidatable(batch.accounts[who(1)], terms_of(at, NOW))


def test_plan_batch__liquidator_in_trouble_itself__is_helped_by_its_rewards():
    accounts = {a.address: a for a in (holder(12 * USD, name=1), replace(holder(14 * USD), address=CALLER))}
    batch = plan_batch(
        rank(accounts.values(), state(), NOW, engine=ENGINE), accounts, state(), NOW, engine=ENGINE, liquidator=CALLER
    )
    assert [s.reason for s in batch.skips] == [Reason.SELF_OR_ENGINE]
    assert batch.accounts[CALLER].margin_units == 14 * USD + batch.plans[0].reward


def test_plan_batch__limit_and_pause():
    accounts, at = crowd(), state()
    ranked = rank(accounts.values(), at, NOW, engine=ENGINE)
    assert len(plan_batch(ranked, accounts, at, NOW, engine=ENGINE, limit=1).plans) == 1
    stopped = plan_batch(ranked, accounts, state(paused=PAUSE_LIQUIDATE), NOW, engine=ENGINE)
    assert stopped.plans == ()
    assert {skip.reason for skip in stopped.skips} == {Reason.PAUSED}


def test_plan__tiers__the_chord_restores_the_buffer_over_a_steep_floor():
    """A large position in the top tier, closed only in part."""
    at = state()
    market = at.markets[1]
    tiers = (Tier(0, 50), Tier(100_000 * USD, 1_000))
    at = replace(at, markets={1: replace(market, parameters=replace(market.parameters, tiers=tiers))})
    account = holder(15_000 * USD, size=100 * E18)
    answer = ask(account, at=at)
    assert 0 < answer.size_e18 < 100 * E18
    after, _ = taken_over(answer, account, FUND, terms_of(at, NOW))
    found = health_in(after, terms_of(at, NOW))
    assert found.equity * BPS >= found.maintenance * 11_000
