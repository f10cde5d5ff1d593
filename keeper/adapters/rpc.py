"""Our JSON-RPC transport: several endpoints, one request per logical call, answers checked, errors in our own terms.

What a general library does behind the caller's back is deliberately absent: no retry (also not of a send), no
redirect, no proxy from the environment, no CCIP-read (EIP-3668), no eth_chainId around each call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from keeper.adapters import rpc_codec as codec
from keeper.adapters.clock import SystemClock
from keeper.adapters.rpc_compare import compare
from keeper.adapters.rpc_fanout import FanOut
from keeper.adapters.rpc_http import HttpEndpoint, Request, RpcEndpoint
from keeper.adapters.rpc_pool import EndpointPool
from keeper.adapters.rpc_receipts import agreed, is_seconded
from keeper.domain.chain import At, BlockRef, Call, FeeMarket, Log, LogFilter, Query, Receipt
from keeper.domain.endpoints import median_fees
from keeper.domain.ids import Address, Hash
from keeper.domain.time import to_seconds
from keeper.errors import ChainInconsistent, Reverted, RpcUnavailable, WrongChain
from keeper.ports.clock import Clock
from keeper.ports.log import EventLog
from keeper.ports.meter import Meter

T = TypeVar("T")

_FEE_BLOCKS = 5
_FEE_PERCENTILE = 50
_FEE_PATIENCE_S = 1.0
_Asking = tuple[str, Sequence[Any], Callable[[object], FeeMarket]]
_FEE_HISTORY: _Asking = ("eth_feeHistory", (hex(_FEE_BLOCKS), "latest", [_FEE_PERCENTILE]), codec.fee_market)
_GAS_PRICE: _Asking = ("eth_gasPrice", (), codec.gas_price)
_RECEIPT = "eth_getTransactionReceipt"
_RECEIPT_PATIENCE_S = 1.0
_COUNT = "eth_getTransactionCount"
_COUNT_PATIENCE_S = 5.0


class RpcChain:
    """A ChainReader and ChainWriter over HTTP endpoints in order of preference.

    A read that an endpoint cannot answer goes to the next one. A send goes to all of them, once each: whether to send
    the same bytes again is the sender's decision. `run` compares the endpoints with one another every `compare_every_s`
    and asks for their chain ids every `verify_every_s`. `legacy_fees`: the chain knows one gas price and no base fee.
    Use `async with`, or `open` and `close`. Further `options` are those of EndpointPool.
    """

    name = "rpc"

    def __init__(
        self,
        endpoints: Sequence[RpcEndpoint],
        chain_id: int,
        *,
        meter: Meter,
        log: EventLog,
        batch_limit: int = 500,
        pin_by_hash: bool = True,
        verify_every_s: float = 300.0,
        compare_every_s: float = 1.0,
        legacy_fees: bool = False,
        clock: Clock | None = None,
        **options: Any,
    ) -> None:
        self._pool = EndpointPool(endpoints, chain_id, meter=meter, log=log, **options)
        self._alone = len([endpoint for endpoint in endpoints if not endpoint.write_only]) == 1
        self._fan_out = FanOut()
        self._meter = meter
        self._log = log
        self._batch_limit = batch_limit
        self._pin_by_hash = pin_by_hash
        self._verify_every_s = verify_every_s
        self._compare_every_s = compare_every_s
        self._legacy_fees = legacy_fees
        self._clock = clock or SystemClock()

    async def open(self) -> None:
        await self._pool.open()

    async def close(self) -> None:
        await self._fan_out.close()
        await self._pool.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def run(self) -> None:
        """A service: watches the endpoints. Raises WrongChain when none serves our chain."""
        rounds = max(1, round(self._verify_every_s / self._compare_every_s))
        while True:
            for _ in range(rounds):
                await asyncio.sleep(self._compare_every_s)
                await self.compare()
            await self.verify()

    async def compare(self) -> None:
        """Several endpoints are compared now; a single one is believed."""
        if not self._alone:
            await compare(self._pool, to_seconds(self._clock.now()), self._meter, self._log)

    async def verify(self) -> None:
        """Asks every endpoint for its chain id now; one that is away is asked later.

        Raises WrongChain when no endpoint is usable.
        """
        await self._pool.verify()

    async def chain_id(self) -> int:
        return await self._read("eth_chainId", (), codec.quantity)

    async def head_number(self) -> int:
        """The cheapest question about progress."""
        return await self._read("eth_blockNumber", (), codec.count)

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
            answers += await self._pool.read_many(requests[start : start + self._batch_limit], codec.payload)
        return query.decode(answers)

    async def ask_each(self, calls: Sequence[Call], at: At) -> tuple[bytes | Reverted, ...]:
        """One round trip; a call that its contract refuses is its Reverted, so that it does not hide the others."""
        where = codec.block_param(at, self._pin_by_hash)
        requests: list[Request] = [("eth_call", (codec.call_param(call), where)) for call in calls]
        answers: list[bytes | Reverted] = []
        for start in range(0, len(requests), self._batch_limit):
            answers += await self._pool.read_each(requests[start : start + self._batch_limit])
        return tuple(answers)

    async def logs(self, where: LogFilter, first: int, last: int) -> tuple[Log, ...]:
        found = await self._read("eth_getLogs", (codec.log_param(where, first, last),), codec.logs)
        if found and not first <= found[0].block_number <= found[-1].block_number <= last:
            raise ChainInconsistent(f"asked for logs of blocks {first}…{last}, was given one outside of them")
        return found

    async def simulate(self, call: Call, sender: Address, at: At) -> bytes:
        where = codec.block_param(at, self._pin_by_hash)
        return await self._read("eth_call", (codec.call_param(call, sender), where), codec.payload)

    async def estimate_gas(self, call: Call, sender: Address) -> int:
        return await self._read("eth_estimateGas", (codec.call_param(call, sender),), codec.count)

    async def code(self, account: Address, at: At) -> bytes:
        return await self._read("eth_getCode", (account, codec.block_param(at, self._pin_by_hash)), codec.payload)

    async def balance(self, account: Address, at: At) -> int:
        return await self._read("eth_getBalance", (account, codec.block_param(at, self._pin_by_hash)), codec.quantity)

    async def nonce(self, account: Address, at: At) -> int:
        where = codec.block_param(at, self._pin_by_hash)
        return await self._read("eth_getTransactionCount", (account, where), codec.count)

    async def nonces(self, account: Address) -> Mapping[str, tuple[int, int]]:
        """The latest and the pending nonce as each endpoint tells them that is believed, by its name.

        Raises RpcUnavailable when none does.
        """
        latest, pending = [
            await self._pool.each([(_COUNT, (account, at))], codec.count, _COUNT_PATIENCE_S, suspended=False)
            for at in ("latest", "pending")
        ]
        found = {each.label: (latest[each], pending[each]) for each in latest.keys() & pending.keys()}
        if not found:
            raise RpcUnavailable("no endpoint tells the wallet's nonces")
        return found

    async def receipt(self, tx: Hash) -> Receipt | None:
        """Of several endpoints what most of them tell who have it: one that lags, or has lost its index, is no evidence."""
        told = {} if self._alone else await self._told(tx)
        found = await (agreed(told.values(), self.block) if told else self._read(_RECEIPT, (tx,), codec.receipt))
        if found is not None and found.tx_hash != tx:
            raise ChainInconsistent(f"asked for the receipt of {tx}, was given that of {found.tx_hash}")
        return found

    async def is_seconded(self, found: Receipt) -> bool:
        """Whether no endpoint that can be had, also of those that rest, denies this receipt alone against the one that told it."""
        if self._alone:
            return True
        told = await self._told(found.tx_hash) | await self._told(found.tx_hash, benched=True)
        return is_seconded(found, list(told.values()))

    async def _told(self, tx: Hash, *, benched: bool = False) -> dict[HttpEndpoint, Receipt | None]:
        asked: Request = (_RECEIPT, (tx,))
        return await self._pool.each([asked], codec.receipt, _RECEIPT_PATIENCE_S, suspended=False, benched=benched)

    async def count_of_most(self, account: Address) -> int:
        """The nonce that at least half of those endpoints have come to that answer at once; raised by none of them alone."""
        asked: Request = (_COUNT, (account, "latest"))
        told = await self._pool.each([asked], codec.quantity, _RECEIPT_PATIENCE_S, suspended=False)
        if len(told) < (1 if self._alone else 2):
            raise RpcUnavailable("too few endpoints tell the wallet's nonce at once")
        return sorted(told.values(), reverse=True)[len(told) // 2]

    async def fees(self) -> FeeMarket:
        """Of several endpoints the median: one that asks for a hundred times as much must not set our fees."""
        method, asked, decode = _GAS_PRICE if self._legacy_fees else _FEE_HISTORY
        if not self._alone:
            told = await self._pool.each([(method, asked)], decode, _FEE_PATIENCE_S, suspended=False)
            if told:
                return median_fees(told)
        return await self._read(method, asked, decode)

    async def broadcast(self, raw: bytes) -> Hash:
        """One request to every endpoint at once; returns as soon as one has taken it, else the best answer is raised.

        Those that have just failed are only asked when it comes to that.
        """
        requests: list[Request] = [("eth_sendRawTransaction", ("0x" + raw.hex(),))]
        well, resting = self._pool.writers()
        return await self._fan_out.send(
            [self._sent(endpoint, requests) for endpoint in well],
            lambda: [self._sent(endpoint, requests) for endpoint in resting],
        )

    async def request(self, method: str, params: Sequence[Any]) -> Any:
        """Any method, its result unchecked: for diagnosis and for libraries that sit on this transport."""
        return await self._read(method, params, lambda value: value)

    async def _sent(self, endpoint: HttpEndpoint, requests: Sequence[Request]) -> Hash:
        try:
            return (await self._pool.attempt(endpoint, requests, codec.hash32))[0]
        except WrongChain as error:
            self._pool.writers()  # raises it when no other endpoint is left
            raise RpcUnavailable(str(error)) from None

    async def _read(self, method: str, params: Sequence[Any], decode: Callable[[object], T]) -> T:
        return (await self._pool.read_many([(method, params)], decode))[0]
