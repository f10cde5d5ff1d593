"""New heads as a node pushes them (eth_subscribe newHeads): only a wake-up, for what counts is read from the pool.

https://geth.ethereum.org/docs/interacting-with-geth/rpc/pubsub · https://www.jsonrpc.org/specification
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import ClassVar

import aiohttp

from keeper.adapters.backoff import full_jitter_s
from keeper.adapters.rpc_dialogue import Dialogue, Ended, StreamRules
from keeper.adapters.rpc_http import RpcEndpoint, kind_of
from keeper.adapters.websocket import open_session
from keeper.errors import FeedDisconnected
from keeper.ports.log import EventLog
from keeper.ports.meter import Meter
from keeper.runtime.board import Board


@dataclass(frozen=True, slots=True)
class StreamEndpoint(RpcEndpoint):
    """One that is listened to. Raises ConfigError when the address is not ws(s)://host…."""

    SCHEMES: ClassVar[tuple[str, str]] = ("ws", "wss")


class HeadStream:
    """A service: keeps one subscription alive and puts the number of each new head on `announced`, under its own name.

    While there is no subscription its name is not on the board. It never ends by itself, whatever the node does.
    """

    def __init__(
        self,
        endpoint: StreamEndpoint,
        chain_id: int,
        announced: Board[str, int],
        *,
        meter: Meter,
        log: EventLog,
        draw: Callable[[], float],
        rules: StreamRules | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._chain_id = chain_id
        self._announced = announced
        self._meter = meter
        self._log = log
        self._draw = draw
        self._rules = rules or StreamRules()

    @property
    def name(self) -> str:
        return f"stream:{self._endpoint.name}"

    async def run(self) -> None:
        failures = 0
        async with open_session() as session:
            while True:
                dialogue = self._dialogue()
                try:
                    await self._talk(session, dialogue)
                except Ended as ended:
                    failures = 0 if dialogue.heads >= self._rules.steady_heads else failures + 1
                    pause_s = full_jitter_s(failures, self._draw(), self._rules.base_s, self._rules.cap_s)
                    self._tell(ended, pause_s)
                finally:
                    self._announced.drop(self._endpoint.name)
                    self._meter.gauge("keeper_rpc_stream_connected", 0, endpoint=self._endpoint.name)
                await asyncio.sleep(pause_s)

    def _dialogue(self) -> Dialogue:
        return Dialogue(self._chain_id, self._rules, self._endpoint.scrub, self._subscribed, self._heard)

    async def _talk(self, session: aiohttp.ClientSession, dialogue: Dialogue) -> None:
        """Raises Ended, and nothing else."""
        async with _connected(session, self._endpoint, self._rules) as socket:
            try:
                await dialogue.hold(socket)
            except (aiohttp.ClientError, OSError) as error:
                raise Ended("broken", kind_of(error)) from None

    def _subscribed(self) -> None:
        self._meter.gauge("keeper_rpc_stream_connected", 1, endpoint=self._endpoint.name)
        self._log.info("stream.connected", endpoint=self._endpoint.name)

    def _heard(self, number: int) -> None:
        self._meter.count("keeper_rpc_stream_heads_total", endpoint=self._endpoint.name)
        self._announced.put(self._endpoint.name, number)

    def _tell(self, ended: Ended, pause_s: float) -> None:
        name = self._endpoint.name
        self._meter.count("keeper_rpc_stream_ended_total", endpoint=name, reason=ended.reason)
        words = {"endpoint": name, "reason": ended.reason, "detail": ended.detail, "retry_in_s": round(pause_s, 1)}
        if ended.reason != "wrong_chain":
            self._log.warning("stream.ended", **words)
            return
        self._log.critical(
            "rpc.wrong_chain",
            endpoint=name,
            chain=ended.detail,
            expected=self._chain_id,
            advice="this endpoint serves another chain than configured; it is not used until it serves ours",
        )


class _Enough(Exception):
    """No error: it ends a conversation in which all was said that we wanted to hear."""


async def greet(endpoint: StreamEndpoint, chain_id: int, rules: StreamRules | None = None) -> None:
    """Subscribes once and hangs up. Raises Ended when that does not work."""

    def subscribed() -> None:
        raise _Enough

    rules = rules or StreamRules()
    dialogue = Dialogue(chain_id, rules, endpoint.scrub, subscribed, lambda _number: None)
    async with open_session() as session, _connected(session, endpoint, rules) as socket:
        try:
            await dialogue.hold(socket)
        except _Enough:
            return
        except (aiohttp.ClientError, OSError) as error:
            raise Ended("broken", kind_of(error)) from None


@asynccontextmanager
async def _connected(
    session: aiohttp.ClientSession, endpoint: StreamEndpoint, rules: StreamRules
) -> AsyncIterator[aiohttp.ClientWebSocketResponse[bool]]:
    """Raises Ended."""
    try:
        async with asyncio.timeout(rules.connect_timeout_s):
            socket = await session.ws_connect(
                endpoint.url,
                compress=0,
                max_msg_size=rules.max_frame_bytes,
                timeout=aiohttp.ClientWSTimeout(ws_close=rules.close_timeout_s),
            )
    except aiohttp.WSServerHandshakeError as error:
        raise Ended(f"http_{error.status}") from None
    except FeedDisconnected:
        raise Ended("redirected") from None
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        # aiohttp's own words can contain the address, keys and all: only the kind of error is passed on.
        raise Ended("connect_failed", kind_of(error)) from None
    try:
        yield socket
    finally:
        with suppress(aiohttp.ClientError, OSError):
            await socket.close()
