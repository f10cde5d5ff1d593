"""Parameters by the time of the boundary."""

from __future__ import annotations

import itertools

import pytest

from keeper.domain.rates.history import HISTORY, HYPERLIQUID_FIRST_S
from keeper.domain.rates.method import EIGHT_HOURS_S, HOUR_S
from keeper.domain.rates.versions import Versions


def test_versions__by_the_boundary__change_on_their_second() -> None:
    versions = Versions(((100, "a"), (200, "b")))
    assert [versions.at(at) for at in (100, 199, 200, 10**12)] == ["a", "a", "b", "b"]
    assert list(versions.periods()) == [(100, 200, "a"), (200, None, "b")]
    assert versions.latest == "b"
    assert Versions.always("x").at(0) == "x"


def test_versions__before_the_first__know_nothing() -> None:
    with pytest.raises(ValueError, match="nothing is known of 99"):
        Versions(((100, "a"),)).at(99)


@pytest.mark.parametrize("entries", [(), ((200, "a"), (100, "b")), ((100, "a"), (100, "b"))])
def test_versions__unordered_or_none__are_refused(entries: tuple[tuple[int, str], ...]) -> None:
    with pytest.raises(ValueError, match=r"no version|must come before"):
        Versions(entries)


def test_hyperliquid__of_2023__had_four_rules_in_ten_weeks() -> None:
    regimes = HISTORY["hyperliquid"]
    seen = [(start, method.interval_s, method.interest, method.clamp) for start, _, method in regimes.periods()]  # type: ignore[attr-defined]
    bp = 10**14
    assert [each[1:] for each in seen] == [
        (EIGHT_HOURS_S, bp, 3 * bp),
        (HOUR_S, bp, 3 * bp),
        (HOUR_S, 0, 0),
        (HOUR_S, bp, 5 * bp),
    ]
    assert seen[0][0] == HYPERLIQUID_FIRST_S
    hours = [(after[0] - before[0]) // HOUR_S for before, after in itertools.pairwise(seen)]
    assert hours == [27 * 24 + 1, 212, 678], "82 rows at 8 h; 212 by the hour; 677 of 678, one hour was never settled"
