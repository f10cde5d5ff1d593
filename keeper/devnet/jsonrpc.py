"""A bare JSON-RPC client for the local test chain: one request or one batch, errors as exceptions or as values."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

import aiohttp

from keeper.errors import RpcError

Request = tuple[str, Sequence[Any]]


class JsonRpc:
    """Speaks to `url` over the caller's session, which the caller closes."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self._ids = count(1)

    async def call(self, method: str, *params: Any) -> Any:
        """The result. Raises RpcError, and aiohttp's own errors when there is no answer."""
        reply = await self._post(self._request(method, params))
        return _result(method, reply)

    async def batch(self, requests: Sequence[Request]) -> list[Any | RpcError]:
        """The results in the order of the requests; a refused one is its RpcError, so that one cannot hide others."""
        if not requests:
            return []
        body = [self._request(method, params) for method, params in requests]
        replies = {reply["id"]: reply for reply in await self._post(body)}
        return [
            _refusal(sent["method"], replies[sent["id"]]["error"])
            if "error" in replies[sent["id"]]
            else replies[sent["id"]]["result"]
            for sent in body
        ]

    def _request(self, method: str, params: Sequence[Any]) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": list(params)}

    async def _post(self, body: Any) -> Any:
        async with self._session.post(self._url, json=body) as answer:
            answer.raise_for_status()
            return await answer.json()


def _result(method: str, reply: dict[str, Any]) -> Any:
    if "error" in reply:
        raise _refusal(method, reply["error"])
    return reply["result"]


def _refusal(method: str, error: dict[str, Any]) -> RpcError:
    return RpcError(f"{method}: {error.get('message')}", error.get("code", 0), error.get("data"))
