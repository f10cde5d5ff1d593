"""Random values of the contract ABI and random reports."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from keeper.domain.ids import Address, DeploymentId, MarketId
from keeper.domain.report import MarketPrice, PriceReport, Signature

addresses = st.binary(min_size=20, max_size=20).map(lambda body: Address("0x" + body.hex()))
words = st.binary(min_size=32, max_size=32)


def uints(bits: int) -> st.SearchStrategy[int]:
    """Uniform ones, and both ends."""
    return st.one_of(st.integers(0, 2**bits - 1), st.sampled_from([0, 1, 2**bits - 1]))


def ints(bits: int) -> st.SearchStrategy[int]:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    return st.one_of(st.integers(low, high), st.sampled_from([low, -1, 0, high]))


def _scalar(kind: str) -> st.SearchStrategy[Any]:
    if kind.startswith("uint"):
        return uints(int(kind[4:]))
    if kind.startswith("int"):
        return ints(int(kind[3:]))
    if kind.startswith("bytes") and kind != "bytes":
        return st.binary(min_size=int(kind[5:]), max_size=int(kind[5:]))
    return {
        "address": addresses,
        "bool": st.booleans(),
        "bytes": st.binary(max_size=70),
        "string": st.text(max_size=40),
    }[kind]


def values(parameter: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values of one JSON ABI parameter, as the codecs give them back."""
    kind: str = parameter["type"]
    if kind.endswith("]"):
        inner, _, length = kind[:-1].rpartition("[")
        item = values({**parameter, "type": inner})
        size = int(length) if length else None
        return st.lists(item, min_size=size or 0, max_size=4 if size is None else size).map(tuple)
    if kind == "tuple":
        return st.tuples(*[values(part) for part in parameter["components"]])
    return _scalar(kind)


_SCALARS = ["uint8", "uint40", "uint96", "uint256", "int8", "int64", "int128", "int256", "address", "bool", "bytes4"]
_LEAVES = st.sampled_from([*_SCALARS, "bytes32", "bytes", "string"]).map(lambda kind: {"name": "x", "type": kind})


def _nested(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    arrays = st.tuples(inner, st.sampled_from(["[]", "[2]"])).map(
        lambda pair: {**pair[0], "type": pair[0]["type"] + pair[1]}
    )
    tuples = st.lists(inner, min_size=1, max_size=4).map(
        lambda parts: {"name": "x", "type": "tuple", "components": parts}
    )
    return st.one_of(arrays, tuples)


parameters = st.recursive(_LEAVES, _nested, max_leaves=6)
"""JSON ABI parameters of any shape."""

prices = st.builds(MarketPrice, st.just(MarketId("BTC-USD")), uints(32), uints(96), uints(96), ints(64))
signatures = st.builds(Signature, addresses, words, words)
reports = st.builds(
    PriceReport,
    st.just(DeploymentId("devnet")),
    uints(64),
    uints(40),
    uints(40),
    uints(32),
    words,
    st.lists(prices, max_size=32).map(tuple),
)
