from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.domain.account import Account, Position
from keeper.domain.deleverage import DeleverageStep, counterparties, needed, plan_all, plan_deleverage
from keeper.domain.exchange import PAUSE_LIQUIDATE
from keeper.domain.liquidation import Reason, plan
from keeper.domain.margin import terms_of
from keeper.domain.numbers import E18
from tests.domain.accounts.bridge import ENGINE, who
from tests.domain.accounts.test_liquidation import NOW, USD, holder, state

MARK = 3_000 * E18


def short(margin, size=E18, entry=3_000, name=2, number=1):
    return holder(margin, size=-size, entry=entry, name=name, number=number)


def ranked(*accounts, side=1, at=None):
    return counterparties(side, 1, accounts, terms_of(at or state(), NOW), engine=ENGINE)


def steps(bankrupt, *others, at=None, fund=0):
    accounts = {account.address: account for account in (Account(ENGINE, fund), bankrupt, *others)}
    return plan_deleverage(bankrupt.address, at or state(), accounts, NOW, engine=ENGINE)


def test_counterparties__score__by_hand():
    """Short 1 from 3,300: pct 1/11; E = 200 + 300 = 500, lev 6. Short 1 from 2,700: pct −1/9; E = 1,500 − 300, lev 2.5."""
    winner, loser = short(200 * USD, entry=3_300), short(1_500 * USD, entry=2_700, name=3)
    first, second = ranked(loser, winner)
    assert (first.account, first.pct_e18, first.leverage_e18) == (who(2), 90909090909090909, 6 * E18)
    assert first.score_e18 == 545454545454545454
    assert (second.account, second.pct_e18, second.leverage_e18) == (who(3), -111111111111111111, 25 * 10**17)
    assert second.score_e18 == -44444444444444444


def test_counterparties__leverage__is_rounded_down():
    assert ranked(short(700 * USD))[0].leverage_e18 == 4_285714285714285714


def test_counterparties__ties__go_by_lower_address():
    accounts = [short(900 * USD, name=name) for name in (9, 3, 5)]
    assert [c.account for c in ranked(*accounts)] == [who(3), who(5), who(9)]


def test_counterparties__same_side_engine_and_accounts_without_equity__are_left_out():
    engine = replace(short(900 * USD), address=ENGINE)
    assert ranked(holder(900 * USD), short(0), short(-1, name=4), engine, Account(who(5), 10**9)) == ()
    assert [c.account for c in ranked(short(1, name=4))] == [who(4)]


def test_counterparties__no_entry_cash__divides_by_one():
    free = Account(who(2), 10**10, {1: Position(-E18, 0, 0)})
    assert ranked(free)[0].pct_e18 == -3_000 * USD * E18


def test_plan__empty_fund__closes_at_the_bankruptcy_price_by_rank():
    """The best ranked first, in full; the hole of 30 is spread by size."""
    bankrupt = holder(-30 * USD, size=3 * E18)
    best, second = short(300 * USD, entry=3_300), short(5_000 * USD, size=5 * E18, entry=3_100, name=3)
    assert steps(bankrupt, second, best) == (
        DeleverageStep(who(1), who(2), 1, E18, 10 * USD, 0),
        DeleverageStep(who(1), who(3), 1, 2 * E18, 20 * USD, 0),
    )


