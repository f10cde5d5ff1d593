"""The last blocks are replaced by others: what becomes of their transactions is the caller's choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from keeper.devnet.simulator.chain import Chain
from keeper.devnet.simulator.envelope import Envelope


class Fate(StrEnum):
    """Of a transaction whose block is gone."""

    POOLED = "back in the mempool, where go-ethereum puts what the new branch lacks"
    MINED = "in the block that stands in the place of its old one"
    LOST = "in no block and in no mempool"


@dataclass(frozen=True, slots=True)
class Displaced:
    """A transaction and the index of its block among those that went."""

    tx: Envelope
    index: int


async def reorg(chain: Chain, depth: int, fate: Fate = Fate.POOLED, fates: Mapping[str, Fate] | None = None) -> None:
    """Same height, other hashes. `fates` by hash where one shall differ from `fate`.

    Transactions that went into anvil past the pool (eth_sendTransaction) are lost: nobody has their signed bytes.
    """
    own = fates or {}
    async with chain.turn:
        displaced = await _displaced(chain, depth)
        meant = [(each, own.get(each.tx.hash, fate)) for each in displaced]
        kept = [("0x" + each.tx.raw.hex(), each.index) for each, becomes in meant if becomes is Fate.MINED]
        await chain.replace(depth, kept, [each.tx for each, becomes in meant if becomes is Fate.POOLED])


async def _displaced(chain: Chain, depth: int) -> list[Displaced]:
    head = int(await chain.rpc.call("eth_blockNumber"), 16)
    found = []
    for index in range(depth):
        block = await chain.rpc.call("eth_getBlockByNumber", hex(head - depth + 1 + index), False)
        found += [Displaced(chain.known[each], index) for each in block["transactions"] if each in chain.known]
    return found
