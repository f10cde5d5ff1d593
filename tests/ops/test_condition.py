"""/status and /readyz say in which condition a market is, why, and what ends it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.app.condition import condition_ready, shown_condition, shown_record
from keeper.domain.condition import Cause, Condition, ConditionRules, ConditionState
from keeper.domain.scorecard import Record
from keeper.domain.time import SECOND, Timestamp
from tests.domain.pricing.builders import NOW
from tests.services.fakes import BTC, START_S
from tests.services.markets import chain_state, plan_of, priced

AT = Timestamp(START_S * SECOND)
CALM = priced(plan_of(BTC), 100, AT, chain_state({1: 100, 2: 100}))


def within(condition: Condition, *causes: Cause) -> ConditionState:
    return ConditionState(condition, causes, Timestamp(AT - 5 * SECOND))


def test_status__of_a_market__names_condition_causes_duration_and_divergence() -> None:
    found = replace(CALM, condition=within(Condition.HALT, Cause.FAR_APART, Cause.DIVERGED))
    assert shown_condition(found, AT) == {
        "state": "HALT",
        "causes": ["far_apart", "diverged"],
        "for_s": 5,
        "divergence_bps": 0,
    }
    assert shown_condition(CALM, AT)["state"] == "NORMAL"
    assert shown_condition(None, AT) == {"state": "HALT", "causes": ["no_price"], "for_s": None, "divergence_bps": None}


@pytest.mark.parametrize(
    ("condition", "ready"),
    [(Condition.NORMAL, True), (Condition.DEGRADED, True), (Condition.STALE, False), (Condition.HALT, False)],
)
def test_ready__is_what_may_be_published(condition: Condition, ready: bool) -> None:
    assert condition_ready(replace(CALM, condition=within(condition, Cause.HELD))).ok is ready
    assert not condition_ready(None).ok


def test_ready__of_a_halt__says_who_ends_it() -> None:
    halted = replace(CALM, condition=within(Condition.HALT, Cause.TOO_LONG))
    found = condition_ready(halted)
    assert (found.detail, "by itself" in found.fix or "passes" in found.fix) == ("HALT: too_long", True)
    by_hand = replace(halted, plan=replace(halted.plan, condition=ConditionRules(manual=True)))
    assert condition_ready(by_hand).fix == f"keeper ctl resume {BTC}"


def test_record__of_a_source__is_told_in_whole_figures() -> None:
    assert shown_record(None) is None
    assert shown_record(Record(bad=1 << 19, apart=42 << 20, looks=60, benched_at=NOW)) == {
        "bad_pct": 50,
        "apart_bps": 42,
        "quarantined": True,
    }
