"""Heads that a node announces: soon, from a real node; from one that lies, hangs or says nothing they change no more than when
we look.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from keeper.adapters.clock import SystemClock
from keeper.adapters.rpc import RpcChain
from keeper.adapters.rpc_dialogue import Ended, StreamRules
from keeper.adapters.rpc_http import RpcEndpoint
from keeper.adapters.rpc_stream import HeadStream, StreamEndpoint, greet
from keeper.domain.chain import BlockRef
from keeper.domain.heads import Head
from keeper.domain.ids import Hash
from keeper.errors import ConfigError
from keeper.runtime.board import Board
from keeper.runtime.pulse import Pulse
from keeper.runtime.virtual import VirtualClock, run_virtual
from keeper.services.heads import HeadService, Pace
from tests.chain.nodes import SECRET
from tests.chain.stage import CHAIN_ID, Log, Stage, Tally, eventually
from tests.model.world import START

QUICK = StreamRules(
    connect_timeout_s=1.0, answer_timeout_s=0.3, close_timeout_s=0.1, min_silent_s=0.3, max_silent_s=0.6, base_s=0.01,
    cap_s=0.05,
)  # fmt: skip
NAME = "0x9ce59a13059e417087c02d3236a0b1cc"
Say = Callable[["Line"], Awaitable[None]]


def header(number: int, stamp_s: int = 0) -> dict[str, Any]:
    own, parent = (f"0x{each:064x}" for each in (number, number - 1))
    return {"number": hex(number), "hash": own, "parentHash": parent, "timestamp": hex(stamp_s or number)}


class Line:
    """One connection to a node that says what a test tells it to."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket

    async def asked(self) -> Any:
        message = await self.socket.receive()
        if message.type is not WSMsgType.TEXT:
            raise asyncio.CancelledError
        return json.loads(message.data)

    async def answer(self, question: Any, result: Any) -> None:
        await self.say({"jsonrpc": "2.0", "id": question["id"], "result": result})

    async def say(self, what: Any) -> None:
        await self.socket.send_str(what if isinstance(what, str) else json.dumps(what))

    async def head(self, result: Any, name: str = NAME) -> None:
        params = {"subscription": name, "result": result}
        await self.say({"jsonrpc": "2.0", "method": "eth_subscription", "params": params})

    async def introduce(self, chain_id: int = CHAIN_ID) -> None:
        await self.answer(await self.asked(), hex(chain_id))
        await self.answer(await self.asked(), NAME)

    async def listen(self) -> None:
        """Answers for its chain id until the other side hangs up."""
        while True:
            await self.answer(await self.asked(), hex(CHAIN_ID))


class Listener:
    """A running HeadStream, and everything that it put on the board."""

    def __init__(self, url: str, rules: StreamRules) -> None:
        self.log, self.meter = Log(), Tally()
        self.board: Board[str, int] = Board()
        self.heard: list[int] = []
        self.board.follow(lambda _name, number: self.heard.append(number))
        endpoint = StreamEndpoint(url, "node")
        self.stream = HeadStream(
            endpoint, CHAIN_ID, self.board, meter=self.meter, log=self.log, draw=lambda: 0.5, rules=rules
        )

    def reasons(self) -> list[str]:
        ended = [(name, keys) for _, name, keys in self.log.events if name in ("stream.ended", "rpc.wrong_chain")]
        return [keys.get("reason", "wrong_chain") for _, keys in ended]

    async def until(self, condition: Callable[[], bool], within_s: float = 5.0) -> None:
        async def holds() -> bool:
            return condition()

        await eventually(holds, within_s)


@asynccontextmanager
async def listening(url: str, rules: StreamRules = QUICK) -> AsyncIterator[Listener]:
    listener = Listener(url, rules)
    task = asyncio.create_task(listener.stream.run())
    try:
        yield listener
    finally:
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(ended, asyncio.CancelledError), repr(ended)
        assert SECRET not in repr(listener.log.events)


