"""What methods by two means tell besides the rate: the premium that they saw, and whether their own limit made it."""

from __future__ import annotations

import pytest

from keeper.domain.numbers import E18
from keeper.domain.rates.growth import Growth
from keeper.domain.rates.method import RateFlag, RateInputs, Ratio
from keeper.domain.rates.spread import Spread
from tests.domain.rates.scenes import BP, DAWN_S, HUNDRED, charged, look

HOUR_S = 3_600


def marked(method: Growth | Spread, mark_bps: int) -> list[RateInputs]:
    """An hour's looks at a mark so far from the index."""
    mark = HUNDRED + HUNDRED * mark_bps // 10_000
    return [look(DAWN_S + at, mark_e18=mark) for at in range(0, HOUR_S, method.every_s)]


@pytest.mark.parametrize("mark_bps", [-40, 0, 25])
@pytest.mark.parametrize("method", [Growth(interval_s=HOUR_S), Spread(interval_s=HOUR_S)], ids=["growth", "spread"])
def test_premium__of_a_steady_mark__is_its_distance_from_the_index(method: Growth | Spread, mark_bps: int) -> None:
    assert charged(method, marked(method, mark_bps)).premium_e18 == mark_bps * BP


@pytest.mark.parametrize(("mark_bps", "flagged"), [(279, False), (280, True), (-320, True), (500, True)])
def test_spread__at_its_limit__is_flagged_and_no_further(mark_bps: int, flagged: bool) -> None:
    """A day charges three hundredths of the index at most, offset of two included."""
    method = Spread(interval_s=HOUR_S, offset_per=500, max_spread=Ratio(3 * E18 // 100))
    found = charged(method, marked(method, mark_bps))
    assert (RateFlag.CAPPED in found.flags) is flagged
    assert abs(found.rate_e18) <= 3 * E18 // 100 // 24
    assert (abs(found.rate_e18) == 3 * E18 // 100 // 24) is flagged
