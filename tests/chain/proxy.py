"""A node between the keeper and anvil: counts every request, misbehaves on demand, and keeps go-ethereum's pool rules.

anvil replaces a transaction as soon as its fee cap is one wei higher; go-ethereum wants both fields to rise by a tenth
(core/txpool/legacypool/list.go, `Add`). Here a send is judged by those rules before anvil sees it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web
from eth_account import Account
from eth_account.typed_transactions import TypedTransaction
from hexbytes import HexBytes

SEND = "eth_sendRawTransaction"


@dataclass
class Fault:
    """What happens to the next `times` requests of a method.

    error: refused with `message` · null: result null · hang: never answered · swallow: never answered nor passed on ·
    drop: passed on, answered by a closed connection.
    """

    method: str
    kind: str
    times: int = 1
    message: str = ""


@dataclass
class Proxy:
    upstream: str
    session: aiohttp.ClientSession
    strict: bool = True
    url: str = ""
    calls: Counter[str] = field(default_factory=Counter)
    posts: int = 0
    sent: list[str] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)
    pool: dict[tuple[str, int], tuple[int, int, str]] = field(default_factory=dict)

    def fail(self, method: str, kind: str, times: int = 1, message: str = "") -> None:
        self.faults.append(Fault(method, kind, times, message))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.posts += 1
        body = await request.json()
        try:
            said = [await self._one(each) for each in body] if isinstance(body, list) else await self._one(body)
        except ConnectionAbortedError:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return web.json_response(said)

    async def _one(self, call: dict[str, Any]) -> dict[str, Any]:
        method = call["method"]
        self.calls[method] += 1
        fault = next((each for each in self.faults if each.method == method and each.times > 0), None)
        if fault is not None:
            fault.times -= 1
        if method == SEND:
            self.sent.append(call["params"][0])
        match None if fault is None else fault.kind:
            case "error":
                assert fault is not None
                return _error(call, fault.message)
            case "null":
                return {"jsonrpc": "2.0", "id": call["id"], "result": None}
            case "swallow":
                await asyncio.Event().wait()
            case "hang":
                await self._forward(call)
                await asyncio.Event().wait()
            case "drop":
                await self._forward(call)
                raise ConnectionAbortedError
        return await (self._judged(call) if method == SEND and self.strict else self._forward(call))

    async def _judged(self, call: dict[str, Any]) -> dict[str, Any]:
        raw = call["params"][0]
        fields = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
        sender = Account.recover_transaction(raw).lower()
        nonce, tip, cap = (int(fields[name]) for name in ("nonce", "maxPriorityFeePerGas", "maxFeePerGas"))
        count = {"jsonrpc": "2.0", "id": 1, "method": "eth_getTransactionCount", "params": [sender, "latest"]}
        mined = int((await self._forward(count))["result"], 16)
        held = self.pool.get((sender, nonce))
        if nonce < mined:
            return self._refuse(call, f"nonce too low: next nonce {mined}, tx nonce {nonce}")
        if held is not None and held[2] == raw:
            return self._refuse(call, "already known")
        if held is not None and not (cap > held[0] and tip > held[1] and _tenth(cap, held[0]) and _tenth(tip, held[1])):
            return self._refuse(call, "replacement transaction underpriced")
        answer = await self._forward(call)
        if "result" in answer:
            self.pool[sender, nonce] = (cap, tip, raw)
        return answer

    def _refuse(self, call: dict[str, Any], message: str) -> dict[str, Any]:
        self.refusals[message.split(":", maxsplit=1)[0]] += 1
        return _error(call, message)

    async def _forward(self, call: dict[str, Any]) -> dict[str, Any]:
        async with self.session.post(self.upstream, json=call) as answer:
            said: dict[str, Any] = await answer.json()
            return said


@asynccontextmanager
async def proxied(upstream: str, *, strict: bool = True) -> AsyncIterator[Proxy]:
    async with aiohttp.ClientSession() as session:
        proxy = Proxy(upstream, session, strict)
        app = web.Application()
        app.router.add_post("/", proxy.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield proxy
        finally:
            await runner.cleanup()


def _tenth(new: int, old: int) -> bool:
    return new >= old * 110 // 100


def _error(call: dict[str, Any], message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": call["id"], "error": {"code": -32000, "message": message}}
