"""Mango Markets, 11 October 2022: MNGO from 0.038 to 0.91 dollars, on every exchange that traded it.

The coin was so thin that four million dollars of buying on three exchanges moved its spot price by 2,300 % within ten minutes. The
oracle told the truth; 116 million dollars were borrowed against it. https://www.soliduslabs.com/post/mango-hack

No rule over prices can know that a price which all venues trade at is a lie. What is asserted here is what a keeper can do: never
run ahead of the venues, ask for a confirmation before it acts, and mark by a mean where the operator chose one. How much may be
borrowed against a thin coin is the protocol's to limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from typing import Any

from keeper.domain.mark.index_only import IndexOnly
from keeper.domain.mark.method import MarkMethod
from keeper.domain.mark.twap import Twap
from tests.incidents.row import Row, row, worst
from tests.incidents.stage import Look, Stage, at, plan, sources, spec

VENUES = ("ftx:MNGO-USD", "ascendex:MNGO-USD", "gate:MNGO-USD")
CALM, PUMP = 1_800, 600
BEFORE, TIMES = Decimal("0.038"), 10


def _price(second: float) -> Decimal:
    """Tenfold within ten minutes, by as much in each."""
    share = min(Decimal(1), max(Decimal(0), (Decimal(second) - CALM) / PUMP))
    return BEFORE * Decimal(TIMES) ** share


def _speak(stage: Stage, second: float) -> tuple[Decimal, Decimal]:
    """A thin coin's venues lie half a per cent apart."""
    price = _price(second)
    for name in VENUES:
        stage.venues.say(name, price, at(second), noise_bps=50, spread_bps=30)
    return price * Decimal("0.995"), price * Decimal("1.005")


@cache
def play(mark: MarkMethod[Any]) -> tuple[Stage, Sequence[Look]]:
    stage = Stage(plan(spec("MNGO-USD", sources(*VENUES), max_deviation_bps=200), mark=mark))
    stage.begin(BEFORE)
    stage.play(range(CALM), _speak)
    return stage, stage.play(range(CALM, CALM + PUMP), _speak)


def mean() -> Twap:
    """Of the spot price over half an hour; a mark may be 90 % below a spot that has run tenfold."""
    return Twap(of="index", window_s=1_800, max_basis_bps=9_000)


def line() -> Row:
    _, pump = play(mean())
    published = sum(look.published is not None for look in pump)
    return row(
        "Thin coin, as MNGO in October 2022", "spot of a thin coin ×10 within ten minutes on all its venues",
        "all agree, so the index follows, confirmed; no rule over prices tells it from a market. Here the mark is the half hour's "
        f"mean: at 3 % from the index it is halted, {published} s after the pump began", pump,
    )  # fmt: skip


def test_pump__on_all_venues__is_followed_and_never_run_ahead_of() -> None:
    _, pump = play(IndexOnly())
    assert worst(pump) == 0
    there = [look for look in pump if look.published is not None]
    assert len(there) >= 0.98 * len(pump)


def test_pump__asks_for_a_confirmation_before_anybody_is_liquidated() -> None:
    _, pump = play(IndexOnly())
    shut = [look for look in pump if not look.gate_open]
    assert len(shut) >= 3
    assert "moved" in set().union(*(look.doubts for look in shut))


def test_mark__by_the_mean_of_half_an_hour__falls_behind_and_halts_the_market() -> None:
    """3 % from its index neither of the two can be trusted: nothing is published or liquidated by them."""
    _, pump = play(mean())
    gone = [look for look in pump if look.published is None]
    assert {look.reason for look in gone} <= {"condition: HALT", "guard: unconfirmed", "guard: backing"}
    assert pump[-1].reason == "condition: HALT"
    assert gone[0].second < CALM + 30
    assert not any(look.gate_open for look in pump if look.reason == "condition: HALT")
    for look in pump:
        assert look.mark is None or look.published is None or abs(look.mark / look.published - 1) < Decimal("0.03")


def test_pump__on_one_of_its_three_venues__moves_nothing() -> None:
    """What a cheaper attack looks like: the one that moves is left out, and two are not enough."""
    stage = Stage(plan(spec("MNGO-USD", sources(*VENUES), max_deviation_bps=200)))
    stage.begin(BEFORE)

    def speak(stage: Stage, second: float) -> tuple[Decimal, Decimal]:
        for number, name in enumerate(VENUES):
            stage.venues.say(name, _price(second + CALM) if number == 0 else BEFORE, at(second), noise_bps=0)
        return BEFORE * Decimal("0.999"), BEFORE * Decimal("1.005")

    looks = stage.play(range(PUMP), speak)
    assert worst(looks) == 0
    assert {look.reason for look in looks if look.second >= 10} == {"sources"}
