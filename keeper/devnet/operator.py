"""The exchange's operator: brings the engine's matches on chain, and sells what the insurance fund had to take over.

A batch is tried with eth_call first; a trade that the contract rejects is dropped and the rest tried again, so that one
bad account never holds up the others.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from eth_abi.abi import decode
from eth_utils.crypto import keccak

from keeper.devnet.demo.wallet import Wallet, revert_data
from keeper.devnet.engine import BUY, SELL, Fill, MatchingEngine, Side
from keeper.devnet.jsonrpc import JsonRpc
from keeper.devnet.verify.abi import contract
from keeper.domain.time import SECOND
from keeper.errors import RpcError
from keeper.ports.clock import Clock

CHUNK = 64
"""Most trades that `settleTrades` takes."""
GAS_PER_TRADE, GAS_BASE = 400_000, 100_000
GAS_LIMIT = 24_000_000
ATTEMPTS = 3
REST_S = 0.5
"""Before a boundary: a trade that is sent earlier is in a block before it."""
REJECTIONS = ("", "parties", "size", "stale", "band", "small", "markets", "max_notional", "max_oi", "margin", "engine")
_TRADE_REJECTED = keccak(text="TradeRejected(uint256,uint8)")[:4]


@dataclass(frozen=True, slots=True)
class Match:
    """A fill of one market's engine, on its way to the chain."""

    market_no: int
    fill: Fill


@dataclass(slots=True)
class OperatorCounts:
    settled: int = 0
    batches: int = 0
    reverted: int = 0
    rejected: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Rest:
    """No trades from just before each multiple of `interval_s` until `after_s` past it: any trade would settle the funding
    that is the keeper's to settle.
    """

    clock: Clock
    interval_s: int
    before_s: float = REST_S
    after_s: float = 2.5

    def left_s(self) -> float:
        """Seconds until trades go on; 0 outside of a rest."""
        into = self.clock.now() / SECOND % self.interval_s
        if into < self.after_s:
            return self.after_s - into
        return self.interval_s - into + self.after_s if self.interval_s - into < self.before_s else 0.0


class Operator:
    """Give it fills with `submit`; `run` settles them, oldest first, and rests at funding boundaries if told to."""

    def __init__(self, rpc: JsonRpc, wallet: Wallet, exchange: str, rest: Rest | None = None) -> None:
        self._rpc, self._wallet, self._exchange, self._rest = rpc, wallet, exchange, rest
        self._waiting: deque[Match] = deque()
        self._wake = asyncio.Event()
        self.counts = OperatorCounts()

    def submit(self, market_no: int, fills: Sequence[Fill]) -> None:
        self._waiting.extend(Match(market_no, fill) for fill in fills)
        if fills:
            self._wake.set()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def unsettled(self, account: str, market_no: int) -> int:
        """Signed size that the account's waiting fills will add."""
        total = 0
        for match in self._waiting:
            if match.market_no == market_no:
                delta = match.fill.taker_delta_e18
                total += delta * (match.fill.taker == account) - delta * (match.fill.maker == account)
        return total

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                if self._rest is not None:
                    await asyncio.sleep(self._rest.left_s())
                await self.settle_some()

    async def settle_some(self) -> None:
        """One chunk. What was mined, or given up, leaves the queue only then: `unsettled` stays true meanwhile."""
        chunk = list(self._waiting)[:CHUNK]
        kept = chunk
        try:
            for _ in range(ATTEMPTS):
                kept = await self._acceptable(kept)
                if not kept or await self._settle(kept):
                    break
            else:
                self.counts.rejected["unsettled"] += len(kept)
        except (aiohttp.ClientError, TimeoutError, RpcError):
            self.counts.rejected["no_answer"] += len(kept)
        for _ in chunk:
            self._waiting.popleft()

    async def _acceptable(self, matches: Sequence[Match]) -> list[Match]:
        """What is left when everything is dropped that the contract would reject now."""
        left = list(matches)
        while left:
            call = {"from": self._wallet.address, "to": self._exchange, "data": self._call_data(left)}
            try:
                await self._rpc.call("eth_call", call, "latest")
            except RpcError as error:
                place, reason = rejected_trade(revert_data(error))
                if place is None or place >= len(left):
                    self.counts.rejected[reason] += len(left)
                    return []
                self.counts.rejected[reason] += 1
                del left[place]
            else:
                return left
        return left

    async def _settle(self, matches: Sequence[Match]) -> bool:
        gas = min(GAS_LIMIT, GAS_BASE + GAS_PER_TRADE * len(matches))
        receipt = await self._wallet.send(self._exchange, self._call_data(matches), gas)
        mined = int(receipt["status"], 16) == 1
        self.counts.batches += 1
        self.counts.settled += len(matches) * mined
        self.counts.reverted += not mined
        return mined

    @staticmethod
    def _call_data(matches: Sequence[Match]) -> str:
        trades = [(m.fill.maker, m.fill.taker, m.market_no, m.fill.taker_delta_e18, m.fill.price_e18) for m in matches]
        return contract("PerpExchange").call_data("settleTrades", trades)


def rejected_trade(data: bytes) -> tuple[int | None, str]:
    """(place in the batch, reason) of a TradeRejected; no place for any other revert, which concerns the whole batch."""
    if data[:4] != _TRADE_REJECTED:
        return None, "0x" + data[:4].hex() if data else "no_reason"
    place, reason = decode(["uint256", "uint8"], data[4:])
    return place, REJECTIONS[reason] if reason < len(REJECTIONS) else str(reason)


class InventoryDesk:
    """Sells the ENGINE account's positions back into the book: as maker, only reducing, only while the fund is whole."""

    def __init__(
        self, exchange: str, engines: Mapping[int, MatchingEngine], operator: Operator, clip_notional_units: int
    ) -> None:
        self._exchange, self._engines, self._operator = exchange, engines, operator
        self._clip = clip_notional_units

    def quote(self, engine_account: Mapping[str, Any] | None) -> None:
        """Renews its orders from the lens' view of the account; without one, or under water, it takes them back."""
        for engine in self._engines.values():
            engine.cancel_all(self._exchange)
        if engine_account is None or engine_account["equity"] <= 0:
            return
        for position in engine_account["positions"]:
            self._offer(position["marketId"], position["size"])

    def _offer(self, market_no: int, size_e18: int) -> None:
        engine = self._engines[market_no]
        left = size_e18 + self._operator.unsettled(self._exchange, market_no)
        side: Side = SELL if size_e18 > 0 else BUY
        front = engine.best(side)
        if left * size_e18 <= 0 or front is None:
            return
        most = engine.round_size(self._clip * 10**30 // front)
        size = min(engine.round_size(abs(left)), max(most, 0))
        if size and engine.post(self._exchange, side, size, front + side * engine.tick_e18) is None:
            engine.post(self._exchange, side, size, front)
