"""The fold must notice every log that is missing, doubled or foreign, and forget a reorganised block completely."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from keeper.domain.account import Account, MirrorBroken, Position
from keeper.domain.mirror import Cursor, MarketTotals, Mirror, Totals
from tests.domain.accounts.bridge import (
    CALLER,
    ENGINE,
    block,
    block_hash,
    events_of,
    market_totals_of,
    totals_of,
    who,
)
from tests.domain.accounts.world import ROUGH, World

A, B = who(1), who(2)
OPENED = [
    ("MarginChanged", A, 1, 1_000, 1_000),
    ("MarginChanged", B, 1, 1_000, 1_000),
    ("PositionChanged", A, 1, 1, 10, -100, 0, 4, 10, -100, 0, 996),
    ("PositionChanged", B, 1, 1, -10, 100, 0, 1, -10, 100, 0, 999),
]


def fresh(**more):
    return Mirror(Cursor(100, block_hash(100)), ENGINE, **more)


def opened():
    mirror = fresh()
    mirror.apply_block(block(101), events_of(OPENED, block(101)))
    return mirror


def apply(mirror, *log, number=102, fork="a", parent="a", first_index=0):
    at = block(number, fork, parent)
    return mirror.apply_block(at, events_of(list(log), at, first_index))


def settled(cum=2 * 10**48, rate=2, mark=10**48):
    return ("FundingSettled", 1, 3_600, 1, 0, 0, rate, mark, cum, 0, 0)


def test_apply_block__two_deposits_and_a_trade__are_all_there():
    mirror = opened()
    assert mirror.cursor == Cursor(101, block_hash(101))
    assert list(mirror.accounts) == [ENGINE, A, B]
    assert mirror.accounts[A].positions == {1: Position(10, -100, 0)}
    assert mirror.accounts[B].last.log_index == 3
    assert mirror.totals == Totals(3, 1_995, 0, 0)
    assert mirror.markets == {1: MarketTotals(20, 2, 0, 0)}
    assert mirror.engine == Account(ENGINE)


def test_apply_block__answers_whose_accounts_changed():
    assert apply(opened(), ("MarginChanged", B, 2, -9, 990), settled()) == (B,)
    assert apply(opened()) == ()


def test_apply_block__funding_and_residue__clearing_follows():
    """The long pays 5 and the short gets 5; of the next settlement the long pays 1, the short gets 0: a unit is left."""
    mirror = opened()
    half = 10**48 // 2
    apply(
        mirror,
        settled(half, 1, half),
        ("PositionChanged", A, 1, 1, -3, 30, 5, 0, 7, -70, half, 991),
        ("PositionChanged", B, 1, 1, 3, -30, -5, 0, -7, 70, half, 1_004),
        settled(half + 1, 1, 1),
        ("PositionChanged", A, 1, 1, -7, 70, 1, 0, 0, 0, half + 1, 990),
        ("PositionChanged", B, 1, 1, 7, -70, 0, 0, 0, 0, half + 1, 1_004),
        ("FundingResidue", 1, 1),
        ("MarginChanged", ENGINE, 6, 1, 1),
    )
    assert mirror.markets == {1: MarketTotals(0, 0, 0, half + 1)}
    assert mirror.totals == Totals(3, 1_995, 0, 0)
    assert mirror.engine.margin_units == 1


@pytest.mark.parametrize(
    "log",
    [
        [("MarginChanged", A, 1, 5, 1_002)],  # another credit is missing
        [("MarginChanged", A, 1, 5, 1_001), ("MarginChanged", A, 1, 5, 1_001)],
        [("PositionChanged", A, 1, 1, 1, -10, 0, 0, 12, -110, 0, 996)],  # the size does not follow
        [("PositionChanged", A, 1, 1, 1, -10, 0, 0, 11, -111, 0, 996)],  # nor margin + quote
        [("PositionChanged", A, 1, 1, 1, -10, 0, 0, 11, -110, 0, 996)],  # the other side is missing
        [("PositionChanged", A, 1, 1, 1, -10, 1, 0, 11, -110, 0, 995)],  # funding that is not owed
        [("PositionChanged", A, 1, 1, 1, -10, 0, 0, 11, -110, 7, 996)],  # a settlement is missing
        [settled(2 * 10**48 + 1)],
        [("MarginChanged", ENGINE, 6, 1, 1)],  # a residue from nowhere
    ],
)
def test_apply_block__log_contradicts_what_we_hold__is_refused_and_changes_nothing(log):
    mirror, before = opened(), opened().dump()
    with pytest.raises(MirrorBroken):
        apply(mirror, *log)
    assert mirror.dump() == before
    apply(mirror, ("MarginChanged", A, 1, 5, 1_001))


def test_apply_block__any_one_account_log_of_a_history_left_out__is_noticed():
    """By the fold or, at the latest, by the chain's own sums."""
    world = World(4, ROUGH)
    for _ in range(60):
        world.step()
    log = world.exchange.log
    told = [
        index for index, entry in enumerate(log) if entry[0] in ("MarginChanged", "PositionChanged", "FundingSettled")
    ]
    assert len(told) > 40
    for index in told:
        mirror, at = fresh(), block(101)
        try:
            mirror.apply_block(at, events_of(log[:index] + log[index + 1 :], at))
        except MirrorBroken:
            continue
        assert mirror.disagreements(totals_of(world.exchange), market_totals_of(world.exchange))


