"""EIP-1559 transactions, type 0x02 (https://eips.ethereum.org/EIPS/eip-1559, https://eips.ethereum.org/EIPS/eip-2718)."""

from __future__ import annotations

from keeper.adapters.encoding.rlp import rlp_bytes, rlp_int, rlp_list
from keeper.domain.chain import Call
from keeper.ports.signer import UnsignedTransaction

_TYPE = b"\x02"
_NO_ACCESS_LIST = b"\xc0"
_ADDRESS_SIZE = 20
_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
"""Half of secp256k1's group order: a greater `s` is refused by nodes (EIP-2)."""


def fields(transaction: UnsignedTransaction) -> bytes:
    """The nine unsigned fields, encoded and joined: what both forms share.

    Raises ValueError for a `to` that is not 20 bytes, OverflowError for a negative number.
    """
    call = transaction.call
    return b"".join(
        (
            rlp_int(transaction.chain_id),
            rlp_int(transaction.nonce),
            rlp_int(transaction.tip_wei),
            rlp_int(transaction.max_fee_wei),
            rlp_int(transaction.gas_limit),
            rlp_bytes(to_of(call)),
            rlp_int(call.value_wei),
            rlp_bytes(call.data),
            _NO_ACCESS_LIST,
        )
    )


def to_of(call: Call) -> bytes:
    """Raises ValueError unless it is 20 bytes."""
    to = bytes.fromhex(call.to[2:])
    if len(to) != _ADDRESS_SIZE:
        raise ValueError(f"{call.to!r} is not an address")
    return to


def require_canonical(parity: int, s: int) -> None:
    """Raises ValueError for what nodes refuse."""
    if parity not in (0, 1) or not 0 < s <= _HALF_ORDER:
        raise ValueError("not a canonical signature")


def signing_payload(unsigned_fields: bytes) -> bytes:
    """What is hashed and signed."""
    return _TYPE + rlp_list(unsigned_fields)


def raw_transaction(unsigned_fields: bytes, parity: int, r: int, s: int) -> bytes:
    """What is broadcast. Raises ValueError for a parity other than 0 or 1, or an `s` in the upper half of the order."""
    require_canonical(parity, s)
    return _TYPE + rlp_list(unsigned_fields + rlp_int(parity) + rlp_int(r) + rlp_int(s))
