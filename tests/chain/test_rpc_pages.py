"""The next page is fetched while one is worked on: what that must not change."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from keeper.adapters.rpc_pages import LogPage, pages
from keeper.domain.chain import Log, LogFilter
from keeper.domain.ids import Address, Hash
from keeper.errors import ChainInconsistent, RateLimited, RpcError, RpcUnavailable

WHERE = LogFilter((Address("0x" + "11" * 20),))


def log_of(block: int, index: int = 0) -> Log:
    return Log(WHERE.addresses[0], (), b"", block, Hash("0x" + "aa" * 32), Hash("0x" + "bb" * 32), index)


class Scripted:
    """A ChainReader's logs(): `density` logs in each block, and trouble for a page that contains a block of `trouble`.

    It refuses more than `most` logs, and answers nothing behind block `free`.
    """

    def __init__(self, density: int = 1, most: int = 10**9, free: int = 10**9) -> None:
        self.density, self.most, self.free = density, most, free
        self.stuck = asyncio.Event()
        self.trouble: dict[int, Exception] = {}
        self.asked: list[tuple[int, int]] = []
        self.refused = self.cancelled = self.underway = 0

    async def logs(self, where: LogFilter, first: int, last: int) -> tuple[Log, ...]:
        self.asked.append((first, last))
        self.underway += 1
        try:
            if last > self.free:
                self.stuck.set()
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.underway -= 1
        for block in range(first, last + 1):
            if block in self.trouble:
                raise self.trouble[block]
        if (last - first + 1) * self.density > self.most:
            self.refused += 1
            raise RpcError("query returned more than 10000 results", -32005)
        return tuple(log_of(block, index) for block in range(first, last + 1) for index in range(self.density))


def read(node: Scripted, first: int, last: int, **options: int) -> Any:
    return pages(node, WHERE, first, last, **options)  # type: ignore[arg-type]


def own_tasks() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def complete(found: list[LogPage], first: int, last: int) -> bool:
    """Every block once and in order."""
    starts = [page.first for page in found] == [first, *(page.last + 1 for page in found[:-1])]
    blocks = [log.block_number for page in found for log in page.logs]
    return starts and found[-1].last == last and sorted(set(blocks)) == list(range(first, last + 1)) == blocks


async def test_next_page__is_under_way__while_this_one_is_worked_on() -> None:
    node = Scripted()
    found = read(node, 1, 10, span=4)
    assert (await anext(found)).last == 4
    assert node.asked == [(1, 4), (5, 10)]
    assert [page.first async for page in found] == [5]
    assert node.asked == [(1, 4), (5, 10)]


async def test_never_more_than_one_page__is_fetched_ahead() -> None:
    node = Scripted()
    found = read(node, 1, 1000, span=4)
    await anext(found)
    await asyncio.sleep(0.01)
    assert len(node.asked) == 2
    await found.aclose()


async def test_one_page__starts_no_task_and_nothing_twice() -> None:
    node = Scripted()
    found = read(node, 7, 7)
    assert (await anext(found)).logs == (log_of(7),)
    assert not own_tasks()
    assert [page async for page in found] == []
    assert node.asked == [(7, 7)]


async def test_no_blocks__no_question() -> None:
    node = Scripted()
    assert [page async for page in read(node, 8, 7)] == []
    assert node.asked == []


@pytest.mark.parametrize(
    "trouble", [RpcError("no such range", -32000), RpcUnavailable("away"), RateLimited("slow", 1.0)]
)
async def test_error_in_the_page_ahead__surfaces_in_its_turn(trouble: Exception) -> None:
    node = Scripted()
    node.trouble[5] = trouble
    found = read(node, 1, 5, span=4)
    assert (await anext(found)).last == 4
    await settled()
    with pytest.raises(type(trouble)) as caught:
        await anext(found)
    assert caught.value is trouble
    assert not own_tasks()


async def test_log_outside_of_the_page_ahead__surfaces_in_its_turn() -> None:
    class Lying(Scripted):
        async def logs(self, where: LogFilter, first: int, last: int) -> tuple[Log, ...]:
            return await super().logs(where, first, last) if first == 1 else (log_of(first - 1),)

    found = read(Lying(), 1, 8, span=4)
    assert (await anext(found)).last == 4
    with pytest.raises(ChainInconsistent, match="blocks 5…8"):
        await anext(found)


async def test_page_ahead_refused__is_halved_without_a_gap() -> None:
    node = Scripted(most=5)
    found = [page async for page in read(node, 1, 40, span=4)]
    assert node.asked[:3] == [(1, 4), (5, 11), (5, 7)]
    assert complete(found, 1, 40)


async def test_closed_halfway__the_request_is_cancelled() -> None:
    node = Scripted(free=4)
    found = read(node, 1, 8, span=4)
    await anext(found)
    assert node.underway == 1
    await found.aclose()
    assert (node.underway, node.cancelled) == (0, 1)
    assert not own_tasks()


async def test_abandoned_halfway__the_request_is_cancelled() -> None:
    node = Scripted(free=4)

    async def look_at_one() -> LogPage | None:
        async for page in read(node, 1, 8, span=4):
            return page  # type: ignore[no-any-return]
        return None

    assert (await look_at_one()) is not None
    await settled()
    assert (node.underway, node.cancelled) == (0, 1)
    assert not own_tasks()


async def test_abandoned__when_the_page_ahead_has_failed__says_nothing() -> None:
    """asyncio reports an error that nobody looked at; here nobody wants it any more."""
    heard: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: heard.append(context))
    node = Scripted()
    node.trouble[5] = RpcUnavailable("away")
    found = read(node, 1, 5, span=4)
    await anext(found)
    await settled()
    await found.aclose()
    del found
    await settled()
    assert heard == []


@pytest.mark.parametrize("free", [0, 4])
async def test_reader_cancelled__so_is_the_request(free: int) -> None:
    node = Scripted(free=free)

    async def collect() -> list[LogPage]:
        return [page async for page in read(node, 1, 8, span=4)]

    task = asyncio.ensure_future(collect())
    await node.stuck.wait()
    await asyncio.sleep(0.005)  # behind the head start too
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (node.underway, node.cancelled) == (0, 1)
    assert not own_tasks()


async def test_refused_size__is_not_tried_again_for_many_pages() -> None:
    node = Scripted(most=100)
    found = [page async for page in read(node, 1, 1_250, span=200)]
    assert complete(found, 1, 1_250)
    assert [last - first + 1 for first, last in node.asked[:7]] == [200, 100, 151, 75, 113, 56, 85]
    assert node.refused == 3


async def test_refused_size__is_tried_again_later() -> None:
    """What was too much in a busy hour is not in a quiet one."""
    node = Scripted(most=50)
    found = read(node, 1, 10**5, span=64)
    await anext(found)
    node.most = 10**9
    widths = [len((await anext(found)).logs) for _ in range(24)]
    await found.aclose()
    assert widths[1:15] == [49] * 14
    assert max(widths) > 64


async def test_full_pages__are_not_grown_until_refused() -> None:
    node = Scripted(density=1_000, most=10_000)
    found = [page async for page in read(node, 1, 60, span=2)]
    assert sum(len(page.logs) for page in found) == 60_000
    assert node.refused == 0
    assert max(len(page.logs) for page in found) < 10_000
