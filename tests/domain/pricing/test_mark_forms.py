"""Forms with inputs of their own, each against arithmetic by hand: three markets, blend, dated futures, Curie's, quotes, steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keeper.domain.ids import SourceId
from keeper.domain.mark import MARK_METHODS
from keeper.domain.mark.components import book_price, impact_mid_of_size, last_trade, micro, quoted
from keeper.domain.mark.curie import Curie
from keeper.domain.mark.funding_fair import FundingFair, funding_fair_e18
from keeper.domain.mark.method import FundingEstimate, MarkFlag, MarkInputs, Reference
from keeper.domain.mark.moving_basis import MovingBasis
from keeper.domain.time import SECOND, Timestamp
from tests.domain.pricing.builders import NOW, after, book, depth, e18, index, mark_inputs, trade


def reference(price: str | int, weight: int = 1, name: str = "other") -> Reference:
    return Reference(SourceId(name), e18(price), weight)


OTHERS = (reference("100.3", 3), reference("100.5", 2, "b"), reference(90, 1, "c"))


def three(own: Any, last: Any, others: tuple[Reference, ...], at: Timestamp = NOW) -> MarkInputs:
    return replace(mark_inputs(index(100, at=at), own, last, at=at), references=others)


def warm(name: str, mid: str = "100.1") -> tuple[Any, Any]:
    """A method that has seen a book at `mid`, and a trade there, for two minutes."""
    method: Any = MARK_METHODS[name]()
    state = method.start()
    for seconds in range(-120, 0):
        at = after(seconds)
        state, _ = method.step(state, three(book(mid, at=at), trade(mid, at=at), (), at))
    return method, state


BOOK, LAST = book("100.1"), trade("100.2")


@pytest.mark.parametrize("name", ["hyperliquid", "hip3", "three_markets"])
@pytest.mark.parametrize(
    ("own", "last", "others", "expected", "flags"),
    [
        # basis price 100.1, own bid 99.6, ask 100.6, last 100.2: 100.2; others by weight 100.3
        (BOOK, LAST, OTHERS, "100.2", ()),
        # two known: the 30-second average of the own market, 100.1 before, is the third
        (BOOK, LAST, (), None, (MarkFlag.NO_REFERENCE,)),
        (None, None, OTHERS, "100.1", (MarkFlag.KEPT_BASIS,)),
        # without a trade the own market is the mid
        (BOOK, None, OTHERS, "100.1", ()),
        # only the kept basis is known
        (None, None, (), "100.1", (MarkFlag.KEPT_BASIS, MarkFlag.NO_REFERENCE)),
        # one corrupted market
        (BOOK, LAST, (reference(1_000_000),), "100.2", ()),
        (book(102, half="0.1"), trade(102), OTHERS, "100.3", ()),
    ],
)
def test_three_markets__what_is_missing(
    name: str, own: Any, last: Any, others: Any, expected: str | None, flags: Any
) -> None:
    method, state = warm(name)
    _, mark = method.step(state, three(own, last, others, after(1)))  # the first second of an update
    components = dict(mark.components)
    assert ("own_average" in components) is ((own is None) is (len(others) > 0) and len(components) == 3)
    if expected is None:
        assert e18("100.1") < components["own_average"] < e18("100.2")
        assert mark.price_e18 == components["own_average"]
    else:
        assert abs(mark.price_e18 - e18(expected)) <= 10**16
    assert mark.flags == flags


def test_three_markets__nothing_but_the_index() -> None:
    for name in ("hyperliquid", "polymarket"):
        method: Any = MARK_METHODS[name]()
        _, mark = method.step(method.start(), three(None, None, ()))
        assert mark.price_e18 == e18(100)
        assert mark.flags == (MarkFlag.NO_BOOK, MarkFlag.NO_REFERENCE)


@pytest.mark.parametrize(
    ("own", "last", "others", "expected"),
    [
        (BOOK, LAST, OTHERS, "100.2"),
        # no book: the first is the index, the second the trade
        (None, LAST, OTHERS, "100.2"),
        # neither book nor trade: both are the index
        (None, None, OTHERS, "100"),
        # a trade that is not recent does not count
        (None, trade(105, at=after(-61)), OTHERS, "100"),
        # no other venue: the mean of the two
        (BOOK, LAST, (), "100.15"),
        (None, None, (), "100"),
    ],
)
def test_polymarket__table_of_what_is_missing(own: Any, last: Any, others: Any, expected: str) -> None:
    method, state = warm("polymarket")
    _, mark = method.step(state, three(own, last, others))
    assert abs(mark.price_e18 - e18(expected)) <= 10**15
    assert (MarkFlag.NO_REFERENCE in mark.flags) is (others == ())


@pytest.mark.parametrize(
    ("own", "last", "expected", "flags"),
    [
        (book(100, half="1"), trade("100.2"), "100.2", ()),
        (book(100, half="1"), trade(103), "101", ()),
        (book(100, half="1"), trade(97), "99", ()),
        (book(100, half="1"), None, "100", (MarkFlag.NO_TRADE,)),
        (book(100, half="1"), trade(103, at=after(-61)), "100", (MarkFlag.NO_TRADE,)),
        (None, trade(103), "103", (MarkFlag.NO_BOOK,)),
        (None, None, "100", (MarkFlag.NO_BOOK, MarkFlag.NO_TRADE)),
        (book(110, half="1"), trade(110), "105", (MarkFlag.CLAMPED,)),
    ],
)
def test_ftx__median_of_what_there_is(own: Any, last: Any, expected: str, flags: Any) -> None:
    for method in (MARK_METHODS["ftx"](), MARK_METHODS["quoted_median"](max_basis_bps=500)):  # type: ignore[call-arg]
        _, mark = method.step(method.start(), mark_inputs(index(100), own, last))
        assert (mark.price_e18, mark.flags) == (e18(expected), flags)


def test_btse_old__nine_tenths_index_and_one_tenth_impact_mid() -> None:
    """Ten coins: bids 6 at 101 and 4 at 100, asks 10 at 102: 100.6 and 102, so 101.3; 0.9 · 100 + 0.1 · 101.3 = 100.13."""
    method: Any = MARK_METHODS["btse_old"]()
    own = depth([(101, 6), (100, 4)], [(102, 10)])
    _, mark = method.step(method.start(), mark_inputs(index(100), own))
    assert (mark.price_e18, mark.flags) == (e18("100.13"), ())
    thin = depth([(101, 6)], [(102, 10)])
    _, none = method.step(method.start(), mark_inputs(index(100), thin))
    assert (none.price_e18, none.flags) == (e18(100), (MarkFlag.NO_BOOK,))


@pytest.mark.parametrize(("mid", "is_index"), [("102.2", False), ("102.3", True), ("98", False), ("97", True)])
def test_btse_old__two_percent_from_its_own_mid__is_the_index(mid: str, is_index: bool) -> None:
    method: Any = MARK_METHODS["btse_old"]()
    _, mark = method.step(method.start(), mark_inputs(index(100), book(mid, half="0.01")))
    assert (MarkFlag.APART in mark.flags) is is_index
    assert (mark.price_e18 == e18(100)) is is_index


@pytest.mark.parametrize(
    ("spot", "apart_bps", "is_index"), [("98", 180, True), ("98", 181, False), ("98.005", 180, False)]
)
def test_blend__exactly_so_far_apart__is_the_index(spot: str, apart_bps: int, is_index: bool) -> None:
    """0.9 · 98 + 0.1 · 100 is 98.2, 1.8 % from 100; with 98.005 it is 1.7955 %."""
    method: Any = MARK_METHODS["blend"](apart_bps=apart_bps)
    _, mark = method.step(method.start(), mark_inputs(index(spot), book(100, half="0")))
    assert (MarkFlag.APART in mark.flags) is is_index


YEAR = 365 * 86_400


def dated(left_s: int, **options: Any) -> Any:
    return MARK_METHODS["bitmex_dated"](expires_at_s=NOW // SECOND + left_s, **options)


@pytest.mark.parametrize(
    ("mid", "left_s", "rate", "expected"),
    [
        ("101", YEAR // 2, "0.02", "101"),
        ("101.2", YEAR // 2, "0.02", "101"),
        ("101.25", YEAR // 2, "0.03", "101.5"),
        ("98.75", YEAR // 2, "-0.03", "98.5"),
        ("98.76", YEAR // 2, "-0.02", "99"),
        ("150", YEAR, "0.5", "120"),
    ],
)
def test_dated__yearly_basis_is_rounded_to_a_percent(mid: str, left_s: int, rate: str, expected: str) -> None:
    method = dated(left_s)
    _, mark = method.step(method.start(), mark_inputs(index(100), book(mid)))
    assert dict(mark.components)["yearly_basis"] == e18(rate)
    assert mark.price_e18 == e18(expected)
    assert (MarkFlag.CLAMPED in mark.flags) is (expected == "120")


def test_dated__impact_prices_too_wide_or_no_book__keep_the_basis_for_a_while() -> None:
    method = dated(YEAR // 2)
    state, _ = method.step(method.start(), mark_inputs(index(100), book(101)))
    for own in (book(110, half="1.1"), None, book(110, half="0.1", at=after(-11))):
        _, kept = method.step(state, mark_inputs(index(100), own))
        assert (kept.price_e18, kept.flags) == (e18(101), (MarkFlag.KEPT_BASIS,))
    _, gone = method.step(state, mark_inputs(index(100, at=after(3601)), at=after(3601)))
    assert (gone.price_e18, gone.flags) == (e18(100), (MarkFlag.NO_BOOK,))


@pytest.mark.parametrize("left_s", [0, -100])
def test_dated__at_its_expiry__is_the_index(left_s: int) -> None:
    method = dated(left_s)
    _, mark = method.step(method.start(), mark_inputs(index(100), book(101)))
    assert mark.price_e18 == e18(100)


def test_dated__basis_of_a_clock_that_was_ahead__is_not_kept() -> None:
    method, late = dated(YEAR // 2), after(3_601)
    state, _ = method.step(method.start(), mark_inputs(index(100), book("101", "0.1", late), at=late))
    _, mark = method.step(state, mark_inputs(index(100)))
    assert (mark.price_e18, mark.flags) == (e18(100), (MarkFlag.NO_BOOK,))


def test_last_trade__of_a_clock_that_was_ahead__is_none() -> None:
    assert last_trade(trade(100, at=after(60)), NOW, 60) == e18(100)
    assert last_trade(trade(100, at=after(60.001)), NOW, 60) is None


def test_bybit_dated__ten_minutes_of_relative_impact_basis() -> None:
    """A basis of +1 % at an index of 100 is +2 at an index of 200: relative, not absolute."""
    method: Any = MARK_METHODS["bybit_dated"]()
    state = method.start()
    for seconds in range(-200, 0):
        at = after(seconds)
        state, _ = method.step(state, mark_inputs(index(100, at=at), book(101, at=at), at=at))
    _, mark = method.step(state, mark_inputs(index(200)))
    assert (mark.price_e18, mark.flags) == (e18(202), (MarkFlag.KEPT_BASIS,))


def test_curie__median_of_short_long_and_moved_index() -> None:
    """Market 101 for half an hour and 103 for its last 15 s; index 100 and 100.6 for its last 450 s.

    Short mean 103; long (1785 · 101 + 15 · 103)/1800 = 101.01667; market over 900 s 101.03333, index over 900 s 100.3, so the
    third is 100.6 + 0.73333 = 101.33333: the median.
    """
    method, state = Curie(max_basis_bps=500), Curie().start()
    for seconds in range(-1800, 1):
        at = after(seconds)
        spot, market = "100" if seconds < -450 else "100.6", "101" if seconds < -15 else "103"
        state, mark = method.step(state, mark_inputs(index(spot, at=at), book(market, at=at), at=at))
    found = dict(mark.components)
    assert found["market_short"] == e18(103)
    assert found["market_long"] == pytest.approx(101.0166667e18, rel=1e-8)
    assert mark.price_e18 == found["index_moved"] == pytest.approx(101.3333333e18, rel=1e-8)
    assert mark.flags == ()


def test_curie__young_market_or_no_book__is_the_index() -> None:
    method = Curie()
    state, mark = method.step(method.start(), mark_inputs(index(100), book(101)))
    assert (mark.price_e18, mark.flags) == (e18(100), (MarkFlag.COLD,))
    _, none = method.step(method.start(), mark_inputs(index(100)))
    assert (none.price_e18, none.flags) == (e18(100), (MarkFlag.NO_BOOK,))
    at = after(90)
    _, gap = method.step(state, mark_inputs(index(100, at=at), at=at))
    assert gap.flags == (MarkFlag.NO_BOOK,)


@pytest.mark.parametrize("options", [{"short_s": 0}, {"anchor_s": 2000}, {"of": "index"}])
def test_curie_options__impossible__are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="short_s"):
        Curie(**options)


@pytest.mark.parametrize(
    ("name", "left_s", "tick", "expected"),
    [
        ("bitmex", 1, "", "100.00166666666666666"),
        ("bitmex", 60, "", "100.00166666666666666"),
        ("bitmex", 61, "", "100.00333333333333333"),
        ("bitmex", 3600, "", "100.1"),
        ("bitmex", 0, "", "100"),
        ("phemex", 1800, "", "100.05"),
        ("bybit_inverse", 1800, "", "100.05"),
        ("gate", 1800, "0.1", "100.1"),
        ("gate", 1799, "0.1", "100"),
        ("gate", 1799, "", "100.04997222222222222"),
    ],
)
def test_funding_fair__minutes_rounded_up_and_ticks(name: str, left_s: int, tick: str, expected: str) -> None:
    """0.1 % for an hour: a minute of it is 1/600 of a percent."""
    method: Any = MARK_METHODS[name](**({"mark_tick": tick} if tick else {}))
    funding = FundingEstimate(e18("0.001"), NOW // SECOND + left_s, 3600)
    _, mark = method.step(method.start(), mark_inputs(index(100), funding=funding))
    assert abs(mark.price_e18 - e18(expected)) < 10_000


def test_funding_fair__rounding_up__never_exceeds_the_interval_and_takes_a_time_gone_by_as_none() -> None:
    funding = FundingEstimate(e18("0.001"), NOW // SECOND + 90, 90)
    assert funding_fair_e18(e18(100), funding, NOW, 60) == e18("100.1")
    assert funding_fair_e18(e18(100), funding, after(150.5), 60) == e18(100)


@pytest.mark.parametrize("options", [{"round_up_s": -1}, {"mark_tick": "0"}, {"mark_tick": "x"}])
def test_funding_fair__impossible_rounding__is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"mark_tick|round_up_s|plain decimal"):
        FundingFair(**options)


def jump(method: Any, path: list[tuple[float, str]]) -> list[tuple[int, tuple[MarkFlag, ...]]]:
    """Marks while index and book stand at each price from each second on."""
    state, found = method.start(), []
    for seconds, price in path:
        at = after(seconds)
        state, mark = method.step(state, mark_inputs(index(price, at=at), book(price, at=at), at=at))
        found.append((mark.price_e18, mark.flags))
    return found


def test_step_limit__one_percent_per_update_however_often_it_is_looked_at() -> None:
    """Ten looks within one update move it no further than one; the index's clamp is wide enough here not to matter."""
    method = MovingBasis(max_step_bps=100, step_s=3, max_basis_bps=2000)
    once = jump(method, [(0, "100"), (1, "110"), (4, "110"), (7, "110")])
    often = jump(method, [(0, "100"), (1, "110"), (1.2, "110"), (1.9, "110"), (4, "110"), (4.5, "110"), (7, "110")])
    assert [price for price, _ in once] == [e18(text) for text in ("100", "101", "102.01", "103.0301")]
    assert all(flags[-1] is MarkFlag.STEPPED for _, flags in once[1:])
    assert often[-1] == once[-1]


