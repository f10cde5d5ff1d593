"""Mark methods against recorded marks, and the laws that all of them keep."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.domain.evidence import canonical_json
from keeper.domain.grade import Grade
from keeper.domain.index import IndexPrice
from keeper.domain.mark import MARK_METHODS
from keeper.domain.mark.basis import Basis, BasisOptions, BasisState, plus_basis
from keeper.domain.mark.ema_basis import EmaBasis
from keeper.domain.mark.funding_fair import FundingFair, funding_fair_e18
from keeper.domain.mark.method import FundingEstimate, MarkFlag
from keeper.domain.numbers import E18, exceeds_bps
from keeper.domain.quote import Depth, Level, Trade
from keeper.domain.time import SECOND, Timestamp
from tests.domain.pricing.builders import BTC, LAW, NOW, OWN, after, book, e18, index, mark_inputs, trade


@pytest.mark.parametrize(
    ("index_text", "rate", "left_s", "interval_s", "mark", "tolerance"),
    [
        # Aevo's documented example; BitMEX (its time left rounds up to the minute): XBTUSD and ETHUSD 2021-07-22,
        # XBTUSD 2024-11-24, JTOUSDT 2024-03-02; Phemex BTCUSD 2020-03-30. Recorded mark, tolerance one displayed tick.
        ("2000", "0.005", 14_400, 28_800, "2005", "0"),
        ("32182.72", "0.0001", 324 * 60, 28_800, "32184.89", "0.01"),
        ("2003.18", "0.000551", 324 * 60, 28_800, "2003.93", "0.01"),
        ("97843.77", "0.00011", 267 * 60, 28_800, "97849.76", "0.01"),
        ("2.46557", "0.0001", 76 * 60, 28_800, "2.46561", "0.00001"),
        ("5898.1349", "-0.00039075", 28_740.801, 28_800, "5895.8348", "0.0002"),
    ],
)
def test_funding_fair__recorded_marks(
    index_text: str, rate: str, left_s: float, interval_s: int, mark: str, tolerance: str
) -> None:
    boundary = 1_700_000_000
    funding = FundingEstimate(e18(rate), boundary, interval_s)
    found = funding_fair_e18(e18(index_text), funding, after(-left_s, Timestamp(boundary * SECOND)))
    assert abs(found - e18(mark)) <= e18(tolerance)


@pytest.mark.parametrize(
    ("left_s", "expected"), [(-5, "100"), (0, "100"), (3600, "101"), (7200, "101"), (1800, "100.5")]
)
def test_funding_fair__time_left__is_between_nothing_and_one_interval(left_s: int, expected: str) -> None:
    funding = FundingEstimate(e18("0.01"), 1_700_000_000 + left_s, 3600)
    assert funding_fair_e18(e18(100), funding, NOW) == e18(expected)


BITCOM = [
    # bit.com NEAR-USDT perpetual 2024-01-07, one row a second: index, mark, bid, ask
    ("3.35320833", "3.35255321", "3.351", "3.358"),
    ("3.35259167", "3.35194063", "3.349", "3.356"),
    ("3.35199167", "3.35138317", "3.349", "3.355"),
    ("3.351325", "3.35071443", "3.347", "3.355"),
    ("3.351175", "3.3506129", "3.347", "3.355"),
    ("3.35175", "3.35126066", "3.348", "3.356"),
    ("3.352175", "3.3517263", "3.348", "3.356"),
    ("3.35224167", "3.35182669", "3.348", "3.356"),
    ("3.35171667", "3.35131448", "3.347", "3.356"),
    ("3.35090833", "3.35051764", "3.347", "3.355"),
    ("3.350675", "3.35031011", "3.347", "3.355"),
    ("3.35066667", "3.35032646", "3.347", "3.355"),
]


@pytest.mark.parametrize("row", range(len(BITCOM) - 1))
def test_basis__one_second_of_a_thirty_second_average__is_the_recorded_mark(row: int) -> None:
    """That venue lets each sample stand for the second before it. Relative error within 1.3e-5, as its rounding allows."""
    before, mark_before = (e18(text) for text in BITCOM[row][:2])
    now, mark, bid, ask = (e18(text) for text in BITCOM[row + 1])
    basis = BasisOptions(basis_window_s=30).basis()
    own = Depth(OWN, NOW, NOW, (Level(bid, E18),), (Level(ask, E18),))
    state = BasisState((mark_before - before) * E18 // before, basis.sample(basis.distance(own, now, NOW)), NOW, NOW, 0)
    average = basis.step(state, None, after(1)).average_e18
    assert average is not None
    assert abs(plus_basis(now, average) - mark) * 10**6 <= 13 * mark


def basis_of(**options: int) -> Basis:
    return BasisOptions(**options).basis()


SAMPLES = st.lists(
    st.tuples(st.integers(1, 5 * SECOND), st.integers(-50 * 10**14, 50 * 10**14)), min_size=1, max_size=12
)


@LAW
@given(path=SAMPLES, looks=st.lists(st.integers(1, 999), max_size=6))
def test_basis__looked_at_more_often__is_the_same_average(path: list[tuple[int, int]], looks: list[int]) -> None:
    """A path of samples folded as it changes, or looked at in between as well: equal but for the last digits."""
    basis = basis_of(basis_window_s=30)
    one = other = basis.step(BasisState(), path[0][1], NOW)
    now: int = NOW
    for stands_ns, sample in path:
        for permille in sorted(looks):
            assert other.standing_e18 is not None
            other = basis.step(other, other.standing_e18, Timestamp(now + stands_ns * permille // 1000))
        now += stands_ns
        one, other = basis.step(one, sample, Timestamp(now)), basis.step(other, sample, Timestamp(now))
    assert one.average_e18 is not None
    assert other.average_e18 is not None
    assert abs(one.average_e18 - other.average_e18) <= 10**11
    assert one.covered_ns == other.covered_ns


@LAW
@given(path=SAMPLES)
def test_basis__any_path__stays_between_its_samples(path: list[tuple[int, int]]) -> None:
    basis = basis_of(basis_window_s=30)
    state, now = BasisState(), int(NOW)
    for stands_ns, sample in path:
        state = basis.step(state, sample, Timestamp(now))
        now += stands_ns
    state = basis.step(state, None, Timestamp(now))
    samples = [sample for _, sample in path]
    assert state.average_e18 is not None
    assert min(samples) - len(path) <= state.average_e18 <= max(samples)


def test_basis__spike_of_a_tenth_of_a_second__counts_for_a_tenth_of_a_second() -> None:
    basis = basis_of(basis_window_s=30)
    state = basis.step(BasisState(), 0, NOW)
    state = basis.step(state, 50 * 10**14, after(60))
    state = basis.step(state, 0, after(60.1))
    assert state.average_e18 is not None
    assert 0 < state.average_e18 < 5 * 10**13


def test_basis__sample_beyond_the_bound__enters_at_the_bound() -> None:
    """A wild own book cannot poison the average for longer than a book at the bound would."""
    basis = basis_of(max_basis_bps=50)
    assert basis.sample(basis.distance(book(200), e18(100), NOW)) == 50 * 10**14
    assert basis.sample(basis.distance(book(1), e18(100), NOW)) == -50 * 10**14
    assert basis.sample(basis.distance(book("100.1"), e18(100), NOW)) == 10**15


@pytest.mark.parametrize(
    "own",
    [
        None,
        Depth(OWN, NOW, NOW, (), (Level(E18, E18),)),
        Depth(OWN, NOW, NOW, (Level(E18, E18),), ()),
        Depth(OWN, NOW, NOW, (Level(101 * E18, E18),), (Level(100 * E18, E18),)),
        Depth(OWN, NOW, NOW, (Level(0, E18),), (Level(100 * E18, E18),)),
        book(100, at=after(-10.001)),
        Depth(OWN, NOW, after(-11), (Level(99 * E18, E18),), (Level(100 * E18, E18),)),
    ],
    ids=["none", "no bids", "no asks", "crossed", "zero", "old", "old by its venue's time"],
)
def test_basis__unusable_book__is_no_sample(own: Depth | None) -> None:
    assert basis_of().distance(own, e18(100), NOW) is None


def test_basis__impact_mid__needs_the_depth() -> None:
    own = Depth(OWN, NOW, NOW, (Level(99 * E18, E18), Level(98 * E18, 10 * E18)), (Level(101 * E18, 20 * E18),))
    basis = basis_of(impact_notional_usd=500, max_basis_bps=5000)
    bid = 500 * E18 * 10**18 // (E18 + (500 - 99) * 10**36 // (98 * E18))
    assert basis.distance(own, e18(100), NOW) == pytest.approx(((bid + 101 * E18) / 2 - 100 * E18) / 100, rel=1e-12)
    assert basis_of(impact_notional_usd=5000).distance(own, e18(100), NOW) is None


@pytest.mark.parametrize(
    "options",
    [
        {"max_basis_bps": 0},
        {"max_basis_bps": 10_000},
        {"basis_window_s": 0},
        {"max_book_age_s": 0},
        {"keep_basis_s": -1},
        {"warm_pct": 101},
        {"impact_notional_usd": -1},
    ],
)
def test_basis_options__impossible__are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"need|must be positive"):
        BasisOptions(**options)


def test_funding_fair_options__impossible__are_refused() -> None:
    with pytest.raises(ValueError, match="max_basis_bps"):
        FundingFair(max_basis_bps=10_000)


def made(name: str) -> Any:
    """The method with its defaults, and a future's expiry in an hour."""
    dated = name in ("dated_basis", "bitmex_dated")
    return MARK_METHODS[name](**({"expires_at_s": NOW // SECOND + 3600} if dated else {}))


EACH = settings(LAW, max_examples=12)
"""Of laws that run for every method: venues share the forms."""
PRICES = st.integers(10**6, 2**96 - 1)
FRACTIONS = st.integers(5_000, 20_000)


@st.composite
def worlds(draw: st.DrawFn) -> list[tuple[IndexPrice, Depth | None, Trade | None, FundingEstimate | None, Timestamp]]:
    """A few ticks of any index with any book, trade and funding."""
    price, now, ticks = draw(PRICES), int(NOW), []
    for _ in range(draw(st.integers(1, 5))):
        now += draw(st.integers(0, 100 * SECOND))
        spot = IndexPrice(BTC, price, Timestamp(now), ())
        own = draw(st.none() | FRACTIONS.map(lambda part, at=now: _level_book(price * part // 10_000, at)))
        last = draw(
            st.none() | FRACTIONS.map(lambda part, at=now: Trade(OWN, Timestamp(at), None, price * part // 10_000, 1))
        )
        rate = draw(st.none() | st.integers(-4 * 10**16, 4 * 10**16))
        funding = None if rate is None else FundingEstimate(rate, now // SECOND + draw(st.integers(-10, 4000)), 3600)
        ticks.append((spot, own, last, funding, Timestamp(now)))
    return ticks


def _level_book(mid: int, at: int) -> Depth:
    return Depth(OWN, Timestamp(at), None, (Level(mid, E18),), (Level(mid + 1, E18),))


@pytest.mark.parametrize("name", sorted(MARK_METHODS))
@EACH
@given(world=worlds())
def test_every_method__never_leaves_its_band_around_the_index(name: str, world: list[Any]) -> None:
    method = made(name)
    limit = getattr(method, "max_basis_bps", 0)
    state = method.start()
    for spot, own, last, funding, now in world:
        state, mark = method.step(state, mark_inputs(spot, own, last, funding, now))
        assert not exceeds_bps(mark.price_e18, spot.price_e18, limit)
        assert mark.price_e18 > 0
        assert (mark.method, mark.as_of, mark.index_e18) == (name, now, spot.price_e18)


@pytest.mark.parametrize("name", sorted(MARK_METHODS))
@EACH
@given(world=worlds())
def test_every_method__state_written_down_and_read_back__goes_on_the_same(name: str, world: list[Any]) -> None:
    """Through JSON as stored, and through canonical JSON, where numbers are texts, as in evidence."""
    method = made(name)
    state = method.start()
    for spot, own, last, funding, now in world:
        stored = method.restore(json.loads(json.dumps(state.to_plain())))
        told = method.restore(json.loads(canonical_json(state.to_plain())))
        assert stored == told == state
        state, _ = method.step(state, mark_inputs(spot, own, last, funding, now))


@pytest.mark.parametrize("name", sorted(MARK_METHODS))
@EACH
@given(world=worlds(), cut=st.integers(0, 4))
def test_every_method__restarted_on_the_way__gives_the_marks_of_an_uninterrupted_run(
    name: str, world: list[Any], cut: int
) -> None:
    method = made(name)
    one, other = method.start(), method.start()
    for number, (spot, own, last, funding, now) in enumerate(world):
        if number == cut:
            other = made(name).restore(json.loads(json.dumps(other.to_plain())))
        inputs = mark_inputs(spot, own, last, funding, now)
        one, expected = method.step(one, inputs)
        other, mark = method.step(other, inputs)
        assert mark == expected


SCALED = sorted(set(MARK_METHODS) - {"blend", "btse_old", "gate"})
"""Whose options name no size and no tick of the price."""


@pytest.mark.parametrize("name", SCALED)
@EACH
@given(world=worlds(), factor=st.integers(2, 10**6))
def test_every_method__all_prices_times_a_factor__is_the_mark_times_it(
    name: str, world: list[Any], factor: int
) -> None:
    """But for roundings of the last digits. The book's size shrinks with the price, so that its depth in money is the same."""
    method = made(name)
    one, other = method.start(), method.start()
    for spot, own, last, funding, now in world:
        one, mark = method.step(one, mark_inputs(spot, own, last, funding, now))
        grown = IndexPrice(BTC, spot.price_e18 * factor, spot.as_of, ())
        deeper = None if own is None else _times(own, factor)
        dearer = None if last is None else Trade(OWN, last.received_at, None, last.price_e18 * factor, 1)
        other, scaled = method.step(other, mark_inputs(grown, deeper, dearer, funding, now))
        if scaled.flags == mark.flags:
            slack = factor * 1000 + mark.price_e18 * factor // 10**13
            assert abs(scaled.price_e18 - mark.price_e18 * factor) <= slack


def _times(own: Depth, factor: int) -> Depth:
    bids, asks = (
        tuple(Level(level.price_e18 * factor, level.size_e18 // factor) for level in side)
        for side in (own.bids, own.asks)
    )
    return Depth(own.source, own.received_at, own.observed_at, bids, asks)


@pytest.mark.parametrize("name", sorted(MARK_METHODS))
def test_every_method__says_how_far_it_is_proven(name: str) -> None:
    method = MARK_METHODS[name]
    assert isinstance(method.grade, Grade)
    assert method.source
    assert "\n" not in method.source
    assert method.__doc__
    assert not method.__doc__.startswith(method.__name__)
    assert method.name == name


@pytest.mark.parametrize("name", sorted(MARK_METHODS))
def test_every_method__index_held_from_before__is_flagged(name: str) -> None:
    method = made(name)
    _, fresh = method.step(method.start(), mark_inputs(index(100), at=after(1)))
    _, held = method.step(method.start(), mark_inputs(index(100), at=after(1.001)))
    assert MarkFlag.STALE_INDEX not in fresh.flags
    assert MarkFlag.STALE_INDEX in held.flags


@pytest.mark.parametrize("name", ["ema_basis", "median3"])
def test_basis_methods__restore_nothing__is_a_cold_start(name: str) -> None:
    method = MARK_METHODS[name]()
    assert method.restore({}) == method.start()
    with pytest.raises(KeyError):
        method.restore({"at": "1"})


@pytest.mark.parametrize("name", ["ema_basis", "median3"])
def test_basis_methods__restart_after_a_long_stop__begin_anew(name: str) -> None:
    """The sample that stood when the process stopped says nothing about the ten minutes since."""
    method = MARK_METHODS[name]()
    state, _ = method.step(method.start(), mark_inputs(index(100), book("100.4"), at=NOW))
    state, _ = method.step(state, mark_inputs(index(100), book("100.4", at=after(50)), at=after(50)))
    assert method.restore(state.to_plain()).average_e18 == 4 * 10**15
    state, mark = method.step(state, mark_inputs(index(100), book("100.1", at=after(650)), at=after(650)))
    assert state.average_e18 == 10**15
    assert MarkFlag.COLD in mark.flags


@pytest.mark.parametrize("name", ["ema_basis", "median3"])
def test_basis_methods__clock_steps_back__neither_fail_nor_forget(name: str) -> None:
    method = MARK_METHODS[name]()
    state, _ = method.step(method.start(), mark_inputs(index(100), book("100.4"), at=NOW))
    state, _ = method.step(state, mark_inputs(index(100), book("100.2", at=after(-30)), at=after(-30)))
    assert state.average_e18 == 4 * 10**15
    assert state.at == after(-30)


@pytest.mark.parametrize("name", ["ema_basis", "median3"])
def test_basis_methods__clock_steps_back_by_a_year__begin_anew(name: str) -> None:
    method, year = MARK_METHODS[name](), 365.0 * 86_400
    state, _ = method.step(method.start(), mark_inputs(index(100), book("100.4", at=after(year)), at=after(year)))
    state, _ = method.step(state, mark_inputs(index(100), book("100.2"), at=NOW))
    assert (state.average_e18, state.covered_ns) == (2 * 10**15, 0)


def test_ema_basis__warm__is_index_plus_average_and_cold_is_index() -> None:
    method = EmaBasis(basis_window_s=10)
    state = method.start()
    rows = [
        (0, "100.2", "100", (MarkFlag.COLD,)),
        (2.999, "100.2", "100", (MarkFlag.COLD,)),
        (3, "100.2", "100.2", ()),
        (63, None, "100.2", (MarkFlag.KEPT_BASIS,)),
        (63.001, None, "100", (MarkFlag.NO_BOOK,)),
    ]
    for seconds, mid, expected, flags in rows:
        now = after(seconds)
        own = None if mid is None else book(mid, at=now)
        state, mark = method.step(state, mark_inputs(index(100, at=now), own, at=now))
        assert (mark.price_e18, mark.flags) == (e18(expected), flags)


def test_marks__clamped__say_so() -> None:
    method = MARK_METHODS["funding_fair"]()
    _, mark = method.step(
        method.start(), mark_inputs(index(100), funding=FundingEstimate(e18("0.04"), 1_700_003_600, 3600))
    )
    assert mark.price_e18 == e18("100.5")
    assert mark.flags == (MarkFlag.CLAMPED,)
    assert dict(mark.components) == {"funding_fair": e18(104)}


def test_index_method__is_the_index() -> None:
    method = MARK_METHODS["index"]()
    _, mark = method.step(method.start(), mark_inputs(index("123.456"), book(200), trade(300)))
    assert (mark.price_e18, mark.flags) == (e18("123.456"), ())
