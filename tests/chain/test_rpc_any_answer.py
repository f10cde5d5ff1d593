"""Whatever JSON a node answers, in whichever field: a value that the journal can hold, or the codec's own refusal."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.adapters import rpc_codec as codec
from keeper.adapters.clock import SystemClock
from keeper.adapters.journal import Journal
from keeper.adapters.rpc_codec import Malformed
from keeper.adapters.rpc_dialogue import Dialogue, Ended, StreamRules
from keeper.adapters.rpc_errors import refusal
from keeper.adapters.rpc_transactions import seen_transaction
from keeper.domain.fees import Fees
from keeper.domain.ids import Address, Hash
from keeper.domain.time import SECOND, Timestamp
from keeper.domain.transaction import Attempt, Purpose, TxRecord, TxState
from keeper.errors import KeeperError

WORD, WHO = "0x" + "ab" * 32, "0x" + "cd" * 20
LOG = {
    "address": WHO, "topics": [WORD], "data": "0x01", "blockNumber": "0x1b", "blockHash": WORD, "transactionHash": WORD,
    "logIndex": "0x0", "removed": False,
}  # fmt: skip
BLOCK = {"number": "0x5", "hash": WORD, "parentHash": WORD, "timestamp": "0x64", "baseFeePerGas": "0x7"}
RECEIPT = {
    "transactionHash": WORD, "status": "0x1", "blockNumber": "0x5", "blockHash": WORD, "gasUsed": "0x5208",
    "effectiveGasPrice": "0x1", "logs": [LOG],
}  # fmt: skip
FEES = {"baseFeePerGas": ["0x1", "0x2"], "reward": [["0x1"], ["0x2"]]}
SENT = {
    "to": WHO, "from": WHO, "input": "0x01", "value": "0x0", "blockNumber": "0x5", "hash": WORD, "nonce": "0x1",
    "type": "0x2", "v": "0x1", "r": "0x1", "s": "0x1", "chainId": "0x1", "gas": "0x1", "maxFeePerGas": "0x1",
    "maxPriorityFeePerGas": "0x1", "accessList": [],
}  # fmt: skip
ANSWERS: dict[str, tuple[Callable[[object], object], object]] = {
    "block": (codec.block_ref, BLOCK),
    "block or none": (codec.optional(codec.block_ref), BLOCK),
    "logs": (codec.logs, [LOG, LOG]),
    "receipt": (codec.receipt, RECEIPT),
    "fee history": (codec.fee_market, FEES),
    "gas price": (codec.gas_price, "0x1"),
    "quantity": (codec.quantity, "0x1"),
    "count": (codec.count, "0x1"),
    "hash": (codec.hash32, WORD),
    "payload": (codec.payload, "0x01"),
    "transaction": (seen_transaction, SENT),
}
WEI = {"base_fee_wei", "effective_gas_price_wei", "tip_wei"}

QUANTITIES = st.integers(0, 2**260).map(hex)
ROUND = st.sampled_from([hex(1 << bits) for bits in (30, 33, 34, 61, 62, 63, 64, 255, 256)])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70) | QUANTITIES | ROUND | st.just(WORD),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def places(value: object, where: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The whole, and each part of it, by the steps that lead there."""
    yield where
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in steps:
        yield from places(inner, (*where, step))


def replaced(answer: Any, where: tuple[Any, ...], by: object) -> Any:
    if not where:
        return by
    whole = copy.deepcopy(answer)
    part = whole
    for step in where[:-1]:
        part = part[step]
    part[where[-1]] = by
    return whole


def counted(value: object) -> Iterator[int]:
    """Every number in it that is no amount of money."""
    if is_dataclass(value):
        for each in fields(value):
            if each.name not in WEI:
                yield from counted(getattr(value, each.name))
    elif isinstance(value, tuple):
        for each in value:
            yield from counted(each)
    elif isinstance(value, int):
        yield value