@pytest.mark.parametrize(
    ("number", "index", "hash_of"),
    [(101, 5, 101), (103, 0, 103), (102, 0, 99)],
    ids=["before the cursor", "after the block", "of another fork"],
)
def test_apply_block__log_outside_the_range__is_refused(number, index, hash_of):
    event = events_of([("MarginChanged", A, 1, 5, 1_001)], block(102))[0]
    event = replace(event, ref=replace(event.ref, block_number=number, log_index=index, block_hash=block_hash(hash_of)))
    with pytest.raises(MirrorBroken):
        opened().apply_block(block(102), [event])


def test_apply_block__logs_out_of_order__are_refused():
    events = events_of([("MarginChanged", A, 1, 5, 1_001), ("MarginChanged", B, 1, 5, 1_004)], block(102))
    with pytest.raises(MirrorBroken):
        opened().apply_block(block(102), events[::-1])


def test_apply_block__one_log_twice__is_refused_even_if_it_changes_nothing():
    waived = events_of([settled(0, rate=0)], block(102))
    opened().apply_block(block(102), waived)
    with pytest.raises(MirrorBroken):
        opened().apply_block(block(102), waived * 2)


def test_apply_block__block_of_another_fork_or_known_already__does_not_follow():
    mirror = opened()
    assert mirror.follows(block(102))
    assert not mirror.follows(block(102, "b"))
    assert not mirror.follows(block(101))
    assert mirror.follows(block(107, "b"))  # a gap: only its own number tells
    for number, fork in ((102, "b"), (101, "a"), (100, "a")):
        with pytest.raises(MirrorBroken):
            apply(mirror, number=number, fork=fork, parent=fork)


def test_rewind__reorganised_block__is_forgotten_and_the_other_fork_goes_on():
    mirror, before = opened(), opened().dump()
    apply(mirror, ("MarginChanged", who(3), 1, 5, 5), ("MarginChanged", A, 2, -6, 990), settled())
    apply(mirror, ("MarginChanged", who(3), 1, 5, 10), number=103)
    assert mirror.rewindable == tuple(Cursor(n, block_hash(n)) for n in (102, 101, 100))
    assert mirror.rewind(101) == (who(3), A)
    assert mirror.dump() == before
    assert apply(mirror, ("MarginChanged", B, 1, 1, 1_000), fork="b") == (B,)
    assert mirror.cursor == Cursor(102, block_hash(102, "b"))


def test_rewind__into_a_range_that_came_at_once__goes_to_its_beginning():
    mirror = opened()
    apply(mirror, ("MarginChanged", A, 1, 4, 1_000), number=110)
    mirror.rewind(105)
    assert mirror.cursor.number == 101
    assert mirror.rewind(101) == ()


def test_rewind__deeper_than_what_was_kept__is_refused_and_changes_nothing():
    mirror = fresh(keep_blocks=2)
    for number in range(101, 105):
        apply(mirror, ("MarginChanged", A, 1, 1, number - 100), number=number)
    with pytest.raises(MirrorBroken):
        mirror.rewind(101)
    assert mirror.accounts[A].margin_units == 4
    mirror.rewind(102)
    assert mirror.accounts[A].margin_units == 2


def test_snapshot__after_a_restart__is_the_same_and_can_still_rewind():
    mirror = opened()
    apply(mirror, ("MarginChanged", who(3), 1, 5, 5), settled())
    loaded = Mirror.load(mirror.dump())
    assert loaded.dump() == mirror.dump()
    assert (loaded.accounts, loaded.markets) == (mirror.accounts, mirror.markets)
    assert loaded.rewind(100) == mirror.rewind(100)
    assert loaded.dump() == mirror.dump() == fresh().dump()


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"check":"x"}'])
def test_snapshot__not_one__is_refused(text):
    with pytest.raises(MirrorBroken):
        Mirror.load(text)


def test_snapshot__any_digit_changed__is_refused():
    text = opened().dump()
    for index in [i for i, letter in enumerate(text) if letter.isdigit()][::5]:
        damaged = text[:index] + str((int(text[index]) + 1) % 10) + text[index + 1 :]
        with pytest.raises(MirrorBroken):
            Mirror.load(damaged)


def test_snapshot__another_version__is_refused():
    body = json.loads(opened().dump())
    with pytest.raises(MirrorBroken, match="version"):
        Mirror.load(json.dumps(body | {"version": 99}))


def test_disagreements__sums_of_the_chain__name_what_differs():
    mirror = opened()
    totals, markets = Totals(3, 1_995, 0, 0), {1: MarketTotals(20, 2, 0, 0)}
    assert mirror.disagreements(totals, markets) == ()
    assert len(mirror.disagreements(replace(totals, accounts=4), markets)) == 1
    assert len(mirror.disagreements(totals, {})) == 1
    assert len(mirror.disagreements(totals, markets | {2: MarketTotals(cum_e36=1)})) == 1


def test_accounts__view__cannot_be_written():
    with pytest.raises(TypeError):
        opened().accounts[CALLER] = Account(CALLER)
