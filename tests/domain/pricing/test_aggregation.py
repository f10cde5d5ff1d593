"""Aggregates against published vectors, and the laws that every index method keeps."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.aggregation import (
    clamped_weighted_mean,
    lower_weighted_median,
    median,
    middle,
    trimmed_mean,
    weighted_mean,
    weighted_median,
)
from keeper.domain.index_methods import (
    ClampedWeightedMean,
    IndexMethod,
    Median,
    QuoteGroupMedian,
    TrimmedMean,
    Vwap,
    WeightedMean,
    WeightedMedian,
)
from tests.domain.pricing.builders import LAW, e18

PRICES = st.integers(1, 2**96 - 1)
VOTES = st.lists(st.tuples(PRICES, st.integers(1, 1000)), min_size=1, max_size=12)
CLAMPS = st.integers(0, 500)
METHODS: list[IndexMethod] = [
    Median(),
    WeightedMedian(),
    WeightedMedian("lower"),
    WeightedMean(),
    ClampedWeightedMean(),
    ClampedWeightedMean(0),
    TrimmedMean(),
    TrimmedMean(2),
    Vwap(),
    Vwap(combine_by="mean"),
    QuoteGroupMedian(),
]
EACH = pytest.mark.parametrize("method", METHODS, ids=str)


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ([(1, 15), (2, 10), (3, 20), (4, 30), (5, 25)], "4"),
        ([(1, 2), (2, 2), (3, 2), (4, 2), (5, 2)], "3"),
        ([(1, 49), (2, 1), (3, 25), (4, 25)], "2.5"),
        ([(7, 3)], "7"),
    ],
)
def test_weighted_median__bothan_vectors(votes: list[tuple[int, int]], expected: str) -> None:
    assert weighted_median([(e18(price), weight) for price, weight in votes]) == e18(expected)


def test_weighted_median__tie_of_odd_sum__rounds_down() -> None:
    assert weighted_median([(10, 1), (13, 1)]) == 11


def test_weighted_median__no_votes__refuses() -> None:
    with pytest.raises(ValueError, match="no votes"):
        weighted_median([])


def test_clamped_mean__deribit_example() -> None:
    """100 (25 %), 101 (50 %), 120 (25 %) within ±0.5 % of the median: 100.495, 101, 101.505 → 101.0."""
    assert clamped_weighted_mean([(e18(100), 25), (e18(101), 50), (e18(120), 25)], 50) == e18(101)


def test_clamped_mean__okx_components__reproduce_the_published_index() -> None:
    """BTC-USDT of GET /api/v5/market/index-components in OKX's documentation: 52735.4123234925."""
    votes = [(e18(text), 1) for text in ("52729.1", "52733.2", "52739.47929397", "52739.87")]
    assert clamped_weighted_mean(votes, 200) == e18("52735.4123234925")


def test_clamped_mean__bybit_components__reproduce_the_published_index() -> None:
    """1000BTTUSDT of GET /v5/market/index-price-components, 2025-09-18: 0.0006496 after rounding to seven places."""
    votes = sorted(
        (e18(price), e18(weight))
        for price, weight in [
            ("0.0006485", "0.1383220862762299"),
            ("0.0006502", "0.0407528429737999"),
            ("0.000648", "0.1629044859431618"),
            ("0.000649", "0.0432327388538453"),
            ("0.00065", "0.5322401401714303"),
            ("0.0006517", "0.0825477057815328"),
        ]
    )
    assert round(Fraction(clamped_weighted_mean(votes, 300), 10**18), 7) == Fraction("0.0006496")


@pytest.mark.parametrize(
    ("values", "expected"), [([5], 5), ([1, 9], 5), ([1, 2], 1), ([1, 4, 9], 4), ([1, 4, 7, 9], 5)]
)
def test_median__odd_and_even__middle_or_mean_rounded_down(values: list[int], expected: int) -> None:
    assert middle(values) == median([(value, 1) for value in values]) == expected


