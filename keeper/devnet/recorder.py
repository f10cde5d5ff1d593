"""Writes down what the world did during a run, independently of the keeper: the input of `keeper.devnet.verify`.

What changes while nobody keeps it (block arrival times, the keeper's status, the own book) is written as it happens; what the
world keeps by itself (the venues' tapes, the hidden market's path, the chain) is written at the end.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import aiohttp

from keeper.devnet.jsonrpc import JsonRpc, Request
from keeper.devnet.verify.abi import contract
from keeper.errors import RpcError
from keeper.ports.clock import Clock

BLOCK_POLL_S, STATUS_POLL_S = 0.05, 0.25
MOST_UNSEEN = 8
"""Blocks looked back for at a time: more than a reorganisation of the storm takes back."""
CALLS_AT_ONCE = 40
SAMPLE_BLOCKS = 5
"""Every so many blocks each account is read whole; the totals and the liquidatable bits at every block."""


class Recorder:
    """One run's directory. `latest_status` is the keeper's last word, for the table."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self.directory, self._clock = directory, clock
        self._files: dict[str, IO[str]] = {}
        self.seen_ns: dict[int, int] = {}
        self._hashes: dict[int, str] = {}
        self.latest_status: Mapping[str, Any] = {}
        self.head: int = 0

    def write(self, name: str, record: Mapping[str, Any]) -> None:
        """One line of `name`.jsonl."""
        if name not in self._files:
            self._files[name] = (self.directory / f"{name}.jsonl").open("a", encoding="utf-8")
        self._files[name].write(json.dumps(record, separators=(",", ":")) + "\n")

    def note(self, name: str, **record: Any) -> None:
        """One line with the time in front."""
        self.write(name, {"t": self._clock.now(), **record})

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()

    async def watch_blocks(self, rpc: JsonRpc) -> None:
        """Notes when each block was first seen, also those that a reorganisation takes back later."""
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):
                await self.look(rpc)
            await asyncio.sleep(BLOCK_POLL_S)

    async def look(self, rpc: JsonRpc) -> None:
        """Notes the blocks that are new. What appears together with a later one was seen with it."""
        block = await rpc.call("eth_getBlockByNumber", "latest", False)
        now, least = self._clock.now(), int(block["number"], 16) - MOST_UNSEEN
        self.head = int(block["number"], 16)
        while block is not None and self._hashes.get(number := int(block["number"], 16)) != block["hash"]:
            self._hashes[number], self.seen_ns[number] = block["hash"], now
            self.write("seen", {"t": now, "number": number, "hash": block["hash"]})
            if number <= max(0, least):
                break
            block = await rpc.call("eth_getBlockByNumber", hex(number - 1), False)

    async def watch_status(self, session: aiohttp.ClientSession, url: str) -> None:
        """The keeper's own words, four times a second; silence leaves the last ones standing for the table only."""
        while True:
            with suppress(aiohttp.ClientError, TimeoutError, ValueError):
                async with session.get(url, timeout=aiohttp.ClientTimeout(2)) as answer:
                    self.latest_status = await answer.json(content_type=None)
                    self.note("status", status=self.latest_status)
            await asyncio.sleep(STATUS_POLL_S)

    def save_tape(self, venue: str, symbol: str, sent: Iterable[Any]) -> None:
        """Every ticker that a venue sent: records with `sent_at`, `bid`, `ask`, `last`, `via`."""
        for tick in sent:
            prices = {"bid": str(tick.bid), "ask": str(tick.ask), "last": str(tick.last)}
            self.write("tape", {"t": tick.sent_at, "venue": venue, "symbol": symbol, **prices, "via": tick.via})

    def save_path(self, asset: str, path: Iterable[tuple[int, float]]) -> None:
        """The hidden truth, in USD."""
        for at, price in path:
            self.write("hidden", {"t": at, "asset": asset, "usd": price})

    async def save_chain(self, rpc: JsonRpc, addresses: Mapping[str, str], first: int, last: int) -> Sequence[str]:
        """Blocks, logs and archive views of first…last. `addresses` has token, oracle, exchange and lens.

        The answer are all registered accounts, in the exchange's order: that of the liquidatable bits.
        """
        await self._save_blocks(rpc, first, last)
        pushed = await self._save_logs(rpc, addresses, first, last)
        await self._save_pushes(rpc, pushed)
        await self._save_transactions(rpc, first, last)
        page = contract("PerpExchange").call_data("accountsPage", 0, 1000)
        raw = await rpc.call("eth_call", {"to": addresses["exchange"], "data": page}, hex(last))
        accounts: list[str] = contract("PerpExchange").result("accountsPage", raw)
        await self._save_views(rpc, addresses, accounts, first, last)
        return accounts

    async def _save_blocks(self, rpc: JsonRpc, first: int, last: int) -> None:
        numbers = range(first, last + 1)
        headers = await _answers(rpc, [("eth_getBlockByNumber", [hex(number), False]) for number in numbers])
        for number, header in zip(numbers, headers, strict=True):
            record = {
                "number": number,
                "hash": header["hash"],
                "timestamp": int(header["timestamp"], 16),
                "gas_used": int(header["gasUsed"], 16),
            }
            self.write("blocks", {**record, "seen_ns": self.seen_ns.get(number)})

    async def _save_logs(self, rpc: JsonRpc, addresses: Mapping[str, str], first: int, last: int) -> list[str]:
        """The answer are the transactions that pushed prices, each once."""
        where = {
            "address": [addresses["oracle"], addresses["exchange"]],
            "fromBlock": hex(first),
            "toBlock": hex(last),
        }
        pushed: dict[str, None] = {}
        for log in await rpc.call("eth_getLogs", where):
            record = {"block": int(log["blockNumber"], 16), "index": int(log["logIndex"], 16)}
            place = {"tx": log["transactionHash"], "address": log["address"].lower()}
            self.write("logs", {**record, **place, "topics": log["topics"], "data": log["data"]})
            if log["address"].lower() == addresses["oracle"]:
                pushed[log["transactionHash"]] = None
        return list(pushed)

    async def _save_pushes(self, rpc: JsonRpc, transactions: Sequence[str]) -> None:
        for found in await _answers(rpc, [("eth_getTransactionByHash", [tx]) for tx in transactions]):
            self.write("pushes", {"tx": found["hash"], "from": found["from"].lower(), "input": found["input"]})

    async def _save_transactions(self, rpc: JsonRpc, first: int, last: int) -> None:
        blocks = await _answers(rpc, [("eth_getBlockReceipts", [hex(n)]) for n in range(first, last + 1)])
        for receipt in (receipt for block in blocks for receipt in block or ()):
            record = {"tx": receipt["transactionHash"], "from": receipt["from"].lower(), "to": receipt["to"]}
            numbers = {key: int(receipt[key], 16) for key in ("blockNumber", "status", "gasUsed")}
            self.write("transactions", {**record, **numbers})

    async def _save_views(
        self, rpc: JsonRpc, addresses: Mapping[str, str], accounts: Sequence[str], first: int, last: int
    ) -> None:
        every = {
            "totals": (addresses["exchange"], contract("PerpExchange").call_data("totals")),
            "balance": (addresses["token"], contract("QuoteToken").call_data("balanceOf", addresses["exchange"])),
            "liquidatable": (addresses["lens"], contract("PerpLens").call_data("liquidatable", accounts)),
        }
        sampled = {"accounts": (addresses["lens"], contract("PerpLens").call_data("getAccounts", accounts))}
        wanted = [
            (number, name, to, data)
            for number in range(first, last + 1)
            for name, (to, data) in {**every, **(sampled if is_sampled(number, last) else {})}.items()
        ]
        requests: list[Request] = [("eth_call", [{"to": to, "data": d}, hex(number)]) for number, _, to, d in wanted]
        answers = await _answers(rpc, requests, tolerant=True)
        for (number, name, _, _), answer in zip(wanted, answers, strict=True):
            if answer is not None and answer != "0x":
                self.write("views", {"block": number, "name": name, "data": answer})


def is_sampled(number: int, last: int) -> bool:
    return number % SAMPLE_BLOCKS == 0 or number == last


async def _answers(rpc: JsonRpc, requests: Sequence[Request], tolerant: bool = False) -> list[Any]:
    """In order, some at once. A refusal is None where tolerated: before the first block of the contracts there are none."""
    found: list[Any] = []
    for start in range(0, len(requests), CALLS_AT_ONCE):
        found += await rpc.batch(requests[start : start + CALLS_AT_ONCE])
    refused = next((answer for answer in found if isinstance(answer, RpcError)), None)
    if refused is not None and not tolerant:
        raise refused
    return [None if isinstance(answer, RpcError) else answer for answer in found]