@asynccontextmanager
async def serving(*says: Say) -> AsyncIterator[str]:
    """Each connection is another of `says`; the last one stands for all that follow."""
    turns = itertools.chain(says, itertools.repeat(says[-1]))

    async def handle(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        try:
            await next(turns)(Line(socket))
        except (asyncio.CancelledError, ConnectionError):
            if asyncio.current_task().cancelling():
                raise
        return socket

    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"ws://user:{SECRET}@127.0.0.1:{runner.addresses[0][1]}/v3/{SECRET}?key={SECRET}"
    finally:
        await runner.cleanup()


async def honest(line: Line) -> None:
    await line.introduce()
    await line.head(header(7))
    await line.listen()


async def test_real_node__each_head_is_announced(automine: Stage) -> None:
    async with listening(automine.node.ws_url, replace(QUICK, max_silent_s=30.0, min_silent_s=30.0)) as listener:
        await listener.until(lambda: bool(listener.log.named("stream.connected")))
        before = int(await automine.rpc.call("eth_blockNumber"), 16)
        for ahead in (1, 2, 3):
            await automine.mine()
            await listener.until(lambda ahead=ahead: listener.board.get("node") == before + ahead)
        assert listener.heard == [before + 1, before + 2, before + 3]
        assert listener.meter.total("keeper_rpc_stream_heads_total", endpoint="node") == 3
        assert listener.meter.total("keeper_rpc_stream_connected", endpoint="node") == 1


async def test_greeting__of_real_and_other_nodes__tells_whether_it_works(automine: Stage) -> None:
    await greet(StreamEndpoint(automine.node.ws_url), CHAIN_ID, QUICK)
    with pytest.raises(Ended) as other:
        await greet(StreamEndpoint(automine.node.ws_url), 1, QUICK)
    assert (other.value.reason, other.value.detail) == ("wrong_chain", str(CHAIN_ID))
    for say, reason in ((_mute, "unanswered"), (_refusing, "refused"), (_hang_up_at_once, "closed")):
        async with serving(say) as url:
            with pytest.raises(Ended) as ended:
                await greet(StreamEndpoint(url), CHAIN_ID, QUICK)
            assert ended.value.reason == reason
            assert SECRET not in ended.value.detail


async def test_real_node__that_mines_nothing__is_taken_for_mute_and_taken_up_again(automine: Stage) -> None:
    async with listening(automine.node.ws_url) as listener:
        await listener.until(lambda: len(listener.log.named("stream.connected")) >= 3)
        assert set(listener.reasons()) == {"silent"}
        await automine.mine()
        await listener.until(lambda: bool(listener.heard))


async def test_real_node__heads_are_read_as_they_are_announced_though_nobody_polls(automine: Stage) -> None:
    clock, heads, seldom = SystemClock(), Board[str, Head](), 3600.0
    pace = Pace(poll_min_s=0.02, poll_max_s=seldom, recheck_s=seldom, streamed_s=seldom)
    async with listening(automine.node.ws_url, replace(QUICK, max_silent_s=30.0, min_silent_s=30.0)) as listener:
        await listener.until(lambda: bool(listener.log.named("stream.connected")))
        async with RpcChain([RpcEndpoint(automine.node.url)], CHAIN_ID, meter=Tally(), log=Log()) as chain:
            service = HeadService(
                CHAIN_ID, chain, heads, Board(), clock, Log(), Tally(), Pulse(clock), pace, streams=listener.board
            )
            task = asyncio.create_task(service.run())
            try:
                await listener.until(lambda: heads.get("head") is not None)
                for _ in range(3):
                    await automine.mine()
                    number = int(await automine.rpc.call("eth_blockNumber"), 16)
                    await listener.until(lambda number=number: heads.get("head").ref.number == number)
                await automine.rpc.call("anvil_reorg", 1, [])
                await listener.until(lambda: heads.get("head").reorgs == 1)
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


async def _wrong_chain(line: Line) -> None:
    await line.introduce(chain_id=1)


async def _another_id(line: Line) -> None:
    question = await line.asked()
    await line.answer({"id": question["id"] + 1}, hex(CHAIN_ID))
    await line.asked()


async def _mute(line: Line) -> None:
    await asyncio.sleep(60)


async def _no_subscription(line: Line) -> None:
    await line.answer(await line.asked(), hex(CHAIN_ID))
    await line.asked()
    await asyncio.sleep(60)


async def _refusing(line: Line) -> None:
    question = await line.asked()
    await line.say({"jsonrpc": "2.0", "id": question["id"], "error": {"code": -32601, "message": f"no {SECRET} here"}})
    await line.asked()


async def _flood(line: Line) -> None:
    await line.introduce()
    for number in range(1, 500):
        await line.head(header(number))
    await line.listen()


async def _hang_up_at_once(line: Line) -> None:
    await line.asked()


async def _hang_up(line: Line) -> None:
    await line.introduce()


def _says(what: Any, name: str = NAME) -> Say:
    async def say(line: Line) -> None:
        await line.introduce()
        if isinstance(what, str):
            await line.say(what)
        else:
            await line.head(what, name)
        await line.asked()

    return say


@pytest.mark.parametrize(
    ("say", "reason"),
    [
        (_wrong_chain, "wrong_chain"),
        (_another_id, "malformed"),
        (_mute, "unanswered"),
        (_no_subscription, "unanswered"),
        (_refusing, "refused"),
        (honest, "silent"),
        (_flood, "flood"),
        (_hang_up, "closed"),
        (_says("[]"), "malformed"),
        (_says("[" * 5000), "malformed"),
        (_says('{"method": "eth_subscription", "params": 7}'), "malformed"),
        (_says('{"id": 99, "result": "0x1"}'), "malformed"),
        (_says(header(7), name="another"), "malformed"),
        (_says({**header(7), "number": 7}), "malformed"),
        (_says({**header(7), "hash": "0x7"}), "malformed"),
        (_says({**header(7), "hash": None}), "malformed"),
        (_says({**header(7), "number": hex(2**200)}), "malformed"),
        (_says("x" * (65 << 10)), "closed"),
    ],
)
async def test_bad_node__is_dropped_with_its_reason_and_listened_to_again_when_it_is_good(
    say: Say, reason: str
) -> None:
    async with serving(say, say, honest) as url, listening(url) as listener:
        await listener.until(lambda: len(listener.reasons()) >= 2)
        assert listener.reasons()[:2] == [reason, reason]
        await listener.until(lambda: listener.board.get("node") == 7)
        assert bool(listener.log.named("rpc.wrong_chain")) == (reason == "wrong_chain")
        await listener.until(lambda: listener.board.get("node") is None)  # it is silent again, and off the board


async def test_node__that_is_another_chain_later__is_dropped() -> None:
    async def turns(line: Line) -> None:
        await line.introduce()
        for number in itertools.count(1):
            await line.head(header(number))
            try:
                async with asyncio.timeout(0.05):
                    await line.answer(await line.asked(), "0x1")
            except TimeoutError:
                continue

    rules = replace(QUICK, verify_every_s=0.2)
    async with serving(turns) as url, listening(url, rules) as listener:
        await listener.until(lambda: bool(listener.log.named("rpc.wrong_chain")))
        assert len(listener.heard) >= 3


async def test_redirect__is_not_followed() -> None:
    async def away(_request: web.Request) -> web.Response:
        raise web.HTTPFound("ws://127.0.0.1:1/")

    app = web.Application()
    app.router.add_get("/{path:.*}", away)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with listening(f"ws://127.0.0.1:{runner.addresses[0][1]}/{SECRET}") as listener:
            await listener.until(lambda: bool(listener.reasons()))
            assert listener.reasons()[0] == "redirected"
    finally:
        await runner.cleanup()


async def test_nobody_there__is_tried_again_after_growing_pauses() -> None:
    async with listening("ws://127.0.0.1:1/", replace(QUICK, cap_s=0.08)) as listener:
        await listener.until(lambda: len(listener.reasons()) >= 6)
        pauses = [keys["retry_in_s"] for keys in listener.log.named("stream.ended")]
        assert set(listener.reasons()) == {"connect_failed"}
        assert max(pauses) <= 0.08


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "ws:///x", "127.0.0.1"])
def test_address__that_is_no_websocket__is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(ConfigError, match="must be ws://host or wss://host"):
        StreamEndpoint(url)