def test_step_limit__against_the_bound_around_the_index__the_index_wins() -> None:
    method = MovingBasis(max_step_bps=100, step_s=1, max_basis_bps=200)
    price, flags = jump(method, [(0, "100"), (1, "110")])[-1]
    assert price == e18("107.8")
    assert flags[-2:] == (MarkFlag.STEPPED, MarkFlag.CLAMPED)


def test_step_limit__after_a_gap__limits_nothing() -> None:
    method = MovingBasis(max_step_bps=100, step_s=1, max_basis_bps=2000)
    assert jump(method, [(0, "100"), (61, "110")])[-1][0] == e18(110)
    assert jump(method, [(0, "100"), (60, "110")])[-1][0] == e18(101)


def test_deribit__average_beyond_its_bound__is_clamped_and_says_so() -> None:
    method, state = warm("deribit", "101")
    _, mark = method.step(state, mark_inputs(index(100), book(101)))
    assert (mark.price_e18, mark.flags) == (e18("100.5"), (MarkFlag.CLAMPED,))


@pytest.mark.parametrize("name", ["deribit", "thalex", "bitcom", "okx", "moving_basis"])
def test_moving_basis__without_a_warm_average__is_the_index(name: str) -> None:
    method: Any = MARK_METHODS[name]()
    state, cold = method.step(method.start(), mark_inputs(index(100), book("100.2")))
    assert (cold.price_e18, cold.flags) == (e18(100), (MarkFlag.COLD,))
    for seconds in range(1, 150):
        at = after(seconds)
        state, mark = method.step(state, mark_inputs(index(100, at=at), book("100.2", at=at), at=at))
    assert (mark.price_e18, mark.flags) == (e18("100.2"), ())
    at = after(149 + 60)
    _, kept = method.step(state, mark_inputs(index(100, at=at), at=at))
    assert (kept.price_e18, kept.flags) == (e18("100.2"), (MarkFlag.KEPT_BASIS,))
    at = after(149 + 60.001)
    _, gone = method.step(state, mark_inputs(index(100, at=at), at=at))
    assert (gone.price_e18, gone.flags) == (e18(100), (MarkFlag.NO_BOOK,))


