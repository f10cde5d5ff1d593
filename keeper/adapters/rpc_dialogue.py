"""What is said on one websocket of a node: its chain id, one subscription, and heads, with the distrust of the HTTP side.

https://geth.ethereum.org/docs/interacting-with-geth/rpc/pubsub
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import aiohttp
import msgspec

from keeper.adapters import foreign_json
from keeper.adapters import rpc_codec as codec
from keeper.adapters.rpc_errors import abridged
from keeper.domain.chain import BlockRef

_CHAIN_ID = "eth_chainId"
_SUBSCRIBE = "eth_subscribe"
_LONGEST_NAME = 128
_LONGEST_WORDS = 200


@dataclass(frozen=True, slots=True)
class StreamRules:
    """A stream is dropped when it is silent for `silent_blocks` times the time between its heads, within [min, max]; before
    two heads are known, after `max_silent_s`. The chain id is asked for at the start and every `verify_every_s`.
    """

    connect_timeout_s: float = 10.0
    answer_timeout_s: float = 5.0
    close_timeout_s: float = 1.0
    silent_blocks: int = 5
    min_silent_s: float = 5.0
    max_silent_s: float = 60.0
    verify_every_s: float = 300.0
    max_frame_bytes: int = 64 << 10
    max_frames_per_s: int = 100
    steady_heads: int = 3
    """After so many a connection counts as good, and the next one is not waited for longer."""
    base_s: float = 0.5
    cap_s: float = 32.0


class Ended(Exception):
    """Why a connection is over: a word for the metrics, and the node's own, scrubbed."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class _Asked:
    number: int
    method: str
    by_s: float


@dataclass(slots=True)
class Dialogue:
    """One connection from its first question to its end. `heads`: how many it has told."""

    chain_id: int
    rules: StreamRules
    scrub: Callable[[str], str]
    subscribed: Callable[[], None]
    heard: Callable[[int], None]
    heads: int = 0
    _ids: count[int] = field(default_factory=lambda: count(1))
    _asked: _Asked | None = None
    _subscription: str = ""
    _first: BlockRef | None = None
    _last: BlockRef | None = None
    _heard_s: float = 0.0
    _verify_s: float = 0.0
    _frames: int = 0
    _counted_s: float = 0.0

    async def hold(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        """Raises Ended when it is over."""
        await self._ask(socket, _CHAIN_ID, ())
        self._heard_s = self._counted_s = _now_s()
        while True:
            try:
                async with asyncio.timeout_at(self._due_s()):
                    frame = await socket.receive()
            except TimeoutError:
                await self._overdue(socket)
            else:
                await self._take(socket, frame)

    def _due_s(self) -> float:
        """When the next thing is to be done if nothing is heard."""
        if self._asked is not None:
            return min(self._asked.by_s, self._silent_s())
        return min(self._verify_s, self._silent_s())

    async def _overdue(self, socket: aiohttp.ClientWebSocketResponse[bool]) -> None:
        now_s = _now_s()
        if self._asked is not None and now_s >= self._asked.by_s:
            raise Ended("unanswered", self._asked.method)
        if now_s >= self._silent_s():
            raise Ended("silent", f"no head for {now_s - self._heard_s:.0f} s")
        if self._asked is None:
            await self._ask(socket, _CHAIN_ID, ())

    def _silent_s(self) -> float:
        """When its silence is too long."""
        rules, first, last = self.rules, self._first, self._last
        if first is None or last is None or last.number <= first.number:
            return self._heard_s + rules.max_silent_s
        between_s = (last.timestamp_s - first.timestamp_s) / (last.number - first.number)
        return self._heard_s + min(max(rules.silent_blocks * between_s, rules.min_silent_s), rules.max_silent_s)

    async def _ask(self, socket: aiohttp.ClientWebSocketResponse[bool], method: str, params: Sequence[object]) -> None:
        self._asked = _Asked(next(self._ids), method, _now_s() + self.rules.answer_timeout_s)
        question = {"jsonrpc": "2.0", "id": self._asked.number, "method": method, "params": params}
        try:
            async with asyncio.timeout(self.rules.answer_timeout_s):
                await socket.send_str(msgspec.json.encode(question).decode())
        except TimeoutError:
            raise Ended("unanswered", method) from None

    async def _take(self, socket: aiohttp.ClientWebSocketResponse[bool], frame: Any) -> None:
        if frame.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            raise Ended("closed", f"code {socket.close_code}")
        self._require_calm()
        try:
            said = foreign_json.decode(frame.data)
            if not isinstance(said, dict):
                raise codec.Malformed("not an object")
            if "id" in said:
                await self._reply(socket, said)
            else:
                self._notification(said)
        except codec.Malformed as error:
            raise Ended("malformed", error.told(self.scrub)) from None
        except ValueError as error:
            raise Ended("malformed", str(error)[:_LONGEST_WORDS]) from None

    def _require_calm(self) -> None:
        now_s = _now_s()
        if now_s >= self._counted_s + 1.0:
            self._frames, self._counted_s = 0, now_s
        self._frames += 1
        if self._frames > self.rules.max_frames_per_s:
            raise Ended("flood", f"more than {self.rules.max_frames_per_s} messages a second")

    async def _reply(self, socket: aiohttp.ClientWebSocketResponse[bool], said: dict[str, Any]) -> None:
        asked = self._asked
        if asked is None or type(said["id"]) is not int or said["id"] != asked.number:
            raise codec.Malformed("an answer to what was not asked")
        if said.get("error") is not None or "result" not in said:
            error = said.get("error")
            words = str(error.get("message", "")) if isinstance(error, dict) else ""
            raise Ended("refused", f"{asked.method}: {abridged(self.scrub(words))[:_LONGEST_WORDS]}")
        self._asked = None
        if asked.method == _SUBSCRIBE:
            self._subscription = _name(said["result"])
            self.subscribed()
            return
        served = codec.quantity(said["result"])
        if served != self.chain_id:
            raise Ended("wrong_chain", str(served))
        self._verify_s = _now_s() + self.rules.verify_every_s
        if not self._subscription:
            await self._ask(socket, _SUBSCRIBE, ("newHeads",))

    def _notification(self, said: dict[str, Any]) -> None:
        params = said.get("params")
        if said.get("method") != "eth_subscription" or not isinstance(params, dict):
            raise codec.Malformed("neither an answer nor a notification")
        if not self._subscription or params.get("subscription") != self._subscription:
            raise codec.Malformed("a notification of another subscription")
        head = codec.block_ref(params.get("result"))
        self._first, self._last = self._first or head, head
        self._heard_s = _now_s()
        self.heads += 1
        self.heard(head.number)


def _name(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_NAME:
        raise codec.Malformed("not the name of a subscription")
    return value


def _now_s() -> float:
    return asyncio.get_running_loop().time()
