"""Pooled transactions in the shapes of go-ethereum's JSON-RPC: internal/ethapi/api.go, `newRPCTransaction`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eth_utils.address import to_checksum_address

from keeper.devnet.simulator.envelope import Envelope
from keeper.devnet.simulator.pool import Pool

Shown = dict[str, Any]


def transaction(tx: Envelope) -> Shown:
    """As eth_getTransactionByHash shows one that is in no block."""
    v, r, s = tx.signature
    shown = {
        "blockHash": None,
        "blockNumber": None,
        "transactionIndex": None,
        "from": tx.sender,
        "to": tx.to,
        "hash": tx.hash,
        "input": "0x" + tx.data.hex(),
        "gas": hex(tx.gas),
        "gasPrice": hex(tx.cap),
        "nonce": hex(tx.nonce),
        "value": hex(tx.value),
        "type": hex(tx.kind),
        "chainId": None if tx.chain_id is None else hex(tx.chain_id),
        "v": hex(v),
        "r": hex(r),
        "s": hex(s),
    }
    return shown | _typed(tx)


def _typed(tx: Envelope) -> Shown:
    if tx.kind == 0:
        return {}
    listed = [{"address": place, "storageKeys": list(keys)} for place, keys in tx.access_list]
    fees = {"maxFeePerGas": hex(tx.cap), "maxPriorityFeePerGas": hex(tx.tip)} if tx.kind == 2 else {}
    return {"accessList": listed, "yParity": hex(tx.signature[0])} | fees


def status(pool: Pool) -> Shown:
    """txpool_status"""
    return {"pending": hex(_count(pool.pending())), "queued": hex(_count(pool.queued()))}


def content(pool: Pool) -> Shown:
    """txpool_content"""
    return {"pending": _by_sender(pool.pending()), "queued": _by_sender(pool.queued())}


def content_from(pool: Pool, sender: str) -> Shown:
    """txpool_contentFrom"""
    found = {"pending": pool.pending(), "queued": pool.queued()}
    return {name: _by_nonce(shelf.get(sender.lower(), [])) for name, shelf in found.items()}


def _count(shelf: Mapping[str, list[Envelope]]) -> int:
    return sum(map(len, shelf.values()))


def _by_sender(shelf: Mapping[str, list[Envelope]]) -> Shown:
    return {to_checksum_address(sender): _by_nonce(txs) for sender, txs in shelf.items()}


def _by_nonce(txs: list[Envelope]) -> Shown:
    return {str(tx.nonce): transaction(tx) for tx in txs}
