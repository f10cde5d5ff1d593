"""Canonical JSON and the Merkle tree of a batch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from hashlib import sha3_256
from itertools import permutations
from typing import Any

import pytest
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.evidence import canonical_json, leaf_of, merkle_proof, merkle_root, proves
from tests.domain.pricing.builders import LAW


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({}, "{}"),
        ({"b": 1, "a": None}, '{"a":null,"b":"1"}'),
        ({"n": -(10**30), "t": True, "s": "1"}, '{"n":"-1000000000000000000000000000000","s":"1","t":true}'),
        ({"list": [1, (2, [3])]}, '{"list":["1",["2",["3"]]]}'),
        ({"hash": b"\x00\xff"}, '{"hash":"0x00ff"}'),
        ({"é": 'q"\n'}, '{"é":"q\\"\\n"}'),
        ({"z": {"y": {"x": 0}}}, '{"z":{"y":{"x":"0"}}}'),
    ],
)
def test_canonical__sorted_without_spaces_numbers_as_texts(document: dict[str, Any], expected: str) -> None:
    assert canonical_json(document) == expected


@pytest.mark.parametrize("value", [1.5, float("nan"), Decimal(1), {1, 2}, object()])
def test_canonical__value_without_one_spelling__is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="no canonical spelling"):
        canonical_json({"a": [value]})


SCALARS = st.none() | st.booleans() | st.integers() | st.text()
DOCUMENTS = st.dictionaries(
    st.text(), st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)
)


@LAW
@given(document=DOCUMENTS)
def test_canonical__read_and_written_again__is_the_same(document: dict[str, Any]) -> None:
    """One spelling: it is a fixed point, and the order of keys does not matter."""
    written = canonical_json(document)
    assert canonical_json(json.loads(written)) == written
    assert canonical_json(dict(reversed(document.items()))) == written


def sha3(data: bytes) -> bytes:
    return sha3_256(data).digest()


def leaves(count: int) -> list[bytes]:
    return [leaf_of(canonical_json({"market": f"M{number}"}), keccak) for number in range(count)]


def test_leaf__is_the_keccak_of_the_record_as_utf8() -> None:
    assert leaf_of('{"é":"1"}', keccak) == keccak('{"é":"1"}'.encode())
    assert keccak(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


def test_leaf__record_as_long_as_two_hashes__is_refused() -> None:
    """It could be presented as the inner node of another tree."""
    record = canonical_json({"pad": "x" * 54})
    assert len(record) == 64
    with pytest.raises(ValueError, match="64 bytes"):
        leaf_of(record, keccak)


def test_root__one_market__is_its_leaf() -> None:
    (leaf,) = leaves(1)
    assert merkle_root([leaf], keccak) == leaf
    assert merkle_proof([leaf], leaf, keccak) == ()
    assert proves(leaf, leaf, (), keccak)


def test_root__three_markets__by_hand() -> None:
    low, middle, high = sorted(leaves(3))
    pair = keccak(low + middle)
    assert merkle_root([high, low, middle], keccak) == keccak(min(pair, high) + max(pair, high))
    assert merkle_proof([high, low, middle], high, keccak) == (pair,)
    assert merkle_proof([high, low, middle], low, keccak) == (middle, high)


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_root__any_order_of_markets__is_the_same(count: int) -> None:
    assert len({merkle_root(order, keccak) for order in permutations(leaves(count))}) == 1


@pytest.mark.parametrize("count", [*range(1, 18), 31, 32, 33])
def test_proof__each_market_of_a_batch__is_proved_by_openzeppelins_rule(count: int) -> None:
    batch = leaves(count)
    root = merkle_root(batch, keccak)
    for leaf in batch:
        proof = merkle_proof(batch, leaf, keccak)
        assert len(proof) <= max(count - 1, 0).bit_length()
        assert proves(root, leaf, proof, keccak)
        assert _openzeppelin(proof, leaf) == root


def _openzeppelin(proof: Sequence[bytes], leaf: bytes) -> bytes:
    """`MerkleProof.processProof` with its commutative hash."""
    computed = leaf
    for element in proof:
        computed = keccak(computed + element) if computed < element else keccak(element + computed)
    return computed


@LAW
@given(count=st.integers(2, 12), data=st.data())
def test_proof__anything_changed__proves_nothing(count: int, data: st.DataObject) -> None:
    batch = leaves(count)
    root, leaf = merkle_root(batch, sha3), data.draw(st.sampled_from(batch))
    proof = list(merkle_proof(batch, leaf, sha3))
    at = data.draw(st.integers(0, len(proof) - 1))
    stranger = leaf_of('{"market":"other"}', keccak)
    assert not proves(root, stranger, proof, sha3)
    assert not proves(root, leaf, proof[:at] + proof[at + 1 :], sha3)
    assert not proves(root, leaf, [*proof[:at], stranger, *proof[at + 1 :]], sha3)
    assert proves(root, leaf, proof, sha3)


def test_proof__leaf_of_another_batch__is_refused() -> None:
    with pytest.raises(ValueError, match="not in the batch"):
        merkle_proof(leaves(3), leaf_of("{}", keccak), keccak)


def test_root__nothing_or_zero__is_refused() -> None:
    with pytest.raises(ValueError, match="no evidence"):
        merkle_root([], keccak)
    with pytest.raises(ValueError, match="zero"):
        merkle_root([bytes(32)], keccak)
