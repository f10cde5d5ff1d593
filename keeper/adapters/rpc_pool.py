"""The endpoints of one chain: who is asked first, who is left alone, and what each was asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import aiohttp

from keeper.adapters import rpc_codec as codec
from keeper.adapters.rpc_errors import RpcTimeout, RpcUnreadable, refusal
from keeper.adapters.rpc_http import HttpEndpoint, Reply, Request, RpcEndpoint
from keeper.errors import ConfigError, RateLimited, Reverted, RpcError, RpcUnavailable, TransientError, WrongChain
from keeper.ports.log import EventLog
from keeper.ports.meter import Meter

T = TypeVar("T")

TIMEOUTS_S: Mapping[str, float] = {"eth_sendRawTransaction": 5.0, "eth_getLogs": 30.0, "eth_estimateGas": 5.0}
TIMEOUT_S = 3.0
_SEND = "eth_sendRawTransaction"
_LONGEST_TURN_S = 1.0
_LIGHT = frozenset({"eth_blockNumber", "eth_getBlockByNumber"})
"""What costs every node the same, and all are asked for when they are compared: only this tells slow from quick."""
_SLOW_S, _SLOWER = 0.25, 4
"""An endpoint is passed over that takes longer than this, and so many times as long as the quickest."""
_OUR_FAULT = range(-32602, -32599)
"""Invalid request, unknown method, invalid params: https://www.jsonrpc.org/specification#error_object"""


