"""One market's tick and its condition: what goes out, what is liquidated, and what only looks as if it should not go out."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from keeper.domain.condition import Cause, Condition, ConditionRules
from keeper.domain.confirmation import Confirmation
from keeper.domain.gate import Doubt, Open, Shut
from keeper.domain.guard import Guard, Held
from keeper.domain.index import IndexPrice
from keeper.domain.ladder import LADDERS, Ladder, Rung
from keeper.domain.mark.moving_basis import MovingBasis
from keeper.domain.mark.quoted_median import QuotedMedian
from keeper.domain.market import MarketFold, MarketPlan, PricedMarket, Seen, step
from keeper.domain.numbers import deviation_bps
from keeper.domain.pricing import price_component
from keeper.domain.provenance import Occasion
from keeper.domain.publishing import Candidate, OnChain, Publish, Trigger
from keeper.domain.recall import Recalled, recall
from keeper.domain.recompute import recompute
from keeper.domain.time import SECOND, Timestamp
from tests.domain.pricing.builders import after, book, e18, quote
from tests.services.fakes import BTC, START_S
from tests.services.markets import chain_state, plan_of
from tests.services.test_publishing import Stage

RULES = ConditionRules(degraded_max_ns=20 * SECOND)
START = Timestamp(START_S * SECOND)


def plan(**options: Any) -> MarketPlan:
    """Liquidates whatever the gate's own rules say, so that what shuts it is the condition."""
    chosen = {"mark": QuotedMedian(max_basis_bps=5_000), "condition": RULES} | options
    found = plan_of(BTC, **chosen)
    found = replace(found, gate=replace(found.gate, max_mark_age_ns=10**18))
    return replace(found, book=found.spec.sources[0].source)


def ticks(
    chosen: MarketPlan, course: list[tuple[float, str | int, str | int]], sources: int = 3, chain_price: str | int = 100
) -> list[PricedMarket]:
    """One tick for each (second, price of the sources, mid of the own book)."""
    chain = chain_state({1: chain_price, 2: 100})
    fold, found, last = MarketFold(chosen.mark.start()), list[PricedMarket](), dict[Any, int]()
    for seconds, spot, own in course:
        now = after(seconds, START)
        names = [source.source for source in chosen.spec.sources[:sources]]
        quotes = {name: quote(name, spot, at=now) for name in names}
        indices = price_component((chosen.spec,), quotes, last, now)
        seen = Seen(quotes, indices, dict(last), book(own, "0.01", now), None, chain, False)
        fold, priced = step(chosen, fold, seen, now)
        found.append(priced)
    return found


def seconds(count: int, spot: str | int, own: str | int, first: int = 0) -> list[tuple[float, str | int, str | int]]:
    return [(second, spot, own) for second in range(first, first + count)]


@pytest.mark.parametrize("own", ["97", "103"])
def test_mark__as_far_from_its_index_as_the_halting_band__is_computed_and_not_published(own: str) -> None:
    last = ticks(plan(), [*seconds(5, 100, 100), *seconds(1, 100, own, 5)])[-1]
    assert last.marked is not None
    assert deviation_bps(last.marked.mark.price_e18, last.marked.entry.index_e18) >= 300
    assert (last.condition.condition, last.publishable) == (Condition.HALT, None)
    assert Cause.FAR_APART in last.condition.causes
    assert isinstance(last.gate, Shut)
    assert Doubt.HALTED in last.gate.reasons


def test_mark__nearer_than_that__is_published_and_degraded() -> None:
    last = ticks(plan(), [*seconds(5, 100, 100), *seconds(1, 100, "102.9", 5)])[-1]
    assert last.condition.condition is Condition.DEGRADED
    assert last.publishable is not None
    assert isinstance(last.gate, Open)


def test_limit__of_a_method__is_published_with_its_flag() -> None:
    """The own book runs away; the method clamps it, and the clamped mark may go out."""
    clamped = plan(mark=QuotedMedian(max_basis_bps=50))
    last = ticks(clamped, [*seconds(5, 100, 100), *seconds(1, 100, 110, 5)])[-1]
    assert last.publishable is not None
    assert [flag.value for flag in last.publishable.mark.flags if flag == "clamped"]
    assert last.condition.condition is Condition.NORMAL


def test_limit__of_the_guard__is_not() -> None:
    last = ticks(replace(plan(), guard=Guard()), [*seconds(5, 100, 100), *seconds(1, 103, 103, 5)])[-1]
    assert (last.publishable, last.condition.condition, last.condition.causes) == (None, Condition.STALE, (Cause.HELD,))


def test_few_sources__for_longer_than_allowed__is_published_and_shuts_the_gate() -> None:
    course = ticks(plan(condition=replace(RULES, full_sources=4)), seconds(30, 100, 100))
    assert isinstance(course[20].gate, Open)
    last = course[21].gate
    assert isinstance(last, Shut)
    assert last.reasons == (Doubt.DEGRADED_LONG,)
    assert all(each.publishable is not None for each in course)


def test_diverged__however_long__is_an_alert() -> None:
    course = ticks(plan(), [*seconds(5, 100, 100), *seconds(60, 100, "101.5", 5)])
    assert course[-1].condition.causes == (Cause.DIVERGED,)
    assert isinstance(course[-1].gate, Open)


def test_flagged__from_the_first_tick__shuts_the_gate_at_once_and_without_a_word_of_the_condition() -> None:
    chosen = plan()
    chosen = replace(chosen, spec=replace(chosen.spec, ladder=LADDERS["okx"]), gate=replace(chosen.gate, min_sources=2))
    last = ticks(chosen, seconds(10, 100, 100), sources=2)[-1]
    assert (last.condition.condition, last.condition.causes) == (Condition.DEGRADED, (Cause.FLAGGED,))
    assert isinstance(last.gate, Shut)
    assert last.gate.reasons == (Doubt.DEGRADED,)


