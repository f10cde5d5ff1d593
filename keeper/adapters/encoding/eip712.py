"""Typed data digests (https://eips.ethereum.org/EIPS/eip-712)."""

from __future__ import annotations

from keeper.adapters.encoding.keccak import keccak
from keeper.domain.ids import Address

_DOMAIN = keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")


def type_hash(encoded_type: str) -> bytes:
    return keccak(encoded_type.encode())


def domain_separator(name: str, version: str, chain_id: int, contract: Address) -> bytes:
    """hashStruct of EIP712Domain with name, version, chainId and verifyingContract."""
    words = (keccak(name.encode()), keccak(version.encode()), chain_id.to_bytes(32, "big"))
    return keccak(_DOMAIN + b"".join(words) + bytes.fromhex(contract[2:]).rjust(32, b"\0"))
