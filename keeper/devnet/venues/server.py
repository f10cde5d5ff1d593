"""A local exchange: one HTTP server with the venue's own websocket and REST paths."""

from __future__ import annotations

import asyncio
import json
import random
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import aiohttp
from aiohttp import web

from keeper.devnet.market import HiddenMarket
from keeper.devnet.venues.faults import Fault, FaultBoard, UnknownFault
from keeper.devnet.venues.pricing import Listing, Manner, Pricer
from keeper.devnet.venues.tape import Tape, Tick

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SEND_TIMEOUT_S = 2.0


@dataclass(slots=True, eq=False)
class Client:
    """One websocket connection as the venue sees it. `channels` maps symbol to whatever the dialect keeps for it."""

    socket: web.WebSocketResponse
    request: web.Request
    number: int
    channels: dict[str, Any] = field(default_factory=dict)
    heard: list[str] = field(default_factory=list)
    sent: int = 0
    flags: int = 0
    parting: asyncio.Future[None] | None = None

    def cut(self) -> None:
        """Ends the TCP connection without a word."""
        if self.request.transport is not None:
            self.request.transport.abort()


class VenueServer(ABC):
    """Common part of the local venues; a subclass adds the dialect.

    >>> server = BinanceServer(market)
    >>> await server.start()
    >>> feed = WebsocketFeed(Binance(**server.options()), ...)
    >>> server.faults.switch("stall", symbol="BTCUSDT")

    `tape` holds what was sent. After `replay(frames)` the server says exactly those frames to every client that has
    spoken, and nothing of its own.
    """

    name: ClassVar[str]
    ws_path: ClassVar[str]
    listings: ClassVar[Mapping[str, Listing]]
    manner: ClassVar[Manner] = Manner()
    heartbeat_every_s: ClassVar[float | None] = None
    limited_status: ClassVar[int] = 429

    def __init__(
        self, market: HiddenMarket, seed: int = 1, rate_hz: float = 8.0, port: int = 0, host: str = "127.0.0.1"
    ) -> None:
        self.market, self.rate_hz = market, rate_hz
        self.faults = FaultBoard(self._switched)
        self.rng = random.Random(f"{self.name}:{seed}")  # noqa: S311  a simulation that repeats
        self.pricer = Pricer(market, self.listings, self.manner, self.faults, self.rng)
        self.tape = Tape()
        self.clients: list[Client] = []
        self.connects = 0
        self.requests: list[str] = []
        self._script: list[str] | None = None
        self._script_every_s = 0.0
        self._rest_script: dict[str, tuple[int, str]] = {}
        self._host, self._port = host, port
        self._runner: web.AppRunner | None = None
        self._stop = asyncio.Event()
        self._tasks: asyncio.Task[None] | None = None

    # Dialect

    @abstractmethod
    def rest_routes(self) -> Mapping[str, Handler]:
        """Path → handler of the venue's REST ticker."""

    @abstractmethod
    async def hear(self, client: Client, text: str) -> None:
        """Answers one frame of a client."""

    @abstractmethod
    def ticker(self, client: Client, tick: Tick) -> Iterable[str]:
        """The data frames by which this client learns of `tick`."""

    @abstractmethod
    def drifted(self, frame: str) -> str:
        """The same frame after an unannounced change of schema."""

    def limited_body(self) -> str:
        """Body of an answer to a caller who asks too often."""
        return '{"error":"rate limit"}'

    def greeting(self, _client: Client) -> Iterable[str]:
        """What the venue says first."""
        return ()

    def heartbeat(self, _client: Client) -> Iterable[str]:
        return ()

    def farewell(self, _client: Client) -> Iterable[str]:
        """Advance notice of a planned close, where the venue gives one."""
        return ()

    # Life

    @property
    def ws_url(self) -> str:
        return f"ws://{self._host}:{self._port}{self.ws_path}"

    @property
    def rest_url(self) -> str:
        return f"http://{self._host}:{self._port}"

    def options(self) -> dict[str, str]:
        """Options by which the venue's description finds this server."""
        return {"url": self.ws_url, "rest_url": self.rest_url}

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get(self.ws_path, self._serve_socket)
        for path, handler in self.rest_routes().items():
            app.router.add_get(path, self._guarded(handler))
        app.router.add_get("/_fault", self._list_faults)
        app.router.add_post("/_fault", self._switch_fault)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self._tasks = asyncio.ensure_future(self._work())

    async def stop(self) -> None:
        if self._tasks is not None:
            self._tasks.cancel()
            with suppress(asyncio.CancelledError):
                await self._tasks
        for client in tuple(self.clients):
            client.cut()
        if self._runner is not None:
            await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def replay(self, frames: Iterable[str], every_s: float = 0.0) -> None:
        self._script, self._script_every_s = list(frames), every_s

    def replay_rest(self, path_and_query: str, status: int, body: str) -> None:
        """Fixed answer to the REST request whose path and query start so."""
        self._rest_script[path_and_query] = (status, body)

    # Sending

    async def say(self, client: Client, frames: Iterable[str]) -> None:
        if self.faults.active("half_open"):
            return
        for frame in frames:
            with suppress(ConnectionError, TimeoutError, aiohttp.ClientError):
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await client.socket.send_str(frame)
                client.sent += 1

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._publish())
            if self.heartbeat_every_s is not None:
                tasks.create_task(self._beat(self.heartbeat_every_s))

    async def _publish(self) -> None:
        while True:
            for symbol in self.listings:
                if self._script is None:
                    await self._tell(symbol)
            await asyncio.sleep(self.rng.uniform(0.7, 1.3) / self.rate_hz)

    async def _tell(self, symbol: str) -> None:
        tick = self.pricer.next(symbol)
        if self.faults.active("stall", symbol) or self.faults.active("quiet", symbol):
            return
        for client in tuple(self.clients):
            if symbol in client.channels:
                await self.say_tick(client, tick)

    async def say_tick(self, client: Client, tick: Tick) -> None:
        frames = [self._spoiled(frame, tick.symbol) for frame in self.ticker(client, tick)]
        await self.say(client, frames)
        if frames and not self.faults.active("half_open"):
            self.tape.record(self.market.clock.now(), tick, "stream")

    def _spoiled(self, frame: str, symbol: str) -> str:
        if self.faults.active("bad_json", symbol):
            return frame[: len(frame) // 2]
        return self.drifted(frame) if self.faults.active("schema_drift", symbol) else frame

    async def _beat(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            for client in tuple(self.clients):
                if self._script is None:
                    await self.say(client, self.heartbeat(client))

    # Serving

    async def _serve_socket(self, request: web.Request) -> web.StreamResponse:
        self.connects += 1
        if (limited := self._limited()) is not None:
            return limited
        socket = web.WebSocketResponse(autoping=False, compress=False)
        await socket.prepare(request)
        client = Client(socket, request, self.connects)
        if self.faults.active("drop"):
            client.cut()
            return socket
        self.clients.append(client)
        try:
            if self._script is None:
                await self.say(client, self.greeting(client))
            await self._listen(client)
        finally:
            self.clients.remove(client)
        return socket

    async def _listen(self, client: Client) -> None:
        async for message in client.socket:
            if self.faults.active("half_open"):
                continue
            if message.type is aiohttp.WSMsgType.PING:
                with suppress(ConnectionError):
                    await client.socket.pong(message.data)
            elif message.type is aiohttp.WSMsgType.TEXT:
                client.heard.append(message.data)
                if self._script is None:
                    await self.hear(client, message.data)
                elif len(client.heard) == 1:
                    await self._recite(client, self._script)

    async def _recite(self, client: Client, script: Iterable[str]) -> None:
        for frame in script:
            await self.say(client, (frame,))
            if self._script_every_s:
                await asyncio.sleep(self._script_every_s)

    def _guarded(self, handler: Handler) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            self.requests.append(request.path_qs)
            if (limited := self._limited()) is not None:
                return limited
            for start, (status, body) in self._rest_script.items():
                if request.path_qs.startswith(start):
                    return web.Response(status=status, text=body, content_type="application/json")
            return await handler(request)

        return answer

    def rest_tick(self, symbol: str) -> Tick:
        """What REST says now; goes on the tape."""
        tick = self.pricer.latest(symbol)
        self.tape.record(self.market.clock.now(), tick, "rest")
        return tick

    def _limited(self) -> web.Response | None:
        if (fault := self.faults.active("rate_limit")) is None:
            return None
        retry_after = str(int(fault.number("retry_after_s", 5.0)))
        return web.Response(
            status=int(fault.number("status", self.limited_status)),
            headers={"Retry-After": retry_after},
            text=self.limited_body(),
            content_type="application/json",
        )

    # Faults

    async def _list_faults(self, _request: web.Request) -> web.Response:
        return web.json_response({"venue": self.name, "symbols": list(self.listings), **self.faults.listing()})

    async def _switch_fault(self, request: web.Request) -> web.Response:
        try:
            body = await request.json()
            options = {k: v for k, v in body.items() if k not in ("fault", "on", "symbol")}
            self.faults.switch(body["fault"], bool(body.get("on", True)), body.get("symbol"), **options)
        except (UnknownFault, KeyError, TypeError, ValueError, json.JSONDecodeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"venue": self.name, **self.faults.listing()})

    def _switched(self, fault: Fault | None) -> None:
        if fault is not None and fault.name == "drop":
            for client in tuple(self.clients):
                client.cut()
        elif fault is not None and fault.name == "close_24h":
            for client in tuple(self.clients):
                farewell = self._part(client, fault.number("notice_s", 2.0))
                client.parting = asyncio.ensure_future(farewell)

    async def _part(self, client: Client, notice_s: float) -> None:
        await self.say(client, self.farewell(client))
        await asyncio.sleep(notice_s)
        await client.socket.close(code=aiohttp.WSCloseCode.GOING_AWAY)
