"""Nodes that say what a test tells them to, and our transport to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from keeper.adapters.rpc import RpcChain
from keeper.adapters.rpc_http import RpcEndpoint
from tests.chain.stage import CHAIN_ID, Log, Tally

SECRET = "k3y-of-the-operator"


class Node:
    """Answers eth_chainId properly and everything else as told: a JSON value, or a function of the request."""

    def __init__(self, says: Any, chain_id: int = CHAIN_ID) -> None:
        self.says = says
        self.chain_id = chain_id
        self.requests: list[Any] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if isinstance(body, dict) and body["method"] == "eth_chainId":
            return web.json_response({"jsonrpc": "2.0", "id": body["id"], "result": hex(self.chain_id)})
        self.requests.append(body)
        if callable(self.says):
            answer = self.says(request, body)
            return await answer if asyncio.iscoroutine(answer) else answer
        return web.json_response({"jsonrpc": "2.0", "id": body["id"], **self.says})


@asynccontextmanager
async def served(says: Any, chain_id: int = CHAIN_ID) -> AsyncIterator[Node]:
    node = Node(says, chain_id)
    app = web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/{path:.*}", node.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    node.url = f"http://user:{SECRET}@127.0.0.1:{runner.addresses[0][1]}/v3/{SECRET}?key={SECRET}"
    try:
        yield node
    finally:
        await runner.cleanup()


@asynccontextmanager
async def transport(*nodes: Node | str, **options: Any) -> AsyncIterator[RpcChain]:
    endpoints = [
        RpcEndpoint(node if isinstance(node, str) else node.url, f"node{place}") for place, node in enumerate(nodes)
    ]
    options = {"meter": Tally(), "log": Log(), **options}
    async with RpcChain(endpoints, CHAIN_ID, **options) as chain:
        yield chain
