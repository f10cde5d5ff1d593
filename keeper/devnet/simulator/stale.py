"""The chain as a node sees it that has fallen behind. Its mempool is the common one: transactions reach it, blocks do not.

Texts: `header not found` of eth/api_backend.go in go-ethereum.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from keeper.devnet.simulator.methods import Reply, refusal

Ask = Callable[[str, Sequence[Any]], Awaitable[Reply]]

BLOCK_PLACE = {
    "eth_getBlockByNumber": 0,
    "eth_getBlockReceipts": 0,
    "eth_getBlockTransactionCountByNumber": 0,
    "eth_getTransactionByBlockNumberAndIndex": 0,
    "eth_call": 1,
    "eth_estimateGas": 1,
    "eth_createAccessList": 1,
    "eth_feeHistory": 1,
    "eth_getBalance": 1,
    "eth_getCode": 1,
    "eth_getTransactionCount": 1,
    "eth_getProof": 2,
    "eth_getStorageAt": 2,
}
"""Where a method says which block it means."""
_BLOCKS = frozenset({"eth_getBlockByNumber", "eth_getBlockReceipts", "eth_getTransactionByBlockNumberAndIndex"})
_HEADS = frozenset({"latest", "pending"})
_IN_BLOCKS = frozenset({"eth_getTransactionReceipt", "eth_getBlockByHash"})
_NOT_MINED = {"blockHash": None, "blockNumber": None, "transactionIndex": None}


async def ask_behind(ask: Ask, method: str, params: Sequence[Any], blocks: int) -> Reply:
    """What `ask` would have said `blocks` ago."""
    head = max(0, int((await ask("eth_blockNumber", []))["result"], 16) - blocks)
    if method == "eth_blockNumber":
        return {"result": hex(head)}
    if method == "eth_getTransactionCount" and list(params[1:]) == ["pending"]:
        return await ask(method, params)
    if method == "eth_getLogs":
        return await _logs(ask, params, head)
    if method in BLOCK_PLACE:
        return await _at(ask, method, params, head)
    return _hidden(method, await ask(method, params), head)


async def _at(ask: Ask, method: str, params: Sequence[Any], head: int) -> Reply:
    place = BLOCK_PLACE[method]
    given = [*params, *["latest"] * (place + 1 - len(params))]
    wanted = given[place]
    if isinstance(wanted, dict) and "blockHash" in wanted:
        block = (await ask("eth_getBlockByHash", [wanted["blockHash"], False])).get("result")
        beyond = block is not None and int(block["number"], 16) > head
    else:
        number = wanted.get("blockNumber", "latest") if isinstance(wanted, dict) else wanted
        beyond = str(number).startswith("0x") and int(number, 16) > head
        given[place] = hex(head) if number in _HEADS else wanted
    if beyond:
        return {"result": None} if method in _BLOCKS else refusal(-32000, "header not found")
    return await ask(method, given)


async def _logs(ask: Ask, params: Sequence[Any], head: int) -> Reply:
    said = await ask("eth_getLogs", params)
    if "result" not in said:
        return said
    return {"result": [each for each in said["result"] if int(each["blockNumber"], 16) <= head]}


def _hidden(method: str, said: Reply, head: int) -> Reply:
    found = said.get("result")
    if not isinstance(found, dict):
        return said
    number = found.get("blockNumber") or found.get("number")
    if number is None or int(number, 16) <= head:
        return said
    if method in _IN_BLOCKS:
        return {"result": None}
    return {"result": {**found, **_NOT_MINED}} if method == "eth_getTransactionByHash" else said
