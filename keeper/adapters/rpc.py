"""Our JSON-RPC transport: ordered endpoints, one request per logical call, answers checked, errors in our own terms.

What a general library does behind the caller's back is deliberately absent: no retry (also not of a send), no
redirect, no proxy from the environment, no CCIP-read (EIP-3668), no eth_chainId around each call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp

from keeper.adapters import rpc_codec as codec
from keeper.adapters.rpc_errors import RpcTimeout, RpcUnreadable, refusal
from keeper.adapters.rpc_http import HttpEndpoint, Reply, Request, RpcEndpoint
from keeper.domain.chain import At, BlockRef, Call, FeeMarket, Log, LogFilter, Query, Receipt
from keeper.domain.ids import Address, Hash
from keeper.errors import (
    ChainInconsistent,
    ConfigError,
    RateLimited,
    Reverted,
    RpcError,
    RpcUnavailable,
    TransientError,
    WrongChain,
)
from keeper.ports.log import EventLog
from keeper.ports.meter import Meter

T = TypeVar("T")

TIMEOUTS_S: Mapping[str, float] = {"eth_sendRawTransaction": 5.0, "eth_getLogs": 30.0, "eth_estimateGas": 5.0}
_TIMEOUT_S = 3.0
_FEE_BLOCKS = 5
_FEE_PERCENTILE = 50


class RpcChain:
    """A ChainReader and ChainWriter over HTTP endpoints in order of preference.

    A read that an endpoint cannot answer goes to the next one; a send goes to one endpoint, once: whether to send the
    same bytes again is the sender's decision. Before an endpoint's first use, after each broken connection and every
    `verify_every_s` (by `run`) its chain id is compared with `chain_id`. Use `async with`, or `open` and `close`.
    """

    name = "rpc"

    def __init__(
        self,
        endpoints: Sequence[RpcEndpoint],
        chain_id: int,
        *,
        meter: Meter,
        log: EventLog,
        timeouts_s: Mapping[str, float] = TIMEOUTS_S,
        timeout_s: float = _TIMEOUT_S,
        max_reply_bytes: int = 8 << 20,
        batch_limit: int = 500,
        pin_by_hash: bool = True,
        verify_every_s: float = 300.0,
        connections: int = 32,
    ) -> None:
        if not endpoints:
            raise ConfigError("a chain needs at least one rpc endpoint")
        self._chain_id = chain_id
        self._config = tuple(endpoints)
        self._meter = meter
        self._log = log
        self._timeouts_s = timeouts_s
        self._timeout_s = timeout_s
        self._max_reply_bytes = max_reply_bytes
        self._batch_limit = batch_limit
        self._pin_by_hash = pin_by_hash
        self._verify_every_s = verify_every_s
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

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def run(self) -> None:
        """A service: asks every endpoint for its chain id again and again. Raises WrongChain when none is left."""
        while True:
            await asyncio.sleep(self._verify_every_s)
            await self.verify()

    async def verify(self) -> None:
        """Asks every endpoint now; one that is away is asked later. Raises WrongChain when no endpoint is usable."""
        for endpoint in self._endpoints:
            endpoint.verified = False
            try:
                await self._verified(endpoint)
            except TransientError as error:
                endpoint.failed(error, self._now_s())
            except WrongChain:
                continue
        self._usable()

    async def chain_id(self) -> int:
        return await self._read("eth_chainId", (), codec.quantity)

    async def head_number(self) -> int:
        """The cheapest question about progress."""
        return await self._read("eth_blockNumber", (), codec.quantity)

    async def head(self) -> BlockRef:
        return await self._read("eth_getBlockByNumber", ("latest", False), codec.block_ref)

    async def block(self, number: int) -> BlockRef | None:
        found = await self._read("eth_getBlockByNumber", (hex(number), False), codec.optional(codec.block_ref))
        if found is not None and found.number != number:
            raise ChainInconsistent(f"asked for block {number}, was given {found.number}")
        return found

    async def ask(self, query: Query[T], at: At) -> T:
        where = codec.block_param(at, self._pin_by_hash)
        requests: list[Request] = [("eth_call", (codec.call_param(call), where)) for call in query.calls]
        answers: list[bytes] = []
        for start in range(0, len(requests), self._batch_limit):
            answers += await self._read_many(requests[start : start + self._batch_limit], codec.payload)
        return query.decode(answers)

    async def logs(self, where: LogFilter, first: int, last: int) -> tuple[Log, ...]:
        found = await self._read("eth_getLogs", (codec.log_param(where, first, last),), codec.logs)
        if found and not first <= found[0].block_number <= found[-1].block_number <= last:
            raise ChainInconsistent(f"asked for logs of blocks {first}…{last}, was given one outside of them")
        return found

    async def simulate(self, call: Call, sender: Address, at: At) -> bytes:
        where = codec.block_param(at, self._pin_by_hash)
        return await self._read("eth_call", (codec.call_param(call, sender), where), codec.payload)

    async def estimate_gas(self, call: Call, sender: Address) -> int:
        return await self._read("eth_estimateGas", (codec.call_param(call, sender),), codec.quantity)

    async def code(self, account: Address, at: At) -> bytes:
        return await self._read("eth_getCode", (account, codec.block_param(at, self._pin_by_hash)), codec.payload)

    async def balance(self, account: Address, at: At) -> int:
        return await self._read("eth_getBalance", (account, codec.block_param(at, self._pin_by_hash)), codec.quantity)

    async def nonce(self, account: Address, at: At) -> int:
        where = codec.block_param(at, self._pin_by_hash)
        return await self._read("eth_getTransactionCount", (account, where), codec.quantity)

    async def receipt(self, tx: Hash) -> Receipt | None:
        found = await self._read("eth_getTransactionReceipt", (tx,), codec.receipt)
        if found is not None and found.tx_hash != tx:
            raise ChainInconsistent(f"asked for the receipt of {tx}, was given that of {found.tx_hash}")
        return found

    async def fees(self) -> FeeMarket:
        return await self._read("eth_feeHistory", (hex(_FEE_BLOCKS), "latest", [_FEE_PERCENTILE]), codec.fee_market)

    async def broadcast(self, raw: bytes) -> Hash:
        """One request to one endpoint; the next call goes elsewhere when this one stays without an answer."""
        endpoint = self._in_order()[0]
        return (await self._attempt(endpoint, [("eth_sendRawTransaction", ("0x" + raw.hex(),))], codec.hash32))[0]

    async def request(self, method: str, params: Sequence[Any]) -> Any:
        """Any method, its result unchecked: for diagnosis and for libraries that sit on this transport."""
        return await self._read(method, params, lambda value: value)

    async def _read(self, method: str, params: Sequence[Any], decode: Callable[[object], T]) -> T:
        return (await self._read_many([(method, params)], decode))[0]

    async def _read_many(self, requests: Sequence[Request], decode: Callable[[object], T]) -> list[T]:
        failures: list[TransientError] = []
        for endpoint in self._in_order():
            try:
                return await self._attempt(endpoint, requests, decode)
            except TransientError as error:
                failures.append(error)
            except WrongChain:
                self._usable()
        if len(failures) == 1:
            raise failures[0]
        raise RpcUnavailable("; ".join(map(str, failures)) or f"no endpoint of chain {self._chain_id} is usable")

    async def _attempt(
        self, endpoint: HttpEndpoint, requests: Sequence[Request], decode: Callable[[object], T]
    ) -> list[T]:
        """One exchange with one endpoint, which remembers how it went."""
        if (pause_s := endpoint.quiet_for_s(self._now_s())) > 0:
            raise RateLimited(f"{endpoint.label}: asked for silence, {pause_s:.1f} s left", pause_s)
        try:
            if not endpoint.verified:
                await self._verified(endpoint)
            values = await self._exchange(endpoint, requests, decode)
        except TransientError as error:
            endpoint.failed(error, self._now_s())
            raise
        endpoint.succeeded()
        return values

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
        started_s = self._now_s()
        outcome = "ok"
        try:
            replies = await endpoint.post(requests, self._timeouts_s.get(method, self._timeout_s))
            return [_value(endpoint, asked[0], reply, decode) for asked, reply in zip(requests, replies, strict=True)]
        except (TransientError, RpcError, Reverted) as error:
            outcome = _outcome(error)
            raise
        finally:
            self._meter.count("keeper_rpc_requests_total", endpoint=endpoint.label, method=method, outcome=outcome)
            self._meter.observe("keeper_rpc_seconds", self._now_s() - started_s, endpoint=endpoint.label)

    def _in_order(self) -> tuple[HttpEndpoint, ...]:
        """Preferred first, benched ones last, those of another chain not at all."""
        now_s = self._now_s()
        return tuple(sorted(self._usable(), key=lambda endpoint: endpoint.benched(now_s)))

    def _usable(self) -> list[HttpEndpoint]:
        if not self._endpoints:
            raise RpcUnavailable("the transport is not open")
        usable = [endpoint for endpoint in self._endpoints if endpoint.wrong_chain is None]
        if not usable:
            served = ", ".join(f"{each.label} serves chain {each.wrong_chain}" for each in self._endpoints)
            raise WrongChain(f"{served}; chain {self._chain_id} is configured")
        return usable

    @staticmethod
    def _now_s() -> float:
        return asyncio.get_running_loop().time()


def _value(endpoint: HttpEndpoint, method: str, reply: Reply, decode: Callable[[object], T]) -> T:
    if isinstance(error := reply.get("error"), dict):
        raise refusal(method, {**error, "message": endpoint.scrub(str(error.get("message", "")))}, endpoint.label)
    try:
        return decode(reply["result"])
    except codec.Malformed as malformed:
        raise RpcUnreadable(f"{endpoint.label} {method}: {endpoint.scrub(str(malformed))}") from None


def _outcome(error: Exception) -> str:
    kinds: tuple[tuple[type[Exception], str], ...] = (
        (RateLimited, "rate_limited"),
        (RpcTimeout, "timeout"),
        (RpcUnreadable, "malformed"),
        (RpcUnavailable, "unavailable"),
        (Reverted, "reverted"),
    )
    return next((word for kind, word in kinds if isinstance(error, kind)), "refused")