def test_held_index__is_no_new_price() -> None:
    chosen = replace(plan(), spec=replace(plan().spec, ladder=LADDERS["okx"]))
    fold, chain = MarketFold(chosen.mark.start()), chain_state({1: 100, 2: 100})
    names = [source.source for source in chosen.spec.sources]
    state, last = {}, {}
    for second in range(70):
        now = after(second, START)
        quotes = {name: quote(name, 100, at=now) for name in names} if second < 5 else {}
        found = price_component((chosen.spec,), quotes, last, now, state)
        last, state = {chosen.spec.id: 100 * 10**18}, {chosen.spec.id: found[chosen.spec.id].fold.after}  # type: ignore[union-attr]
        fold, priced = step(chosen, fold, Seen(quotes, found, last, book(100, at=now), None, chain, False), now)
        if second == 5:
            assert (priced.held, priced.condition.causes) == (True, (Cause.WITHHELD,))
    assert priced.held
    assert priced.condition.condition is Condition.HALT


def test_held_index__moves_no_average_that_is_published_when_there_is_one_again() -> None:
    """The sources fall silent while the market falls: how far the book is from the index of before is nobody's basis."""
    found = plan(mark=MovingBasis(average="ema", samples=30, max_basis_bps=200), impact_notional_e18=e18(100))
    chosen = replace(found, spec=replace(found.spec, ladder=Ladder(Rung.HOLD, Rung.HOLD, Rung.HOLD)))
    fold, last, states = MarketFold(chosen.mark.start()), dict[Any, int](), dict[Any, Any]()
    for second in range(76):
        now, silent, level = after(second, START), 40 <= second < 70, 100 if second < 40 else 95
        names = [] if silent else [source.source for source in chosen.spec.sources]
        quotes = {name: quote(name, level, at=now) for name in names}
        indices = price_component((chosen.spec,), quotes, last, now, states)
        seen = Seen(quotes, indices, dict(last), book(level, "0.01", now), None, chain_state({1: 100, 2: 100}), False)
        before = fold
        fold, priced = step(chosen, fold, seen, now)
        assert priced.held is silent
        if silent:
            assert (fold.mark, fold.premium) == (before.mark, before.premium)
        index = indices[chosen.spec.id]
        assert isinstance(index, IndexPrice)
        last, states = {index.index: index.price_e18}, {index.index: index.fold.after} if index.fold else {}
        if second >= 70:
            assert priced.publishable is not None
            assert deviation_bps(priced.publishable.mark.price_e18, e18(95)) <= 1


def test_jump_that_is_held__moves_no_average_that_is_published_when_it_has_gone() -> None:
    """The sources go astray together; too few back it for the guard, and the book stays where it is."""
    guard = Guard(max_jump_bps=200, confirmation=Confirmation(confirm_ns=SECOND, sources=4, quote_groups=1))
    chosen = plan(mark=MovingBasis(average="ema", samples=30, max_basis_bps=200), guard=guard)
    course = [*seconds(40, 100, 100), *seconds(30, 105, 100, 40), *seconds(5, 100, 100, 70)]
    found = ticks(chosen, course)
    assert [isinstance(each.guard, Held) for each in found] == [40 <= second < 70 for second in range(75)]
    for each in found[70:]:
        assert each.publishable is not None
        assert each.publishable.mark.price_e18 == e18(100)


@pytest.mark.parametrize("chain_price", ["60", "99", "101", "160"])
def test_chain__whatever_it_holds__is_a_reason_to_push_and_none_to_hold(chain_price: str) -> None:
    last = ticks(plan(), seconds(5, 100, 100), chain_price=chain_price)[-1]
    assert last.condition.condition is Condition.NORMAL
    assert last.publishable is not None
    entry, stored = last.publishable.entry, int(Decimal(chain_price) * 10**18)
    on_chain = OnChain(stored, stored, START_S - 10, (START_S - 10) * 1_000)
    decided = last.plan.policy.decide(Candidate(entry.index_e18, entry.mark_e18), on_chain, None, last.as_of)
    assert isinstance(decided, Publish)
    assert decided.trigger is Trigger.DEVIATION


def recorded(priced: PricedMarket) -> Recalled:
    assert priced.marked is not None
    record = Stage().service._record(priced, priced.marked, Occasion(1, "deviation", 10, 5, 7), {})
    return recall(json.loads(record.canonical_json))


def test_record__of_what_is_published__holds_the_condition_before_the_step() -> None:
    last = ticks(plan(), [*seconds(5, 100, 100), *seconds(3, 100, "101.5", 5)])[-1]
    assert last.publishable is not None
    given = recorded(last)
    assert given.condition_before == last.condition_before
    assert last.condition_before.causes == (Cause.DIVERGED,)
    assert recompute(given, last.plan, (last.plan.spec,)).differences(given) == ()


def test_record__of_what_the_condition_forbids__is_found_out() -> None:
    last = ticks(plan(), [*seconds(5, 100, 100), *seconds(1, 100, 104, 5)])[-1]
    given = recorded(last)
    (found,) = recompute(given, last.plan, (last.plan.spec,)).differences(given)
    assert found == "the market's condition holds it: HALT, far_apart, diverged"
    halted = replace(given, condition_before=last.condition, mark_e18=given.mark_e18)
    wide = replace(last.plan, condition=ConditionRules(alert_bps=None, halt_bps=None))
    assert "HALT, recovering" in recompute(halted, wide, (wide.spec,)).held
