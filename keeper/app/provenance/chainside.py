"""What the chain says of one push: receipt, block, events, and the oracle as it stood after that block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keeper.adapters.rpc import RpcChain
from keeper.app.provenance.batches import Batch
from keeper.domain.chain import BlockRef, Receipt
from keeper.domain.events import ProtocolEvent
from keeper.domain.exchange import ChainState
from keeper.errors import KeeperError
from keeper.ports.deployment import Deployment


@dataclass(frozen=True, slots=True)
class ChainFacts:
    """`block` is the one that now has the receipt's number. `trouble`: what could not be asked, by its name."""

    receipt: Receipt | None
    block: BlockRef | None
    events: Sequence[ProtocolEvent]
    state: ChainState | None
    trouble: dict[str, str]


async def facts(chain: RpcChain | None, batch: Batch) -> ChainFacts:
    """Never raises for a chain that cannot be asked: that is one of the facts."""
    trouble: dict[str, str] = {}
    if chain is None or batch.tx_hash is None or batch.deployment is None:
        reason = "no chain to ask" if chain is None else "no transaction is known"
        return ChainFacts(None, None, (), None, {"receipt": reason})
    receipt = block = state = None
    events: list[ProtocolEvent] = []
    try:
        receipt = await chain.receipt(batch.tx_hash)
        if receipt is not None:
            block = await chain.block(receipt.block_number)
            events = [event for log in receipt.logs for event in batch.deployment.protocol.decode_log(log)]
    except KeeperError as error:
        trouble["receipt"] = str(error)
    if block is not None and batch.seen is not None:
        try:
            state = await _state(chain, batch.deployment, block, batch)
        except KeeperError as error:
            trouble["state"] = f"the node does not tell the state after block {block.number}: {error}"
    return ChainFacts(receipt, block, events, state, trouble)


async def _state(chain: RpcChain, deployment: Deployment, block: BlockRef, batch: Batch) -> ChainState:
    """After the block; before it, if the signers changed within."""
    assert batch.seen is not None
    numbers = [entry.market_no for entry in batch.seen.report.prices]
    state = await chain.ask(deployment.protocol.state(block, numbers), block)
    if state.oracle.signer_epoch != batch.seen.report.signer_epoch:
        parent = await chain.block(block.number - 1)
        if parent is not None:
            before = await chain.ask(deployment.protocol.state(parent, numbers), parent)
            if before.oracle.signer_epoch == batch.seen.report.signer_epoch:
                return before
    return state
