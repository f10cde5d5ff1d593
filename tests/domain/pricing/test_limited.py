"""The limit of a method is told: a vote that was moved or halved, a basis sample that was cut. It is no doubt by itself."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from keeper.domain.gate import Doubt, Gate, GateInputs
from keeper.domain.ids import IndexId
from keeper.domain.index import IndexFlag, IndexPrice, IndexSpec, PegSpec, SourceSpec, index_price
from keeper.domain.index_methods import ClampedWeightedMean, WeightedMean
from keeper.domain.ladder import LADDERS
from keeper.domain.mark import MARK_METHODS
from keeper.domain.mark.method import MarkFlag
from keeper.domain.market import reading_of
from keeper.domain.outlier_rules import Clamp, Exclude, HalveThenExclude, KeepAll, ZeroWeight
from keeper.domain.pricing import price_component
from keeper.domain.provenance import canonical_record
from keeper.domain.quarantine import looks_of
from keeper.domain.recall import recall
from keeper.domain.time import SECOND
from tests.domain.pricing.builders import BTC, NOW, USDT, after, board, book, e18, index, mark_inputs, quote, spec, usd
from tests.domain.pricing.test_provenance_index import decision

ABC = ("a", "b", "c")
MEAN = WeightedMean()


def priced(plan: IndexSpec, *prices: str | int, seconds: float = 0) -> IndexPrice:
    at = after(seconds)
    found = price_component(
        (plan,), board(*(quote(n, p, at=at) for n, p in zip("abcd", prices, strict=False))), {}, at
    )[BTC]
    assert isinstance(found, IndexPrice), found
    return found


@pytest.mark.parametrize(
    ("options", "prices", "expected", "limited"),
    [
        ({"method": MEAN, "outliers": Clamp(100)}, (100, 100, 500), "100.333333333333333333", True),
        ({"method": MEAN, "outliers": Clamp(100)}, (100, 100, 1), "99.666666666666666666", True),
        ({"method": MEAN, "outliers": Clamp(100)}, (100, 100, 101), "100.333333333333333333", False),
        ({"method": MEAN, "outliers": HalveThenExclude(300, 30)}, (100, 100, 500), "100.6", True),
        ({"method": MEAN, "outliers": HalveThenExclude(300, 30)}, (100, 100, 103), 101, False),
        ({"method": MEAN, "outliers": HalveThenExclude(300, 0)}, (100, 100, 100, 500), 100, False),  # out, not limited
        ({"method": ClampedWeightedMean(50), "outliers": KeepAll()}, (100, 100, 500), "100.166666666666666666", True),
        ({"method": ClampedWeightedMean(50)}, (100, 100, "100.6"), "100.166666666666666666", True),  # the plain way
        ({"method": ClampedWeightedMean(50)}, ("99.4", 100, 100), "99.833333333333333333", True),
        ({"method": ClampedWeightedMean(50)}, (100, 100, "100.5"), "100.166666666666666666", False),
        ({"method": ClampedWeightedMean(50)}, (100, 100, 100, 110), 100, False),  # an outlier is refused, and named so
        ({"method": ClampedWeightedMean(50), "ladder": LADDERS["okx"]}, (100, 103), "101.5", False),  # their plain mean
        ({"method": MEAN, "outliers": Exclude()}, (100, 100, 101), "100.333333333333333333", False),
        ({"method": MEAN, "outliers": KeepAll()}, (100, 100, 500), "233.333333333333333333", False),
    ],
)  # fmt: skip
def test_index__with_a_vote_moved_or_halved__says_so(
    options: dict[str, Any], prices: tuple[str | int, ...], expected: str | int, limited: bool
) -> None:
    found = priced(usd("a", "b", "c", "d", **options), *prices)
    assert found.price_e18 == e18(expected)
    assert (IndexFlag.LIMITED in found.flags) is limited


def test_index__by_the_median_of_all__took_no_clamped_vote() -> None:
    found = priced(
        usd("a", "b", "c", "d", method=ClampedWeightedMean(50), outliers=ZeroWeight(500, 1)), 100, 100, 50, 500
    )
    assert found.flags == (IndexFlag.MEDIAN,)


def test_limited__is_no_doubt() -> None:
    plan = usd(*ABC, method=ClampedWeightedMean(50))
    found = priced(plan, 100, 100, "100.6")
    assert (found.flags, found.degraded) == ((IndexFlag.LIMITED,), False)
    gate = Gate(min_sources=3)
    shut = gate.step(gate.start(), GateInputs(found, NOW // SECOND), NOW)[1]
    assert getattr(shut, "reasons", ()) == (Doubt.CONFIRMING,), "as every market that has just begun"
    assert not reading_of(found, None, found.price_e18, None, None).flagged
    assert all(look.fit for look in looks_of(plan, found)), "sources are still measured by it"


def test_rate__limited__degrades_nothing_that_it_converts() -> None:
    rate = IndexSpec(USDT, tuple(SourceSpec(each, "USD") for each in (quote(f"r{n}").source for n in range(3))),
                     min_quote_groups=1, method=ClampedWeightedMean(50))  # fmt: skip
    coin = spec({"a": "USDT", "b": "USDT", "c": "USD"}, conversions={"USDT": PegSpec(USDT)})
    told = board(*(quote(f"r{n}", p) for n, p in enumerate(("1", "1", "1.006"))), *(quote(n, 100) for n in ABC))
    found = price_component((rate, coin), told, {}, NOW)
    assert [each.flags for each in found.values() if isinstance(each, IndexPrice)] == [(IndexFlag.LIMITED,), ()]


def test_record__of_a_limited_index__holds_the_flag_and_gives_it_again() -> None:
    plan = usd(*ABC, method=MEAN, outliers=Clamp(100))
    quotes = board(*(quote(name, price) for name, price in zip(ABC, (100, 100, 500), strict=True)))
    found = price_component((plan,), quotes, {}, NOW)[BTC]
    assert isinstance(found, IndexPrice)
    document = json.loads(canonical_record(decision(found, (), quotes, dict[IndexId, int]())))
    assert document["indices"][0]["flags"] == ["limited"]
    again = recall(document)
    same = price_component((plan,), again.quotes, again.last, again.now)[BTC]
    assert isinstance(same, IndexPrice)
    assert (same.price_e18, same.flags) == (found.price_e18, found.flags)


def test_plain_way__and_composed__flag_alike() -> None:
    plan, told = (
        usd(*ABC, method=ClampedWeightedMean(50)),
        board(*(quote(n, p) for n, p in zip(ABC, (100, 100, "100.6"), strict=True))),
    )
    plain = index_price(plan, told, {}, None, NOW)
    composed = price_component((replace(plan, ladder=LADDERS["okx"]),), told, {}, NOW)[BTC]
    assert isinstance(plain, IndexPrice)
    assert isinstance(composed, IndexPrice)
    assert (plain.price_e18, plain.flags) == (composed.price_e18, composed.flags)


@pytest.mark.parametrize(
    "name", ["ema_basis", "median3", "moving_basis", "moving_median", "three_markets", "okx", "bybit"]
)
def test_mark__whose_basis_sample_was_cut__says_so_once(name: str) -> None:
    method = MARK_METHODS[name]()
    state, flags = method.start(), dict[int, tuple[MarkFlag, ...]]()
    prices = {**dict.fromkeys(range(400), 110), **dict.fromkeys(range(400, 403), "100.1")}
    for second, price in prices.items():
        now = after(second)
        state, mark = method.step(state, mark_inputs(index(100, at=now), book(price, at=now), at=now))
        flags[second] = mark.flags
    assert flags[399].count(MarkFlag.CLAMPED) == 1
    assert flags[0].count(MarkFlag.CLAMPED) == 1
    assert mark.price_e18 < e18(103)


@pytest.mark.parametrize(("mid", "cut"), [("100.5", False), ("100.52", True), ("99.5", False), ("99.48", True)])
@pytest.mark.parametrize("name", ["ema_basis", "median3"])
def test_basis__exactly_at_its_bound__is_not_cut(name: str, mid: str, cut: bool) -> None:
    method = MARK_METHODS[name]()
    _, mark = method.step(method.start(), mark_inputs(index(100), book(mid)))
    assert (MarkFlag.CLAMPED in mark.flags) is cut


def test_mark__cut_for_minutes__is_at_the_bound_and_flagged() -> None:
    method = MARK_METHODS["ema_basis"]()
    state = method.start()
    for second in range(401):
        now = after(second)
        state, mark = method.step(state, mark_inputs(index(100, at=now), book(105, at=now), at=now))
    assert (mark.price_e18, mark.flags) == (e18("100.5"), (MarkFlag.CLAMPED,))
    _, gone = method.step(state, mark_inputs(index(100, at=after(410)), None, at=after(410)))
    assert gone.flags == (MarkFlag.KEPT_BASIS,), "no sample, none cut"
