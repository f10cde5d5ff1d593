"""JSON-RPC values as our nouns. Shapes: https://ethereum.org/en/developers/docs/apis/json-rpc/ and EIP-1474.

Everything a node says is checked here; whatever does not have the promised shape raises Malformed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any, TypeVar

from keeper.domain.chain import At, BlockRef, Call, FeeMarket, Log, LogFilter, Receipt
from keeper.domain.ids import Address, Hash

T = TypeVar("T")

_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}", re.ASCII)
_HASH = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)

REMEMBERED = 4_096
"""Thousands of logs name the same contracts, blocks and transactions: so many of the last words are not checked again.

A node chooses them, but what is remembered has passed the check and so is short; a refusal is not remembered.
"""


_HIGHEST = (1 << 62) - 1
"""Of what is counted: the journal's integers have 63 bits, and this leaves room for what is added."""
_LATEST_S = (1 << 33) - 1
"""In the year 2242: in nanoseconds and with any interval on top it still has 63 bits."""
_SHOWN = 60


class Malformed(ValueError):
    """A node's answer does not have the shape that the specification promises. Its own words stay out of ours."""

    def __init__(self, what: str, *said: object) -> None:
        super().__init__(what)
        self._said = said

    def told(self, scrub: Callable[[str], str]) -> str:
        """With what was said instead, scrubbed first and then cut: half of a key is not recognised any more."""
        return ": ".join((str(self), *(_shown(each, scrub) for each in self._said)))


def quantity(value: object) -> int:
    """A hexadecimal quantity of up to 256 bits, as in `0x1b4`."""
    if isinstance(value, str):
        return _quantity(value)
    raise Malformed("not a quantity", value)


def count(value: object) -> int:
    """A quantity that counts something: blocks, gas, transactions. Amounts of money may be larger."""
    return _within(_HIGHEST, value)


def seconds(value: object) -> int:
    """A quantity that is a time."""
    return _within(_LATEST_S, value)


def hash32(value: object) -> Hash:
    if isinstance(value, str):
        return _hash32(value)
    raise Malformed("not a 32-byte hash", value)


def address20(value: object) -> Address:
    if isinstance(value, str):
        return _address20(value)
    raise Malformed("not an address", value)


def payload(value: object) -> bytes:
    """Bytes of any length."""
    if isinstance(value, str) and value[:2] == "0x":
        try:
            raw = bytes.fromhex(value[2:])
        except ValueError:
            raise Malformed("not hexadecimal", value) from None
        if 2 * len(raw) + 2 == len(value):  # bytes.fromhex skips blanks
            return raw
    raise Malformed("not hexadecimal", value)


def block_ref(value: object) -> BlockRef:
    """A mined block; a pending one has no hash and is refused."""
    block = _object(value)
    return BlockRef(
        number=count(block.get("number")),
        hash=hash32(block.get("hash")),
        parent_hash=hash32(block.get("parentHash")),
        timestamp_s=seconds(block.get("timestamp")),
        base_fee_wei=quantity(block.get("baseFeePerGas", "0x0")),
    )


def optional(decode: Callable[[object], T]) -> Callable[[object], T | None]:
    """The same, but null means: the node does not know it."""
    return lambda value: None if value is None else decode(value)


def log(value: object) -> Log:
    raw = _object(value)
    if raw.get("removed") is True:
        raise Malformed("a removed log in an answer about canonical blocks")
    return Log(
        address=address20(raw.get("address")),
        topics=tuple(map(hash32, _list(raw.get("topics")))),
        data=payload(raw.get("data")),
        block_number=count(raw.get("blockNumber")),
        block_hash=hash32(raw.get("blockHash")),
        tx_hash=hash32(raw.get("transactionHash")),
        log_index=count(raw.get("logIndex")),
    )


