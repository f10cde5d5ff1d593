"""Where exactly a vote becomes an outlier. Prices are around 10000, so that one unit is one basis point of the median."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.ids import SourceId
from keeper.domain.index import PricedQuote, Rejection, SourceSpec
from keeper.domain.outliers import band, reference, unanimous, without_outliers
from keeper.domain.quote import Quote
from tests.domain.pricing.builders import LAW, NOW, usd


def votes_at(prices: list[int], weights: list[int] | None = None) -> list[PricedQuote]:
    chosen = weights or [1] * len(prices)
    return [
        PricedQuote(
            SourceSpec(SourceId(f"v{n}"), "USD", weight), Quote(SourceId(f"v{n}"), NOW, NOW), price, price, None
        )
        for n, (price, weight) in enumerate(zip(prices, chosen, strict=True))
    ]


def kept(prices: list[int], weights: list[int] | None = None, **options: object) -> list[int]:
    inputs = votes_at(prices, weights)
    rejected: list[Rejection] = []
    plan = usd("a", "b", "c", **({"max_deviation_bps": 100, "max_dispersion_bps": 500} | options))
    result = without_outliers(plan, inputs, sorted((vote.price_e18, vote.spec.weight) for vote in inputs), rejected)
    found = [vote.price_e18 for vote in result]
    assert sorted(found + [refused.price_e18 or 0 for refused in rejected]) == sorted(prices)
    return found


@pytest.mark.parametrize(
    ("prices", "expected"),
    [
        # within the configured deviation, to the unit
        ([10_000, 10_000, 10_100], [10_000, 10_000, 10_100]),
        ([10_000, 10_000, 10_101], [10_000, 10_000]),
        ([9_900, 10_000, 10_000], [9_900, 10_000, 10_000]),
        ([9_899, 10_000, 10_000], [10_000, 10_000]),
        # widened to three median absolute deviations: here the median is 10000 and the deviation 50, then 60
        ([10_000, 9_950, 10_050, 10_149, 10_000], [10_000, 9_950, 10_050, 10_149, 10_000]),
        ([10_000, 9_940, 10_060, 10_180, 9_820], [10_000, 9_940, 10_060, 10_180, 9_820]),
        ([10_000, 9_940, 10_060, 10_181, 9_819], [10_000, 9_940, 10_060]),
        # never beyond the dispersion
        ([10_000, 9_700, 10_300, 10_500, 9_500], [10_000, 9_700, 10_300, 10_500, 9_500]),
        ([10_000, 9_700, 10_300, 10_501, 9_499], [10_000, 9_700, 10_300]),
        # one of two: nobody to judge by
        ([10_000, 20_000], [10_000, 20_000]),
        ([10_000], [10_000]),
        ([], []),
        # two camps: nobody near the middle, which then is nobody's price
        ([10_000, 10_000, 10_202, 10_202], [10_000, 10_000, 10_202, 10_202]),
        ([10_000, 10_000, 10_204, 10_204], []),
        # camps of three and two: the majority
        ([10_000, 10_000, 10_000, 10_204, 10_204], [10_000, 10_000, 10_000]),
    ],
)
def test_outliers__table(prices: list[int], expected: list[int]) -> None:
    assert sorted(kept(prices)) == sorted(expected)


def test_outliers__dispersion_equal_to_deviation__never_widens() -> None:
    spread = [10_000, 9_940, 10_060, 10_180, 9_820]
    assert sorted(kept(spread, max_dispersion_bps=100)) == [9_940, 10_000, 10_060]


def test_outliers__minority_however_far__does_not_widen_the_band() -> None:
    honest = [10_000, 10_010, 9_990, 10_020]
    assert sorted(kept([*honest, 10_150, 10_150, 10_150])) == sorted(honest)
    assert sorted(kept([*honest, 1, 10**9, 10**30])) == sorted(honest)


def test_outliers__weighted_method__is_judged_by_the_weighted_median() -> None:
    """One heavy venue against two light ones: by weight the light are outliers, by number the heavy one."""
    prices, weights = [10_000, 10_200, 10_200], [5, 2, 2]
    assert kept(prices, weights, method="weighted_median") == [10_000]
    assert kept(prices, weights, method="clamped_weighted_mean") == [10_000]
    assert kept(prices, weights, method="median") == [10_200, 10_200]
    votes = sorted(zip(prices, weights, strict=True))
    assert reference(usd("a", "b", "c", method="weighted_median"), votes) == 10_000
    assert reference(usd("a", "b", "c"), votes) == 10_200


def test_outliers__nothing_dropped__is_the_same_list() -> None:
    """Told apart by identity, so that the usual tick sorts its votes once."""
    inputs = votes_at([10_000, 10_001, 10_002])
    votes = sorted((vote.price_e18, 1) for vote in inputs)
    assert without_outliers(usd("a", "b", "c"), inputs, votes, []) is inputs


def test_outliers__detail__names_distance_and_number() -> None:
    rejected: list[Rejection] = []
    inputs = votes_at([10_000, 10_000, 10_000, 20_000])
    without_outliers(usd("a", "b", "c"), inputs, sorted((vote.price_e18, 1) for vote in inputs), rejected)
    assert [refused.detail for refused in rejected] == ["10000 bps from the median of 4"]


@LAW
@given(prices=st.lists(st.integers(1, 10**30), min_size=3, max_size=9))
def test_band__any_votes__lies_between_deviation_and_dispersion(prices: list[int]) -> None:
    votes = sorted((price, 1) for price in prices)
    plan = usd("a", "b", "c", max_deviation_bps=100, max_dispersion_bps=500)
    center = reference(plan, votes)
    distances = sorted((abs(price - center), weight) for price, weight in votes)
    assert center * 100 // 10_000 <= band(plan, distances, center) <= center * 500 // 10_000


@LAW
@given(prices=st.lists(st.integers(10_000, 10_300) | st.integers(1, 10**6), min_size=1, max_size=9))
def test_unanimous__any_votes__says_what_the_long_way_finds(prices: list[int]) -> None:
    inputs, plan = votes_at(prices), usd("a", "b", "c")
    votes = sorted((vote.price_e18, vote.spec.weight) for vote in inputs)
    price, rejected = unanimous(plan, inputs), list[Rejection]()
    kept = without_outliers(plan, inputs, votes, rejected)
    assert price is None if len(prices) < 3 or rejected else price in (None, reference(plan, votes))
    assert price is None or kept is inputs
    assert unanimous(usd("a", "b", "c", method="weighted_median"), inputs) is None
