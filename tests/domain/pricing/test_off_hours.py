"""A market whose underlying does not always trade: what it says while closed, at the bell and after its calendar."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.confirmation import Confirmation
from keeper.domain.gate import Doubt, Shut
from keeper.domain.guard import Guard, Held, Pass
from keeper.domain.index import IndexFlag, IndexPrice, Withheld, WithheldReason
from keeper.domain.ladder import LADDERS
from keeper.domain.mark.index_only import IndexOnly
from keeper.domain.mark.stepped import Stepped
from keeper.domain.mark.venues import Deribit, Hip3
from keeper.domain.market import MarketFold, PricedMarket, Seen, step
from keeper.domain.off_hours import Close, SessionFold, restored_session, session_turn
from keeper.domain.pricing import price_component
from keeper.domain.sequencer import UNREAD, Sequencer, SequencerState
from keeper.domain.session import Calendar, OffHours, Phase, Session, SessionRules
from keeper.domain.time import SECOND, Timestamp
from tests.domain.pricing.builders import LAW, NOW, after, book, e18, index
from tests.services.fakes import BTC
from tests.services.markets import chain_state, plan_of, quotes_of

HOUR = 3600
SESSIONS = tuple(Session(after(begin * HOUR), after(end * HOUR)) for begin, end in ((-2, 1), (3, 9), (24, 30)))
CALENDAR = Calendar("test", SESSIONS, after(-3 * HOUR), after(40 * HOUR))
GUARD = Guard(200, Confirmation(3 * SECOND, 3, 1))


@dataclass
class Market:
    """Steps of one market; `own` is the middle of its own book."""

    options: dict[str, Any] = field(default_factory=dict)
    fold: MarketFold | None = None
    sequencer: Sequencer | None = None

    def at(
        self, seconds: float, price: str | int | None, own: str | int | None = None, sources: int = 3
    ) -> PricedMarket:
        now = after(seconds)
        rules = SessionRules(CALENDAR, **{"opening_sources": 2, **self.options})
        plan = plan_of(BTC, session=rules, guard=GUARD)
        quotes = {} if price is None else dict(list(quotes_of(BTC, price, now).items())[:sources])
        indices = price_component((plan.spec,), quotes, {}, now)
        chain = chain_state({1: 100, 2: 100})
        own_book = None if own is None else book(own, at=now)
        seen = Seen(quotes, indices, {}, own_book, None, chain, False, sequencer=self.sequencer)
        self.fold, priced = step(plan, self.fold or MarketFold(plan.mark.start()), seen, now)
        return priced


def price_of(priced: PricedMarket) -> int:
    assert isinstance(priced.index, IndexPrice), priced.index
    return priced.index.price_e18


def doubts(priced: PricedMarket) -> tuple[Doubt, ...]:
    return priced.gate.reasons if isinstance(priced.gate, Shut) else ()


def test_hold__after_the_close__is_the_last_index_with_its_own_time_and_only_heartbeats() -> None:
    market = Market()
    market.at(HOUR - 1, "101.5")
    held = market.at(HOUR, None)
    assert price_of(held) == e18("101.5")
    assert isinstance(held.index, IndexPrice)
    assert held.index.flags == (IndexFlag.CLOSED,)
    assert held.index.as_of == after(HOUR - 1)
    assert held.publishable is not None
    assert held.heartbeat_only
    assert Doubt.CLOSED in doubts(held)
    assert price_of(market.at(3 * HOUR - 1, "150")) == e18("101.5"), "what a venue says off hours counts for nothing"


def test_hold__without_a_session_before__is_withheld() -> None:
    found = Market().at(2 * HOUR, "100")
    assert isinstance(found.index, Withheld)
    assert found.index.reason is WithheldReason.CLOSED
    assert "no index of its session is known" in found.index.detail
    assert not found.publishable


def test_withhold__after_the_close__says_when_it_opens() -> None:
    market = Market({"off_hours": OffHours.WITHHOLD})
    market.at(0, "100")
    found = market.at(2 * HOUR, "100")
    assert isinstance(found.index, Withheld)
    assert f"opens at {after(3 * HOUR) // SECOND}" in found.index.detail
    assert not found.heartbeat_only


def test_hold__of_a_price_that_the_guard_held__is_the_one_before_it() -> None:
    """A jump a second before the close was never confirmed: it is not the close."""
    market = Market()
    market.at(HOUR - 3, "100")
    assert isinstance(market.at(HOUR - 2, "110").guard, Held)
    assert price_of(market.at(HOUR, None)) == e18(100)


@pytest.mark.parametrize("off_hours", list(OffHours))
def test_open__with_a_gap__is_held_until_confirmed_and_nothing_is_liquidated(off_hours: OffHours) -> None:
    market = Market({"off_hours": off_hours})
    market.at(HOUR - 1, "100")
    for seconds in range(HOUR, 3 * HOUR, 60):
        market.at(seconds, None, own="104")
    bell = market.at(3 * HOUR, "104")
    assert isinstance(bell.guard, Held), "from the close, whatever the own book did"
    assert bell.guard.jump_bps == 400
    assert not bell.publishable
    assert Doubt.OPENING in doubts(bell)
    for tick in range(1, 6):
        assert isinstance(market.at(3 * HOUR + tick / 2, "104").guard, Held)
    confirmed = market.at(3 * HOUR + 3, "104")
    assert isinstance(confirmed.guard, Pass)
    assert confirmed.guard.confirmed
    assert Doubt.OPENING in doubts(confirmed)
    assert Doubt.OPENING in doubts(market.at(3 * HOUR + 59.9, "104"))
    assert Doubt.OPENING not in doubts(market.at(3 * HOUR + 60, "104"))


def test_opening__with_too_few_sources__is_withheld_and_in_the_session_is_not() -> None:
    market = Market({"opening_sources": 4})
    market.at(HOUR - 1, "100")
    found = market.at(3 * HOUR + 1, "100")
    assert isinstance(found.index, Withheld)
    assert found.index.reason is WithheldReason.OPENING
    assert found.index.detail == "3 of 4 sources while test opens"
    assert isinstance(market.at(3 * HOUR + 2, "100", sources=3).index, Withheld)
    market.options["opening_sources"] = 3
    assert isinstance(market.at(3 * HOUR + 3, "100").index, IndexPrice), "as many as asked for"
    assert isinstance(market.at(3 * HOUR + 60, "100").index, IndexPrice)


def test_opening__with_no_opening_time__is_guarded_from_the_close_all_the_same() -> None:
    market = Market({"opening_ns": 0})
    market.at(HOUR - 1, "100")
    market.at(HOUR, None)
    assert isinstance(market.at(3 * HOUR, "103").guard, Held)


def test_unknown__past_the_calendars_end__is_withheld_whatever_is_chosen() -> None:
    for off_hours in OffHours:
        market = Market({"off_hours": off_hours})
        market.at(25 * HOUR, "100", own="100")
        found = market.at(40 * HOUR, "100", own="100")
        assert isinstance(found.index, Withheld)
        assert found.index.reason is WithheldReason.CLOSED
        assert Doubt.CLOSED in doubts(found)
        assert found.session is not None
        assert found.session.hours.phase is Phase.UNKNOWN


def test_own_book__by_its_half_life__goes_half_of_the_way() -> None:
    market = Market({"off_hours": OffHours.OWN_BOOK, "drift_half_life_ns": HOUR * SECOND, "drift_band_bps": 1000})
    market.at(9 * HOUR - 1, "100")
    assert price_of(market.at(9 * HOUR, None, own="108")) == e18(100), "the clock starts at the close"
    assert abs(price_of(market.at(10 * HOUR, None, own="108")) - e18(104)) < e18("0.00001")
    assert abs(price_of(market.at(11 * HOUR, None, own="108")) - e18(106)) < e18("0.00001")
    assert price_of(market.at(12 * HOUR, None)) == market_price(market), "without a book it stays"


def market_price(market: Market) -> int:
    assert market.fold is not None
    drift = market.fold.session.drift_e18
    assert drift is not None
    return drift


@pytest.mark.parametrize("each_ms", [20, 900, 7_000, 100_000])
def test_own_book__at_any_rate_of_ticks__arrives_at_the_same(each_ms: int) -> None:
    """Two half-lives are three quarters of the way, whether looked at each 20 ms or each 100 s."""
    market = Market({"off_hours": OffHours.OWN_BOOK, "drift_half_life_ns": 100 * SECOND})
    market.at(9 * HOUR - 1, "100")
    market.at(9 * HOUR, None, own="104")
    for ms in range(each_ms, 200_001, each_ms):
        market.at(9 * HOUR + ms / 1000, None, own="104")
    assert abs(price_of(market.at(9 * HOUR + 200, None, own="104")) - e18(103)) < e18("0.001")


@LAW
@given(
    st.lists(st.tuples(st.integers(1, 10**15), st.integers(0, 10 * HOUR)), min_size=1, max_size=20),
    st.integers(1, 9_999),
    st.integers(1, 10**24),
)
def test_own_book__whatever_the_book_says__stays_in_its_band(
    path: list[tuple[int, int]], band_bps: int, close_e18: int
) -> None:
    rules = SessionRules(CALENDAR, OffHours.OWN_BOOK, drift_band_bps=band_bps, drift_half_life_ns=60 * SECOND)
    fold, now = SessionFold(Close(close_e18, after(9 * HOUR - 1))), after(9 * HOUR)
    for own, seconds in path:
        now = min(Timestamp(now + seconds * SECOND), after(24 * HOUR - 1))
        turn = session_turn(rules, fold, index(1, at=now), own * 10**12, now)
        fold, found = turn.after, turn.priced
        assert isinstance(found, IndexPrice)
        assert abs(found.price_e18 - close_e18) * 10_000 <= band_bps * close_e18


def test_fold__through_its_plain_form__is_the_same() -> None:
    for fold in (SessionFold(), SessionFold(Close(7, NOW), 8, after(1), Phase.CLOSED)):
        assert restored_session(json.loads(json.dumps(fold.to_plain()))) == fold


@pytest.mark.parametrize("state", [SequencerState.DOWN, SequencerState.GRACE, SequencerState.UNKNOWN])
def test_sequencer__not_trusted__shuts_the_gate(state: SequencerState) -> None:
    market = Market(sequencer=Sequencer(state))
    assert Doubt.SEQUENCER in doubts(market.at(0, "100"))
    market.sequencer = Sequencer(SequencerState.UP)
    assert Doubt.SEQUENCER not in doubts(market.at(1, "100"))
    assert not UNREAD.trusted


def test_close__of_a_session_that_ends_with_a_held_index__is_the_last_that_quotes_made() -> None:
    rules = SessionRules(CALENDAR, opening_sources=2)
    plan = plan_of(BTC, session=rules, guard=GUARD)
    plan = replace(plan, spec=replace(plan.spec, ladder=LADDERS["okx"]))
    fold, last, states = MarketFold(plan.mark.start()), dict[Any, int](), dict[Any, Any]()
    for minutes in range(51, 62):
        now = after(minutes * 60)
        quotes = quotes_of(BTC, 100, now) if minutes < 55 else {}
        indices = price_component((plan.spec,), quotes, last, now, states)
        found = indices[plan.spec.id]
        assert isinstance(found, IndexPrice)
        last, states = {found.index: found.price_e18}, {found.index: found.fold.after} if found.fold else {}
        seen = Seen(quotes, indices, {}, None, None, chain_state({1: 100, 2: 100}), False)
        fold, priced = step(plan, fold, seen, now)
    assert priced.closed
    assert fold.session.close == Close(e18(100), after(54 * 60))


@pytest.mark.parametrize("off_hours", [OffHours.HOLD, OffHours.WITHHOLD])
def test_opening__after_a_gap__no_mark_is_published_with_the_basis_of_the_night(off_hours: OffHours) -> None:
    """The own book went 4 % from the close over night, and the session opens there: nothing is left to be apart."""
    plan = plan_of(BTC, session=SessionRules(CALENDAR, off_hours), guard=GUARD, mark=Deribit(max_basis_bps=200))
    fold, published = MarketFold(plan.mark.start()), []
    for second in (*range(3_570, 3_600), *range(3 * HOUR - 40, 3 * HOUR + 10)):
        now, level = after(second), 100 if second < 3_600 else 104
        quotes = quotes_of(BTC, level, now)
        indices = price_component((plan.spec,), quotes, {}, now)
        seen = Seen(quotes, indices, {}, book(level, "0.01", now), None, chain_state({1: 100, 2: 100}), False)
        fold, priced = step(plan, fold, seen, now)
        if second >= 3 * HOUR and priced.publishable is not None:
            published.append(priced.publishable.mark.price_e18)
    assert set(published) == {e18(104)}


def test_opening__after_a_gap__the_mark_takes_its_steps_all_the_same() -> None:
    """1.5 %, which the guard lets pass: at most 1 % in each three seconds, by the averages of no method."""
    for method in (Stepped(IndexOnly(), max_step_bps=100), Hip3(), Deribit(max_step_bps=100)):
        plan = plan_of(BTC, session=SessionRules(CALENDAR), guard=GUARD, mark=method)
        fold, published = MarketFold(plan.mark.start()), dict[int, int]()
        for second in (*range(3_540, 3_600), *range(3 * HOUR - 40, 3 * HOUR + 10)):
            now, level = after(second), "100" if second < 3 * HOUR else "101.5"
            quotes = quotes_of(BTC, level, now)
            indices = price_component((plan.spec,), quotes, {}, now)
            seen = Seen(quotes, indices, {}, None, None, chain_state({1: 100, 2: 100}), False)
            fold, priced = step(plan, fold, seen, now)
            if priced.publishable is not None:
                published[second] = priced.publishable.mark.price_e18
        assert published[3 * HOUR - 1] == e18(100)
        assert published[3 * HOUR] == e18(101), method.name
        assert published[3 * HOUR + 9] == e18("101.5")


@pytest.mark.parametrize("off_hours", [OffHours.HOLD, OffHours.OWN_BOOK])
def test_closed__without_a_price_in_the_whole_session_before__holds_no_close_of_an_earlier_one(
    off_hours: OffHours,
) -> None:
    """The sources were silent all day, or the keeper was down: yesterday's close is no price of tonight."""
    market = Market({"off_hours": off_hours})
    market.at(HOUR - 1, "100")
    assert price_of(market.at(2 * HOUR, "100")) == e18(100)
    found = market.at(10 * HOUR, "100", own="100")
    assert isinstance(found.index, Withheld)
    assert "no index of its session is known" in found.index.detail
    market.at(24 * HOUR + 1, "101")
    assert price_of(market.at(30 * HOUR, None)) == e18(101), "of the session, though not of its end"
