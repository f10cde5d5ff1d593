"""Rounds, seconds, and the last second in which a report may be mined."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.time import MILLISECOND, Timestamp
from keeper.domain.validity import observed_at_s, round_id, valid_until_s
from tests.domain.pricing.builders import LAW


@pytest.mark.parametrize(
    ("ttl", "allowed", "lease", "block", "expected"),
    [
        (20, 60, None, 0, 1020),
        (90, 60, None, 0, 1060),
        (20, 60, 1010, 2, 1014),
        (20, 60, 1018, 2, 1020),
        (20, 60, 990, 2, 994),
        (20, 60, 1010, 0, 1010),
    ],
)
def test_valid_until__earliest_of_ttl_contract_and_lease(
    ttl: int, allowed: int, lease: int | None, block: int, expected: int
) -> None:
    assert valid_until_s(1000, ttl, allowed, lease, block) == expected


@LAW
@given(now=st.integers(0, 2**62))
def test_round__is_the_millisecond_and_its_second_is_the_contracts(now: int) -> None:
    """The contract checks roundId / 1000 == observedAt; neither ever lies ahead of the decision."""
    found = round_id(Timestamp(now))
    assert found == now // MILLISECOND
    assert observed_at_s(found) == now // 1_000_000_000
