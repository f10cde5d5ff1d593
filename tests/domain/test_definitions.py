"""The descriptions of perpetuals that the project began with: each definition in them that is a computation has its name here.

They contradict one another (a mark from funding, from the own book, from spot; an index by mean, by median, by time), so each is
an option and none is built in. Their worked figures are in `tests/domain/rates/test_formulas.py` and `test_payments.py`, the one
that is a mistake asserted absent. Numbers are those of the list that the definitions were gathered in.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from keeper.domain.account import Account, Position
from keeper.domain.index import INDEX_METHODS
from keeper.domain.liquidation import LiquidationPlan, plan
from keeper.domain.margining.collateral import Haircuts, Step, collateral_value
from keeper.domain.mark import MARK_METHODS
from keeper.domain.mark.method import FundingEstimate
from keeper.domain.numbers import E18
from keeper.domain.publishing import Candidate, OnChain, Publish, PublishPolicy, Trigger
from keeper.domain.quote import Level
from keeper.domain.rates import FUNDING_METHODS
from keeper.domain.rates.fold import RatePlan
from keeper.domain.rates.method import Ratio
from keeper.domain.rates.payments import Contract, Terms, settle
from keeper.domain.rates.versions import Versions
from keeper.domain.time import SECOND
from tests.domain.accounts.bridge import CALLER, ENGINE, state_of, who
from tests.domain.accounts.reference import Exchange, Feed, Rules
from tests.domain.pricing.builders import NOW, after, book, e18, index, mark_inputs, trade
from tests.domain.rates.scenes import BP, DAWN_S, steady

NOW_S = NOW // SECOND


def walked(method: Any, seconds: int, **seen: Any) -> int:
    """The mark after so many seconds of the same look; `seen` makes its inputs at an instant."""
    state, found = method.start(), 0
    for second in range(seconds + 1):
        now = after(second)
        inputs = mark_inputs(at=now, **{name: make(now) for name, make in seen.items()})
        state, mark = method.step(state, inputs)
        found = mark.price_e18
    return found


@pytest.mark.parametrize("left", [1, 2])
def test_0_1_and_0_6__mark_is_the_index_with_the_funding_still_due__funding_fair(left: int) -> None:
    """60,000 with 8.333 basis points still due is the 60,050 of the example; half of it with half of the time."""
    rate = 50 * E18 // 60_000
    due = FundingEstimate(rate, NOW_S + 28_800 // left, 28_800)
    _, mark = MARK_METHODS["funding_fair"]().step(
        MARK_METHODS["funding_fair"]().start(), mark_inputs(index(60_000), funding=due)
    )
    assert abs(mark.price_e18 - e18(60_000) - e18(50) // left) < E18 // 1_000_000


@pytest.mark.parametrize(("name", "seen"), [("book_twap", {"own": book}), ("last_twap", {"last": trade})])
def test_0_2__mark_is_a_mean_of_the_own_book_or_of_the_last_trade__book_twap_last_twap(
    name: str, seen: dict[str, Any]
) -> None:
    (kind, make), method = next(iter(seen.items())), MARK_METHODS[name](window_s=60)  # type: ignore[call-arg]
    found = walked(method, 60, spot=lambda now: index(100, at=now), **{kind: lambda now: make(101, at=now)})
    assert found == e18(101)


def test_0_3__mark_is_the_index_plus_a_moving_basis__moving_basis() -> None:
    method = MARK_METHODS["moving_basis"]()
    found = walked(method, 900, spot=lambda now: index(100, at=now), own=lambda now: book(101, at=now))
    assert abs(found - e18(101)) < E18 // 100


def test_0_4__mark_is_a_mean_of_spot_over_minutes__spot_twap() -> None:
    """From 5 to 30 minutes; the own last trade does not count."""
    method = MARK_METHODS["spot_twap"](window_s=300, max_basis_bps=5_000)  # type: ignore[call-arg]
    jump = after(150)
    found = walked(
        method,
        300,
        spot=lambda now: index(100 if now < jump else 120, at=now),
        last=lambda now: trade(500, at=now),
    )
    assert abs(found - e18(110)) < E18 // 10


def test_0_5__premium_is_of_the_middle_of_the_book__okx() -> None:
    assert FUNDING_METHODS["okx"]().sample == "middle"  # type: ignore[attr-defined]
    assert steady(FUNDING_METHODS["okx"](), 10 * BP).rate_e18 == 10 * BP


VOTES = [(e18(100), 1), (e18(101), 1), (e18(110), 3)]


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (INDEX_METHODS["weighted_mean"](), "106.2"),
        (INDEX_METHODS["vwap"](combine_by="mean"), "106.2"),  # type: ignore[call-arg]
        (INDEX_METHODS["vwap"](), "110"),
        (INDEX_METHODS["weighted_median"](), "110"),
        (INDEX_METHODS["clamped_weighted_mean"](), "101.202"),
    ],
    ids=("mean by weight", "mean by volume", "median by volume", "median by weight", "clamped mean"),
)
def test_0_7__index_is_by_volume_a_mean_or_a_median(method: Any, expected: str) -> None:
    """The clamped mean's centre is the median by number, 101, so that the heavy 110 counts as 101.505."""
    assert method.combine(VOTES) == e18(expected)