class Counting:
    """A chain whose head a test sets, and how often it was asked."""

    def __init__(self) -> None:
        self.number, self.asked = 100, 0

    async def head_number(self) -> int:
        self.asked += 1
        return self.number

    async def head(self) -> BlockRef:
        self.asked += 1
        return self._block(self.number)

    async def block(self, number: int) -> BlockRef | None:
        return self._block(number)

    def _block(self, number: int) -> BlockRef:
        own, parent = (Hash(f"0x{each:064x}") for each in (number, number - 1))
        return BlockRef(number, own, parent, 12 * number)


class Following:
    """A head service in virtual time, with a board on which a test announces."""

    def __init__(self) -> None:
        self.chain, self.clock = Counting(), VirtualClock(START)
        self.heads: Board[str, Head] = Board()
        self.streams: Board[str, int] = Board()
        pulse = Pulse(self.clock)
        self.service = HeadService(
            CHAIN_ID, self.chain, self.heads, Board(), self.clock, Log(), Tally(), pulse, Pace(), streams=self.streams
        )

    @property
    def number(self) -> int:
        head = self.heads.get("head")
        return -1 if head is None else head.ref.number


def followed(scenario: Callable[[Following], Awaitable[None]]) -> None:
    async def play() -> None:
        found = Following()
        task = asyncio.create_task(found.service.run())
        await asyncio.sleep(10.05)
        try:
            await scenario(found)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    run_virtual(play)


