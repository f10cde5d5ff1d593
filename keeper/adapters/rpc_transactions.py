"""A transaction as a node shows it, hashed again from its parts: a node cannot show another calldata under the same hash."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keeper.adapters import rpc_codec as codec
from keeper.adapters.encoding.keccak import keccak
from keeper.adapters.encoding.legacy_transaction import legacy_fields, legacy_raw_transaction
from keeper.adapters.encoding.transaction import fields, raw_transaction
from keeper.adapters.rpc import RpcChain
from keeper.domain.chain import Call, SeenTransaction
from keeper.domain.ids import Hash
from keeper.errors import ChainInconsistent
from keeper.ports.signer import UnsignedTransaction

_DYNAMIC, _LEGACY = 2, 0
_V_OFFSET = 35
"""https://eips.ethereum.org/EIPS/eip-155"""


async def transaction(chain: RpcChain, hash_: Hash) -> SeenTransaction | None:
    """None when no endpoint knows it. Raises ChainInconsistent for what is no transaction."""
    raw = await chain.request("eth_getTransactionByHash", (hash_,))
    try:
        return None if raw is None else seen_transaction(raw)
    except codec.Malformed as error:
        raise ChainInconsistent(f"{hash_}: {error}") from None


def seen_transaction(raw: object) -> SeenTransaction:
    """Raises Malformed."""
    if not isinstance(raw, Mapping) or raw.get("to") is None:
        raise codec.Malformed("not a transaction that calls a contract")
    call = Call(codec.address20(raw["to"]), codec.payload(raw.get("input")), codec.quantity(raw.get("value", "0x0")))
    number = raw.get("blockNumber")
    return SeenTransaction(
        codec.hash32(raw.get("hash")),
        codec.address20(raw.get("from")),
        call,
        codec.quantity(raw.get("nonce")),
        None if number is None else codec.quantity(number),
        _rehashed(raw, call),
    )


def _rehashed(raw: Mapping[str, Any], call: Call) -> Hash | None:
    kind = codec.quantity(raw.get("type", "0x0"))
    v, r, s = (codec.quantity(raw.get(name)) for name in ("v", "r", "s"))
    try:
        if kind == _DYNAMIC and not raw.get("accessList"):
            unsigned = _unsigned(raw, call, codec.quantity(raw.get("chainId")), "maxFeePerGas")
            encoded = raw_transaction(fields(unsigned), v, r, s)
        elif kind == _LEGACY and v >= _V_OFFSET:
            chain_id, parity = divmod(v - _V_OFFSET, 2)
            unsigned = _unsigned(raw, call, chain_id, "gasPrice")
            encoded = legacy_raw_transaction(legacy_fields(unsigned), chain_id, parity, r, s)
        else:
            return None
    except (ValueError, OverflowError):
        return Hash("0x")  # nothing hashes to this: what it shows was never a transaction
    return Hash("0x" + keccak(encoded).hex())


def _unsigned(raw: Mapping[str, Any], call: Call, chain_id: int, fee: str) -> UnsignedTransaction:
    nonce, gas, price = (codec.quantity(raw.get(name)) for name in ("nonce", "gas", fee))
    tip = codec.quantity(raw.get("maxPriorityFeePerGas", "0x0"))
    return UnsignedTransaction(chain_id, nonce, call, gas, price, tip, legacy=fee == "gasPrice")