def test_plan__something_left_in_the_fund__it_pays_first_and_is_then_empty():
    bankrupt = holder(-30 * USD, size=3 * E18)
    first, second = steps(bankrupt, short(300 * USD), short(5_000 * USD, size=5 * E18, name=3), fund=USD // 2)
    assert (first.loss, first.cover) == (10 * USD, USD // 2)
    assert (second.loss, second.cover) == (20 * USD, 0)


def test_plan__fund_can_pay_the_next_hole__ends():
    assert steps(holder(-30 * USD, size=3 * E18), short(300 * USD), fund=10 * USD) == ()


def test_plan__counterparty_would_be_unhealthy__the_next_is_asked():
    """The first would have to pay 400 of its 300 and hold another market on top."""
    bankrupt = holder(-400 * USD)
    weak = Account(who(2), 0, short(0, entry=3_300).positions | holder(0, number=2).positions)
    weak_too = replace(weak, address=who(3))
    strong = short(5_000 * USD, name=4)
    assert [c.account for c in ranked(weak, weak_too, strong)] == [who(2), who(3), who(4)]
    assert [step.counterparty for step in steps(bankrupt, weak, weak_too, strong)] == [who(4)]
    assert steps(bankrupt, weak) == ()


def test_plan__counterparty_with_a_stale_other_market__is_passed_over():
    shielded = Account(who(2), 900 * USD, short(0, entry=3_300).positions | holder(0, number=2).positions)
    at = state(ages=(0, 100))
    assert [s.counterparty for s in steps(holder(-30 * USD), shielded, short(900 * USD, name=4), at=at)] == [who(4)]


@pytest.mark.parametrize("at", [state(ages=(61, 0)), state(frozen=(1,)), state(paused=PAUSE_LIQUIDATE)])
def test_plan__price_or_pause_forbids__nothing(at):
    assert steps(holder(-30 * USD), short(900 * USD), at=at) == ()


def test_plan__solvent_or_unknown_account__nothing():
    assert steps(holder(30 * USD), short(900 * USD)) == ()
    assert plan_deleverage(who(7), state(), {}, NOW, engine=ENGINE) == ()


def test_plan__engine_under_water__is_closed_without_cover():
    """ENGINE long 2 from 3,010: a hole of 20, its own margin 0; the last one pays what is left."""
    engine = replace(holder(0, size=2 * E18, entry=3_010), address=ENGINE)
    accounts = {a.address: a for a in (engine, short(900 * USD), short(900 * USD, name=3))}
    assert needed(engine, state(), NOW, engine=engine)
    assert plan_deleverage(ENGINE, state(), accounts, NOW, engine=ENGINE) == (
        DeleverageStep(ENGINE, who(2), 1, E18, 10 * USD, 0),
        DeleverageStep(ENGINE, who(3), 1, E18, 10 * USD, 0),
    )


def test_plan__two_markets__larger_maintenance_first_and_the_last_pays_the_rest():
    bankrupt = Account(who(1), -31, holder(0).positions | holder(0, size=-2 * E18, number=2).positions)
    others = short(900 * USD), holder(900 * USD, size=2 * E18, number=2, name=3)
    assert [(s.market_no, s.loss) for s in steps(bankrupt, *others)] == [(2, 21), (1, 10)]


def test_needed__fund_can_still_help__liquidate_first():
    bankrupt, fund = holder(-30 * USD, size=3 * E18), Account(ENGINE, USD)
    assert plan(bankrupt, 1, state(), NOW, engine=fund).affordable_e18 == 10**17
    assert not needed(bankrupt, state(), NOW, engine=fund)
    assert needed(bankrupt, state(), NOW, engine=Account(ENGINE))
    assert plan(bankrupt, 1, state(), NOW, engine=Account(ENGINE)).reason == Reason.FUND_SHORT


def test_needed__healthy_paused_or_stale__no():
    fund = Account(ENGINE)
    assert not needed(holder(900 * USD), state(), NOW, engine=fund)
    assert not needed(holder(-USD), state(paused=PAUSE_LIQUIDATE), NOW, engine=fund)
    assert not needed(holder(-USD), state(ages=(100, 0)), NOW, engine=fund)
    assert not needed(Account(ENGINE, -5), state(), NOW, engine=Account(ENGINE, -5))


def test_plan_all__two_bankrupts_one_counterparty__the_second_gets_what_the_first_left():
    one, other = holder(-100 * USD, entry=3_300), holder(-100 * USD, entry=3_300, name=7)
    winner = short(5_000 * USD, size=3 * E18, entry=3_300)
    accounts = {each.address: each for each in (Account(ENGINE), one, other, winner)}
    planned = plan_all([one.address, other.address], state(), accounts, NOW, engine=ENGINE)
    assert [(step.bankrupt, step.counterparty, step.size_e18) for step in planned] == [
        (one.address, winner.address, E18),
        (other.address, winner.address, E18),
    ]
    alone = plan_deleverage(one.address, state(), accounts, NOW, engine=ENGINE)
    assert planned[0] == alone[0]
    assert plan_all([winner.address], state(), accounts, NOW, engine=ENGINE) == ()
