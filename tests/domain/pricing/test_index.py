"""The index against the faults of the catalogue: what is refused, what is withheld, and what must pass."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.ids import SourceId
from keeper.domain.index import IndexPrice, Rejected, SourceSpec, Withheld, WithheldReason, index_price
from keeper.domain.index_methods import INDEX_METHODS
from keeper.domain.numbers import MAX_PRICE_E18
from keeper.domain.quote import Quote
from keeper.domain.screening import Rates, Refusal
from tests.domain.pricing.builders import LAW, NOW, after, board, e18, quote, spec, usd

PLAIN = sorted(name for name, method in INDEX_METHODS.items() if not (method.by_group or method.by_volume))
SEVEN = ("binance", "okx", "bybit", "coinbase", "kraken", "bitstamp", "gate")
MIXED = {name: "USDT" if name in {"binance", "okx", "bybit", "gate"} else "USD" for name in SEVEN}
PAR: Rates = {"USDT": e18(1)}


def priced(prices: dict[str, str | int], **options: object) -> IndexPrice | Withheld:
    quotes = board(*(quote(name, price) for name, price in prices.items()))
    return index_price(usd(*prices, **options), quotes, {}, options.pop("last", None), NOW)  # type: ignore[arg-type]


def reasons(result: IndexPrice | Withheld) -> dict[str, Rejected]:
    return {refused.source: refused.reason for refused in result.rejected}


def test_index__agreeing_sources__carries_its_quotes() -> None:
    result = priced({"a": 100, "b": 101, "c": "100.5"})
    assert isinstance(result, IndexPrice)
    assert result.price_e18 == e18("100.5")
    assert [vote.source for vote in result.inputs] == ["a", "b", "c"]
    assert result.rejected == ()
    assert result.as_of == NOW
    assert result.oldest() == NOW


def test_index__oldest__is_the_venues_time_where_it_gives_one() -> None:
    quotes = board(quote("a", 1, observed=after(-3)), quote("b", 1, at=after(-2)), quote("c", 1))
    result = index_price(usd("a", "b", "c"), quotes, {}, None, NOW)
    assert isinstance(result, IndexPrice)
    assert result.oldest() == after(-3)


@pytest.mark.parametrize("factor", ["10", "0.1", "1000", "0.001", "1.02", "0.98"])
@pytest.mark.parametrize("victim", SEVEN)
@pytest.mark.parametrize("method", PLAIN)
def test_index__one_venue_in_a_wrong_unit__is_an_outlier_and_moves_nothing(
    method: str, victim: str, factor: str
) -> None:
    prices = {name: e18(100) + position * 10**15 for position, name in enumerate(SEVEN)}
    clean = [price for name, price in prices.items() if name != victim]
    prices[victim] = prices[victim] * e18(factor) // 10**18
    quotes = {SourceId(name): Quote(SourceId(name), NOW, NOW, last_e18=price) for name, price in prices.items()}
    result = index_price(usd(*SEVEN, method=method), quotes, {}, None, NOW)
    assert isinstance(result, IndexPrice)
    assert reasons(result) == {victim: Rejected.OUTLIER}
    assert min(clean) <= result.price_e18 <= max(clean)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"at": after(-11)}, Rejected.STALE),
        ({"observed": after(-11)}, Rejected.STALE),
        ({"observed": after(60)}, Rejected.FUTURE),
        ({"price": None, "bid": 101, "ask": 100}, Rejected.CROSSED),
        ({"price": 1000}, Rejected.OUTLIER),
        ({"price": "10"}, Rejected.OUTLIER),
        ({"price": 0}, Rejected.NON_POSITIVE),
    ],
)
def test_index__faulty_venue_among_seven__is_refused_and_the_rest_priced(
    fault: dict[str, object], reason: Rejected
) -> None:
    quotes = board(
        *(quote(name, 100) for name in SEVEN[1:]),
        quote(SEVEN[0], **({"price": 100} | fault)),  # type: ignore[arg-type]
    )
    result = index_price(usd(*SEVEN), quotes, {}, None, NOW)
    assert isinstance(result, IndexPrice)
    assert result.price_e18 == e18(100)
    assert reasons(result) == {SEVEN[0]: reason}


def test_index__quorum__is_counted_after_rejection() -> None:
    """Four quotes, two of them unusable: two are left, and two are not three."""
    quotes = board(quote("a", 100), quote("b", 100), quote("c", 100, at=after(-60)), quote("d", bid=2, ask=1))
    result = index_price(usd("a", "b", "c", "d"), quotes, {}, e18(100), NOW)
    assert isinstance(result, Withheld)
    assert result.reason is WithheldReason.SOURCES
    assert result.detail == "2 of 3 sources"
    assert reasons(result) == {"c": Rejected.STALE, "d": Rejected.CROSSED}


def test_index__split_in_two_camps__is_withheld_and_never_averaged() -> None:
    """A wrong unit at half of the sources: their mean would be nobody's price."""
    result = priced({"a": 100, "b": 100, "c": 103, "d": 103})
    assert isinstance(result, Withheld)
    assert set(reasons(result).values()) == {Rejected.OUTLIER}
    assert len(result.rejected) == 4


