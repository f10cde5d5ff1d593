"""Addresses with the checksum of EIP-55 (https://eips.ethereum.org/EIPS/eip-55)."""

from __future__ import annotations

from keeper.adapters.encoding.keccak import keccak
from keeper.domain.ids import Address, address


def checksum(account: Address) -> str:
    """Mixed-case form for people."""
    body = account[2:]
    marks = keccak(body.encode()).hex()
    return "0x" + "".join(c.upper() if mark >= "8" else c for c, mark in zip(body, marks, strict=False))


def checked_address(text: str) -> Address:
    """Lower-case form of what an operator wrote. Raises ValueError if its mixed case is not its EIP-55 checksum."""
    plain = address(text)
    body = text[2:]
    if body not in (body.lower(), body.upper()) and text[2:] != checksum(plain)[2:]:
        raise ValueError(f"{text} has a wrong EIP-55 checksum: a digit is mistyped")
    return plain
