"""What every rate and every settlement must obey, whatever goes in."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.numbers import E18, tdiv
from keeper.domain.rates import presets, pushed
from keeper.domain.rates.damper import damped
from keeper.domain.rates.method import Ratio, Span
from keeper.domain.rates.payments import Contract, Lazy, Terms, grown_index, settle
from keeper.domain.rates.window import Window
from keeper.domain.time import from_seconds
from tests.domain.pricing.builders import LAW
from tests.domain.rates.scenes import BP, DAWN_S

PREMIUMS = st.integers(-E18, E18)
METHODS = st.sampled_from(
    [
        presets.Plainly(cap=Ratio(30 * BP)),
        presets.Binance(),
        presets.Bitmex(max_change=None),
        presets.Hyperliquid(),
        presets.DailyClamp(),
        presets.Okx(),
        presets.Kraken(),
        presets.Btse(),
        presets.DydxV3(),
        presets.DydxV1(),
    ]
)


def rate(method: object, premium: int, last: int = 0) -> int:
    """Charged when every sample was `premium`."""
    span = Span(DAWN_S, DAWN_S + method.interval_s)  # type: ignore[attr-defined]
    places = span.interval_s // method.every_s  # type: ignore[attr-defined]
    weight = places * (places + 1) // 2 if method.weights == "linear" else places  # type: ignore[attr-defined]
    window = Window(places - 1, places, weight, weight * premium)
    return method.charge(window, span, last, from_seconds(span.boundary_s)).rate_e18  # type: ignore[attr-defined,no-any-return]


@LAW
@given(method=METHODS, one=PREMIUMS, other=PREMIUMS)
def test_rate__premium_higher__is_never_lower(method: object, one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert rate(method, low) <= rate(method, high)


@LAW
@given(one=PREMIUMS, other=PREMIUMS, band=st.integers(0, 100 * BP))
def test_rate_of_the_moment__premium_higher__is_never_lower_and_zero_within_the_band(
    one: int, other: int, band: int
) -> None:
    low, high = sorted((one, other))
    assert damped(low, band) <= damped(high, band)
    assert (damped(one, band) == 0) is (abs(one) <= band)
    assert damped(-one, band) == -damped(one, band)


@LAW
@given(one=st.integers(1, 10**21), other=st.integers(1, 10**21), zone=st.sampled_from([0, 2_000]))
def test_spread__mark_higher__is_never_charged_less_and_stays_within_the_tier(one: int, other: int, zone: int) -> None:
    method = presets.Drift(dead_zone_per=zone)
    low, high = (method.daily(mark, 10**20) for mark in sorted((one, other)))
    assert -(10**20) // 33 - 1 <= low <= high <= 10**20 // 33


@LAW
@given(
    old=st.integers(-pushed.MAX_ABS_VALUE, pushed.MAX_ABS_VALUE),
    new=st.integers(-(10**15), 10**15),
    elapsed=st.integers(0, 10_000),
)
def test_pushed__any_rate__stays_within_both_bounds(old: int, new: int, elapsed: int) -> None:
    stored = pushed.bounded(old, new, elapsed)
    assert abs(stored) <= pushed.MAX_ABS_VALUE
    assert abs(stored - old) <= pushed.MAX_ABS_DIFF_PER_SECOND * elapsed
    if abs(new) <= pushed.MAX_ABS_VALUE and abs(new - old) <= pushed.MAX_ABS_DIFF_PER_SECOND * elapsed:
        assert stored == new


@LAW
@given(premium=PREMIUMS, cap=st.integers(0, 100 * BP), last=st.integers(-(10**17), 10**17))
def test_rate__any_premium__stays_within_its_cap(premium: int, cap: int, last: int) -> None:
    for method in (presets.Binance(cap=Ratio(cap)), presets.Bitmex(cap=Ratio(cap)), presets.DailyClamp(cap=Ratio(cap))):
        assert abs(rate(method, premium, last)) <= cap


@LAW
@given(premium=PREMIUMS, last=st.integers(-(10**15), 10**15))
def test_rate__with_a_change_limit__moves_no_further(premium: int, last: int) -> None:
    method = presets.Bitmex(cap=None)
    assert abs(rate(method, premium, last) - last) <= 375 * BP // 10


@LAW
@given(
    interest=st.integers(-50 * BP, 50 * BP),
    clamp=st.integers(0, 50 * BP),
    away=st.integers(-(10**16), 10**16),
    interval_s=st.sampled_from([3_600, 7_200, 14_400, 28_800]),
)
def test_rate__premium_within_the_clamp_of_the_interest__is_the_interest(
    interest: int, clamp: int, away: int, interval_s: int
) -> None:
    method = presets.Plainly(interval_s=interval_s, interest=Ratio(interest), clamp=Ratio(clamp))
    inside = interest + max(-clamp, min(clamp, away))
    assert rate(method, inside) == tdiv(interest * interval_s, 28_800)
    outside = interest + clamp + abs(away)
    assert rate(method, outside) == tdiv((outside - clamp) * interval_s, 28_800)


@LAW
@given(premium=PREMIUMS)
def test_rate__without_interest__is_symmetric(premium: int) -> None:
    for method in (presets.Plainly(interest=Ratio(0)), presets.DailyClamp(interest=Ratio(0)), presets.Kraken()):
        assert rate(method, -premium) == -rate(method, premium)


@LAW
@given(premium=st.integers(-(10**16), 10**16), cuts=st.integers(1, 8))
def test_window__finer_or_coarser_grid__of_one_steady_premium_is_that_premium(premium: int, cuts: int) -> None:
    method = replace(presets.Hyperliquid(interest=Ratio(0), clamp=Ratio(0), cap=None), every_s=450 // cuts)
    assert rate(method, premium) == tdiv(premium, 8)


SIZES = st.lists(st.integers(-(10**24), 10**24), min_size=1, max_size=12)
TERMS = st.builds(
    Terms,
    st.sampled_from(list(Contract)),
    st.integers(10**9, 10**24),
    st.integers(-(10**16), 10**16),
    st.sampled_from([1, 100, 10**6, 10**8]),
    st.integers(1, 10**19),
)


def accounts(sizes: list[int]) -> dict[str, int]:
    """With one more that is the other side of all."""
    return {f"a{number:02}": size for number, size in enumerate([*sizes, -sum(sizes)])}


@LAW
@given(sizes=SIZES, terms=TERMS)
def test_payments__of_all_accounts__add_up_to_less_than_a_unit_each_toward_the_protocol(
    sizes: list[int], terms: Terms
) -> None:
    found = settle(accounts(sizes), terms)
    assert sum(found.debits.values()) == found.fund_units
    assert 0 <= found.fund_units < len(found.debits)
    assert found.shortfall_units == found.reduced_units == 0


@LAW
@given(sizes=SIZES, terms=TERMS)
def test_payments__sizes_doubled__double_up_to_rounding(sizes: list[int], terms: Terms) -> None:
    once = settle(accounts(sizes), terms).debits
    twice = settle(accounts([2 * size for size in sizes]), terms).debits
    assert all(0 <= 2 * once[account] - twice[account] <= 1 for account in once)


@LAW
@given(size=st.integers(0, 10**24), terms=TERMS)
def test_payments__long_and_short__are_symmetric_up_to_rounding(size: int, terms: Terms) -> None:
    found = settle({"long": size, "short": -size}, terms).debits
    assert 0 <= found["long"] + found["short"] <= 1
    other = settle({"long": size, "short": -size}, replace(terms, rate_e18=-terms.rate_e18)).debits
    assert (other["short"], other["long"]) == (found["long"], found["short"])


@LAW
@given(
    sizes=SIZES,
    terms=TERMS,
    purse=st.integers(0, 10**12),
    fund=st.integers(-(10**9), 10**12),
    poor=st.sets(st.integers(0, 12)),
)
def test_payments__with_payers_that_cannot__conserve_and_take_from_nobody_more_than_he_has(
    sizes: list[int], terms: Terms, purse: int, fund: int, poor: set[int]
) -> None:
    sides = accounts(sizes)
    equities = {account: purse for number, account in enumerate(sides) if number in poor}
    owed = settle(sides, terms).debits
    found = settle(sides, terms, equities, fund)
    assert sum(found.debits.values()) == found.fund_units
    assert found.fund_units >= -max(0, fund), "the fund gives no more than it has"
    for account, debit in found.debits.items():
        if owed[account] > 0:
            assert debit == min(owed[account], equities.get(account, owed[account]))
        else:
            assert owed[account] <= debit <= 0, "a credit is cut, at most to nothing"
    if found.reduced_units == 0:
        assert all(found.debits[account] == owed[account] for account in sides if owed[account] < 0)


def test_payments__no_open_interest__none() -> None:
    terms = Terms(Contract.LINEAR, E18, BP, 10**6)
    assert settle({}, terms).debits == {}
    assert settle({"a": 0}, terms).fund_units == 0


@LAW
@given(
    size=st.integers(-(10**6), 10**6),
    growths=st.lists(st.integers(-(10**19), 10**19), max_size=8),
)
def test_lazy_account__settled_often__never_has_more_than_settled_once(size: int, growths: list[int]) -> None:
    often, index = Lazy(0, size), 0
    for growth in growths:
        index = grown_index(index, E18, growth)
        often = often.settled(index)
    once = Lazy(0, size).settled(index)
    assert once.balance_units - len(growths) <= often.balance_units <= once.balance_units
