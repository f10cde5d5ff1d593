"""Transactions with one gas price, for chains without EIP-1559, bound to their chain by EIP-155.

https://eips.ethereum.org/EIPS/eip-155
"""

from __future__ import annotations

from keeper.adapters.encoding.rlp import rlp_bytes, rlp_int, rlp_list
from keeper.adapters.encoding.transaction import require_canonical, to_of
from keeper.ports.signer import UnsignedTransaction

_V_OFFSET = 35


def legacy_fields(transaction: UnsignedTransaction) -> bytes:
    """The six unsigned fields, encoded and joined; the gas price is `max_fee_wei`.

    Raises ValueError for a `to` that is not 20 bytes, OverflowError for a negative number.
    """
    call = transaction.call
    return b"".join(
        (
            rlp_int(transaction.nonce),
            rlp_int(transaction.max_fee_wei),
            rlp_int(transaction.gas_limit),
            rlp_bytes(to_of(call)),
            rlp_int(call.value_wei),
            rlp_bytes(call.data),
        )
    )


def legacy_signing_payload(unsigned_fields: bytes, chain_id: int) -> bytes:
    """What is hashed and signed."""
    return rlp_list(unsigned_fields + rlp_int(chain_id) + rlp_int(0) + rlp_int(0))


def legacy_raw_transaction(unsigned_fields: bytes, chain_id: int, parity: int, r: int, s: int) -> bytes:
    """What is broadcast. Raises ValueError for a parity other than 0 or 1, or an `s` in the upper half of the order."""
    require_canonical(parity, s)
    return rlp_list(unsigned_fields + rlp_int(2 * chain_id + _V_OFFSET + parity) + rlp_int(r) + rlp_int(s))
