"""`keeper explain`: why an index is in doubt, and what each source counted for, are in document and tree."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from keeper.app.provenance.batches import Batch
from keeper.app.provenance.chainside import ChainFacts
from keeper.app.provenance.derivation import derivation
from keeper.app.provenance.tree import tree
from keeper.domain.caps import Caps
from keeper.domain.ids import IndexId, SourceId
from keeper.domain.index import IndexPrice, IndexSpec
from keeper.domain.index_methods import IndexMethod, Median, Vwap, WeightedMean
from keeper.domain.index_state import Traded
from keeper.domain.ladder import LADDERS
from keeper.domain.outlier_rules import HalveThenExclude, KeepAll, ZeroWeight
from keeper.domain.pricing import price_component
from keeper.domain.provenance import canonical_record
from keeper.domain.rounding import Rounding, RoundingMode
from keeper.settings.archived import ArchivedConfig
from tests.domain.pricing.builders import BTC, NOW, board, e18, quote, usd
from tests.domain.pricing.test_provenance_index import decision

NAMES = ("a", "b", "c", "d")
Prices = Mapping[str, str | int]
MEAN = WeightedMean()
CENT = Rounding(RoundingMode.HALF_EVEN, e18("0.01"))


def record(
    plan: IndexSpec, prices: Prices, traded: Mapping[SourceId, Traded], benched: frozenset[SourceId]
) -> dict[str, Any]:
    quotes = board(*(quote(name, price) for name, price in prices.items()))
    found = price_component((plan,), quotes, {}, NOW, traded={BTC: traded}, benched={BTC: benched} if benched else {})[
        BTC
    ]
    assert isinstance(found, IndexPrice), found
    document: dict[str, Any] = json.loads(canonical_record(decision(found, (), quotes, dict[IndexId, int]())))
    return document


def explained(document: dict[str, Any], *specs: IndexSpec, kept: bool = True) -> tuple[dict[str, Any], str]:
    """The market's part of the document, and the tree as text."""
    config = ArchivedConfig("c0ffee", {}, specs, 1, {}, {}) if kept else None
    batch = Batch("0x0", (), [document], config, "", False, None, None, None, None, None)
    told = derivation(batch, ChainFacts(None, None, (), None, {}), None)
    console = Console(width=400)
    with console.capture() as drawn:
        console.print(tree(told))
    return told["markets"][0], drawn.get()


def index_of(
    plan: IndexSpec,
    prices: Prices,
    *,
    traded: Mapping[SourceId, Traded] | None = None,
    benched: frozenset[SourceId] = frozenset(),
    kept: bool = True,
) -> tuple[dict[str, Any], str]:
    market, drawn = explained(record(plan, prices, traded or {}, benched), plan, kept=kept)
    return market["index"], drawn


def shares(index: Mapping[str, Any]) -> dict[str, float | None]:
    return {each["source"]: each["share_pct"] for each in index["sources"] if each["used"]}


def test_index__with_nothing_to_say__says_nothing_more_than_before() -> None:
    index, drawn = index_of(usd(*NAMES, method=MEAN), dict.fromkeys(NAMES, 100))
    assert (index["flags"], index["raw"], index["benched"]) == ([], None, [])
    assert f"index {BTC} = 100, weighted_mean\n" in drawn
    for word in ("rounding", "sits out", "traded", "[", "funding by"):
        assert word not in drawn


def test_index__flagged_rounded_and_short_of_a_source__says_why() -> None:
    plan = usd(*NAMES, method=MEAN, outliers=HalveThenExclude(300, 30), rounding=CENT)
    index, drawn = index_of(plan, {"a": 100, "b": 100, "c": 500, "d": 100}, benched=frozenset({SourceId("d")}))
    assert index["flags"] == ["limited"]
    assert (index["price"], index["raw"]) == ("100.6", "100.6")
    assert index["benched"] == ["d"]
    assert f"index {BTC} = 100.6, weighted_mean [limited]" in drawn
    assert "sits out: d" in drawn
    coarse, drawn = index_of(usd(*NAMES, method=MEAN, rounding=CENT), {"a": 100, "b": 100, "c": "100.01"})
    assert (coarse["price"], coarse["raw"]) == ("100", "100.003333333333333333")
    assert "= 100 (100.003333333333333333 before rounding), weighted_mean" in drawn


