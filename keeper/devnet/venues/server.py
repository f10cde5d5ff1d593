"""A local exchange's plumbing: websocket clients, HTTP routes, fault switches and replay. No prices here."""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, Self

import aiohttp
from aiohttp import web

from keeper.devnet.venues.faults import Fault, FaultBoard, UnknownFault
from keeper.ports.clock import Clock

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SEND_TIMEOUT_S = 2.0


class Voice(Protocol):
    """By which an exchange speaks to a client: a websocket, or an event stream."""

    async def send_str(self, data: str) -> None: ...

    async def send_bytes(self, data: bytes) -> None: ...

    async def close(self, *, code: int) -> object: ...


@dataclass(slots=True, eq=False)
class Client:
    """One streaming connection as the exchange sees it. `channels` maps symbol to what the dialect keeps for it."""

    socket: Voice
    request: web.Request
    channels: dict[str, Any] = field(default_factory=dict)
    heard: list[str] = field(default_factory=list)
    serial: int = 0
    """Messages numbered so far, where the dialect numbers them."""
    parting: asyncio.Future[None] | None = None
    told_at: float = 0.0
    """Loop time of the last message to it."""

    def cut(self) -> None:
        """Ends the TCP connection without a word."""
        if self.request.transport is not None:
            self.request.transport.abort()


