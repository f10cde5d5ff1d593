from __future__ import annotations

import asyncio

import pytest

from keeper.domain.time import SECOND, Timestamp
from keeper.runtime.board import Board, first_change
from keeper.runtime.mailbox import Mailbox
from keeper.runtime.virtual import Deadlock, VirtualClock, run_virtual


def test_changed__when_values_came_meanwhile__then_returns_at_once() -> None:
    async def scenario() -> int:
        board: Board[str, int] = Board()
        board.put("a", 1)
        board.put("a", 2)
        return await board.changed(0)

    assert run_virtual(scenario) == 2


def test_changed__when_two_readers_wait__then_both_wake_for_one_put() -> None:
    async def scenario() -> list[int]:
        board: Board[str, int] = Board()
        readers = [asyncio.ensure_future(board.changed(0)) for _ in range(2)]
        await asyncio.sleep(0)
        board.put("a", 1)
        return list(await asyncio.gather(*readers))

    assert run_virtual(scenario) == [1, 1]


def test_snapshot__when_board_moves_on__then_stays_as_it_was() -> None:
    board: Board[str, int] = Board()
    board.put("a", 1)
    before = board.snapshot()
    board.put("a", 2)

    assert before == {"a": 1}
    assert board.get("a") == 2


def test_follow_drops__of_a_key_that_was_there__is_heard_once() -> None:
    board: Board[str, int] = Board()
    heard: list[str] = []
    board.follow_drops(heard.append)
    board.put("a", 1)
    board.drop("a")
    board.drop("a")
    board.drop("b")

    assert heard == ["a"]


def test_first_change__when_nothing_moves__then_false_after_exactly_the_timeout() -> None:
    async def scenario() -> tuple[bool, float]:
        board: Board[str, int] = Board()
        moved = await first_change((board, 0), timeout_s=3.0)
        return moved, asyncio.get_running_loop().time()

    moved, elapsed_s = run_virtual(scenario)

    assert not moved
    assert elapsed_s == pytest.approx(3.0)


def test_mailbox__when_full__then_the_producer_waits_and_nothing_is_lost() -> None:
    async def scenario() -> list[int]:
        box: Mailbox[int] = Mailbox("acts", 2)

        async def produce() -> None:
            for letter in range(5):
                await box.put(letter)

        producer = asyncio.ensure_future(produce())
        await asyncio.sleep(0)
        assert box.depth == 2
        assert not box.offer(99)
        letters = [await box.get() for _ in range(5)]
        await producer
        return letters

    assert run_virtual(scenario) == [0, 1, 2, 3, 4]


def test_virtual_loop__when_an_hour_is_slept__then_the_clock_says_so() -> None:
    async def scenario() -> Timestamp:
        clock = VirtualClock(Timestamp(7 * SECOND))
        await asyncio.sleep(3600)
        return clock.now()

    assert run_virtual(scenario) == 3607 * SECOND


def test_virtual_loop__when_nothing_can_happen_any_more__then_deadlock() -> None:
    async def scenario() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock):
        run_virtual(scenario)