def test_announced__is_read_at_once_and_polled_less_while_announcements_come() -> None:
    async def scenario(found: Following) -> None:
        found.chain.number = 101
        found.streams.put("node", 101)
        await asyncio.sleep(0.1)
        assert found.number == 101
        found.chain.asked = 0
        await asyncio.sleep(20)
        assert 8 <= found.chain.asked <= 12, "one look every two seconds"

    followed(scenario)


def test_announced__before_the_pool_has_it__is_looked_for_closely() -> None:
    async def scenario(found: Following) -> None:
        found.streams.put("node", 101)
        await asyncio.sleep(0.35)
        assert found.number == 100
        found.chain.number = 101
        await asyncio.sleep(0.11)
        assert found.number == 101

    followed(scenario)


@pytest.mark.parametrize("word", [None, 90, 10**9], ids=["hung up", "stuck", "from the future"])
def test_stream__that_says_nothing_of_use__is_not_waited_for(word: int | None) -> None:
    async def scenario(found: Following) -> None:
        found.streams.put("node", 100)
        if word is None:
            found.streams.drop("node")
        else:
            found.streams.put("node", word)
        await asyncio.sleep(0.2)
        found.chain.number = 101
        await asyncio.sleep(1.1)
        assert found.number == 101, "as soon as without a stream"

    followed(scenario)


def test_stream__that_babbles__is_followed_no_closer_than_polling_would() -> None:
    async def scenario(found: Following) -> None:
        found.chain.asked = 0
        for turn in range(1000):
            found.streams.put("node", turn)
            await asyncio.sleep(0.01)
        assert found.chain.asked <= 2 * 10 / 0.1

    followed(scenario)
