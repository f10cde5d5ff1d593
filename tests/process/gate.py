"""A door between the keeper and its node: one transaction is caught on its way, before or after the node has it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum

import aiohttp
from aiohttp import web


class Moment(StrEnum):
    """Where a transaction is when the keeper dies."""

    JOURNALLED = "written down, not yet with any node"
    POOLED = "with the node, not mined, the node's answer lost"
    MINED = "mined, the node's answer lost"


class RpcGate:
    """Forwards everything to the node at `target`, except the next transaction that `catch` waits for."""

    def __init__(self, session: aiohttp.ClientSession, target: str) -> None:
        self._session, self._target = session, target
        self._selectors: tuple[bytes, ...] = ()
        self._moment = Moment.JOURNALLED
        self._refused: tuple[bytes, ...] = ()
        self._caught = asyncio.Event()
        self._ended = asyncio.Event()
        self.url = ""

    def catch(self, selectors: Sequence[bytes], moment: Moment) -> None:
        """The next transaction that calls one of `selectors` gets no answer; POOLED and MINED stop the mining first."""
        self._selectors, self._moment = tuple(selector.hex().encode() for selector in selectors), moment
        self._caught.clear()

    def refuse(self, selectors: Sequence[bytes] = ()) -> None:
        """From now on no node gets a transaction that calls one of these; none: every one passes again."""
        self._refused = tuple(selector.hex().encode() for selector in selectors)

    async def caught(self, timeout_s: float = 40.0) -> None:
        await asyncio.wait_for(self._caught.wait(), timeout_s)

    async def serve(self, request: web.Request) -> web.Response:
        body = await request.read()
        sends = b"eth_sendRawTransaction" in body
        if sends and any(selector in body for selector in self._refused):
            return web.Response(status=502)
        wanted = sends and any(selector in body for selector in self._selectors)
        if not wanted:
            return await self._forward(body)
        self._selectors = ()
        if self._moment is not Moment.JOURNALLED:
            await self._forward(b'{"jsonrpc":"2.0","id":1,"method":"evm_setIntervalMining","params":[0]}')
            await self._forward(body)
        self._caught.set()
        await self._ended.wait()
        return web.Response(status=502)

    def end(self) -> None:
        self._ended.set()

    async def _forward(self, body: bytes) -> web.Response:
        headers = {"Content-Type": "application/json"}
        try:
            async with self._session.post(self._target, data=body, headers=headers) as answer:
                return web.Response(status=answer.status, body=await answer.read(), content_type="application/json")
        except aiohttp.ClientError:
            return web.Response(status=502)


@asynccontextmanager
async def rpc_gate(session: aiohttp.ClientSession, target: str) -> AsyncIterator[RpcGate]:
    gate, app = RpcGate(session, target), web.Application(client_max_size=1 << 24)
    app.router.add_post("/{tail:.*}", gate.serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    gate.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        yield gate
    finally:
        gate.end()
        await runner.cleanup()