def test_dydx_v4__is_the_index() -> None:
    method: Any = MARK_METHODS["dydx_v4"]()
    _, mark = method.step(method.start(), mark_inputs(index("123.456"), book(200), trade(300)))
    assert mark.price_e18 == e18("123.456")


def test_book_prices__mid_micro_and_impact() -> None:
    """Bid 100 for 1, ask 102 for 3: the mid is 101, the size-weighted mid leans to the thin side, 100.5."""
    own = depth([(100, 1)], [(102, 3)])
    assert book_price(own, "mid", 0) == e18(101)
    assert book_price(own, "micro", 0) == micro(own) == e18("100.5")
    assert book_price(own, "micro", 100) == e18(101)
    assert book_price(own, "mid", 101) is None
    assert micro(depth([(100, 0)], [(102, 0)])) == e18(101)
    assert impact_mid_of_size(own, e18(1)) == e18(101)
    assert impact_mid_of_size(own, e18("1.1")) is None


def test_quoted__median_of_bid_ask_and_last() -> None:
    own = book(100, half="1")
    assert [quoted(own, last) for last in (None, e18(98), e18("100.4"), e18(102))] == [
        e18(100),
        e18(99),
        e18("100.4"),
        e18(101),
    ]
    assert quoted(None, None) is None


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("binance", {"samples": 0}),
        ("binance", {"every_s": 0}),
        ("binance", {"every_s": 31}),
        ("binance", {"max_trade_age_s": 0}),
        ("kucoin", {"correct_bps": 10_000}),
        ("okx", {"max_sample_bps": 0}),
        ("okx", {"warm_pct": 101}),
        ("okx", {"max_step_bps": -1}),
        ("okx", {"max_basis_bps": 0}),
        ("hyperliquid", {"max_trade_age_s": 0}),
        ("ftx", {"max_book_age_s": 0}),
        ("btse_old", {"impact_size": "0"}),
        ("btse_old", {"index_pct": 101}),
        ("bitmex_dated", {"expires_at_s": 0}),
        ("bitmex_dated", {"expires_at_s": 1, "decimals": 19}),
    ],
)
def test_options__impossible__are_refused(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"need|positive|must"):
        MARK_METHODS[name](**options)


