"""Each way in which a quote is refused, each with its neighbour that is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.ids import SourceId
from keeper.domain.index import IndexSpec, PegSpec, PricedQuote, Rejected, SourceSpec
from keeper.domain.numbers import E18
from keeper.domain.quote import Quote
from keeper.domain.screening import Refusal, priced, screen, stated_price, untimely
from keeper.domain.time import SECOND, Timestamp
from tests.domain.pricing.builders import BTC, LAW, NOW, USDT, after, board, e18, quote, usd

A = SourceSpec(SourceId("a"), "USD")
SKEW = 2 * SECOND


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"bid": 99, "ask": 101}, Rejected.WIDE),
        ({"bid": "99.5", "ask": "100.5"}, "100"),
        ({"bid": "99.5", "ask": "100.6"}, Rejected.WIDE),
        ({"bid": 100, "ask": 100}, "100"),
        ({"bid": 99, "ask": 101, "last": "100.7"}, "100.7"),
        ({"bid": 99, "ask": 101, "last": 101}, "101"),
        ({"bid": 99, "ask": 101, "last": 99}, "99"),
        ({"bid": 99, "ask": 101, "last": "101.1"}, Rejected.WIDE),
        ({"bid": "99.9", "ask": "100.1", "last": 150}, "100"),
        ({"bid": "99.9", "ask": "100.1", "last": 0}, "100"),
        ({"last": 42}, "42"),
        ({"last": 0}, Rejected.NON_POSITIVE),
        ({"last": -1}, Rejected.NON_POSITIVE),
        ({"bid": 0, "ask": 100}, Rejected.NON_POSITIVE),
        ({"bid": -100, "ask": -99}, Rejected.NON_POSITIVE),
        ({"bid": "100.1", "ask": 100}, Rejected.CROSSED),
        ({"bid": "100.1", "ask": 100, "last": 100}, Rejected.CROSSED),
        ({"bid": 100, "last": 100}, Rejected.WIDE),
        ({"ask": 100, "last": 100}, Rejected.WIDE),
        ({}, Rejected.MISSING),
    ],
)
def test_stated_price__mid_of_narrow_book_else_last_inside_it(told: dict[str, object], expected: object) -> None:
    found = stated_price(quote("a", **told), 100)  # type: ignore[arg-type]
    if isinstance(expected, Rejected):
        assert isinstance(found, Refusal)
        assert found.reason is expected
    else:
        assert found == e18(str(expected))


def test_stated_price__odd_sum__mid_rounds_down() -> None:
    assert stated_price(Quote(A.source, NOW, NOW, bid_e18=10, ask_e18=11), 10_000) == 10


def test_stated_price__spread_exactly_at_the_limit__is_narrow() -> None:
    """(ask − bid) / mid of 99 and 101 is 200 bps."""
    assert stated_price(quote("a", bid=99, ask=101), 200) == e18(100)
    assert isinstance(stated_price(quote("a", bid=99, ask=101), 199), Refusal)


@pytest.mark.parametrize(
    ("received", "observed", "changed", "expected"),
    [
        (0, None, 0, None),
        (-10, None, -10, None),
        (-10.001, None, -10.001, Rejected.STALE),
        (0, -10, 0, None),
        (0, -10.001, 0, Rejected.STALE),
        (-10.001, 0, 0, Rejected.STALE),
        (0, 2, 0, None),
        (0, 2.001, 0, Rejected.FUTURE),
        (2.001, None, 0, Rejected.FUTURE),
        (0, 86_400, 0, Rejected.FUTURE),
        (0, -3600, 0, Rejected.STALE),
        (0, None, -300, None),
        (0, None, -300.001, Rejected.STALE),
        (0, 0, -100_000, None),
    ],
    ids=str,
)
def test_untimely__two_times__both_must_be_fresh(
    received: float, observed: float | None, changed: float, expected: Rejected | None
) -> None:
    """Seconds from now; max age 10 s, skew 2 s. A venue with its own time may stay unchanged, one without only 300 s."""
    told = quote(
        "a", 100, at=after(received), observed=None if observed is None else after(observed), changed=after(changed)
    )
    refusal = untimely(told, A, NOW, SKEW)
    assert (None if refusal is None else refusal.reason) is expected


@pytest.mark.parametrize(
    ("told", "detail"),
    [
        (quote("a", 1, at=after(7)), "7000 ms ahead"),
        (quote("a", 1, at=after(-12)), "12000 ms old"),
        (quote("a", 1, observed=after(-11)), "11000 ms old"),
        (quote("a", 1, changed=after(-301)), "unchanged for 301000 ms, no venue time"),
    ],
)
def test_untimely__says_by_how_much(told: Quote, detail: str) -> None:
    refusal = untimely(told, A, NOW, SKEW)
    assert refusal is not None
    assert refusal.detail == detail


def test_stated_price__smallest_price__is_positive() -> None:
    assert stated_price(Quote(A.source, NOW, NOW, bid_e18=1, ask_e18=1), 100) == 1
    assert stated_price(Quote(A.source, NOW, NOW, last_e18=1), 100) == 1


@LAW
@given(
    received=st.integers(-(10**12), 10**12),
    observed=st.none() | st.integers(-(10**12), 10**12),
    later=st.integers(0, 10**12),
)
def test_untimely__once_stale__stays_stale(received: int, observed: int | None, later: int) -> None:
    told = Quote(
        A.source,
        Timestamp(NOW + received),
        Timestamp(NOW + received),
        None if observed is None else Timestamp(NOW + observed),
    )
    first = untimely(told, A, NOW, SKEW)
    if first is not None and first.reason is Rejected.STALE:
        second = untimely(told, A, Timestamp(NOW + later), SKEW)
        assert second is not None
        assert second.reason is Rejected.STALE


ABOUT_NOW = st.sampled_from([0, -1, 2 * SECOND, 2 * SECOND + 1, -10 * SECOND, -10 * SECOND - 1, -301 * SECOND])
PRICES = st.none() | st.sampled_from([-1, 0, 1, 995, 1000, 1004, 1005, 1006]) | st.integers(-5, 10**30)
RATES = st.none() | st.sampled_from([1, E18, E18 - 1]) | st.just(Refusal(Rejected.PEG, "off"))


@LAW
@given(
    times=st.tuples(ABOUT_NOW, ABOUT_NOW, st.none() | ABOUT_NOW),
    prices=st.tuples(PRICES, PRICES, PRICES),
    multiplier=st.sampled_from([E18, 10**15, 1]),
    rate=RATES,
)
def test_screen__any_quote__says_what_priced_says(
    times: tuple[int, int, int | None],
    prices: tuple[int | None, int | None, int | None],
    multiplier: int,
    rate: int | Refusal | None,
) -> None:
    received, changed, observed = (None if time is None else Timestamp(NOW + time) for time in times)
    bid, ask, last = prices
    assert received is not None
    assert changed is not None
    told = Quote(A.source, received, changed, observed, bid, ask, last_e18=last)
    source = SourceSpec(A.source, "X", multiplier_e18=multiplier)
    plan = IndexSpec(BTC, (source, *usd("b", "c", "d").sources), conversions={"X": PegSpec(USDT)}, min_quote_groups=1)
    rates = {} if rate is None else {"X": rate}
    accepted, rejected = screen(plan, board(told), rates, NOW)
    vote = priced(source, told, plan, rates, NOW)
    if isinstance(vote, Refusal):
        assert accepted == []
        assert rejected[0] == (A.source, *vote, None)
    else:
        assert accepted == [vote]
        assert type(accepted[0]) is PricedQuote


def test_screen__missing_source__is_named() -> None:
    accepted, rejected = screen(usd("a", "b", "c"), board(quote("a", 1), quote("c", 1)), {}, NOW)
    assert [vote.source for vote in accepted] == ["a", "c"]
    assert [(refused.source, refused.reason) for refused in rejected] == [("b", Rejected.MISSING)]


@pytest.mark.parametrize(
    ("unchanged_s", "frozen"),
    [
        ({"a": 31, "b": 1, "c": 1}, ["a"]),
        ({"a": 30, "b": 1, "c": 1}, []),
        ({"a": 31, "b": 31, "c": 1}, []),
        ({"a": 31, "b": 31, "c": 31}, []),
        ({"a": 31, "b": 31, "c": 1, "d": 1, "e": 1}, ["a", "b"]),
        ({"a": 31, "b": 31, "c": 1, "d": 1}, ["a", "b"]),
        ({"a": 31, "b": 31, "c": 31, "d": 1, "e": 1}, []),
    ],
)
def test_screen__unchanged_while_most_others_moved__is_frozen(unchanged_s: dict[str, int], frozen: list[str]) -> None:
    quotes = board(*(quote(name, 100, observed=NOW, changed=after(-age)) for name, age in unchanged_s.items()))
    _, rejected = screen(usd(*unchanged_s, frozen_after_ns=30 * SECOND), quotes, {}, NOW)
    assert [refused.source for refused in rejected if refused.reason is Rejected.FROZEN] == frozen


def test_screen__frozen_test_off__keeps_the_unchanged() -> None:
    quotes = board(quote("a", 100, observed=NOW, changed=after(-9999)), quote("b", 100), quote("c", 100))
    accepted, rejected = screen(usd("a", "b", "c"), quotes, {}, NOW)
    assert len(accepted) == 3
    assert rejected == []


@pytest.mark.parametrize(
    ("stated", "multiplier", "rate", "expected"),
    [
        ("0.0243", 10**15, None, "0.0000243"),
        ("20000", E18, "0.95", "19000"),
        ("0.0243", 1000 * E18, None, "24.3"),
        ("1", 10**15, "0.5", "0.0005"),
        ("0.000000000000001999", 10**15, "1", "0.000000000000000001"),
        ("0.000000000000000003", E18, "0.999", "0.000000000000000002"),
    ],
)
def test_priced__multiplier_and_rate__each_step_rounds_down(
    stated: str, multiplier: int, rate: str | None, expected: str
) -> None:
    source = SourceSpec(SourceId("a"), "X", multiplier_e18=multiplier)
    rates = {} if rate is None else {"X": e18(rate)}
    vote = priced(source, quote("a", last=stated), usd("b", "c", "d"), rates, NOW)
    assert isinstance(vote, PricedQuote)
    assert vote == PricedQuote(source, vote.quote, e18(expected), e18(stated), None if rate is None else e18(rate))
    assert (vote.source, vote.group) == ("a", "X")


def test_screen__price_that_vanishes_in_the_conversion__is_refused() -> None:
    plan = usd("b", "c", "d")
    tiny = type(plan)(
        plan.id, (SourceSpec(SourceId("b"), "USD", multiplier_e18=1), *plan.sources[1:]), min_quote_groups=1
    )
    quotes = board(Quote(SourceId("b"), NOW, NOW, last_e18=10**17), quote("c", 1), quote("d", 1))
    _, rejected = screen(tiny, quotes, {}, NOW)
    assert [refused.reason for refused in rejected] == [Rejected.NON_POSITIVE]