class SocketServer(ABC):
    """One HTTP server with one websocket path. Use as `async with server:` or by `start` and `stop`.

    After `replay(frames)` it says exactly those frames to every client that has spoken, and nothing of its own.
    """

    name: ClassVar[str]
    ws_path: ClassVar[str]
    heartbeat_every_s: float | None = None
    limited_status: ClassVar[int] = 429
    speaks_first: ClassVar[bool] = False
    """The dialect wants its clients to wait for a greeting; a replay then begins at once."""
    idle_after_s: float | None = None
    """A client that was told nothing for so long is disconnected, where the exchange does so."""

    def __init__(self, clock: Clock, port: int = 0, host: str = "127.0.0.1") -> None:
        self.clock = clock
        self.faults = FaultBoard(self._switched)
        self.clients: list[Client] = []
        self.connects = 0
        """Handshakes asked for, including those refused."""
        self.requests: list[str] = []
        """REST requests, by path and query, and the body of a POST."""
        self.news = asyncio.Event()
        """Set on every handshake, client frame, REST request and departure, for whoever waits for one."""
        self._script: list[str] | None = None
        self._script_every_s = 0.0
        self._rest_script: dict[str, tuple[int, str]] = {}
        self._host, self._port = host, port
        self._runner: web.AppRunner | None = None
        self._work: asyncio.Future[None] | None = None

    # Dialect

    @abstractmethod
    async def hear(self, client: Client, text: str) -> None:
        """Answers one frame of a client."""

    @abstractmethod
    def rest_routes(self) -> Mapping[str, Handler]:
        """Path → handler."""

    @abstractmethod
    async def publish(self) -> None:
        """Sends data for ever."""

    def post_routes(self) -> Mapping[str, Handler]:
        """Path → handler of a POST."""
        return {}

    async def admits(self, _client: Client) -> bool:
        """Whether this client may stay; if not, it has been told why."""
        return True

    def greeting(self, _client: Client) -> Iterable[str]:
        """What the exchange says first."""
        return ()

    def heartbeat(self, _client: Client) -> Iterable[str]:
        return ()

    def farewell(self, _client: Client) -> Iterable[str]:
        """Advance notice of a planned close, where the exchange gives one."""
        return ()

    @classmethod
    def packed(cls, frame: str) -> str | bytes:
        """The message as it travels: bytes are a binary frame."""
        return frame

    def limited_body(self) -> str:
        """Body of an answer to a caller who asks too often."""
        return '{"error":"rate limit"}'

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
            app.router.add_route("*", path, self._guarded(handler))
        for path, handler in self.post_routes().items():
            app.router.add_post(path, self._guarded(handler))
        app.router.add_get("/_fault", self._list_faults)
        app.router.add_post("/_fault", self._switch_fault)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        self._port = self._runner.addresses[0][1]
        self._work = asyncio.ensure_future(self._run())

    async def stop(self) -> None:
        if self._work is not None:
            self._work.cancel()
            with suppress(asyncio.CancelledError):
                await self._work
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
        """Fixed answer to every REST request that, as `requests` has it, begins so."""
        self._rest_script[path_and_query] = (status, body)

    @property
    def replaying(self) -> bool:
        return self._script is not None

    # Sending

    async def say(self, client: Client, frames: Iterable[str | bytes]) -> bool:
        """False when nothing left the exchange. Bytes are sent as they are."""
        if self.faults.active("half_open"):
            return False
        try:
            for frame in frames:
                packed = self.packed(frame) if isinstance(frame, str) else frame
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    if isinstance(packed, str):
                        await client.socket.send_str(packed)
                    else:
                        await client.socket.send_bytes(packed)
                client.told_at = asyncio.get_running_loop().time()
        except (ConnectionError, TimeoutError, aiohttp.ClientError):
            return False
        return True

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.publish())
            if self.heartbeat_every_s is not None:
                tasks.create_task(self._beat(self.heartbeat_every_s))
            if self.idle_after_s is not None:
                tasks.create_task(self._dismiss(self.idle_after_s))

    async def _dismiss(self, idle_s: float) -> None:
        while True:
            await asyncio.sleep(idle_s / 10)
            oldest = asyncio.get_running_loop().time() - idle_s
            for client in tuple(self.clients):
                if client.told_at < oldest:
                    client.cut()

    async def _beat(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            for client in tuple(self.clients):
                if not self.replaying:
                    await self.say(client, self.heartbeat(client))

    # Serving

    async def _serve_socket(self, request: web.Request) -> web.StreamResponse:
        self.connects += 1
        self.news.set()
        if (limited := self._limited()) is not None:
            return limited
        socket = web.WebSocketResponse(autoping=False, compress=False)
        await socket.prepare(request)
        client = Client(socket, request, told_at=asyncio.get_running_loop().time())
        if self.faults.active("drop"):
            client.cut()
            return socket
        if not await self.admits(client):
            await socket.close()
            return socket
        self.clients.append(client)
        try:
            if self._script is None:
                await self.say(client, self.greeting(client))
            elif self.speaks_first:
                await self._recite(client, self._script)
            await self._listen(client, socket)
        finally:
            self.clients.remove(client)
            self.news.set()
        return socket

    async def _listen(self, client: Client, socket: web.WebSocketResponse) -> None:
        async for message in socket:
            if self.faults.active("half_open"):
                continue
            if message.type is aiohttp.WSMsgType.PING:
                with suppress(ConnectionError):
                    await socket.pong(message.data)
            elif message.type is aiohttp.WSMsgType.TEXT:
                client.heard.append(message.data)
                self.news.set()
                if self._script is None:
                    await self.hear(client, message.data)
                elif len(client.heard) == 1 and not self.speaks_first:
                    await self._recite(client, self._script)

    async def _recite(self, client: Client, script: Iterable[str]) -> None:
        for frame in script:
            await self.say(client, (frame,))
            await asyncio.sleep(self._script_every_s)

    def _guarded(self, handler: Handler) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            asked = f"{request.path_qs} {await request.text()}".rstrip()
            self.requests.append(asked)
            self.news.set()
            if (limited := self._limited()) is not None:
                return limited
            for start, (status, body) in self._rest_script.items():
                if asked.startswith(start):
                    return web.Response(status=status, text=body, content_type="application/json")
            return await handler(request)

        return answer

    def _limited(self) -> web.Response | None:
        if (fault := self.faults.active("rate_limit")) is None:
            return None
        return web.Response(
            status=int(fault.number("status", self.limited_status)),
            headers={"Retry-After": str(int(fault.number("retry_after_s", 5.0)))},
            text=self.limited_body(),
            content_type="application/json",
        )

    # Faults

    async def _list_faults(self, _request: web.Request) -> web.Response:
        return web.json_response({"venue": self.name, **self.faults.listing()})

    async def _switch_fault(self, request: web.Request) -> web.Response:
        try:
            body = await request.json()
            options = {k: v for k, v in body.items() if k not in ("fault", "on", "symbol")}
            self.faults.switch(body["fault"], bool(body.get("on", True)), body.get("symbol"), **options)
        except (UnknownFault, KeyError, TypeError, ValueError, AttributeError, json.JSONDecodeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"venue": self.name, **self.faults.listing()})

    def _switched(self, fault: Fault | None) -> None:
        if fault is None or fault.name not in ("drop", "close_24h"):
            return
        for client in tuple(self.clients):
            if fault.name == "drop":
                client.cut()
            else:
                client.parting = asyncio.ensure_future(self._part(client, fault.number("notice_s", 2.0)))

    async def _part(self, client: Client, notice_s: float) -> None:
        await self.say(client, self.farewell(client))
        await asyncio.sleep(notice_s)
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await client.socket.close(code=aiohttp.WSCloseCode.GOING_AWAY)
