"""The evidence of a batch: one canonical record per market, hashed to a leaf, the leaves to a Merkle root.

A record is JSON in UTF-8 with sorted keys, without spaces, every number a decimal text, so that it has one spelling and no
reader rounds it. Leaves are sorted by value before pairing, the two of a pair are sorted too, and a leaf without a partner
goes up unchanged: the root is that of a set, and OpenZeppelin's `MerkleProof.verify` accepts its proofs
(https://docs.openzeppelin.com/contracts/5.x/api/utils/cryptography#MerkleProof). Keccak-256 is an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from json.encoder import encode_basestring
from operator import itemgetter
from typing import Any

Keccak = Callable[[bytes], bytes]
"""bytes → 32 bytes."""


def canonical_json(value: Any) -> str:
    """The one spelling of `value`. Raises ValueError on a float, which has none, and on anything JSON cannot say.

    Written by hand: the json module makes a new encoder for each text and cannot write numbers as texts.
    """
    if type(value) is int:
        return f'"{value}"'
    if value is None:
        return "null"
    if isinstance(value, str):
        return encode_basestring(value)
    if type(value) is dict or isinstance(value, Mapping):
        named = sorted({str(key): item for key, item in value.items()}.items(), key=_first)
        return "{" + ",".join([f"{encode_basestring(key)}:{canonical_json(item)}" for key, item in named]) + "}"
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return "[" + ",".join([canonical_json(item) for item in value]) + "]"
    return _scalar(value)


_first = itemgetter(0)


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f'"{int(value)}"'
    if isinstance(value, bytes):
        return f'"0x{value.hex()}"'
    raise ValueError(f"{type(value).__name__} has no canonical spelling")


def leaf_of(canonical: str, keccak: Keccak) -> bytes:
    """Hash of one record. Raises ValueError on a record as long as a pair of hashes, which could pose as one."""
    record = canonical.encode()
    if len(record) == 64:
        raise ValueError("a record of 64 bytes could be taken for an inner node")
    return keccak(record)


def _levels(leaves: Sequence[bytes], keccak: Keccak) -> list[list[bytes]]:
    if not leaves:
        raise ValueError("a batch without records has no evidence")
    levels = [sorted(leaves)]
    while len(levels[-1]) > 1:
        row = levels[-1]
        above = [_parent(row[at], row[at + 1], keccak) for at in range(0, len(row) - 1, 2)]
        levels.append(above + row[len(row) - len(row) % 2 :])
    return levels


def _parent(one: bytes, other: bytes, keccak: Keccak) -> bytes:
    return keccak(one + other if one <= other else other + one)


def merkle_root(leaves: Sequence[bytes], keccak: Keccak) -> bytes:
    """Root over the leaves of a batch in any order; of a single leaf, itself. Raises ValueError without leaves.

    It is never zero: the contract takes zero for a batch without evidence, so a root that is raises ValueError.
    """
    root = _levels(leaves, keccak)[-1][0]
    if not any(root):
        raise ValueError("the root is zero")
    return root


def merkle_proof(leaves: Sequence[bytes], leaf: bytes, keccak: Keccak) -> tuple[bytes, ...]:
    """Siblings from `leaf` up to the root. Raises ValueError if it is not among the leaves."""
    levels = _levels(leaves, keccak)
    if leaf not in levels[0]:
        raise ValueError("the leaf is not in the batch")
    at, siblings = levels[0].index(leaf), []
    for row in levels[:-1]:
        if at ^ 1 < len(row):
            siblings.append(row[at ^ 1])
        at //= 2
    return tuple(siblings)


def proves(root: bytes, leaf: bytes, proof: Sequence[bytes], keccak: Keccak) -> bool:
    """Whether `leaf` belongs to the batch with this `root`."""
    node = leaf
    for sibling in proof:
        node = _parent(node, sibling, keccak)
    return node == root
