"""The de-peg of March 2023: what the engine publishes while a stablecoin is worth ten per cent less than its quotes say."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.drills import depeg, ticks
from tests.drills.__main__ import BREAK_MINUTE, Line, by_ticks, with_usd, without_usd
from tests.drills.minutes import KRAKEN, USD, USDC, USDT, Minute, minutes

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def course() -> Sequence[Minute]:
    return list(minutes())


def _hold(lines: Sequence[Line]) -> None:
    wrong = [f"{line.what}: {line.found}, wanted {line.wanted}" for line in lines if not line.holds]
    assert not wrong, "; ".join(wrong)


def test_minutes__with_the_usd_venue__published_throughout_and_never_far_off(course: Sequence[Minute]) -> None:
    _hold(list(with_usd(depeg.play(course, (USD, USDT, USDC, KRAKEN)))))


def test_minutes__without_any_usd__says_nothing_while_the_groups_disagree(course: Sequence[Minute]) -> None:
    _hold(list(without_usd(depeg.play(course, (USDT, USDC, KRAKEN)))))


def test_ticks__of_three_companies_with_real_settings__the_index_is_there_and_usdc_is_left_out(
    course: Sequence[Minute],
) -> None:
    window = ticks.smoothed(course[BREAK_MINUTE + 300 : BREAK_MINUTE + 420])
    _hold(list(by_ticks(list(ticks.play(window)))))
