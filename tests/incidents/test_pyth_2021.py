"""Pyth, 20 September 2021, 12:21 to 12:23 UTC: bitcoin at 5,402 dollars.

Two publishers mishandled decimals: one's price came out as the whole number 0, the other's eight digits too small, and the
aggregation gave the two too much weight. https://pyth.network/blog/pyth-root-cause-analysis
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from keeper.domain.caps import Caps
from keeper.domain.index_methods import WeightedMedian
from tests.incidents.row import Row, percent, row, worst
from tests.incidents.stage import Look, Speak, Stage, at, plan, sources, spec

BTC = Decimal(43500)
HONEST = tuple(f"publisher{number}:BTC" for number in range(1, 9))
ZERO, SHIFTED = "zero:BTC", "shifted:BTC"


def scene(liars_weight: int, **options: object) -> Stage:
    """Eight honest publishers that weigh one each, and two that weigh so much each."""
    chosen = (*sources(*HONEST), *sources(ZERO, SHIFTED, weight=liars_weight))
    stage = Stage(plan(spec("BTC-USD", chosen, method=WeightedMedian(), **options)))
    stage.begin(BTC)
    return stage


def _speak(wrong: bool, both_shifted: bool = False) -> Speak:
    def speak(stage: Stage, second: float) -> tuple[Decimal, Decimal]:
        for source in stage.plan.spec.sources:
            price = BTC
            if wrong and source.source in (ZERO, SHIFTED):
                shifted = both_shifted or source.source == SHIFTED
                price = BTC.scaleb(-8) if shifted else Decimal(0)
            stage.venues.say(source.source, price, at(second))
        return BTC * Decimal("0.9995"), BTC * Decimal("1.0005")

    return speak


def play(stage: Stage, both_shifted: bool = False) -> tuple[Sequence[Look], Sequence[Look]]:
    stage.play(range(30), _speak(False))
    wrong = stage.play(range(30, 150), _speak(True, both_shifted))
    return wrong, stage.play(range(150, 180), _speak(False))


def weighted_mean(stage: Stage) -> Decimal:
    weights = {each.source: each.weight for each in stage.plan.spec.sources}
    told = {name: Decimal(quote.last_e18 or 0).scaleb(-18) for name, quote in stage.venues.told.items()}
    return sum((told[name] * weight for name, weight in weights.items()), Decimal(0)) / sum(weights.values())


def line() -> Row:
    stage = scene(3)
    wrong, _ = play(stage)
    stage.play((181,), _speak(True))
    found = row(
        "BTC on Pyth, September 2021", "of ten publishers two with 43 % of the weight state 0 and 0.000435",
        "zero is no price, the other an outlier: the other eight decide", wrong,
    )  # fmt: skip
    return found._replace(naive=f"{found.naive}, weighted mean {percent(1 - weighted_mean(stage) / BTC)}")


def test_decimals__with_less_than_half_of_the_weight__move_nothing() -> None:
    stage = scene(3)
    wrong, after = play(stage)
    assert all(look.published is not None and look.gate_open for look in wrong)
    assert all(look.refused == {ZERO: "non_positive", SHIFTED: "outlier"} for look in wrong)
    assert worst(wrong) == 0
    assert after[-1].refused == {}


def test_decimals__with_most_of_the_weight__withhold_and_never_the_low_price() -> None:
    """Beyond what a median can promise: the two are the centre, the eight are outliers, and two are no quorum."""
    stage = scene(20)
    wrong, after = play(stage, both_shifted=True)
    assert {look.reason for look in wrong} == {"sources"}
    assert not any(look.gate_open for look in wrong)
    assert weighted_mean(stage) > 0
    assert {look.reason for look in after[:9]} == {"condition: HALT"}, (
        "after two minutes without a price ten good seconds"
    )
    assert all(look.published is not None for look in after[11:])


def test_decimals__with_most_of_the_weight_under_a_cap__move_nothing() -> None:
    """Nobody has more than 15 %, whatever weight it was given: it is bounded before it is counted."""
    wrong, _ = play(scene(20, caps=Caps(1_500)), both_shifted=True)
    assert all(look.published is not None for look in wrong)
    assert all(look.refused == {ZERO: "outlier", SHIFTED: "outlier"} for look in wrong)
    assert worst(wrong) == 0
