"""The line between a sender and its node: loses requests and answers as the weather has it, and notes every send."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from tests.torture.plan import Weather

SEND = "eth_sendRawTransaction"
RECEIPT = "eth_getTransactionReceipt"


@dataclass
class Wire:
    """`sending` is held while nothing may be sent. `raws`: everything ever handed to the node. `first_send_at`: since `begin`, on the machine's steady clock."""

    upstream: str
    session: aiohttp.ClientSession
    weather: Weather
    draw: random.Random
    url: str = ""
    calm: bool = False
    sending: asyncio.Lock = field(default_factory=asyncio.Lock)
    raws: list[str] = field(default_factory=list)
    first_send_at: float | None = None

    def begin(self) -> None:
        self.first_send_at = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        try:
            said = [await self._one(each) for each in body] if isinstance(body, list) else await self._one(body)
        except ConnectionAbortedError:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        return web.json_response(said)

    async def _one(self, call: dict[str, Any]) -> dict[str, Any]:
        if call["method"] == RECEIPT and self._hit(self.weather.lagging):
            return {"jsonrpc": "2.0", "id": call["id"], "result": None}
        if call["method"] != SEND:
            return await self._forward(call)
        self.first_send_at = self.first_send_at or time.monotonic()
        if self._hit(self.weather.busy):
            return {"jsonrpc": "2.0", "id": call["id"], "error": {"code": -32000, "message": "txpool is full"}}
        if self._hit(self.weather.swallowed):
            raise ConnectionAbortedError
        self.raws.append(call["params"][0])
        async with self.sending:
            said = await self._forward(call)
        if self._hit(self.weather.unanswered):
            raise ConnectionAbortedError
        return said

    def _hit(self, chance: float) -> bool:
        return not self.calm and self.draw.random() < chance

    async def _forward(self, call: dict[str, Any]) -> dict[str, Any]:
        async with self.session.post(self.upstream, json=call) as answer:
            said: dict[str, Any] = await answer.json()
            return said


@asynccontextmanager
async def wired(upstream: str, weather: Weather, draw: random.Random) -> AsyncIterator[Wire]:
    async with aiohttp.ClientSession() as session:
        wire = Wire(upstream, session, weather, draw)
        app = web.Application()
        app.router.add_post("/", wire.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        wire.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield wire
        finally:
            await asyncio.shield(runner.cleanup())
