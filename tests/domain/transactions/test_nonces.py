from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.nonces import Nonces, given_back, observed, opening, taken


def test_opening__journal_ahead_of_the_chain__goes_on_where_it_was() -> None:
    assert opening(mined=5, pending=5, journal_next=8, vacant=(6,)) == Nonces(5, 8, (6,))


def test_opening__no_journal__leaves_the_nodes_pending_alone() -> None:
    assert opening(mined=5, pending=7, journal_next=None) == Nonces(5, 7)


def test_observed__chain_ahead_of_us__counts_foreign_use_and_follows() -> None:
    assert observed(Nonces(5, 6), 9) == (Nonces(9, 9), 3)


def test_observed__reorganised__next_does_not_fall() -> None:
    assert observed(Nonces(9, 9), 7) == (Nonces(7, 9), 0)


def test_given_back__the_last__is_not_issued_at_all() -> None:
    assert given_back(taken(Nonces(3, 3), 3), 3) == Nonces(3, 3)


def test_given_back__in_the_middle__goes_first_next_time() -> None:
    nonces = given_back(Nonces(3, 6), 4)
    assert nonces.first_free == 4
    assert taken(nonces, 4) == Nonces(3, 6)


@given(st.lists(st.sampled_from(["take", "back", "mine"]), max_size=40), st.randoms(use_true_random=False))
def test_nonces__whatever_happens__no_nonce_is_held_twice(steps: list[str], draw) -> None:
    nonces, held = Nonces(0, 0), set()
    for step in steps:
        if step == "take":
            nonce = nonces.first_free
            assert nonce not in held
            assert nonce >= nonces.mined
            held.add(nonce)
            nonces = taken(nonces, nonce)
        elif step == "back" and held:
            nonce = draw.choice(sorted(held))
            held.discard(nonce)
            nonces = given_back(nonces, nonce)
        elif step == "mine" and nonces.mined in held:
            held.discard(nonces.mined)
            nonces, foreign = observed(nonces, nonces.mined + 1)
            assert foreign == 0
        assert held | set(nonces.vacant) >= set(range(nonces.mined, nonces.next))
