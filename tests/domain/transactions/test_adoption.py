"""Where nonces go on without a journal."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from keeper.domain.adoption import Adoption, adopted


@pytest.mark.parametrize(
    ("counts", "known", "wanted"),
    [
        ([(7, 7)], (), Adoption(7, 7)),
        ([(7, 9), (5, 6)], (), Adoption(7, 9, unknown=(7, 8))),
        ([(5, 6), (7, 9)], (8,), Adoption(7, 9, unknown=(7,))),
        ([(7, 7), (7, 3)], (10, 8), Adoption(7, 11, vacant=(7, 9))),
        ([(9, 4)], (2,), Adoption(9, 9)),
        ([(7, 9)], (7, 8), Adoption(7, 9)),
    ],
    ids=["nothing pending", "the highest counts", "known bytes", "gaps below known bytes", "all mined", "all known"],
)
def test_adopted__counts_of_endpoints_and_known_bytes__next_is_above_both(
    counts: list[tuple[int, int]], known: Collection[int], wanted: Adoption
) -> None:
    assert adopted(dict(enumerate(counts)), known) == wanted
