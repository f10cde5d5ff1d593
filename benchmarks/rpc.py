"""One read and one send on loopback: the keeper's transport against AsyncWeb3 as it comes.

    python -m benchmarks.rpc

Both sides take turns against one anvil. What each costs in HTTP requests is counted at a proxy, in calls of their own, so
that the counting does not slow the timed ones. Goals: exactly one request per call, and reads at least 10 times as fast.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import aiohttp
from aiohttp import web
from web3 import AsyncHTTPProvider, AsyncWeb3

from benchmarks.figures import machine, quantile, verdict
from keeper.adapters.rpc import RpcChain
from keeper.adapters.rpc_http import RpcEndpoint
from keeper.adapters.signers.curve import signing_key
from keeper.adapters.signers.key_signer import KeySigner
from keeper.devnet.jsonrpc import JsonRpc
from keeper.devnet.node import AnvilNode, NodeOptions
from keeper.domain.chain import Call, Query
from keeper.domain.ids import address
from keeper.ports.signer import UnsignedTransaction

CHAIN_ID, PER_TURN, READ_TURNS, SEND_TURNS, COUNTED, GOAL = 31337, 10, 40, 15, 10, 10.0
ECHO = address("0x" + "00" * 19 + "04")
"""The identity precompile: an eth_call that costs the node next to nothing."""
WORD = bytes(range(32))
SINK = address("0x" + "5e" * 20)


class Silent:
    """A Meter and an EventLog that nobody reads."""

    def count(self, name: str, amount: float = 1, **labels: str) -> None: ...

    def gauge(self, name: str, value: float, **labels: str) -> None: ...

    def observe(self, name: str, value: float, **labels: str) -> None: ...

    def debug(self, event: str, **keys: object) -> None: ...

    info = warning = error = exception = critical = debug


class Counter:
    """Passes requests on and counts them."""

    def __init__(self, upstream: str, session: aiohttp.ClientSession) -> None:
        self._upstream = upstream
        self._session = session
        self.posts = 0

    async def handle(self, request: web.Request) -> web.Response:
        self.posts += 1
        headers = {"Content-Type": "application/json"}
        async with self._session.post(self._upstream, data=await request.read(), headers=headers) as answer:
            return web.Response(body=await answer.read(), content_type="application/json")


class Own:
    def __init__(self, chain: RpcChain) -> None:
        self._chain = chain

    async def read(self) -> bytes:
        return (await self._chain.ask(Query((Call(ECHO, WORD),), list), "latest"))[0]

    async def send(self, raw: bytes) -> str:
        return await self._chain.broadcast(raw)


class Library:
    def __init__(self, url: str) -> None:
        self.w3 = AsyncWeb3(AsyncHTTPProvider(url))

    async def read(self) -> bytes:
        return bytes(await self.w3.eth.call({"to": self.w3.to_checksum_address(ECHO), "data": WORD}))

    async def send(self, raw: bytes) -> str:
        return (await self.w3.eth.send_raw_transaction(raw)).to_0x_hex()


class Side(Protocol):
    async def read(self) -> bytes: ...

    async def send(self, raw: bytes) -> str: ...


Sides = tuple[Side, Side]


class Signed:
    """Transactions of one account, ready to be sent in order."""

    def __init__(self, seed: int) -> None:
        key = signing_key(bytes([seed]) * 32)
        if key is None:
            raise SystemExit("not a key")
        self._signer = KeySigner(key, CHAIN_ID)
        self.address = key.address
        self._nonce = 0

    async def next(self) -> bytes:
        call = Call(SINK, b"", 1, 21_000)
        unsigned = UnsignedTransaction(CHAIN_ID, self._nonce, call, 21_000, 10**11, 10**9)
        self._nonce += 1
        return (await self._signer.sign_transaction(unsigned)).raw


@dataclass
class Times:
    """Of one side: seconds of every call, and of each turn the median and the CPU seconds a call."""

    calls: list[float] = field(default_factory=list)
    medians: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @property
    def quietest(self) -> float:
        """Of all turns the one that others disturbed least: machines are shared."""
        return min(self.medians)


async def turn(times: Times, acts: Sequence[Callable[[], Awaitable[object]]]) -> None:
    cpu_s, calls = time.process_time(), []
    for act in acts:
        started = time.perf_counter()
        await act()
        calls.append(time.perf_counter() - started)
    times.cpu.append((time.process_time() - cpu_s) / len(calls))
    times.medians.append(statistics.median(calls))
    times.calls += calls


async def reads(both: Sides, turns: int) -> tuple[Times, Times]:
    for side in both:
        if await side.read() != WORD:
            raise SystemExit("a read answers something else")
    times = Times(), Times()
    for _ in range(turns):
        for side, found in zip(both, times, strict=True):
            await turn(found, [side.read] * PER_TURN)
    return times


async def sends(both: Sides, accounts: tuple[Signed, Signed], turns: int) -> tuple[Times, Times]:
    times = Times(), Times()
    for _ in range(turns):
        for side, account, found in zip(both, accounts, times, strict=True):
            await turn(found, [partial(side.send, await account.next()) for _ in range(PER_TURN)])
    return times


@asynccontextmanager
async def counting(upstream: str) -> AsyncIterator[tuple[Counter, str]]:
    async with aiohttp.ClientSession() as session:
        counter = Counter(upstream, session)
        app = web.Application()
        app.router.add_post("/", counter.handle)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield counter, f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


@asynccontextmanager
async def sides(url: str) -> AsyncIterator[Sides]:
    silent, library = Silent(), Library(url)
    async with RpcChain([RpcEndpoint(url)], CHAIN_ID, meter=silent, log=silent) as chain:
        await chain.verify()
        try:
            yield Own(chain), library
        finally:
            await library.w3.provider.disconnect()


async def count_requests(url: str, accounts: tuple[Signed, Signed]) -> list[float]:
    """Requests per call: our read, web3's read, our send, web3's send."""
    found = []
    async with counting(url) as (counter, proxy), sides(proxy) as both:
        for act in ("read", "send"):
            for side, account in zip(both, accounts, strict=True):
                before = counter.posts
                for _ in range(COUNTED):
                    await (side.send(await account.next()) if act == "send" else side.read())
                found.append((counter.posts - before) / COUNTED)
    return found


def _line(name: str, times: tuple[Times, Times], requests: list[float]) -> float:
    words = [f"{name:6}"]
    for side, posts in zip(times, requests, strict=True):
        figures = (side.quietest, quantile(side.calls, 0.99), min(side.cpu))
        words.append("".join(f"{1e6 * figure:9.0f}" for figure in figures) + f"{posts:7.1f}   ")
    ratio = times[1].quietest / times[0].quietest
    print("".join(words) + f"{ratio:6.1f}x{min(times[1].cpu) / min(times[0].cpu):8.1f}x")
    return ratio


async def compare() -> None:
    accounts = Signed(1), Signed(2)
    async with AnvilNode(NodeOptions(base_fee_wei=0)) as node, sides(node.url) as both:
        async with aiohttp.ClientSession() as session:
            for account in accounts:
                await JsonRpc(session, node.url).call("anvil_setBalance", account.address, hex(10**20))
        counted = await count_requests(node.url, accounts)
        await reads(both, 1)
        read = await reads(both, READ_TURNS)
        sent = await sends(both, accounts, SEND_TURNS)
    print(
        f"µs; {PER_TURN} calls a turn, median of the quietest of {READ_TURNS} (reads) and {SEND_TURNS} (sends); {machine()}"
    )
    side = f"{'median':>9}{'p99':>9}{'CPU':>9}{'posts':>7}   "
    print(f"{'':6}{'keeper':^37}{'AsyncWeb3':^37}{'ratio':>7}{'of CPU':>9}")
    print(f"{'':6}{side}{side}")
    ratio = _line("read", read, counted[:2])
    _line("send", sent, counted[2:])
    print(verdict(counted[0] == counted[2] == 1, "exactly one request per call", f"{counted[0]:g} and {counted[2]:g}"))
    print(verdict(ratio >= GOAL, f">= {GOAL:.0f}x for a read", f"{ratio:.1f}x"))


def main() -> None:
    asyncio.run(compare())


if __name__ == "__main__":
    main()
