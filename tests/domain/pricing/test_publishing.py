"""When a price goes on chain: triggers, holds, rides, and laws."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.ids import MarketId
from keeper.domain.numbers import BPS, MAX_PRICE_E18
from keeper.domain.publishing import (
    Candidate,
    Due,
    Hold,
    HoldReason,
    OnChain,
    Publish,
    PublishPolicy,
    Trigger,
    decide_batch,
    newest,
)
from keeper.domain.time import MILLISECOND, SECOND, Timestamp
from tests.domain.pricing.builders import LAW, NOW, e18

POLICY = PublishPolicy(deviation_bps=10, heartbeat_ns=60 * SECOND, min_interval_ns=SECOND)
SAME = Candidate(e18(100), e18(100))


def on_chain(age_s: float, index: str = "100", mark: str = "100") -> OnChain:
    round_id = NOW // MILLISECOND - round(age_s * 1000)
    return OnChain(e18(index), e18(mark), round_id // 1000, round_id)


def outcome(decision: Publish | Hold) -> Trigger | HoldReason:
    return decision.trigger if isinstance(decision, Publish) else decision.reason


@pytest.mark.parametrize(
    ("candidate", "chain", "in_flight", "expected"),
    [
        (SAME, None, None, Trigger.FIRST),
        (SAME, on_chain(5, "0", "0"), None, Trigger.FIRST),
        (SAME, on_chain(5, "100", "0"), None, Trigger.FIRST),
        (SAME, on_chain(5), None, HoldReason.QUIET),
        (SAME, on_chain(60), None, Trigger.HEARTBEAT),
        (SAME, on_chain(59.999), None, HoldReason.QUIET),
        (Candidate(e18("100.1"), e18(100)), on_chain(5), None, Trigger.DEVIATION),
        (Candidate(e18("100.0999"), e18(100)), on_chain(5), None, HoldReason.QUIET),
        (Candidate(e18("99.9"), e18(100)), on_chain(5), None, Trigger.DEVIATION),
        (Candidate(e18(100), e18("100.1")), on_chain(5), None, Trigger.DEVIATION),
        (Candidate(e18(1), e18(1)), on_chain(5), None, Trigger.DEVIATION),
        (Candidate(e18(200), e18(200)), on_chain(0.999), None, HoldReason.MIN_INTERVAL),
        (Candidate(e18(200), e18(200)), on_chain(1), None, Trigger.DEVIATION),
        (Candidate(e18(200), e18(200)), on_chain(0), None, HoldReason.NOT_NEWER),
        (Candidate(e18(200), e18(200)), on_chain(-5), None, HoldReason.NOT_NEWER),
        (Candidate(0, e18(1)), None, None, HoldReason.UNREPRESENTABLE),
        (Candidate(e18(1), 0), None, None, HoldReason.UNREPRESENTABLE),
        (Candidate(-1, e18(1)), None, None, HoldReason.UNREPRESENTABLE),
        (Candidate(e18(1), MAX_PRICE_E18 + 1), None, None, HoldReason.UNREPRESENTABLE),
        (Candidate(MAX_PRICE_E18, MAX_PRICE_E18), None, None, Trigger.FIRST),
        # what is under way counts as if it had landed
        (SAME, on_chain(100, "50"), on_chain(2), HoldReason.QUIET),
        (SAME, None, on_chain(2), HoldReason.QUIET),
        (Candidate(e18(50), e18(50)), on_chain(30, "50", "50"), on_chain(2), Trigger.DEVIATION),
        (SAME, on_chain(100), on_chain(60), Trigger.HEARTBEAT),
        # a report that landed meanwhile, by another keeper, is newer than ours
        (SAME, on_chain(2), on_chain(30, "50", "50"), HoldReason.QUIET),
    ],
)
def test_decide__table(
    candidate: Candidate, chain: OnChain | None, in_flight: OnChain | None, expected: Trigger | HoldReason
) -> None:
    assert outcome(POLICY.decide(candidate, chain, in_flight, NOW)) is expected


def test_decide__publish__says_how_far_and_how_old() -> None:
    decision = POLICY.decide(Candidate(e18(101), e18("98.5")), on_chain(5), None, NOW)
    assert decision == Publish(Trigger.DEVIATION, 150, 5000)


def test_decide__first_and_hold__say_why() -> None:
    assert POLICY.decide(SAME, None, None, NOW) == Publish(Trigger.FIRST, 0, 0)
    near = POLICY.decide(Candidate(e18("100.05"), e18(100)), on_chain(7), None, NOW)
    assert near == Hold(HoldReason.QUIET, "5 bps after 7000 ms")
    early = POLICY.decide(SAME, on_chain(0.25), None, NOW)
    assert early == Hold(HoldReason.MIN_INTERVAL, "250 ms after the last")


def test_decide__move_up_and_back__is_measured_from_the_old_price() -> None:
    """One convention, |new − old| / old: 100 → 200 is 10000 bps, 200 → 100 is 5000."""
    up = POLICY.decide(Candidate(e18(200), e18(100)), on_chain(5), None, NOW)
    down = POLICY.decide(Candidate(e18(100), e18(100)), on_chain(5, "200"), None, NOW)
    assert isinstance(up, Publish)
    assert isinstance(down, Publish)
    assert (up.deviation_bps, down.deviation_bps) == (10_000, 5_000)


@pytest.mark.parametrize(
    ("options", "age_s", "mark", "expected"),
    [
        ({}, 59, "100.099", HoldReason.QUIET),
        ({"ride_along_bps": 5}, 5, "100.05", Trigger.RIDE_ALONG),
        ({"ride_along_bps": 5}, 5, "100.049", HoldReason.QUIET),
        ({"ride_along_heartbeat_pct": 50}, 30, "100", Trigger.RIDE_ALONG),
        ({"ride_along_heartbeat_pct": 50}, 29.999, "100", HoldReason.QUIET),
        ({"ride_along_bps": 5, "ride_along_heartbeat_pct": 50}, 30, "100", Trigger.RIDE_ALONG),
        ({"ride_along_bps": 5}, 5, "100.1", Trigger.DEVIATION),
        ({"ride_along_bps": 0}, 0.5, "100", HoldReason.MIN_INTERVAL),
    ],
)
def test_decide__company__rides_along_where_it_is_worth_it(
    options: dict[str, int], age_s: float, mark: str, expected: Trigger | HoldReason
) -> None:
    policy = replace(POLICY, **options)  # type: ignore[arg-type]
    candidate = Candidate(e18(100), e18(mark))
    assert outcome(policy.decide(candidate, on_chain(age_s), None, NOW, company=True)) is expected
    alone = outcome(policy.decide(candidate, on_chain(age_s), None, NOW))
    assert alone is not Trigger.RIDE_ALONG


def test_decide_batch__nobody_due__nobody_rides() -> None:
    policy = replace(POLICY, ride_along_bps=0)
    quiet = Due(policy, SAME, on_chain(5), None)
    assert {outcome(found) for found in decide_batch({MarketId("A"): quiet, MarketId("B"): quiet}, NOW).values()} == {
        HoldReason.QUIET
    }


def test_decide_batch__one_due__takes_along_only_who_wants_to() -> None:
    due = Due(POLICY, Candidate(e18(101), e18(101)), on_chain(5), None)
    rider = Due(replace(POLICY, ride_along_heartbeat_pct=5), SAME, on_chain(5), None)
    stayer = Due(POLICY, SAME, on_chain(5), None)
    found = decide_batch({MarketId("A"): rider, MarketId("B"): due, MarketId("C"): stayer}, NOW)
    assert {market: outcome(decision) for market, decision in found.items()} == {
        "A": Trigger.RIDE_ALONG,
        "B": Trigger.DEVIATION,
        "C": HoldReason.QUIET,
    }


def test_newest__never_published__does_not_count() -> None:
    assert newest(on_chain(5, "0", "0"), None) is None
    assert newest(None, None) is None
    assert newest(on_chain(5, "0", "1"), on_chain(9)) == on_chain(9)
    assert newest(on_chain(5, "1", "0"), on_chain(9)) == on_chain(9)
    assert newest(on_chain(5), on_chain(3)) == on_chain(3)


@pytest.mark.parametrize("options", [{"deviation_bps": 0}, {"heartbeat_ns": SECOND, "min_interval_ns": SECOND}])
def test_policy__impossible__is_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="heartbeat_ns"):
        PublishPolicy(**options)


PRICE = st.integers(1, MAX_PRICE_E18)


@LAW
@given(
    new=st.tuples(PRICE, PRICE),
    old=st.tuples(PRICE, PRICE),
    age_ms=st.integers(0, 200_000),
    deviation=st.integers(1, 5000),
)
def test_decide__any_prices__pushes_exactly_when_due(
    new: tuple[int, int], old: tuple[int, int], age_ms: int, deviation: int
) -> None:
    """Held only while too early, or near and young; divergence from the chain is never a reason to hold."""
    policy = replace(POLICY, deviation_bps=deviation)
    round_id = NOW // MILLISECOND - age_ms
    decision = policy.decide(Candidate(*new), OnChain(*old, round_id // 1000, round_id), None, NOW)
    far = any(abs(one - other) * BPS >= deviation * other for one, other in zip(new, old, strict=True))
    if age_ms < 1000:
        assert isinstance(decision, Hold)
    else:
        assert isinstance(decision, Publish) is (far or age_ms >= 60_000)


@LAW
@given(steps=st.lists(st.tuples(st.integers(1, 30_000), st.integers(9_900, 10_100)), min_size=1, max_size=30))
def test_decide__any_walk__published_rounds_rise_no_closer_than_the_minimum_interval(
    steps: list[tuple[int, int]],
) -> None:
    """And right after a push the chain is within the deviation of the candidate, as long as it is asked again in time."""
    chain: OnChain | None = None
    now = int(NOW)
    for wait_ms, price in steps:
        now += wait_ms * MILLISECOND
        candidate = Candidate(price, price)
        decision = POLICY.decide(candidate, chain, None, Timestamp(now))
        if isinstance(decision, Publish):
            round_id = now // MILLISECOND
            if chain is not None:
                assert round_id - chain.round_id >= 1000
            chain = OnChain(price, price, round_id // 1000, round_id)
        assert chain is not None
        if now // MILLISECOND - chain.round_id >= 1000:
            assert abs(price - chain.index_e18) * BPS < 10 * chain.index_e18
            assert now // MILLISECOND - chain.round_id < 60_000
