"""What of a node's own words comes into ours: no key of its address, nothing that we have signed."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.adapters.rpc_errors import abridged, refusal
from keeper.adapters.rpc_http import RpcEndpoint
from keeper.errors import KeeperError
from tests.chain.nodes import SECRET, served, transport

RAW = "02f8" + "9a" * 130


@pytest.mark.parametrize("words", ["rejected by policy: 0x{}", "{}", "tx=0X{} no", "0x{}0x{}", 'invalid "{}": bad rlp'])
def test_refusal__that_repeats_the_request__tells_its_beginning_and_its_length(words: str) -> None:
    told = str(refusal("eth_sendRawTransaction", {"code": -32000, "message": words.format(RAW, RAW)}, "node"))
    assert RAW[:40] not in told.lower()
    assert "02f8" in told
    assert "characters)" in told


@given(st.text("0123456789abcdefABCDEFxX \n", max_size=400))
def test_abridged__whatever_stands_around_it__holds_no_long_hexadecimal(text: str) -> None:
    assert (
        max(map(len, "".join(c if c in "0123456789abcdefABCDEF" else " " for c in abridged(text)).split()), default=0)
        <= 64
    )


def test_abridged__of_a_hash_and_an_address__is_as_it_was() -> None:
    text = f"nonce too low: 0x{'ab' * 32} of 0x{'cd' * 20}, data 0x08c379a0"
    assert abridged(text) == text


@given(
    st.lists(st.sampled_from(["0x", "0X", "ab" * 32, "0" * 64, "cD", "f", "0", "x", " ", "g"]), max_size=12).map(
        "".join
    )
)
def test_abridged__of_runs_side_by_side__shortens_each_that_is_longer_than_a_hash(text: str) -> None:
    longer = re.sub(r"(?:0[xX])?[0-9a-fA-F]{65,}", lambda found: f"{found[0][:10]}…({len(found[0])} characters)", text)
    assert abridged(text) == longer


@pytest.mark.parametrize("before", range(0, 320, 3))
def test_refusal__with_a_key_across_the_cut__is_scrubbed_before_it_is_cut(before: int) -> None:
    key = "c4n4ry-k3y"
    endpoint = RpcEndpoint(f"https://node.example/v2/{key}", "node")
    error: dict[str, Any] = {"code": -32000, "message": endpoint.scrub("x" * before + key)}
    assert "c4n" not in str(refusal("eth_call", error, "node"))


@pytest.mark.parametrize("before", [0, 20, 40, 50, 55, 60])
async def test_answer__of_another_shape_with_a_key_across_the_cut__does_not_show_it(before: int) -> None:
    async with served({"result": "x" * before + SECRET}) as node, transport(node) as chain:
        with pytest.raises(KeeperError) as raised:
            await chain.head_number()
        assert SECRET[:4] not in str(raised.value)


def test_scrub__of_a_key_that_begins_with_another__shows_nothing_of_either() -> None:
    endpoint = RpcEndpoint("https://abcdef:x@node.example/abcdef-and-the-rest?k=abcdef-and", "node")
    assert endpoint.scrub("no abcdef-and-the-rest, abcdef-and, abcdef") == "no ***, ***, ***"
