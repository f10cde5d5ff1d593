"""Our ABI codecs against eth_abi."""

from __future__ import annotations

import contextlib
from typing import Any

import eth_abi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.adapters.encoding.abi import decode_all, tuple_of
from keeper.adapters.encoding.contract import canonical, codec_of
from keeper.errors import AbiMismatch
from tests.protocols.strategies import parameters, values


@st.composite
def _typed_values(draw: st.DrawFn) -> tuple[list[dict[str, Any]], tuple[Any, ...]]:
    inputs = draw(st.lists(parameters, min_size=1, max_size=4))
    return inputs, tuple(draw(values(part)) for part in inputs)


@given(_typed_values())
def test_abi__any_value_of_any_type__encodes_as_eth_abi_does_and_decodes_to_itself(
    case: tuple[list[dict[str, Any]], tuple[Any, ...]],
) -> None:
    inputs, given_values = case
    codec = tuple_of([codec_of(part["type"], part.get("components", ())) for part in inputs])
    encoded = codec.encode(given_values)
    assert encoded == eth_abi.encode([canonical(part) for part in inputs], given_values)
    assert decode_all(codec, encoded) == given_values


@given(_typed_values(), st.data())
def test_abi__one_changed_byte__never_decodes_to_the_same_value(
    case: tuple[list[dict[str, Any]], tuple[Any, ...]], data: st.DataObject
) -> None:
    """Decoding accepts one encoding per value, and fails with nothing but AbiMismatch."""
    inputs, given_values = case
    codec = tuple_of([codec_of(part["type"], part.get("components", ())) for part in inputs])
    encoded = codec.encode(given_values)
    if not encoded:
        return
    place = data.draw(st.integers(0, len(encoded) - 1))
    change = data.draw(st.integers(1, 255))
    damaged = encoded[:place] + bytes((encoded[place] ^ change,)) + encoded[place + 1 :]
    with contextlib.suppress(AbiMismatch):
        assert decode_all(codec, damaged) != given_values


@given(_typed_values(), st.data())
def test_abi__a_truncated_or_longer_answer__is_a_mismatch(
    case: tuple[list[dict[str, Any]], tuple[Any, ...]], data: st.DataObject
) -> None:
    inputs, given_values = case
    codec = tuple_of([codec_of(part["type"], part.get("components", ())) for part in inputs])
    encoded = codec.encode(given_values)
    if not encoded:
        return
    with pytest.raises(AbiMismatch):
        decode_all(codec, encoded[: data.draw(st.integers(0, len(encoded) - 1))])
    with pytest.raises(AbiMismatch):
        decode_all(codec, encoded + bytes(32))


def test_abi__arrays_that_share_one_tail__are_refused_before_they_blow_up() -> None:
    """A hostile answer of n words could otherwise stand for n² values."""
    codec = tuple_of([codec_of("uint256[][]")])
    rows = 1_000
    inner = (500).to_bytes(32, "big") + bytes(32 * 500)
    offsets = (32 * rows).to_bytes(32, "big") * rows
    with pytest.raises(AbiMismatch, match="offset"):
        decode_all(codec, (32).to_bytes(32, "big") + rows.to_bytes(32, "big") + offsets + inner)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uint40", 2**40),
        ("uint40", -1),
        ("int64", 2**63),
        ("int64", -(2**63) - 1),
        ("uint96", "1"),
        ("bool", 1),
        ("bytes32", b"short"),
        ("address", "0x1234"),
        ("uint8[2]", (1, 2, 3)),
    ],
)
def test_abi__a_value_outside_its_type__is_refused(kind: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        codec_of(kind).encode(value)


@pytest.mark.parametrize("kind", ["fixed128x18", "function", "mapping", "uint", "tuple[]["])
def test_abi__an_unknown_type__is_named(kind: str) -> None:
    with pytest.raises(AbiMismatch, match="not supported"):
        codec_of(kind)