@EACH
@LAW
@given(votes=VOTES)
def test_every_method__stays_between_lowest_and_highest(method: IndexMethod, votes: list[tuple[int, int]]) -> None:
    prices = [price for price, _ in votes]
    assert min(prices) <= method.combine(sorted(votes)) <= max(prices)


@EACH
@LAW
@given(votes=VOTES, scale=st.integers(1, 10**6))
def test_every_method__scales_with_its_prices(method: IndexMethod, votes: list[tuple[int, int]], scale: int) -> None:
    """Scaling every price by k scales the result by k, up to the roundings, each below k."""
    plain = method.combine(sorted(votes))
    scaled = method.combine(sorted((price * scale, weight) for price, weight in votes))
    assert abs(scaled - plain * scale) <= 3 * scale


@EACH
@LAW
@given(votes=VOTES, scale=st.integers(1, 10**6))
def test_every_method__does_not_mind_the_unit_of_the_weights(
    method: IndexMethod, votes: list[tuple[int, int]], scale: int
) -> None:
    assert method.combine(sorted((price, weight * scale) for price, weight in votes)) == method.combine(sorted(votes))


@EACH
@LAW
@given(price=PRICES, weights=st.lists(st.integers(1, 1000), min_size=1, max_size=12))
def test_every_method__of_equal_prices__is_that_price(method: IndexMethod, price: int, weights: list[int]) -> None:
    assert method.combine([(price, weight) for weight in weights]) == price


def among(honest: list[tuple[int, int]], hostile: list[tuple[int, int]], budget: int) -> list[tuple[int, int]]:
    """The honest, and as many of the hostile as fit into `budget` of weight."""
    kept = []
    for price, weight in hostile:
        if weight <= budget:
            budget -= weight
            kept.append((price, weight))
    return sorted(honest + kept)


def reach(votes: list[tuple[int, int]]) -> tuple[int, int]:
    return min(price for price, _ in votes), max(price for price, _ in votes)


HONEST = st.lists(st.tuples(PRICES, st.integers(1, 100)), min_size=1, max_size=8)
HOSTILE = st.lists(st.tuples(PRICES, st.integers(1, 100)), max_size=8)


@pytest.mark.parametrize("method", [WeightedMedian(), WeightedMedian("lower"), Vwap()], ids=str)
@LAW
@given(honest=HONEST, hostile=HOSTILE)
def test_medians_by_weight__hostile_weight_below_half__stay_in_the_honest_range(
    method: IndexMethod, honest: list[tuple[int, int]], hostile: list[tuple[int, int]]
) -> None:
    low, high = reach(honest)
    votes = among(honest, hostile, sum(weight for _, weight in honest) - 1)
    assert low <= method.combine(votes) <= high


@pytest.mark.parametrize("method", [Median(), QuoteGroupMedian()], ids=str)
@LAW
@given(honest=HONEST, hostile=HOSTILE)
def test_medians_by_number__hostile_below_half__stay_in_the_honest_range(
    method: IndexMethod, honest: list[tuple[int, int]], hostile: list[tuple[int, int]]
) -> None:
    low, high = reach(honest)
    assert low <= method.combine(sorted(honest + hostile[: len(honest) - 1])) <= high


@LAW
@given(honest=HONEST, hostile=HOSTILE, clamp=CLAMPS)
def test_clamped_mean__hostile_below_half__stays_in_the_honest_range_and_the_clamp(
    honest: list[tuple[int, int]], hostile: list[tuple[int, int]], clamp: int
) -> None:
    low, high = reach(honest)
    result = clamped_weighted_mean(sorted(honest + hostile[: len(honest) - 1]), clamp)
    assert low * (10_000 - clamp) <= result * 10_000 + 10_000
    assert result * 10_000 <= high * (10_000 + clamp)