class EndpointPool:
    """Endpoints in order of preference. Before an endpoint's first use and after each broken connection its chain id is
    compared; `suspended` ones (`rpc_compare`) are not read from.
    """

    def __init__(
        self,
        endpoints: Sequence[RpcEndpoint],
        chain_id: int,
        *,
        meter: Meter,
        log: EventLog,
        timeouts_s: Mapping[str, float] = TIMEOUTS_S,
        timeout_s: float = TIMEOUT_S,
        max_reply_bytes: int = 8 << 20,
        connections: int = 32,
    ) -> None:
        if all(endpoint.write_only for endpoint in endpoints):
            raise ConfigError("a chain needs at least one rpc endpoint to read from")
        self._chain_id = chain_id
        self._config = tuple(endpoints)
        self._meter = meter
        self._log = log
        self._timeouts_s = timeouts_s
        self._timeout_s = timeout_s
        self._max_reply_bytes = max_reply_bytes
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None
        self._endpoints: tuple[HttpEndpoint, ...] = ()

    async def open(self) -> None:
        """Makes the connection pool; asks nothing, so that a start never waits for a node."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=60),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            trust_env=False,
        )
        self._endpoints = tuple(HttpEndpoint(each, self._session, self._max_reply_bytes) for each in self._config)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def verify(self) -> None:
        """Asks every endpoint for its chain id now; one that is away is asked later.

        Raises WrongChain when no endpoint is usable.
        """
        for endpoint in self._endpoints:
            endpoint.verified = False
        await asyncio.gather(*(self._greet(endpoint) for endpoint in self._endpoints))
        self._usable()

    async def read_each(self, calls: Sequence[Request]) -> list[bytes | Reverted]:
        """What each call returns, or its contract's refusal: one that reverts does not hide the others."""
        return await self.read_many(calls, returned_or_refused)

    async def read_many(self, requests: Sequence[Request], decode: Callable[[object], T]) -> list[T]:
        """From the first endpoint that answers. Raises what was refused, or RpcUnavailable when nobody answers.

        A refusal is an answer where the question is at fault; the trouble of one node's own another may not have.
        """
        failures: list[TransientError] = []
        refusals: list[RpcError] = []
        await self._introduced()
        for endpoint in self._to_read():
            try:
                return await self.attempt(endpoint, requests, decode)
            except TransientError as error:
                failures.append(error)
            except RpcError as error:
                if error.code in _OUR_FAULT:
                    raise
                refusals.append(error)
            except WrongChain:
                self._usable()
        if refusals:
            raise refusals[0]
        if len(failures) == 1:
            raise failures[0]
        raise RpcUnavailable("; ".join(map(str, failures)) or f"no endpoint of chain {self._chain_id} is usable")

    async def each(
        self,
        requests: Sequence[Request],
        decode: Callable[[object], T],
        patience_s: float,
        suspended: bool = True,
        benched: bool = False,
    ) -> dict[HttpEndpoint, T]:
        """The first answer of every endpoint that has one within `patience_s`; of the `suspended` ones, and of those that
        are `benched`, only if told so.
        """
        now_s = _now_s()
        asked = [each for each in self._readable() if suspended or not each.suspended]
        asked = [each for each in asked if benched or not each.benched(now_s)]
        tasks = {asyncio.ensure_future(self.attempt(each, requests, decode)): each for each in asked}
        if not tasks:
            return {}
        try:
            _, late = await asyncio.wait(tasks, timeout=patience_s)
            for task in late:
                tasks[task].failed(RpcTimeout(f"no answer within {patience_s:g} s"), _now_s())
        finally:
            await _ended(tasks)
        return {each: task.result()[0] for task, each in tasks.items() if not task.cancelled() and not task.exception()}

    def writers(self) -> tuple[list[HttpEndpoint], list[HttpEndpoint]]:
        """All that may be sent to, and apart from them those that have just failed. The first are never empty."""
        usable, now_s = self._usable(), _now_s()
        well = [each for each in usable if not each.benched(now_s)] or usable[:1]
        return well, [each for each in usable if each not in well]

    async def attempt(
        self, endpoint: HttpEndpoint, requests: Sequence[Request], decode: Callable[[object], T]
    ) -> list[T]:
        """One exchange with one endpoint, which remembers how it went."""
        if (pause_s := endpoint.quiet_for_s(_now_s())) > 0:
            raise RateLimited(f"{endpoint.label}: asked for silence, {pause_s:.1f} s left", pause_s)
        await self._in_turn(endpoint, requests)
        try:
            if not endpoint.verified:
                await self._verified(endpoint)
            values = await self._exchange(endpoint, requests, decode)
        except TransientError as error:
            endpoint.failed(error, _now_s())
            raise
        endpoint.succeeded()
        return values

    async def _in_turn(self, endpoint: HttpEndpoint, requests: Sequence[Request]) -> None:
        """Within the endpoint's plan; only a transaction goes ahead of its time. Raises RateLimited for a long wait."""
        bucket, count = endpoint.bucket, len(requests)
        wait_s = 0.0 if requests[0][0] == _SEND else bucket.wait_s(_now_s(), count)
        if wait_s > _LONGEST_TURN_S:
            raise RateLimited(f"{endpoint.label}: {bucket.per_s:g} requests a second are used up", wait_s)
        bucket.take(_now_s() + wait_s, count)
        if wait_s > 0:
            await asyncio.sleep(wait_s)

    async def _verified(self, endpoint: HttpEndpoint) -> None:
        async with endpoint.lock:
            if endpoint.verified:
                return
            served = (await self._exchange(endpoint, [("eth_chainId", ())], codec.quantity))[0]
            endpoint.wrong_chain = None if served == self._chain_id else served
            endpoint.verified = endpoint.wrong_chain is None
        if endpoint.wrong_chain is not None:
            self._log.critical(
                "rpc.wrong_chain",
                endpoint=endpoint.label,
                chain=served,
                expected=self._chain_id,
                advice="this endpoint serves another chain than configured; it is not used until it serves ours",
            )
            raise WrongChain(f"{endpoint.label} serves chain {served}, not {self._chain_id}")

    async def _exchange(
        self, endpoint: HttpEndpoint, requests: Sequence[Request], decode: Callable[[object], T]
    ) -> list[T]:
        method = requests[0][0]
        started_s = _now_s()
        outcome = "ok"
        try:
            replies = await endpoint.post(requests, self._timeouts_s.get(method, self._timeout_s))
            if method in _LIGHT:
                endpoint.answered(_now_s() - started_s)
            return [_value(endpoint, asked[0], reply, decode) for asked, reply in zip(requests, replies, strict=True)]
        except (TransientError, RpcError, Reverted) as error:
            outcome = _outcome(error)
            raise
        finally:
            self._meter.count("keeper_rpc_requests_total", endpoint=endpoint.label, method=method, outcome=outcome)
            self._meter.observe("keeper_rpc_seconds", _now_s() - started_s, endpoint=endpoint.label)

    async def _introduced(self) -> None:
        """Of several endpoints that nobody has heard of yet, the quickest is waited for and no other."""
        unknown = [each for each in self._readable() if not each.benched(_now_s())]
        if len(unknown) < 2 or any(each.verified for each in unknown):
            return
        tasks = [asyncio.ensure_future(self._greet(each)) for each in unknown]
        try:
            for soonest in asyncio.as_completed(tasks):
                if await soonest:
                    return
        finally:
            await _ended(tasks)

    async def _greet(self, endpoint: HttpEndpoint) -> bool:
        try:
            await self._verified(endpoint)
        except TransientError as error:
            endpoint.failed(error, _now_s())
        except (WrongChain, RpcError):
            return False
        return endpoint.verified

    def _to_read(self) -> list[HttpEndpoint]:
        """Preferred first; slow ones, strangers and benched ones last; suspended ones only when there are no others."""
        now_s = _now_s()
        usable = self._readable()
        believed = [endpoint for endpoint in usable if not endpoint.suspended] or usable
        slow_s = max(_SLOW_S, _SLOWER * min((each.latency_s for each in believed if each.verified), default=0.0))
        return sorted(believed, key=lambda each: (each.benched(now_s), not each.verified, each.latency_s > slow_s))

    def _readable(self) -> list[HttpEndpoint]:
        return [endpoint for endpoint in self._usable() if not endpoint.write_only]

    def _usable(self) -> list[HttpEndpoint]:
        if not self._endpoints:
            raise RpcUnavailable("the transport is not open")
        usable = [endpoint for endpoint in self._endpoints if endpoint.wrong_chain is None]
        if not usable:
            served = ", ".join(f"{each.label} serves chain {each.wrong_chain}" for each in self._endpoints)
            raise WrongChain(f"{served}; chain {self._chain_id} is configured")
        return usable


def returned_or_refused(value: object) -> bytes | Reverted:
    """Decodes a call whose revert is an answer."""
    return value if isinstance(value, Reverted) else codec.payload(value)


async def _ended(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """None is left behind; of those that are done nothing is lost."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _value(endpoint: HttpEndpoint, method: str, reply: Reply, decode: Callable[[object], T]) -> T:
    if isinstance(error := reply.get("error"), dict):
        refused = refusal(method, {**error, "message": endpoint.scrub(str(error.get("message", "")))}, endpoint.label)
        if decode is not returned_or_refused or not isinstance(refused, Reverted):
            raise refused
        return decode(refused)
    try:
        return decode(reply["result"])
    except codec.Malformed as malformed:
        raise RpcUnreadable(f"{endpoint.label} {method}: {malformed.told(endpoint.scrub)}") from None


def _outcome(error: Exception) -> str:
    kinds: tuple[tuple[type[Exception], str], ...] = (
        (RateLimited, "rate_limited"),
        (RpcTimeout, "timeout"),
        (RpcUnreadable, "malformed"),
        (RpcUnavailable, "unavailable"),
        (Reverted, "reverted"),
    )
    return next((word for kind, word in kinds if isinstance(error, kind)), "refused")
