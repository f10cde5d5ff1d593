"""No venue, operator or quote group holds more of the weight than its cap, whatever the weights were."""

from __future__ import annotations

import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from keeper.domain.caps import Caps
from keeper.domain.ids import SourceId
from keeper.domain.index import SourceSpec
from tests.domain.pricing.builders import LAW


def sources(*names: str) -> list[SourceSpec]:
    """Given as venue/quote; okcoin and okx are one operator, as are binance and binanceus."""
    return [
        SourceSpec(SourceId(f"{venue}:{number}"), quote)
        for number, (venue, _, quote) in enumerate(name.partition("/") for name in names)
    ]


def shares(caps: Caps, names: list[str], weights: list[int]) -> list[float] | None:
    found = caps.weights(sources(*names), weights)
    return None if found is None else [round(weight / sum(found), 6) for weight in found]


@pytest.mark.parametrize(
    ("caps", "names", "weights", "expected"),
    [
        (Caps(4000), ["a", "b", "c"], [1, 1, 1], [0.333333] * 3),
        (Caps(4000), ["a", "b", "c"], [8, 1, 1], [0.4, 0.3, 0.3]),
        (Caps(4000), ["a", "b", "c", "d"], [80, 70, 1, 1], [0.4, 0.4, 0.1, 0.1]),
        (Caps(5000), ["a", "b"], [9, 1], [0.5, 0.5]),
        (Caps(4000), ["a", "b"], [1, 1], None),
        (Caps(4000), ["a/USD", "a/USDT", "b", "c"], [3, 1, 1, 1], [0.3, 0.1, 0.3, 0.3]),  # one venue, two symbols
        (Caps(4000), ["okx", "okcoin", "b", "c"], [1, 1, 1, 1], [0.25] * 4),  # two venues of one company
        (Caps(None, 4000), ["okx", "okcoin", "b", "c"], [1, 1, 1, 1], [0.2, 0.2, 0.3, 0.3]),
        (Caps(None, None, 6000), ["a/USD", "b/USDT", "c/USDT", "d/USDT"], [1, 1, 1, 1], [0.4, 0.2, 0.2, 0.2]),
        (Caps(None, None, 6000), ["a/USDT", "b/USDT"], [1, 1], None),
        (Caps(2000, None, 5000), ["a/USDT", "b", "c", "d", "e"], [1] * 5, None),  # four of five hold no half
    ],
)
def test_caps__table(caps: Caps, names: list[str], weights: list[int], expected: list[float] | None) -> None:
    assert shares(caps, names, weights) == expected


NAMES = ["binance/USDT", "binanceus/USD", "okx/USDT", "okcoin/USD", "kraken/USD", "coinbase/USD", "bitstamp/EUR"]
LIMITS = st.none() | st.integers(2000, 9000)


@LAW
@given(
    told=st.lists(st.tuples(st.sampled_from(NAMES), st.integers(1, 10**6)), min_size=1, max_size=9),
    limits=st.tuples(LIMITS, LIMITS, LIMITS),
    seed=st.integers(0, 2**32),
)
def test_caps__any_weights__are_kept_and_no_weight_grows(
    told: list[tuple[str, int]], limits: tuple[int | None, int | None, int | None], seed: int
) -> None:
    caps, specs, weights = Caps(*limits), sources(*(name for name, _ in told)), [weight for _, weight in told]
    found = caps.weights(specs, weights)
    if caps.problem(specs):
        assert found is None
    if found is None:
        return
    total = sum(found)
    assert total > 0
    owners = ([spec.venue for spec in specs], [spec.run_by for spec in specs], [spec.quote for spec in specs])
    for limit, names in zip(limits, owners, strict=True):
        for owner in set(names) if limit is not None else ():
            held = sum(weight for weight, name in zip(found, names, strict=True) if name == owner)
            assert held * 10_000 <= (limit or 0) * total
    order = list(range(len(specs)))
    random.Random(seed).shuffle(order)
    again = caps.weights([specs[number] for number in order], [weights[number] for number in order])
    assert again == [found[number] for number in order]


@LAW
@given(weights=st.lists(st.integers(1, 10**6), min_size=3, max_size=9))
def test_caps__met_already__change_nothing(weights: list[int]) -> None:
    limit = max(weights) * 10_000 // sum(weights) + 1
    assume(limit < 10_000)
    found = Caps(limit).weights(sources(*"abcdefghi"[: len(weights)]), weights)
    assert found is not None
    assert all(mine * weights[0] == found[0] * weight for mine, weight in zip(found, weights, strict=True))


@pytest.mark.parametrize("limit", [0, 10_000])
def test_caps__no_share__is_refused_by_name(limit: int) -> None:
    with pytest.raises(ValueError, match="operator_bps"):
        Caps(operator_bps=limit)