@pytest.mark.parametrize(
    ("low", "high", "last", "reason"),
    [
        ("100", "100.5", "100", None),
        ("100", "100.51", "100", WithheldReason.PAIR),
        ("100", "100.4", None, WithheldReason.PAIR),
        ("101", "101", "100", None),
        ("101", "101.01", "100", WithheldReason.PAIR),
        ("99", "99", "100", None),
        ("98.99", "99", "100", WithheldReason.PAIR),
        ("1", "1000", "100", WithheldReason.PAIR),
    ],
)
def test_index__two_left__must_agree_with_each_other_and_with_the_last(
    low: str, high: str, last: str | None, reason: WithheldReason | None
) -> None:
    quotes = board(quote("a", low), quote("b", high))
    plan = usd("a", "b", "c", allow_two=True)
    result = index_price(plan, quotes, {}, None if last is None else e18(last), NOW)
    if reason is None:
        assert isinstance(result, IndexPrice)
        assert result.price_e18 == (e18(low) + e18(high)) // 2
    else:
        assert isinstance(result, Withheld)
        assert result.reason is reason


def test_index__two_left_without_allow_two__is_withheld() -> None:
    result = index_price(usd("a", "b", "c"), board(quote("a", 100), quote("b", 100)), {}, e18(100), NOW)
    assert isinstance(result, Withheld)
    assert result.reason is WithheldReason.SOURCES


def test_index__one_left__is_withheld_even_where_two_would_do() -> None:
    result = index_price(usd("a", "b", "c", allow_two=True), board(quote("a", 100)), {}, e18(100), NOW)
    assert isinstance(result, Withheld)
    assert result.detail == "1 of 3 sources"


def test_index__sources_of_one_currency__do_not_make_a_quorum_of_groups() -> None:
    quotes = board(*(quote(name, 100) for name in SEVEN if MIXED[name] == "USDT"))
    result = index_price(spec(MIXED, min_quote_groups=2), quotes, PAR, None, NOW)
    assert isinstance(result, Withheld)
    assert result.reason is WithheldReason.QUOTE_GROUPS
    assert result.detail == "1 of 2 quote groups"


def test_index__peg_broken__refuses_the_whole_group_and_prices_by_the_others() -> None:
    rates: Rates = {"USDT": Refusal(Rejected.PEG, "USDT-USD at 0.9 is outside")}
    quotes = board(*(quote(name, 111 if MIXED[name] == "USDT" else 100) for name in SEVEN))
    result = index_price(spec(MIXED), quotes, rates, None, NOW)
    assert isinstance(result, IndexPrice)
    assert result.price_e18 == e18(100)
    assert set(reasons(result).values()) == {Rejected.PEG}
    assert len(result.rejected) == 4


def test_index__largest_reportable_price__is_priced() -> None:
    quotes = {SourceId(name): Quote(SourceId(name), NOW, NOW, last_e18=MAX_PRICE_E18) for name in "abc"}
    result = index_price(usd("a", "b", "c"), quotes, {}, None, NOW)
    assert isinstance(result, IndexPrice)
    assert result.price_e18 == MAX_PRICE_E18


def test_index__beyond_the_largest_reportable_price__is_withheld() -> None:
    result = priced(dict.fromkeys("abc", 10**11))
    assert isinstance(result, Withheld)
    assert result.reason is WithheldReason.UNREPRESENTABLE