def fed(method: Any, mid: str = "100.4", seconds: int = 120) -> Any:
    state = method.start()
    for second in range(-seconds, 0):
        at = after(second)
        state, _ = method.step(state, mark_inputs(index(100, at=at), book(mid, at=at), trade(mid, at=at), at=at))
    return state


@pytest.mark.parametrize(
    ("name", "before", "now"),
    [
        ("moving_basis", {"samples": 100}, {"samples": 30}),
        ("moving_basis", {"average": "mean"}, {"average": "ema"}),
        ("moving_basis", {"average": "ema"}, {"average": "mean"}),
        ("moving_basis", {"average": "ema"}, {"average": "weighted"}),
        ("moving_basis", {"average": "elapsed"}, {"average": "mean"}),
        ("moving_basis", {"average": "weighted"}, {"average": "elapsed"}),
        ("moving_basis", {"every_s": 5}, {"every_s": 1}),
        ("moving_basis", {"basis": "absolute"}, {"basis": "relative"}),
        ("twap", {"window_s": 120}, {"window_s": 60}),
        ("twap", {"window_s": 60}, {"window_s": 120}),
    ],
)
def test_restart__with_other_options__begins_anew(name: str, before: dict[str, Any], now: dict[str, Any]) -> None:
    """A sum of sixty is not an average of thirty: what was kept under other options must not be read as if under these."""
    state = fed(MARK_METHODS[name](**before))
    method: Any = MARK_METHODS[name](**now)
    restored = method.restore(state.to_plain())
    _, mark = method.step(restored, mark_inputs(index(100), book("100.4"), trade("100.4")))
    assert (mark.price_e18, mark.flags) == (e18(100), (MarkFlag.COLD,))


