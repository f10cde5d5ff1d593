"""Logs from a node that chooses every word: what is remembered between them is checked, equal and bounded."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from keeper.adapters import rpc_codec as codec
from keeper.adapters.rpc_codec import Malformed

WORD = "0x" + "Ab" * 32
LOG: dict[str, Any] = {
    "address": "0x" + "Cd" * 20,
    "topics": [WORD],
    "data": "0x01",
    "blockNumber": "0x1B",
    "blockHash": WORD,
    "transactionHash": WORD,
    "logIndex": "0x0",
    "removed": False,
}
HASHES = ["blockHash", "transactionHash"]
NUMBERS = ["blockNumber", "logIndex"]
NO_TEXT: list[object] = [None, 1, True, [], {}, [WORD], {"0x": 1}]
NO_HASH = ["", "0x", WORD[:-1], WORD + "0", WORD[:-1] + "g", WORD + "\n", " " + WORD, "0X" + WORD[2:], "٣" * 66]
NO_NUMBER = ["", "0x", "0x" + "1" * 65, "0x-1", "1", "0x1\n", "0x1 ", "0x1_0", "0x٣"]


def changed(**fields: object) -> dict[str, Any]:
    return {**copy.deepcopy(LOG), **fields}


def test_log__in_any_case__is_lower_case() -> None:
    for _ in range(2):
        (found,) = codec.logs([changed()])
        assert (found.address, found.block_hash, found.topics) == ("0x" + "cd" * 20, WORD.lower(), (WORD.lower(),))
        assert (found.block_number, found.log_index, found.data) == (27, 0, b"\1")


@pytest.mark.parametrize("name", HASHES)
@pytest.mark.parametrize("word", [*NO_TEXT, *NO_HASH])
def test_hash__malformed__is_refused_each_time(name: str, word: object) -> None:
    for _ in range(2):
        with pytest.raises(Malformed) as caught:
            codec.logs([changed(), changed(**{name: word})])
        shown = {list: "a list", dict: "an object"}.get(type(word), f"{word!r}"[:60])
        assert caught.value.told(str) == f"not a 32-byte hash: {shown}"
        assert str(caught.value) == "not a 32-byte hash"


def test_malformed__with_a_key_across_the_cut__is_scrubbed_before_it_is_cut() -> None:
    for start in range(70):
        with pytest.raises(Malformed) as caught:
            codec.quantity("x" * start + "s3cret-key")
        told = caught.value.told(lambda text: text.replace("s3cret-key", "***"))
        assert "s3c" not in told
        assert len(told) <= len("not a quantity: ") + 60


@pytest.mark.parametrize("word", [*NO_TEXT, *NO_HASH])
def test_topic__malformed__is_refused(word: object) -> None:
    with pytest.raises(Malformed, match="not a 32-byte hash"):
        codec.logs([changed(topics=[WORD, word])])


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("word", [*NO_TEXT, *NO_NUMBER])
def test_number__malformed__is_refused_each_time(name: str, word: object) -> None:
    for _ in range(2):
        with pytest.raises(Malformed, match="not a quantity"):
            codec.logs([changed(), changed(**{name: word})])


@pytest.mark.parametrize("word", [*NO_TEXT, WORD, LOG["address"][:-1], LOG["address"] + "\n"])
def test_address__malformed__is_refused_each_time(word: object) -> None:
    for _ in range(2):
        with pytest.raises(Malformed, match="not an address"):
            codec.logs([changed(), changed(address=word)])


@pytest.mark.parametrize("answer", [None, {}, "0x", [None], [[]], [changed(removed=True)], [changed(topics=None)]])
def test_answer__of_another_shape__is_refused(answer: object) -> None:
    with pytest.raises(Malformed):
        codec.logs(answer)


def test_logs__in_any_order__come_in_that_of_the_chain() -> None:
    places = [(3, 1), (1, 16), (1, 2), (2, 0), (1, 2)]
    found = codec.logs([changed(blockNumber=hex(block), logIndex=hex(index)) for block, index in places])
    assert [(log.block_number, log.log_index) for log in found] == sorted(places)


def test_words_remembered__are_few_whatever_a_node_says() -> None:
    for number in range(3 * codec.REMEMBERED):
        codec.hash32(f"0x{number:064x}")
        codec.address20(f"0x{number:040x}")
        codec.quantity(hex(number))
    assert [each.cache_info().currsize for each in codec.MEMORIES] == [codec.REMEMBERED] * 3


def test_long_word__is_not_remembered() -> None:
    before = [each.cache_info().currsize for each in codec.MEMORIES]
    for check in (codec.hash32, codec.address20, codec.quantity):
        with pytest.raises(Malformed):
            check("0x" + "0" * (1 << 20))
    assert [each.cache_info().currsize for each in codec.MEMORIES] == before
