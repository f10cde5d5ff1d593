"""The de-peg of March 2023: what the engine publishes while a stablecoin is worth ten per cent less than its quotes say."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest

from tests.drills import depeg, ticks
from tests.drills.__main__ import BREAK_MINUTE, NAIVE, Line, at_most, by_ticks, rounds_to, with_usd, without_usd
from tests.drills.minutes import KRAKEN, USD, USDC, USDT, Minute, minutes

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def course() -> Sequence[Minute]:
    return list(minutes())


def _hold(lines: Sequence[Line]) -> None:
    wrong = [f"{line.what}: {line.found}, wanted {line.wanted}" for line in lines if not line.holds]
    assert not wrong, "; ".join(wrong)


@pytest.mark.parametrize(("error", "holds"), [("0.0674", False), ("0.0675", True), ("0.0694", True), ("0.0695", False)])
def test_bounds__that_are_printed__are_those_that_are_compared(error: str, holds: bool) -> None:
    line = rounds_to("naive", Decimal(error), *NAIVE)
    assert line.wanted == "6.75 % to 6.95 %: 6.8 or 6.9 when rounded"
    assert line.holds is holds
    assert at_most("x", Decimal("0.00351"), Decimal("0.0035")).holds is False
    assert at_most("x", Decimal("0.0035"), Decimal("0.0035")) == Line("x", "0.35 %", "≤ 0.35 %", True)


def test_minutes__with_the_usd_venue__published_throughout_and_never_far_off(course: Sequence[Minute]) -> None:
    _hold(list(with_usd(depeg.play(course, (USD, USDT, USDC, KRAKEN)))))


def test_minutes__without_any_usd__says_nothing_while_the_groups_disagree(course: Sequence[Minute]) -> None:
    _hold(list(without_usd(depeg.play(course, (USDT, USDC, KRAKEN)))))


def test_ticks__of_three_companies_with_real_settings__the_index_is_there_and_usdc_is_left_out(
    course: Sequence[Minute],
) -> None:
    window = ticks.smoothed(course[BREAK_MINUTE + 300 : BREAK_MINUTE + 420])
    _hold(list(by_ticks(list(ticks.play(window)))))
