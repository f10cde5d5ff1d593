"""A signed transaction as it travels: decoded with the Ethereum Foundation's libraries, not with the keeper's own.

Types 0, 1 and 2: https://eips.ethereum.org/EIPS/eip-155, eip-2930 and eip-1559.
Texts: https://github.com/ethereum/go-ethereum/blob/master/core/types/transaction.go (`UnmarshalBinary`) and
transaction_signing.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import rlp  # type: ignore[import-untyped]
from eth_account import Account
from eth_utils.crypto import keccak

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SLOT_BYTES = 32 * 1024
_SHAPES = {
    0: ("nonce", "cap", "gas", "to", "value", "data", "v", "r", "s"),
    1: ("chain_id", "nonce", "cap", "gas", "to", "value", "data", "access_list", "v", "r", "s"),
    2: ("chain_id", "nonce", "tip", "cap", "gas", "to", "value", "data", "access_list", "v", "r", "s"),
}


class Undecodable(ValueError):
    """These bytes are no transaction. The message is what go-ethereum answers."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a pool and a miner want to know of a transaction. A legacy one has tip = cap = its gas price.

    `sender_fault` is set where no sender could be had; `chain_id` None is a signature that any chain takes.
    """

    hash: str
    sender: str
    nonce: int
    tip: int
    cap: int
    gas: int = 21_000
    value: int = 0
    to: str | None = None
    data: bytes = b""
    access_list: tuple[tuple[str, tuple[str, ...]], ...] = ()
    kind: int = 2
    chain_id: int | None = None
    signature: tuple[int, int, int] = (0, 0, 0)
    raw: bytes = b""
    sender_fault: str = ""

    @property
    def cost(self) -> int:
        """What the sender must be able to pay at most."""
        return self.gas * self.cap + self.value

    @property
    def slots(self) -> int:
        """Shares of the pool's size that it takes: one for every 32 KiB."""
        return max(1, -(-len(self.raw) // SLOT_BYTES))

    def effective_tip(self, base_fee: int) -> int:
        """What the miner of a block with that base fee gets per gas; negative where the cap is below the base fee."""
        return min(self.tip, self.cap - base_fee)


def decode(raw: bytes, chain_id: int) -> Envelope:
    """The transaction, with a `sender_fault` where its signature is not for `chain_id`. Raises Undecodable."""
    kind, fields = _fields(raw)
    signature = (_number(fields["v"]), _number(fields["r"]), _number(fields["s"]))
    signed_for = _number(fields["chain_id"]) if kind else _legacy_chain(signature[0])
    fault = _signature_fault(kind, signature, signed_for, chain_id)
    sender, fault = ("", fault) if fault else _recover(raw)
    return Envelope(
        hash="0x" + keccak(raw).hex(),
        sender=sender,
        nonce=_number(fields["nonce"]),
        tip=_number(fields.get("tip", fields["cap"])),
        cap=_number(fields["cap"]),
        gas=_number(fields["gas"]),
        value=_number(fields["value"]),
        to=_address(fields["to"]),
        data=fields["data"],
        access_list=_access_list(fields.get("access_list", ())),
        kind=kind,
        chain_id=signed_for,
        signature=signature,
        raw=raw,
        sender_fault=fault,
    )


def _fields(raw: bytes) -> tuple[int, dict[str, Any]]:
    legacy = bool(raw) and raw[0] > 0x7F
    if not legacy and len(raw) <= 1:
        raise Undecodable("typed transaction too short")
    kind = 0 if legacy else raw[0]
    if kind not in _SHAPES or (not legacy and kind == 0):
        raise Undecodable("transaction type not supported")
    try:
        words = rlp.decode(raw if legacy else raw[1:])
    except rlp.DecodingError as error:
        raise Undecodable(f"rlp: {error}") from None
    if not isinstance(words, Sequence) or isinstance(words, bytes) or len(words) != len(_SHAPES[kind]):
        raise Undecodable("rlp: too few elements or too many for a transaction")
    return kind, dict(zip(_SHAPES[kind], words, strict=True))


def _number(word: Any) -> int:
    if not isinstance(word, bytes) or word[:1] == b"\0":
        raise Undecodable("rlp: non-canonical integer (leading zero bytes)")
    return int.from_bytes(word, "big")


def _address(word: Any) -> str | None:
    if not isinstance(word, bytes) or len(word) not in {0, 20}:
        raise Undecodable("rlp: input string of another size than an address")
    return "0x" + word.hex() if word else None


def _access_list(entries: Any) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple(("0x" + place.hex(), tuple("0x" + key.hex() for key in keys)) for place, keys in entries)


def _legacy_chain(v: int) -> int | None:
    return None if v in {27, 28} else (v - 35) // 2


def _signature_fault(kind: int, signature: tuple[int, int, int], have: int | None, want: int) -> str:
    v, r, s = signature
    if have is not None and have != want:
        return f"invalid chain id for signer: have {have} want {want}"
    # https://eips.ethereum.org/EIPS/eip-2: of the two values of s only the low one
    if not (0 < r < CURVE_ORDER and 0 < s <= CURVE_ORDER // 2) or (kind and v > 1):
        return "invalid transaction v, r, s values"
    return ""


def _recover(raw: bytes) -> tuple[str, str]:
    try:
        return str(Account.recover_transaction(raw)).lower(), ""
    except (ValueError, TypeError, ArithmeticError):
        return "", "invalid transaction v, r, s values"