@given(st.data())
@pytest.mark.parametrize("kind", [name for name in ANSWERS if name != "quantity"])
def test_answer__with_any_json_anywhere__is_a_value_or_malformed(kind: str, data: st.DataObject) -> None:
    decode, answer = ANSWERS[kind]
    where = data.draw(st.sampled_from(list(places(answer))))
    try:
        found = decode(replaced(answer, where, data.draw(VALUES)))
    except Malformed:
        return
    if kind not in ("gas price", "fee history", "transaction"):
        assert all(0 <= number < 1 << 62 for number in counted(found))


@pytest.mark.parametrize("name", ["status", "blockNumber", "gasUsed"])
def test_receipt__beyond_what_the_journal_holds__is_malformed_and_the_largest_is_saved(
    name: str, tmp_path: Path
) -> None:
    largest = (1 << 62) - 1
    for number in (largest + 1, 1 << 63, 1 << 64, (1 << 256) - 1):
        with pytest.raises(Malformed):
            codec.receipt(replaced(RECEIPT, (name,), hex(number)))
    told = replaced(RECEIPT, (name,), hex(largest))
    found = codec.receipt(replaced(told, ("effectiveGasPrice",), "0x" + "f" * 64))
    fees = Fees(2, 1)
    attempt = Attempt(Hash(WORD), b"a", Purpose.CALL, None, fees, 60_000, Timestamp(1), 1)
    tx = TxRecord(31_337, Address(WHO), largest, TxState.MINED, (attempt,), found)
    with Journal.open(tmp_path, SystemClock()) as journal:
        journal.ledger.save(tx)
        (saved,) = journal.ledger.unfinished(31_337, Address(WHO))
        assert saved.receipt is not None
        assert (saved.receipt.gas_used, saved.receipt.effective_gas_price_wei) == (found.gas_used, (1 << 256) - 1)  # type: ignore[union-attr]


def test_block__after_the_year_2242__is_malformed_because_a_deadline_is_kept_in_nanoseconds() -> None:
    with pytest.raises(Malformed):
        codec.block_ref({**BLOCK, "timestamp": hex(1 << 33)})
    found = codec.block_ref({**BLOCK, "timestamp": hex((1 << 33) - 1)})
    assert found.timestamp_s * SECOND < 1 << 63


@pytest.mark.parametrize("reward", [5, True, "0x1", {"a": 1}, [5], [["1"]], [[None]]])
def test_fee_history__with_rewards_of_another_shape__is_malformed(reward: object) -> None:
    with pytest.raises(Malformed):
        codec.fee_market({**FEES, "reward": reward})


@pytest.mark.parametrize("reward", [None, [], [[]]])
def test_fee_history__without_rewards__asks_for_no_tip(reward: object) -> None:
    assert codec.fee_market({**FEES, "reward": reward}).tip_wei == 0


@given(st.dictionaries(st.sampled_from(["code", "message", "data"]) | st.text(max_size=3), VALUES))
def test_refusal__of_any_shape__is_an_error_of_ours(error: dict[str, Any]) -> None:
    for method in ("eth_call", "eth_sendRawTransaction", "eth_getLogs"):
        assert isinstance(refusal(method, error, "node"), KeeperError)


@given(st.data())
def test_frame__with_any_json_anywhere__is_heard_or_ends_the_stream(data: st.DataObject) -> None:
    head = {"jsonrpc": "2.0", "method": "eth_subscription", "params": {"subscription": "0x1", "result": BLOCK}}
    answer = {"jsonrpc": "2.0", "id": 1, "result": "0x1"}
    said = data.draw(st.sampled_from([head, answer]))
    frame = replaced(said, data.draw(st.sampled_from(list(places(said)))), data.draw(VALUES))
    heard: list[int] = []

    async def sent(_text: str) -> None:
        """Nobody answers."""

    async def taken() -> None:
        socket: Any = SimpleNamespace(close_code=None, send_str=sent)
        dialogue = Dialogue(1, StreamRules(), str, lambda: None, heard.append)
        await dialogue._ask(socket, "eth_chainId", ())
        dialogue._subscription = "0x1"
        await dialogue._take(socket, SimpleNamespace(type=aiohttp.WSMsgType.TEXT, data=json.dumps(frame)))

    with suppress(Ended):
        asyncio.run(taken())
    assert all(0 <= number < 1 << 62 for number in heard)
