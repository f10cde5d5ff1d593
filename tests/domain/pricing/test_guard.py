"""The guard: what is held, how a jump is confirmed, and how fast a real crash gets through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.confirmation import Confirmation, ConfirmationState, backers
from keeper.domain.guard import Guard, GuardState, Held, HeldReason, Pass
from keeper.domain.ids import SourceId
from keeper.domain.index import IndexPrice, PricedQuote, SourceSpec, Withheld, index_price
from keeper.domain.numbers import exceeds_bps
from keeper.domain.quote import Quote
from keeper.domain.time import MILLISECOND, SECOND, Timestamp
from tests.domain.pricing.builders import BTC, LAW, NOW, after, board, e18, index, quote, usd

GUARD = Guard(200, Confirmation(confirm_ns=3 * SECOND, sources=3, quote_groups=2, agree_bps=100))


def walk(
    guard: Guard, state: GuardState, prices: list[tuple[float, IndexPrice]]
) -> tuple[GuardState, list[Pass | Held]]:
    found = []
    for seconds, price in prices:
        state, outcome = guard.step(state, price, after(seconds))
        found.append(outcome)
    return state, found


def kinds(outcomes: list[Pass | Held]) -> list[str]:
    return [
        outcome.reason.value if isinstance(outcome, Held) else "confirmed" if outcome.confirmed else "pass"
        for outcome in outcomes
    ]


def test_guard__first_price_ever__passes() -> None:
    state, outcome = GUARD.step(GUARD.start(None), index(100), NOW)
    assert outcome == Pass(e18(100), 0)
    assert state.passed_e18 == e18(100)


def test_guard__first_price_after_a_restart__is_measured_against_the_chain() -> None:
    _, outcome = GUARD.step(GUARD.start(e18(100)), index(103), NOW)
    assert isinstance(outcome, Held)
    assert (outcome.reason, outcome.jump_bps, outcome.since) == (HeldReason.UNCONFIRMED, 300, NOW)
    _, outcome = GUARD.step(GUARD.start(0), index(103), NOW)
    assert isinstance(outcome, Pass)


@pytest.mark.parametrize(("price", "held"), [("102", False), ("102.01", True), ("98", False), ("97.99", True)])
def test_guard__at_the_limit__passes_and_beyond_is_held(price: str, held: bool) -> None:
    _, outcome = GUARD.step(GUARD.start(e18(100)), index(price), NOW)
    assert isinstance(outcome, Held) is held


@pytest.mark.parametrize(
    ("votes", "reason"),
    [
        ({"a:USD": 90, "b:USD": 90, "c:USDT": 90}, HeldReason.UNCONFIRMED),
        ({"a:USD": 90, "b:USDT": 90}, HeldReason.BACKING),
        ({"a:USD": 90, "b:USD": 90, "c:USD": 90}, HeldReason.BACKING),
        ({"a:USD": 90, "b:USDT": 90, "c:USDT": 100}, HeldReason.BACKING),
        ({"a:USD": 90, "b:USDT": 90, "c:USDT": "90.9"}, HeldReason.UNCONFIRMED),
        ({"a:USD": 90, "b:USDT": 90, "c:USDT": "90.91"}, HeldReason.BACKING),
        ({"a:USD": 90, "b:USDT": 85, "c:USDT": 80}, HeldReason.UNCONFIRMED),
    ],
    ids=["three in two groups", "two", "one group", "one disagrees", "near enough", "not near", "further on"],
)
def test_guard__jump__needs_sources_in_groups_at_it_or_beyond(votes: dict[str, str | int], reason: HeldReason) -> None:
    _, outcome = GUARD.step(GUARD.start(e18(100)), index(90, votes), NOW)
    assert isinstance(outcome, Held)
    assert outcome.reason is reason


def test_guard__jump_confirmed_for_the_time__passes_whatever_its_size() -> None:
    prices = [(seconds, index(10)) for seconds in (0, 1, 2, 2.999, 3)]
    state, found = walk(GUARD, GUARD.start(e18(100)), prices)
    assert kinds(found) == ["unconfirmed"] * 4 + ["confirmed"]
    assert found[-1] == Pass(e18(10), 9000, confirmed=True)
    assert state.passed_e18 == e18(10)


def test_guard__held__says_how_far_the_confirmation_is() -> None:
    _, found = walk(GUARD, GUARD.start(e18(100)), [(0, index(90)), (0.75, index(90))])
    assert found[-1] == Held(
        HeldReason.UNCONFIRMED,
        NOW,
        "750 of 3000 ms confirmed; backed by 3 sources, asked 3 in 2 quote groups",
        e18(90),
        1000,
    )


def test_guard__slow_move__is_measured_from_an_anchor_renewed_with_each_confirmation_time() -> None:
    """1.9 % within the time of a confirmation, again and again, passes; 2.1 % does not."""
    _, slow = walk(
        GUARD, GUARD.start(e18(100)), [(0, index(100)), (2, index("98.1")), (3, index("97")), (5, index("96.3"))]
    )
    assert kinds(slow) == ["pass"] * 4
    _, quick = walk(GUARD, GUARD.start(e18(100)), [(0, index(100)), (2, index("98.1")), (2.9, index("97.9"))])
    assert kinds(quick) == ["pass", "pass", "unconfirmed"]


def test_guard__spike_that_returns__never_passes_and_leaves_no_trace() -> None:
    prices = [(0, index(200)), (1, index(200)), (2, index(200)), (2.5, index(100)), (3, index(200)), (5, index(200))]
    state, found = walk(GUARD, GUARD.start(e18(100)), prices)
    assert kinds(found) == ["unconfirmed"] * 3 + ["pass"] + ["unconfirmed"] * 2
    assert state.passed_e18 == e18(100)


def test_guard__backing_lost_for_a_tick__pauses_the_confirmation() -> None:
    """One second before and two after the thin tick; from it to the next agreeing tick nothing counts."""
    thin = index(90, {"a:USD": 90, "b:USDT": 90})
    prices = [(0, index(90)), (1, index(90)), (2, thin), *((seconds, index(90)) for seconds in (2.5, 3, 3.5, 4.4, 4.5))]
    _, found = walk(GUARD, GUARD.start(e18(100)), prices)
    assert kinds(found) == ["unconfirmed", "unconfirmed", "backing", *["unconfirmed"] * 4, "confirmed"]


def test_guard__jump_the_other_way__starts_its_own_confirmation() -> None:
    prices = [(0, index(90)), (1, index(90)), (2, index(90)), (2.5, index(110)), (3.5, index(110)), (4.5, index(110))]
    prices += [(5.4, index(110)), (5.5, index(110))]
    _, found = walk(GUARD, GUARD.start(e18(100)), prices)
    assert kinds(found) == ["unconfirmed"] * 7 + ["confirmed"]


def test_guard__silence_between_two_observations__counts_a_second_at_most() -> None:
    """An hour without a look is not an hour of agreement."""
    _, found = walk(
        GUARD, GUARD.start(e18(100)), [(0, index(90)), (3600, index(90)), (7200, index(90)), (9000, index(90))]
    )
    assert kinds(found) == ["unconfirmed"] * 3 + ["confirmed"]


def test_guard__index_withheld_in_between__does_not_count_as_agreement() -> None:
    state, _ = walk(GUARD, GUARD.start(e18(100)), [(0, index(90)), (1, index(90)), (2, index(90))])
    state = GUARD.skip(state)
    state, found = walk(GUARD, state, [(3, index(90)), (3.5, index(90)), (4, index(90))])
    assert kinds(found) == ["unconfirmed", "unconfirmed", "confirmed"]


def test_guard__clock_steps_back__counts_nothing() -> None:
    _, found = walk(GUARD, GUARD.start(e18(100)), [(0, index(90)), (-3600, index(90)), (-3599, index(90))])
    assert kinds(found) == ["unconfirmed"] * 3


def test_guard__agreement_wider_than_the_jump__is_refused() -> None:
    with pytest.raises(ValueError, match="agree_bps"):
        Guard(50, Confirmation(agree_bps=100))
    with pytest.raises(ValueError, match="quote_groups"):
        Confirmation(sources=2, quote_groups=3)


def test_backers__beyond__is_in_the_direction_of_the_move_only() -> None:
    votes = index(90, {"a:USD": 80, "b:USD": 90, "c:USD": 100}).inputs
    assert [vote.price_e18 for vote in backers(votes, e18(90), -1, 100)] == [e18(80), e18(90)]
    assert [vote.price_e18 for vote in backers(votes, e18(90), 1, 100)] == [e18(90), e18(100)]
    assert [vote.price_e18 for vote in backers(votes, e18(90), 0, 100)] == [e18(90)]


VENUES = [f"v{position}" for position in range(7)]


def falling(at_ms: float, depth_pct: int, within_ms: int) -> str:
    return f"{100 - depth_pct * min(max(at_ms, 0), within_ms) / within_ms:.6f}"


def bottom_passed_at_ms(depth_pct: int, confirm_s: float, tick_ms: int, lag_ms: int) -> int:
    """From screening to guard: seven venues fall evenly within two seconds, each late by its share of `lag_ms`."""
    plan, bottom = usd(*VENUES), e18(100 - depth_pct)
    guard = Guard(200, Confirmation(round(confirm_s * SECOND), 3, 1, 100))
    state = guard.start(e18(100))
    for at_ms in range(0, 10_000, tick_ms):
        now = after(at_ms / 1000)
        prices = [falling(at_ms - lag_ms * position / 6, depth_pct, 2_000) for position in range(7)]
        quotes = board(*(quote(name, price, at=now) for name, price in zip(VENUES, prices, strict=True)))
        result = index_price(plan, quotes, {}, None, now)
        if isinstance(result, Withheld):
            state = guard.skip(state)
            continue
        state, outcome = guard.step(state, result, now)
        if isinstance(outcome, Pass) and outcome.price_e18 == bottom:
            return at_ms
    raise AssertionError("the bottom never passed")


@pytest.mark.parametrize("depth_pct", [10, 20, 30])
@pytest.mark.parametrize("confirm_s", [0.5, 1, 1.5, 2])
@pytest.mark.parametrize("tick_ms", [20, 50, 100, 250, 500])
@pytest.mark.parametrize("lag_ms", [0, 200, 400])
def test_guard__crash_within_two_seconds_on_all_venues__is_through_within_three(
    depth_pct: int, confirm_s: float, tick_ms: int, lag_ms: int
) -> None:
    assert bottom_passed_at_ms(depth_pct, confirm_s, tick_ms, lag_ms) <= 3_000 + lag_ms


@pytest.mark.parametrize("depth_pct", [50, 95])
@pytest.mark.parametrize("confirm_s", [1, 3])
@pytest.mark.parametrize("tick_ms", [20, 500])
@pytest.mark.parametrize("lag_ms", [0, 500])
def test_guard__crash_of_any_depth__is_through_one_confirmation_after_it_ends(
    depth_pct: int, confirm_s: int, tick_ms: int, lag_ms: int
) -> None:
    ends_ms = 2_000 + lag_ms
    assert bottom_passed_at_ms(depth_pct, confirm_s, tick_ms, lag_ms) <= ends_ms + confirm_s * 1000 + 2 * tick_ms


@pytest.mark.parametrize("victim", VENUES)
def test_guard__one_venue_ten_times_too_high__never_reaches_the_guard(victim: str) -> None:
    guard = Guard(200, Confirmation(SECOND, 3, 1, 100))
    state = guard.start(e18(100))
    for tick in range(100):
        now = after(tick / 10)
        quotes = board(*(quote(name, 1000 if name == victim else 100, at=now) for name in VENUES))
        result = index_price(usd(*VENUES), quotes, {}, None, now)
        assert isinstance(result, IndexPrice)
        state, outcome = guard.step(state, result, now)
        assert outcome == Pass(e18(100), 0)


def _index_of(prices: list[int], now: Timestamp) -> IndexPrice:
    votes = tuple(
        PricedQuote(
            SourceSpec(SourceId(f"v{n}"), "USD" if n % 2 else "USDT"),
            Quote(SourceId(f"v{n}"), now, now),
            price,
            price,
            None,
        )
        for n, price in enumerate(prices)
    )
    return IndexPrice(BTC, sorted(prices)[len(prices) // 2], now, votes)


TICKS = st.lists(
    st.tuples(
        st.integers(1, 1500),
        st.sampled_from([80_000, 85_000, 99_000, 100_000, 101_000, 120_000]),
        st.lists(st.integers(-3000, 3000), min_size=1, max_size=5),
    ),
    min_size=1,
    max_size=30,
)


@LAW
@given(ticks=TICKS, confirm_ms=st.integers(0, 3000))
def test_guard__any_history__never_passes_an_unconfirmed_jump(
    ticks: list[tuple[int, int, list[int]]], confirm_ms: int
) -> None:
    """A jump from the anchor passes only with enough backing at that tick, and only if backed ticks in a row (up to a
    second each) since the price left the anchor's neighbourhood in that direction add up to the confirmation, or a
    confirmation in that direction is no older than it took. Everything else passes at once."""
    confirm_ns = confirm_ms * MILLISECOND
    guard = Guard(200, Confirmation(confirm_ns, 3, 2, 100))
    state, now, held = guard.start(100_000), int(NOW), False
    passed = anchor = 100_000
    anchored_at = run_direction = earned = 0
    backed_before: int | None = None
    trusted: tuple[int, int] | None = None
    for wait_ms, base, noise in ticks:
        now += wait_ms * MILLISECOND
        if now - anchored_at >= confirm_ns and not held:
            anchor, anchored_at = passed, now
        spot = _index_of([base + each for each in noise], Timestamp(now))
        state, outcome = guard.step(state, spot, Timestamp(now))
        direction = (spot.price_e18 > anchor) - (spot.price_e18 < anchor)
        if not exceeds_bps(spot.price_e18, anchor, 200):
            assert isinstance(outcome, Pass)
            assert not outcome.confirmed
            run_direction, earned, backed_before = 0, 0, None
        else:
            behind = backers(spot.inputs, spot.price_e18, direction, 100)
            backed = len(behind) >= 3 and len({vote.group for vote in behind}) >= 2
            if direction != run_direction:
                run_direction, earned, backed_before = direction, 0, None
            if backed and backed_before is not None:
                earned += min(now - backed_before, SECOND)
            backed_before = now if backed else None
            trust = trusted is not None and trusted[0] == direction and now <= trusted[1]
            assert isinstance(outcome, Pass) is (backed and (earned >= confirm_ns or trust))
            if isinstance(outcome, Pass):
                assert outcome.confirmed
                trusted, anchor, anchored_at = (direction, now + confirm_ns), spot.price_e18, now
        held = isinstance(outcome, Held)
        passed = passed if held else spot.price_e18
        assert state.passed_e18 == passed


@pytest.mark.parametrize("tick_ms", [1, 10, 50, 100])
def test_guard__ramp_of_small_ticks__is_as_much_a_jump_as_one_step(tick_ms: int) -> None:
    """−20 % within a second and back: whatever the rate of ticks, nothing further than the limit passes unconfirmed."""
    guard = Guard(200, Confirmation(3 * SECOND, 3, 2, 100))
    state = guard.start(e18(100))
    for at_ms in range(0, 2_001, tick_ms):
        away = 20 * min(at_ms, 2_000 - at_ms) / 1_000
        state, _ = guard.step(state, index(f"{100 - away:.6f}"), after(at_ms / 1000))
        assert state.passed_e18 is not None
        assert not exceeds_bps(state.passed_e18, e18(100), 200)
    assert state.held_since is None


@LAW
@given(target=st.integers(1, 10**6), tick_ms=st.integers(1, 1000), confirm_ms=st.integers(0, 5000))
def test_guard__agreed_level__always_passes_within_the_confirmation_and_a_tick(
    target: int, tick_ms: int, confirm_ms: int
) -> None:
    guard = Guard(200, Confirmation(confirm_ms * MILLISECOND, 3, 2, 100))
    state, at_ms = guard.start(10_000), 0
    tick_ms = max(tick_ms, confirm_ms // 50, 1)
    while True:
        now = after(at_ms / 1000)
        state, outcome = guard.step(state, _index_of([target] * 4, now), now)
        if isinstance(outcome, Pass):
            break
        assert at_ms < confirm_ms
        at_ms += tick_ms
    assert at_ms < confirm_ms + tick_ms


def test_confirmation__trust__ends_after_as_long_a_pause() -> None:
    state = ConfirmationState(trusted_direction=-1, trusted_until=after(3))
    assert state.trusts(-1, after(3), 3 * SECOND)
    assert not state.trusts(-1, after(3.001), 3 * SECOND)
    assert not state.trusts(1, after(1), 3 * SECOND)


def test_confirmation__of_a_move_that_is_over__is_forgotten_also_when_it_was_interrupted() -> None:
    """Two seconds agreed, then a tick without agreement, then the price is back: the next jump begins at nothing."""
    interrupted = ConfirmationState(1, 2 * SECOND, None)
    assert interrupted.idle() == ConfirmationState()
    assert ConfirmationState(0, SECOND, NOW).idle() == ConfirmationState()


def test_confirmation__clock_steps_back__adds_nothing() -> None:
    asked = Confirmation()
    state, _ = asked.step(ConfirmationState(1, SECOND, after(5)), 1, agree=True, now=after(4))
    assert (state.agreed_ns, state.agreed_at) == (SECOND, after(4))


def test_guard__clock_that_was_an_hour_ahead_is_set_right__the_trust_earned_by_it_is_over() -> None:
    hour = 3_600.0
    state, outcomes = walk(GUARD, GUARD.start(e18(100)), [(hour + second, index(90)) for second in range(5)])
    assert kinds(outcomes)[-1] in ("confirmed", "pass")
    state, outcomes = walk(GUARD, state, [(2.0, index(80)), (3.0, index(80))])
    assert kinds(outcomes) == ["unconfirmed", "unconfirmed"]


def test_backers__beyond_the_price_by_the_smallest_unit__count_in_the_moves_direction_only() -> None:
    votes = index(100, {"a:USD": 100}).inputs
    price = votes[0].price_e18
    assert backers(votes, price - 1, 1, 0) == list(votes)
    assert backers(votes, price - 1, -1, 0) == []
    assert backers(votes, price + 1, -1, 0) == list(votes)


def test_guard__many_ticks_in_one_instant__are_measured_from_one_anchor() -> None:
    """1.5 % and 1.5 % more at the same time are a jump of 3 %."""
    alone = {"a:USD": 103, "b:USD": "101.5", "c:USDT": "101.5"}
    _, outcomes = walk(GUARD, GUARD.start(e18(100)), [(0, index(100)), (0, index("101.5")), (0, index(103, alone))])
    assert kinds(outcomes) == ["pass", "pass", "backing"]
