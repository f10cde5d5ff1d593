"""A price of a market with sessions comes out of its record again: in its session, while closed and at the bell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keeper.domain.guard import Guard
from keeper.domain.ids import SourceId
from keeper.domain.index import IndexFlag, IndexPrice
from keeper.domain.market import MarketFold, MarketPlan, PricedMarket, Seen, step
from keeper.domain.pricing import price_component
from keeper.domain.recall import recall
from keeper.domain.recompute import recompute
from keeper.domain.session import Calendar, OffHours, Session, SessionRules
from tests.domain.pricing.builders import after, book
from tests.services.fakes import BTC
from tests.services.markets import chain_state, plan_of, quotes_of
from tests.services.test_recompute import record, service

HOUR = 3600
CALENDAR = Calendar(
    "test",
    (Session(after(-HOUR), after(HOUR)), Session(after(3 * HOUR), after(9 * HOUR))),
    after(-HOUR),
    after(9 * HOUR),
)
TICKS = [
    (HOUR - 2, "100", "100"),
    (HOUR - 1, "101.5", "101"),
    (HOUR, "150", "103"),
    (2 * HOUR, None, "103"),
    (3 * HOUR - 1, None, None),
    (3 * HOUR + 1, "102", "102"),
    (3 * HOUR + 59, "102.1", None),
    (3 * HOUR + 61, "102.2", "102"),
]
"""Seconds, price at the sources and in the own book: two in the session, three while closed, two at the bell, one after it."""


def plan(off_hours: OffHours) -> MarketPlan:
    found = plan_of(BTC, config_hash="c0ffee", session=SessionRules(CALENDAR, off_hours))
    return replace(found, guard=Guard(200, found.guard.confirmation), book=SourceId("perp:x"))


def walked(chosen: MarketPlan) -> list[PricedMarket]:
    fold, found = MarketFold(chosen.mark.start()), []
    for seconds, price, own in TICKS:
        now = after(seconds)
        quotes = {} if price is None else quotes_of(BTC, price, now)
        depth = None if own is None else book(own, at=now)
        indices = price_component((chosen.spec,), quotes, {}, now)
        fold, priced = step(
            chosen, fold, Seen(quotes, indices, {}, depth, None, chain_state({1: 100, 2: 100}), False), now
        )
        found.append(priced)
    return found


def altered(document: dict[str, Any], **state: Any) -> dict[str, Any]:
    told = document["session"]
    return {**document, "session": {**told, "state_before": {**told["state_before"], **state}}}


def differences(document: dict[str, Any], chosen: MarketPlan) -> tuple[str, ...]:
    given = recall(document)
    return recompute(given, chosen, (chosen.spec,)).differences(given)


@pytest.mark.parametrize("off_hours", [OffHours.HOLD, OffHours.OWN_BOOK])
def test_recompute__of_each_phase__gives_what_was_published(off_hours: OffHours) -> None:
    chosen, by = plan(off_hours), service()
    marked = [priced for priced in walked(chosen) if priced.marked is not None]
    assert len(marked) == len(TICKS)
    assert [priced.closed for priced in marked] == [False] * 2 + [True] * 3 + [False] * 3
    for priced in marked:
        assert differences(record(priced, by), chosen) == ()
        assert priced.publishable is not None


def test_recompute__of_a_drift__is_between_the_close_and_the_own_book() -> None:
    chosen, by = plan(OffHours.OWN_BOOK), service()
    drifted = walked(chosen)[3]
    assert isinstance(drifted.index, IndexPrice)
    assert drifted.index.flags == (IndexFlag.CLOSED,)
    document = record(drifted, by)
    found = recompute(recall(document), chosen, (chosen.spec,))
    assert found.index == drifted.index
    assert 1015 * 10**17 < found.index.price_e18 < 103 * 10**18
    emptied = differences({**document, "book": None}, chosen)
    assert [each.split()[0] for each in emptied][:2] == ["session", "index"], "the own book is what moves it"


def test_recompute__of_another_close_phase_or_calendar__says_which() -> None:
    chosen, by = plan(OffHours.HOLD), service()
    document = record(walked(chosen)[3], by)
    higher = altered(document, close=[str(102 * 10**18), document["session"]["state_before"]["close"][1]])
    assert differences(higher, chosen)[0].startswith(
        "index 101500000000000000000, its inputs give 102000000000000000000"
    )
    claimed = {**document, "session": {**document["session"], "phase": "open"}}
    assert "session" in differences(claimed, chosen)[0]
    shifted = replace(CALENDAR, sessions=(Session(after(-HOUR), after(9 * HOUR)),))
    always = replace(chosen, session=SessionRules(shifted))
    assert differences(document, always)[-1] == "the index is withheld (sources: 0 of 3 sources)"
    for other in (replace(chosen, session=None), chosen):
        bare = document if other.session is None else {k: v for k, v in document.items() if k != "session"}
        assert "a session in only one" in differences(bare, other)[0]
    forgotten = altered(document, close=None)
    assert "no index of its session is known" in differences(forgotten, chosen)[-1]
