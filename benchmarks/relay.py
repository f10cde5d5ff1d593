"""A relay before a node that notes when signed transactions arrive, and when the keeper has seen the last one mined."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from typing import Any, Self

import aiohttp
from aiohttp import web

STATE_CALLS = 6
"""A batch of more calls than this reads the protocol's state."""


class Relay:
    """`async with Relay(node_url)`. `arrived`: (CLOCK_MONOTONIC in ns, raw bytes) of each transaction, in order."""

    def __init__(self, node_url: str) -> None:
        self._node_url = node_url
        self.arrived: list[tuple[int, bytes]] = []
        self.posts = 0
        self._receipt_seen = False
        self._read_at = self._sent_at = ""
        self._news = asyncio.Event()
        self._port = 0
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        app = web.Application(client_max_size=8 << 20)
        app.router.add_post("/", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def landed(self, timeout_s: float) -> bool:
        """Waits until the keeper was told the receipt of what it sent last and has read the state after it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not self._has_landed():
                    self._news.clear()
                    await self._news.wait()
        return self._has_landed()

    async def next_after(self, count: int, timeout_s: float) -> bool:
        """Waits until more than `count` transactions have arrived."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while len(self.arrived) <= count:
                    self._news.clear()
                    await self._news.wait()
        return len(self.arrived) > count

    async def _serve(self, request: web.Request) -> web.Response:
        body, now = await request.read(), time.monotonic_ns()
        self.posts += 1
        asked = json.loads(body)
        method = "" if isinstance(asked, list) else str(asked["method"])
        if method == "eth_sendRawTransaction":
            self.arrived.append((now, bytes.fromhex(asked["params"][0][2:])))
            self._receipt_seen, self._sent_at = False, self._read_at
        answer = await self._forward(body)
        self._note(asked, method, answer)
        return web.Response(body=answer, content_type="application/json")

    def _has_landed(self) -> bool:
        """Only the keeper's own transactions make blocks here: a state read at another block contains the last one."""
        return self._receipt_seen and self._read_at != self._sent_at

    def _note(self, asked: Any, method: str, answer: bytes) -> None:
        if method == "eth_getTransactionReceipt" and json.loads(answer).get("result"):
            self._receipt_seen = True
        elif isinstance(asked, list) and len(asked) > STATE_CALLS and asked[0]["method"] == "eth_call":
            self._read_at = str(asked[0]["params"][1])
        self._news.set()

    async def _forward(self, body: bytes) -> bytes:
        assert self._session is not None
        headers = {"Content-Type": "application/json"}
        async with self._session.post(self._node_url, data=body, headers=headers) as answer:
            return await answer.read()