def test_0_8__cadence_is_a_heartbeat_and_a_threshold() -> None:
    policy = PublishPolicy(deviation_bps=10, heartbeat_ns=5 * SECOND, min_interval_ns=SECOND)
    chain = OnChain(e18(100), e18(100), NOW_S, NOW // 10**6)
    calm, moved = Candidate(e18(100), e18(100)), Candidate(e18("100.2"), e18("100.2"))
    assert not isinstance(policy.decide(calm, chain, None, after(4.9)), Publish)
    beat, move = policy.decide(calm, chain, None, after(5)), policy.decide(moved, chain, None, after(2))
    assert isinstance(beat, Publish)
    assert isinstance(move, Publish)
    assert (beat.trigger, move.trigger) == (Trigger.HEARTBEAT, Trigger.DEVIATION)


@pytest.mark.parametrize(
    ("interval_s", "offset_s", "hours"),
    [(28_800, 0, [8, 16, 24]), (3_600, 0, [1, 2, 3]), (28_800, 14_400, [4, 12, 20])],
)
def test_0_9__funding_is_due_at_multiples_of_an_interval_that_is_an_option(
    interval_s: int, offset_s: int, hours: list[int]
) -> None:
    method = replace(FUNDING_METHODS["interest_clamp"](), interval_s=interval_s, offset_s=offset_s)  # type: ignore[type-var]
    rates, at, found = RatePlan(Versions.always(method)), DAWN_S, []
    for _ in hours:
        at = rates.next_boundary(at)
        found.append((at - DAWN_S) // 3_600)
    assert found == hours


def exchange(index_price: int, mark: int) -> Exchange:
    found = Exchange()
    found.feeds[1] = Feed(3_600, 120)
    found.push([(1, e18(index_price), e18(mark), 0)], NOW_S, many=True)
    found.list(1, Rules(((0, 500),)), NOW_S)
    return found


@pytest.mark.parametrize(("index_price", "mark", "liquidated"), [(100, 90, True), (90, 100, False)])
def test_0_10_and_0_11__liquidations_go_by_the_mark_and_never_by_the_index(
    index_price: int, mark: int, liquidated: bool
) -> None:
    """A long of 1 at 100 with 10 of margin and 5 % to maintain: nothing is left at a mark of 90."""
    holder = Account(who(1), 10 * 10**6, {1: Position(E18, -100 * 10**6, 0)})
    found = plan(
        holder,
        1,
        state_of(exchange(index_price, mark), NOW_S),
        NOW_S,
        engine=Account(ENGINE, 10**12),
        liquidator=CALLER,
    )
    assert isinstance(found, LiquidationPlan) is liquidated


@pytest.mark.parametrize(
    ("contract", "unit", "debit"), [(Contract.LINEAR, 10**6, 813_467), (Contract.INVERSE, 10**8, None)]
)
def test_0_12__payment_is_in_quote_or_in_base_by_the_contract(contract: Contract, unit: int, debit: int | None) -> None:
    """One ether at 3,050.50 and 0.0266667 %: 0.813467 dollars, where a description printed ether."""
    terms = Terms(contract, e18("3050.50"), 266_666_666_666_666, unit, E18)
    found = settle({"long": E18, "short": -E18}, terms).debits
    assert found["long"] > 0 >= found["short"]
    if debit is not None:
        assert abs(found["long"] - debit) <= 1


def test_0_13__collateral_of_several_assets_counts_what_it_fetches_less_a_haircut() -> None:
    haircuts = Haircuts((Step(0, Fraction(5, 100)),))
    book_of_it = (Level(e18(100), e18(5)), Level(e18(90), e18(10)))
    assert collateral_value(e18(10), e18(100), haircuts) == e18(950)
    assert collateral_value(e18(10), e18(100), haircuts, book_of_it) == e18(950) * 95 // 100


def test_the_two_funding_formulas__differ_in_what_they_clamp__and_both_have_a_name() -> None:
    """One clamps the premium, so that it hardly matters; exchanges clamp what the interest adds to it."""
    premium = Ratio(168 * BP)
    assert steady(FUNDING_METHODS["clamped_premium"](), premium).rate_e18 == 266_666_666_666_666
    assert steady(FUNDING_METHODS["interest_clamp"](), premium).rate_e18 == 163 * BP


def test_every_definition__is_an_option_and_none_is_built_in() -> None:
    assert {"funding_fair", "book_twap", "last_twap", "moving_basis", "spot_twap", "index"} <= set(MARK_METHODS)
    assert {"weighted_mean", "vwap", "weighted_median", "clamped_weighted_mean"} <= set(INDEX_METHODS)
    assert {"clamped_premium", "interest_clamp"} <= set(FUNDING_METHODS)