@pytest.mark.parametrize(
    ("options", "weights", "prices", "expected"),
    [
        ({"method": MEAN}, (2, 1, 1), (100, 100, 100), (50, 25, 25)),
        ({"method": MEAN, "caps": Caps(venue_bps=4000)}, (8, 1, 1), (100, 100, 100), (40, 30, 30)),
        ({"method": MEAN, "outliers": HalveThenExclude(300, 30)}, (1, 1, 1), (100, 100, 500), (40, 40, 20)),
        ({"method": MEAN, "ladder": LADDERS["okx"], "outliers": KeepAll()}, (3, 1, 1), (100, 100), (50, 50)),
        ({"method": MEAN, "outliers": ZeroWeight(500, 1)}, (3, 1, 1), (100, 50, 500), (None, None, None)),  # the median
        ({"method": Median()}, (3, 1, 1), (100, 100, 100), (None, None, None)),
    ],
)  # fmt: skip
def test_shares__are_what_the_votes_counted_for(
    options: dict[str, Any], weights: tuple[int, ...], prices: tuple[int, ...], expected: tuple[float | None, ...]
) -> None:
    plan = usd("a", "b", "c", **options)
    sources = tuple(replace(each, weight=weight) for each, weight in zip(plan.sources, weights, strict=True))
    plan = replace(plan, sources=sources)
    index, drawn = index_of(plan, dict(zip("abc", prices, strict=False)))
    assert tuple(shares(index).values()) == expected
    assert ("%" in drawn) is (expected[0] is not None)
    assert f"a 100, weight {weights[0]}" in drawn


def test_shares__of_an_index_by_trades__are_of_the_volume() -> None:
    method: IndexMethod = Vwap(combine_by="mean")
    traded = {SourceId(name): Traded(e18(100), e18(volume)) for name, volume in (("a", 6), ("b", 3), ("c", 1))}
    plan = usd("a", "b", "c", method=method)
    index, drawn = index_of(plan, dict.fromkeys("abc", 101), traded=traded)
    assert shares(index) == {"a": 60, "b": 30, "c": 10}
    assert "traded 6 at 100" in drawn


def test_shares__without_the_rules_of_then__are_not_told() -> None:
    plan, prices = usd("a", "b", "c", method=MEAN), dict.fromkeys("abc", 100)
    index, drawn = index_of(plan, prices, kept=False)
    assert shares(index) == dict.fromkeys("abc")
    assert ("%" in drawn, "weight 1" in drawn) == (False, True)
    other = record(plan, {"a": 100, "b": 100, "c": 101}, {}, frozenset())
    market, _ = explained(other, replace(plan, method=Vwap(combine_by="mean")))
    assert shares(market["index"]) == dict.fromkeys("abc"), "they do not give the price that is recorded"


def test_funding_method__is_told_with_its_state() -> None:
    plan = usd("a", "b", "c")
    document = record(plan, dict.fromkeys("abc", 100), {}, frozenset())
    document["rates"] = {
        "boundary": "1700006400", "flags": ["capped"], "interval": "28800", "method": "binance", "premium": str(e18("0.002")),
        "rate": str(e18("0.0015")), "state_before": {"method": "binance", "span": ["1699977600", "1700006400"]},
    }  # fmt: skip
    market, drawn = explained(document, plan)
    assert market["funding_method"] == {
        "method": "binance", "rate": "0.0015", "premium": "0.002", "flags": ["capped"], "interval_s": 28800,
        "boundary": market["funding_method"]["boundary"], "state_before": document["rates"]["state_before"],
    }  # fmt: skip
    assert "funding by binance: rate 0.0015, premium 0.002" in drawn
    assert "[capped]" in drawn
    assert "span" in drawn
