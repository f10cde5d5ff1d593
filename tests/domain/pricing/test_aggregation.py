"""Aggregates against published vectors, and the laws that every index method keeps."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.aggregation import INDEX_METHODS, clamped_weighted_mean, median, middle, weighted_median
from tests.domain.pricing.builders import LAW, e18

PRICES = st.integers(1, 2**96 - 1)
VOTES = st.lists(st.tuples(PRICES, st.integers(1, 1000)), min_size=1, max_size=12)
CLAMPS = st.integers(0, 500)


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


@pytest.mark.parametrize("method", sorted(INDEX_METHODS))
@LAW
@given(votes=VOTES, clamp=CLAMPS)
def test_every_method__stays_between_lowest_and_highest(method: str, votes: list[tuple[int, int]], clamp: int) -> None:
    prices = [price for price, _ in votes]
    assert min(prices) <= INDEX_METHODS[method](sorted(votes), clamp) <= max(prices)


@pytest.mark.parametrize("method", sorted(INDEX_METHODS))
@LAW
@given(votes=VOTES, clamp=CLAMPS, scale=st.integers(1, 10**6))
def test_every_method__scales_with_its_prices(
    method: str, votes: list[tuple[int, int]], clamp: int, scale: int
) -> None:
    """Scaling every price by k scales the result by k, up to the roundings, each below k."""
    plain = INDEX_METHODS[method](sorted(votes), clamp)
    scaled = INDEX_METHODS[method](sorted((price * scale, weight) for price, weight in votes), clamp)
    assert abs(scaled - plain * scale) <= 3 * scale


@pytest.mark.parametrize("method", sorted(INDEX_METHODS))
@LAW
@given(price=PRICES, weights=st.lists(st.integers(1, 1000), min_size=1, max_size=12), clamp=CLAMPS)
def test_every_method__of_equal_prices__is_that_price(method: str, price: int, weights: list[int], clamp: int) -> None:
    assert INDEX_METHODS[method]([(price, weight) for weight in weights], clamp) == price


@LAW
@given(
    honest=st.lists(st.tuples(PRICES, st.integers(1, 100)), min_size=1, max_size=8),
    hostile=st.lists(st.tuples(PRICES, st.integers(1, 100)), max_size=8),
)
def test_weighted_median__hostile_weight_below_half__stays_in_the_honest_range(
    honest: list[tuple[int, int]], hostile: list[tuple[int, int]]
) -> None:
    budget = sum(weight for _, weight in honest) - 1
    kept = []
    for price, weight in hostile:
        if weight <= budget:
            budget -= weight
            kept.append((price, weight))
    prices = [price for price, _ in honest]
    assert min(prices) <= weighted_median(sorted(honest + kept)) <= max(prices)


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
