"""A storm is the same again for the same seed, leaves time to begin and to end, and does everything that it promises."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from keeper.devnet.demo import liar
from keeper.devnet.simulator.faults import FaultBoard
from keeper.devnet.storm import (
    BENCHING,
    CALM_END_S,
    FIRST_S,
    LIES,
    STORM_FAULTS,
    Kind,
    Trouble,
    troubles,
    venue_faults,
)
from keeper.devnet.venues.faults import FAULTS

SEEDS = range(20)
LENGTH_S = 180.0


def of(kind: Kind, seed: int, length_s: float = LENGTH_S) -> list[Trouble]:
    return [trouble for trouble in troubles(length_s, seed) if trouble.kind is kind]


def test_troubles__same_seed__are_the_same_again_and_another_seed_has_others() -> None:
    for seed in SEEDS:
        assert troubles(LENGTH_S, seed) == troubles(LENGTH_S, seed) != troubles(LENGTH_S, seed + 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_troubles__three_minutes__have_everything(seed: int) -> None:
    counts = Counter(trouble.kind for trouble in troubles(LENGTH_S, seed))
    assert counts[Kind.KILL] in (2, 3)
    assert counts[Kind.HALT] >= 1
    assert counts[Kind.FEES] >= 1
    assert counts[Kind.HANG] >= 1
    assert sorted(trouble.depth for trouble in of(Kind.REORG, seed)) == [1, 2, 3, 4]
    assert {trouble.lie for trouble in of(Kind.LIE, seed)} == set(LIES)
    assert of(Kind.DEAD, seed)[0].at_s == 0


@pytest.mark.parametrize("length_s", [10.0, 30.0, 40.0, LENGTH_S, 600.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_troubles__any_length__leave_the_beginning_and_the_end_alone(length_s: float, seed: int) -> None:
    found = troubles(length_s, seed)
    assert list(found) == sorted(found, key=lambda trouble: trouble.at_s)
    for trouble in found:
        first = 0.0 if trouble.kind is Kind.DEAD else FIRST_S
        assert first <= trouble.at_s <= trouble.at_s + trouble.for_s <= length_s - CALM_END_S + 1e-9


@pytest.mark.parametrize("seed", SEEDS)
def test_troubles__of_one_kind__never_overlap(seed: int) -> None:
    for kind in Kind:
        for one, other in pairwise(of(kind, seed)):
            assert one.at_s + one.for_s <= other.at_s
    for one, other in pairwise(of(Kind.KILL, seed)):
        assert other.at_s - one.at_s >= 10


def test_liar__every_lie__is_one_that_can_be_told() -> None:
    board = FaultBoard()
    for lie in LIES:
        for variant in range(2, 9):
            liar.tell(board, lie, variant)
            assert board.switches


def test_storm__any_length__one_venue_at_a_time_with_faults_that_exist() -> None:
    faults = venue_faults(120.0, ("a", "b", "c"), {"b"}, 5)
    assert {fault.fault for fault in faults if fault.venue == "b"}.isdisjoint(BENCHING)
    assert not {fault.fault for fault in faults}.isdisjoint(BENCHING)
    assert set(STORM_FAULTS) <= set(FAULTS)
    assert len(faults) == 18
    for one, other in pairwise(faults):
        assert one.at_s + one.for_s < other.at_s
        assert one.venue != other.venue
    assert faults[-1].at_s + faults[-1].for_s < 120