@pytest.mark.parametrize("count", [3, 4, 5, 6, 7, 10])
@pytest.mark.parametrize("lag_ms", [50, 200, 500])
def test_index__crash_seen_through_different_lags__is_priced_all_the_way(count: int, lag_ms: int) -> None:
    """−20 % in two seconds, each venue late by its own lag, the slowest by `lag_ms`. The index stays between the quickest
    and the slowest venue and arrives when the slowest does. With five sources it never goes missing; with three or four,
    which can spare none or one, only while some have begun (or ended) and others not."""
    names = [f"v{position}" for position in range(count)]
    plan = usd(*names)
    for at_ms in range(0, 2_000 + lag_ms + 1, 50):
        prices = [crashing(at_ms - lag_ms * position // (count - 1)) for position in range(count)]
        quotes = board(*(quote(name, price) for name, price in zip(names, prices, strict=True)))
        result = index_price(plan, quotes, {}, e18(100), NOW)
        if isinstance(result, Withheld):
            assert count < 5, f"{at_ms} ms: {result.detail}"
            assert at_ms < lag_ms or at_ms > 1_800
        else:
            assert e18(prices[0]) <= result.price_e18 <= e18(prices[-1])
    assert isinstance(result, IndexPrice)
    assert result.price_e18 == e18(80)


def crashing(at_ms: int) -> str:
    return f"{100 - 20 * min(max(at_ms, 0), 2_000) / 2_000:.6f}"


def test_index__crash_at_once_on_all_venues__passes_whatever_the_last_index_was() -> None:
    quotes = board(*(quote(name, 60) for name in SEVEN))
    result = index_price(usd(*SEVEN), quotes, {}, e18(100), NOW)
    assert isinstance(result, IndexPrice)
    assert result.price_e18 == e18(60)
    assert result.rejected == ()


@pytest.mark.parametrize("moved", range(8))
def test_index__venues_jump_one_after_the_other__majority_decides(moved: int) -> None:
    """The minority, old or new, is the outlier; no mean of the two prices ever appears."""
    quotes = board(*(quote(name, 90 if position < moved else 100) for position, name in enumerate(SEVEN)))
    result = index_price(usd(*SEVEN), quotes, {}, None, NOW)
    assert isinstance(result, IndexPrice)
    assert result.price_e18 == e18(90 if moved > 3 else 100)


SPREADS = st.lists(st.integers(9_970, 10_030), min_size=3, max_size=9)


@LAW
@given(spread=SPREADS, seed=st.integers(0, 2**32), method=st.sampled_from(PLAIN))
def test_index__any_order_of_sources__same_price(spread: list[int], seed: int, method: str) -> None:
    names = [f"v{position}" for position in range(len(spread))]
    quotes = board(*(quote(name, price) for name, price in zip(names, spread, strict=True)))
    shuffled = names[:]
    random.Random(seed).shuffle(shuffled)
    one = index_price(usd(*names, method=method), quotes, {}, None, NOW)
    other = index_price(usd(*shuffled, method=method), quotes, {}, None, NOW)
    assert isinstance(one, IndexPrice)
    assert isinstance(other, IndexPrice)
    assert one.price_e18 == other.price_e18


@LAW
@given(
    prices=st.lists(st.integers(1, 10**30), min_size=3, max_size=9),
    method=st.sampled_from(PLAIN),
    scale=st.integers(1, 10**6),
)
def test_index__any_quotes__price_lies_within_its_inputs_and_every_source_is_accounted_for(
    prices: list[int], method: str, scale: int
) -> None:
    names = [f"v{position}" for position in range(len(prices))]
    quotes = {
        SourceId(name): Quote(SourceId(name), NOW, NOW, last_e18=price * scale)
        for name, price in zip(names, prices, strict=True)
    }
    result = index_price(usd(*names, method=method), quotes, {}, None, NOW)
    accounted = [vote.source for vote in result.inputs] + [refused.source for refused in result.rejected]
    assert sorted(accounted) == sorted(names)
    if isinstance(result, IndexPrice):
        votes = [vote.price_e18 for vote in result.inputs]
        assert len(votes) >= 3
        assert min(votes) <= result.price_e18 <= max(votes)


@LAW
@given(
    honest=st.lists(st.tuples(st.integers(99_800, 100_200), st.integers(1, 20)), min_size=3, max_size=7),
    hostile=st.lists(st.tuples(st.integers(1, 10**7), st.integers(1, 20)), max_size=6),
    method=st.sampled_from(["median", "weighted_median"]),
)
def test_index__hostile_minority__cannot_leave_the_honest_range(
    honest: list[tuple[int, int]], hostile: list[tuple[int, int]], method: str
) -> None:
    """Fewer than half of the sources by number (median) or by weight, at any prices, in any number."""
    budget = (len(honest) if method == "median" else sum(weight for _, weight in honest)) - 1
    kept = []
    for price, weight in hostile:
        cost = 1 if method == "median" else weight
        if cost <= budget:
            budget -= cost
            kept.append((price, weight))
    told = honest + kept
    sources = tuple(SourceSpec(SourceId(f"v{position}"), "USD", weight) for position, (_, weight) in enumerate(told))
    plan = usd("v0", "v1", "v2", method=method)  # its method and defaults, over the sources below
    quotes = {
        source.source: Quote(source.source, NOW, NOW, last_e18=price)
        for source, (price, _) in zip(sources, told, strict=True)
    }
    result = index_price(replace(plan, sources=sources), quotes, {}, None, NOW)
    assert isinstance(result, IndexPrice)
    prices = [price for price, _ in honest]
    assert min(prices) <= result.price_e18 <= max(prices)


@LAW
@given(st.data())
def test_index__scaled_market__scales(data: st.DataObject) -> None:
    """An asset at 1e-8 dollars is judged as one at 1e4: same votes, same refusals, price scaled."""
    prices = data.draw(st.lists(st.integers(90_000, 110_000), min_size=3, max_size=8))
    scale = 10 ** data.draw(st.integers(4, 20))
    results = []
    for factor in (10**4, scale):
        quotes = {
            SourceId(f"v{position}"): Quote(SourceId(f"v{position}"), NOW, NOW, last_e18=price * factor)
            for position, price in enumerate(prices)
        }
        results.append(index_price(usd(*(str(name) for name in quotes)), quotes, {}, None, NOW))
    one, other = results
    assert reasons(one) == reasons(other)
    if isinstance(one, IndexPrice) and isinstance(other, IndexPrice):
        assert one.price_e18 * scale == other.price_e18 * 10**4