@pytest.mark.parametrize("name", ["moving_basis", "twap", "hyperliquid", "curie", "quoted_median", "dated_basis"])
def test_restore__a_document_of_another_kind__is_refused(name: str) -> None:
    options = {"expires_at_s": NOW // SECOND + 1} if name == "dated_basis" else {}
    method: Any = MARK_METHODS[name](**options)
    assert method.restore({}) == method.start()
    with pytest.raises(KeyError):
        method.restore({"strange": "1"})


def test_moving_options__at_their_smallest__are_possible() -> None:
    made = MARK_METHODS["moving_basis"](  # type: ignore[call-arg]
        samples=1, every_s=1, max_sample_bps=1, max_book_age_s=1, keep_basis_s=2, warm_pct=0, max_basis_bps=1
    )
    assert made.start() == made.restore({})


def test_three_markets__one_of_three_missing__is_filled_by_half_a_minute_of_the_own_market() -> None:
    """Index 100, own market 100 for a minute and then 101, nobody else: the third is the own mean, between the two."""
    method = MARK_METHODS["three_markets"]()
    state = method.start()
    for second in range(0, 300, 3):
        state, _ = method.step(
            state, mark_inputs(index(100, at=after(second)), book(100, at=after(second)), at=after(second))
        )
    state, mark = method.step(state, mark_inputs(index(100, at=after(300)), book(101, at=after(300)), at=after(300)))
    own = dict(mark.components)["own_average"]
    assert e18(100) < own < e18("100.2"), "one of ten samples"
