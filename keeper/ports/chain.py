"""Reading and writing one chain. Every read names its block."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol, TypeVar

from keeper.domain.chain import At, BlockRef, Call, FeeMarket, Log, LogFilter, Query, Receipt
from keeper.domain.ids import Address, Hash
from keeper.errors import Reverted

T = TypeVar("T")


class ChainReader(Protocol):
    """All verbs raise RpcUnavailable (transient), RpcError (the node refused) or Reverted (`ask`, `simulate`, `estimate_gas`)."""

    async def chain_id(self) -> int: ...

    async def head(self) -> BlockRef: ...

    async def block(self, number: int) -> BlockRef | None: ...

    async def ask(self, query: Query[T], at: At) -> T:
        """One round trip: a JSON-RPC batch of eth_call where there are several calls. Raises AbiMismatch."""
        ...

    async def ask_each(self, calls: Sequence[Call], at: At) -> tuple[bytes | Reverted, ...]:
        """One round trip, in the order of `calls`; one that its contract refuses is its Reverted."""
        ...

    async def logs(self, where: LogFilter, first: int, last: int) -> tuple[Log, ...]:
        """Logs of blocks first…last, in order. Raises RpcError or RpcUnavailable when the node finds the range too wide."""
        ...

    async def simulate(self, call: Call, sender: Address, at: At) -> bytes: ...

    async def estimate_gas(self, call: Call, sender: Address) -> int: ...

    async def code(self, account: Address, at: At) -> bytes: ...

    async def balance(self, account: Address, at: At) -> int: ...


class ChainWriter(Protocol):
    async def broadcast(self, raw: bytes) -> Hash:
        """Hands a signed transaction to the node. RpcError when refused; RpcUnavailable means: outcome unknown."""
        ...

    async def receipt(self, tx: Hash) -> Receipt | None:
        """None: no endpoint knows one. Raises ChainInconsistent while they contradict one another."""
        ...

    async def is_seconded(self, found: Receipt) -> bool:
        """Whether a receipt is more than the word of one endpoint against others."""
        ...

    async def nonce(self, account: Address, at: At) -> int: ...

    async def count_of_most(self, account: Address) -> int:
        """The latest nonce that at least half of the endpoints have come to. Raises RpcUnavailable where only one tells it."""
        ...

    async def fees(self) -> FeeMarket: ...


class PageOfLogs(Protocol):
    """All matching logs of a run of blocks that ends with `last`, in order."""

    @property
    def last(self) -> int: ...

    @property
    def logs(self) -> tuple[Log, ...]: ...


Pages = Callable[[LogFilter, int, int], AsyncIterator[PageOfLogs]]
"""Pages of blocks first…last without gap or overlap, as large as the node allows."""