@LAW
@given(
    honest=st.lists(st.tuples(PRICES, st.integers(1, 100)), min_size=3, max_size=8),
    hostile=st.lists(st.tuples(PRICES, st.integers(1, 100)), max_size=3),
    trim=st.integers(1, 3),
)
def test_trimmed_mean__as_many_hostile_as_it_trims__stays_in_the_honest_range(
    honest: list[tuple[int, int]], hostile: list[tuple[int, int]], trim: int
) -> None:
    low, high = reach(honest)
    votes = sorted(honest + hostile[:trim])
    assert len(votes) <= 2 * trim or low <= trimmed_mean(votes, trim) <= high


def test_plain_means__one_hostile__leave_the_honest_range() -> None:
    """What `WeightedMean` does not promise: nobody may take it for more."""
    for method in (WeightedMean(), Vwap(combine_by="mean")):
        assert method.combine([(100, 1), (100, 1), (100, 1), (10_000, 1)]) == 2575


@pytest.mark.parametrize(
    ("votes", "lower", "mean"),
    [
        ([(1, 49), (2, 1), (3, 25), (4, 25)], 2, 2),  # exactly half: 2.5, rounded down
        ([(10, 1), (20, 1)], 10, 15),
        ([(10, 1), (20, 1), (30, 1)], 20, 20),  # an odd total is not halved downward: the middle, not the lowest
        ([(10, 2), (20, 1), (30, 1)], 10, 15),
    ],
)
def test_weighted_median__ties(votes: list[tuple[int, int]], lower: int, mean: int) -> None:
    assert (lower_weighted_median(votes), weighted_median(votes)) == (lower, mean)
    assert (WeightedMedian("lower").combine(votes), WeightedMedian().combine(votes)) == (lower, mean)


def test_lower_weighted_median__no_votes__refuses() -> None:
    with pytest.raises(ValueError, match="no votes"):
        lower_weighted_median([])


def test_weighted_mean__rounds_down() -> None:
    assert weighted_mean([(10, 1), (11, 2)]) == 10
    assert weighted_mean([(10, 1), (13, 2)]) == 12


@pytest.mark.parametrize(
    ("prices", "trim", "expected"),
    [
        ([1, 10, 11, 12, 1000], 1, 11),
        ([1, 2, 11, 999, 1000], 2, 11),
        ([10, 20], 1, 15),  # too few to trim: as many as leave one or two
        ([10], 1, 10),
        ([10, 20, 90], 5, 20),
        ([10, 20, 30, 90], 5, 25),
    ],
)
def test_trimmed_mean__table(prices: list[int], trim: int, expected: int) -> None:
    assert trimmed_mean([(price, 1) for price in prices], trim) == expected


def test_trimmed_mean__the_rest__keep_their_weights() -> None:
    assert trimmed_mean([(1, 9), (10, 1), (40, 2), (99, 9)], 1) == 30


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ClampedWeightedMean(10_000), "clamp_bps"),
        (lambda: ClampedWeightedMean(-1), "clamp_bps"),
        (lambda: TrimmedMean(0), "trim must be at least 1"),
        (lambda: Vwap(0.5), "window_s"),
        (lambda: QuoteGroupMedian(0), "max_group_spread_bps"),
    ],
)
def test_method__impossible_option__is_refused_by_name(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@LAW
@given(
    honest=st.lists(st.integers(10**18, 10**18 + 10**15), min_size=2, max_size=8),
    hostile=PRICES,
    clamp=st.integers(1, 500),
)
def test_clamped_mean__one_hostile_source__moves_it_by_its_share_of_the_clamp(
    honest: list[int], hostile: int, clamp: int
) -> None:
    """Influence bound of one vote among n: clamp / n, beyond the spread of the honest."""
    count = len(honest) + 1
    result = clamped_weighted_mean(sorted((price, 1) for price in [*honest, hostile]), clamp)
    reach = max(honest) * clamp // 10_000 // count + 2
    assert min(honest) - reach <= result <= max(honest) + reach
