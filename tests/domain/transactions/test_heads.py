from __future__ import annotations

import itertools
from dataclasses import replace

from keeper.domain.chain import BlockRef
from keeper.domain.heads import Head, block_at, block_time_s, chain_time, extended, joins
from keeper.domain.ids import Hash
from keeper.domain.time import SECOND, from_seconds


def block(number: int, fork: str = "a", parent_fork: str | None = None) -> BlockRef:
    parent = f"{parent_fork or fork}{number - 1}"
    return BlockRef(number, Hash(f"{fork}{number}"), Hash(parent), 1000 + 2 * number)


def chain(first: int, last: int, fork: str = "a") -> tuple[BlockRef, ...]:
    return tuple(block(number, fork) for number in range(first, last + 1))


def test_extended__next_block__changes_nothing_before() -> None:
    assert extended(chain(1, 5), chain(6, 7), 128) == (chain(1, 7), None)


def test_extended__other_block_of_the_same_number__counts_from_there() -> None:
    other = block(5, "b", "a")
    assert extended(chain(1, 5), (other,), 128) == ((*chain(1, 4), other), 5)


def test_extended__longer_fork__counts_from_where_it_left() -> None:
    fork = (block(3, "b", "a"), *chain(4, 6, "b"))
    assert extended(chain(1, 5), fork, 128) == ((*chain(1, 2), *fork), 3)


def test_extended__nothing_joins__everything_known_is_in_doubt() -> None:
    assert extended(chain(4, 6), chain(5, 9, "b"), 128) == (chain(5, 9, "b"), 4)


def test_extended__keeps_no_more_than_its_depth() -> None:
    ring, reorged_from = extended(chain(1, 5), chain(6, 6), 3)
    assert (ring, reorged_from) == (chain(4, 6), None)


def test_joins__by_parent_hash__not_by_number() -> None:
    assert joins(chain(1, 5), block(6))
    assert not joins(chain(1, 5), block(6, "b"))


def test_block_time__from_the_blocks_own_stamps() -> None:
    assert block_time_s(chain(1, 5)) == 2.0
    assert block_time_s(chain(1, 1)) is None
    assert block_at(chain(1, 5), 9) is None


def test_chain_time__is_the_stamp_and_what_has_passed_since_whatever_our_clock_says() -> None:
    for ours_s in (0, 1010, 5000):
        head = Head(block(5), None, from_seconds(ours_s), heard_ns=7 * SECOND)
        assert chain_time(head, 7 * SECOND) == from_seconds(1010)
        assert chain_time(head, 8 * SECOND) == from_seconds(1011)
        assert chain_time(head, 3607 * SECOND) == from_seconds(4610), "heads can stop, deadlines do not"


def test_chain_time__of_a_chain_that_stamps_whole_seconds__is_never_ahead_of_the_next_stamp() -> None:
    tenth = SECOND // 10
    for sealed, later in itertools.product(range(30), range(1, 30)):
        head = Head(replace(block(5), timestamp_s=sealed // 10), None, from_seconds(0), heard_ns=(sealed + 1) * tenth)
        next_stamp_s = (sealed + 1 + later) // 10
        assert chain_time(head, (sealed + 1 + later) * tenth) <= from_seconds(next_stamp_s)
