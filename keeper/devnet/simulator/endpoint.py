"""One address of the chain: HTTP JSON-RPC with faults of its own, a record of what it was sent, and a port that can close."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from eth_utils.crypto import keccak

from keeper.devnet.simulator.faults import Altered, Cut, Delay, Error, FaultBoard, Flood, Hang, Page, Stale, Switch
from keeper.devnet.simulator.methods import Methods, Reply, refusal
from keeper.devnet.simulator.record import SEND, Record, Seen
from keeper.devnet.simulator.stale import ask_behind

Call = dict[str, Any]
Spoiler = Cut | Page | Flood
HOST = "127.0.0.1"
_CHUNK = b"00" * 2**15


@dataclass(slots=True, eq=False)
class Endpoint:
    """`faults` can be switched at any time. `start`, `die`, `revive` and `stop` open and close the same port."""

    name: str
    methods: Methods
    record: Record
    faults: FaultBoard = field(default_factory=FaultBoard)
    posts: int = 0
    """HTTP requests so far, also those that were no JSON."""
    _reserved: socket.socket | None = None
    _runner: web.AppRunner | None = None
    _port: int = 0

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._port}"

    async def start(self) -> None:
        """Claims a free port and serves on it."""
        self._reserve()
        await self.revive()

    async def die(self) -> None:
        """The port is closed: connections are refused, and those that stood are cut. It stays ours."""
        if self._runner is None:
            return
        runner, self._runner = self._runner, None
        await runner.cleanup()
        self._reserve()

    async def revive(self) -> None:
        """Serves on the port again."""
        if self._runner is not None or self._reserved is None:
            return
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.01, handle_signals=False)
        await self._runner.setup()
        reserved, self._reserved = self._reserved, None
        await web.SockSite(self._runner, reserved).start()

    async def stop(self) -> None:
        """For good; what hangs is let go."""
        self.faults.clear()
        await self.die()
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None

    def _reserve(self) -> None:
        """Bound but not listening refuses connections, and nobody else gets the port."""
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind((HOST, self._port))
        self._port = self._reserved.getsockname()[1]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.posts += 1
        try:
            body = await request.json(loads=json.loads)
        except ValueError:
            return web.json_response({"jsonrpc": "2.0", "id": None} | refusal(-32700, "parse error"))
        calls: list[Call] = body if isinstance(body, list) else [body]
        struck = [self.faults.strike(str(call.get("method"))) for call in calls]
        self._write_down(calls, struck)
        return await self._carry_out(request, calls, struck, batch=isinstance(body, list))

    async def _carry_out(
        self, request: web.Request, calls: Sequence[Call], struck: Sequence[list[Switch]], *, batch: bool
    ) -> web.StreamResponse:
        every = [switch for each in struck for switch in each]
        await self._wait(every, performed=False)
        spoiler = next((switch.fault for switch in every if isinstance(switch.fault, Spoiler)), None)
        if spoiler is not None and not spoiler.performed:
            return await _spoil(request, spoiler)
        replies = [await self._answer(call, each) for call, each in zip(calls, struck, strict=True)]
        await self._wait(every, performed=True)
        if spoiler is not None:
            return await _spoil(request, spoiler)
        return web.json_response(replies if batch else replies[0])

    async def _wait(self, switches: Sequence[Switch], *, performed: bool) -> None:
        for switch in dict.fromkeys(switches):
            if switch.fault.performed is performed and isinstance(switch.fault, Hang):
                switch.holding.set()
                await switch.cleared.wait()
            if switch.fault.performed is performed and isinstance(switch.fault, Delay):
                await asyncio.sleep(switch.fault.seconds)

    async def _answer(self, call: Call, struck: Sequence[Switch]) -> Reply:
        method, params = str(call.get("method")), call.get("params") or []
        faults = [switch.fault for switch in struck]
        told = next((fault for fault in faults if isinstance(fault, Error)), None)
        late = next((fault for fault in faults if isinstance(fault, Stale)), None)
        said: Reply = {}
        if told is None or told.performed:
            asked = self.methods.ask
            said = await (asked(method, params) if late is None else ask_behind(asked, method, params, late.blocks))
        reply = {"jsonrpc": "2.0", "id": call.get("id")}
        reply |= said if told is None else refusal(told.code, told.message, told.data)
        for fault in faults:
            if isinstance(fault, Altered):
                fault.alter(method, params, reply)
        return reply

    def _write_down(self, calls: Sequence[Call], struck: Sequence[list[Switch]]) -> None:
        now_s = asyncio.get_running_loop().time()
        for call, switches in zip(calls, struck, strict=True):
            method, params = str(call.get("method")), call.get("params") or []
            labels = tuple(switch.fault.label for switch in switches)
            carried = _hash(params) if method == SEND else ""
            self.record.seen.append(Seen(self.name, self.posts, method, params, now_s, carried, labels))


def _hash(params: Sequence[Any]) -> str:
    with suppress(ValueError, IndexError):
        return "0x" + keccak(bytes.fromhex(str(params[0]).removeprefix("0x"))).hex()
    return ""


async def _spoil(request: web.Request, fault: Spoiler) -> web.StreamResponse:
    if isinstance(fault, Page):
        return web.Response(status=fault.status, body=fault.body, headers=fault.headers)
    if isinstance(fault, Flood):
        return await _flood(request, fault.size)
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _flood(request: web.Request, size: int) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": "application/json"})
    await answer.prepare(request)
    # The reader may go away in the middle: that is what a careful one does.
    with suppress(ConnectionError):
        await answer.write(b'{"jsonrpc":"2.0","result":"0x')
        for _ in range(size // len(_CHUNK)):
            await answer.write(_CHUNK)
        await answer.write(b'","id":1}')
        await answer.write_eof()
    return answer