def logs(value: object) -> tuple[Log, ...]:
    """In the order of the chain. Takes the answer apart."""
    found = _list(value)
    # Each log takes the place of what it was read from: what is freed at once is nothing for the collector to visit.
    for place, each in enumerate(found):
        found[place] = log(each)
    if any(_after(one, other) for one, other in pairwise(found)):
        found.sort(key=lambda each: (each.block_number, each.log_index))
    return tuple(found)


def receipt(value: object) -> Receipt | None:
    """None for a transaction that is known but not mined, which some nodes answer with a null block."""
    if value is None:
        return None
    raw = _object(value)
    if raw.get("blockHash") is None:
        return None
    return Receipt(
        tx_hash=hash32(raw.get("transactionHash")),
        status=count(raw.get("status")),
        block_number=count(raw.get("blockNumber")),
        block_hash=hash32(raw.get("blockHash")),
        gas_used=count(raw.get("gasUsed")),
        effective_gas_price_wei=quantity(raw.get("effectiveGasPrice", "0x0")),
        logs=logs(raw.get("logs")),
    )


def fee_market(value: object) -> FeeMarket:
    """eth_feeHistory: the last base fee is the next block's; the tip is the median of what recent blocks took."""
    history = _object(value)
    base_fees = _list(history.get("baseFeePerGas"))
    if not base_fees:
        raise Malformed("eth_feeHistory without a base fee")
    rewards = history.get("reward")
    tips = sorted(quantity(each[0]) for each in map(_list, [] if rewards is None else _list(rewards)) if each)
    return FeeMarket(base_fee_wei=quantity(base_fees[-1]), tip_wei=tips[len(tips) // 2] if tips else 0)


def gas_price(value: object) -> FeeMarket:
    """eth_gasPrice, on a chain without base fees: all of it is the tip."""
    return FeeMarket(base_fee_wei=0, tip_wei=quantity(value))


def block_param(at: At, by_hash: bool) -> object:
    """Pinned by hash (EIP-1898), so that a reorganised block is refused instead of silently read as another."""
    if not isinstance(at, BlockRef):
        return at
    return {"blockHash": at.hash, "requireCanonical": True} if by_hash else hex(at.number)


def call_param(call: Call, sender: Address | None = None) -> dict[str, str]:
    words = {"to": call.to, "data": "0x" + call.data.hex()}
    if call.value_wei:
        words["value"] = hex(call.value_wei)
    if call.gas_limit is not None:
        words["gas"] = hex(call.gas_limit)
    if sender is not None:
        words["from"] = sender
    return words


def log_param(where: LogFilter, first: int, last: int) -> dict[str, object]:
    words: dict[str, object] = {"fromBlock": hex(first), "toBlock": hex(last), "address": list(where.addresses)}
    if where.topics0:
        words["topics"] = [list(where.topics0)]
    return words


@lru_cache(REMEMBERED)
def _quantity(text: str) -> int:
    if _QUANTITY.fullmatch(text):
        return int(text, 16)
    raise Malformed("not a quantity", text)


@lru_cache(REMEMBERED)
def _hash32(text: str) -> Hash:
    if _HASH.fullmatch(text):
        return Hash(text.lower())
    raise Malformed("not a 32-byte hash", text)


@lru_cache(REMEMBERED)
def _address20(text: str) -> Address:
    if _ADDRESS.fullmatch(text):
        return Address(text.lower())
    raise Malformed("not an address", text)


MEMORIES = (_quantity, _hash32, _address20)


def _after(one: Log, other: Log) -> bool:
    return (one.block_number, one.log_index) > (other.block_number, other.log_index)


def _object(value: object) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    raise Malformed("not an object", value)


def _list(value: object) -> list[Any]:
    if isinstance(value, list):
        return value
    raise Malformed("not a list", value)


def _within(highest: int, value: object) -> int:
    number = quantity(value)
    if number > highest:
        raise Malformed("too large a number", value)
    return number


def _shown(value: object, scrub: Callable[[str], str]) -> str:
    if isinstance(value, list | dict):  # of any size
        return "a list" if isinstance(value, list) else "an object"
    return repr(scrub(value) if isinstance(value, str) else value)[:_SHOWN]
