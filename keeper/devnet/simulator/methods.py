"""What a healthy endpoint answers: pooled things from the simulated mempool, everything else from anvil."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from keeper.devnet.simulator import shapes
from keeper.devnet.simulator.chain import Chain
from keeper.devnet.simulator.reorg import reorg
from keeper.devnet.simulator.rules import Refused

Reply = dict[str, Any]
"""Of JSON-RPC, with `result` or `error`, and an `id` only once it goes out."""
Params = Sequence[Any]


def refusal(code: int, message: str, data: Any = None) -> Reply:
    """An error object."""
    return {"error": {"code": code, "message": message} | ({} if data is None else {"data": data})}


@dataclass(slots=True, eq=False)
class Methods:
    """`ask` is one call without faults. Blocks and the mempool can also be steered with anvil's own methods."""

    chain: Chain
    session: aiohttp.ClientSession
    upstream: str
    _own: dict[str, Callable[[Params], Awaitable[Reply]]] = field(init=False)

    def __post_init__(self) -> None:
        self._own = {
            "eth_sendRawTransaction": self._send,
            "eth_getTransactionCount": self._count,
            "eth_getTransactionByHash": self._transaction,
            "txpool_status": self._status,
            "txpool_content": self._content,
            "txpool_contentFrom": self._content_from,
            "evm_mine": self._mine,
            "anvil_mine": self._mine_many,
            "anvil_dropTransaction": self._drop,
            "anvil_reorg": self._reorg,
            "anvil_setNextBlockBaseFeePerGas": self._base_fee,
            "evm_setAutomine": self._automine,
        }

    async def ask(self, method: str, params: Params) -> Reply:
        """The answer. Raises aiohttp's errors when anvil is gone."""
        own = self._own.get(method)
        return await (self.forward(method, params) if own is None else own(params))

    async def forward(self, method: str, params: Params) -> Reply:
        """anvil's answer."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        async with self.session.post(self.upstream, json=body) as answer:
            said: Reply = await answer.json()
        if method == "eth_sendTransaction" and "result" in said and self.chain.automine:
            await self.chain.mine()
        return {key: said[key] for key in ("result", "error") if key in said}

    async def _send(self, params: Params) -> Reply:
        try:
            raw = bytes.fromhex(str(params[0]).removeprefix("0x"))
        except (IndexError, ValueError):
            return refusal(-32602, "invalid argument 0: json: cannot unmarshal invalid hex string")
        said = await self.chain.submit(raw)
        return refusal(said.code, said.message) if isinstance(said, Refused) else {"result": said}

    async def _count(self, params: Params) -> Reply:
        if len(params) < 2 or params[1] != "pending":
            return await self.forward("eth_getTransactionCount", params)
        async with self.chain.turn:
            mined = await self.forward("eth_getTransactionCount", [params[0], "latest"])
            if "result" not in mined:
                return mined
            return {"result": hex(self.chain.pool.next_nonce(str(params[0]).lower(), int(mined["result"], 16)))}

    async def _transaction(self, params: Params) -> Reply:
        async with self.chain.turn:
            held = self.chain.pool.get(str(params[0]).lower()) if params else None
        if held is not None:
            return {"result": shapes.transaction(held)}
        return await self.forward("eth_getTransactionByHash", params)

    async def _status(self, _params: Params) -> Reply:
        return {"result": shapes.status(self.chain.pool)}

    async def _content(self, _params: Params) -> Reply:
        return {"result": shapes.content(self.chain.pool)}

    async def _content_from(self, params: Params) -> Reply:
        return {"result": shapes.content_from(self.chain.pool, str(params[0]))}

    async def _mine(self, params: Params) -> Reply:
        await self.chain.mine(timestamp_s=_integer(params[0]) if params and not isinstance(params[0], dict) else None)
        return {"result": "0x0"}

    async def _mine_many(self, params: Params) -> Reply:
        await self.chain.mine(_integer(params[0]) if params else 1)
        return {"result": None}

    async def _drop(self, params: Params) -> Reply:
        return {"result": params[0] if await self.chain.drop(str(params[0]).lower()) else None}

    async def _reorg(self, params: Params) -> Reply:
        await reorg(self.chain, _integer(params[0]))
        return {"result": None}

    async def _base_fee(self, params: Params) -> Reply:
        await self.chain.set_base_fee(_integer(params[0]))
        return {"result": None}

    async def _automine(self, params: Params) -> Reply:
        self.chain.automine = bool(params[0])
        return {"result": None}


def _integer(given: Any) -> int:
    return given if isinstance(given, int) else int(given, 0)
