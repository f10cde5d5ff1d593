"""The faults by name, each as `endpoint.faults.add(...)` takes it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from email.utils import format_datetime
from typing import Any

from keeper.devnet.simulator.faults import Altered, Cut, Delay, Error, Fault, Flood, Hang, Page, Stale

CHAIN_IDS = frozenset({"eth_chainId", "net_version"})
FEES = frozenset({"eth_feeHistory", "eth_gasPrice", "eth_maxPriorityFeePerGas"})
RECEIPT = frozenset({"eth_getTransactionReceipt"})


def drop_reply() -> Fault:
    """Performed, then the connection is closed."""
    return Cut("drop_reply", performed=True)


def refuse() -> Fault:
    """The connection is closed before anything is done."""
    return Cut("refuse")


def hang(*, performed: bool = False) -> Fault:
    """No answer until it is cleared; `performed` decides whether the node acts before or after the wait."""
    return Hang("hang", performed=performed)


def delay(seconds: float, *, performed: bool = True) -> Fault:
    """Answered so much later; `performed` decides whether the node acts before or after the wait."""
    return Delay("delay", seconds, performed=performed)


def error(code: int, message: str, data: Any = None, *, performed: bool = False) -> Fault:
    """A JSON-RPC error."""
    return Error("error", code, message, data, performed=performed)


def null() -> Fault:
    """Performed, and the result is null."""
    return Altered("null", _nothing)


def wrong_id() -> Fault:
    """The answer to another question."""
    return Altered("wrong_id", lambda _method, _params, reply: reply.update(id="not yours"))


def other_chain_id(chain_id: int) -> Fault:
    """Says that it serves another chain. It goes on serving this one."""

    def alter(method: str, _params: Sequence[Any], reply: dict[str, Any]) -> None:
        reply["result"] = str(chain_id) if method == "net_version" else hex(chain_id)

    return Altered("other_chain_id", alter, methods=CHAIN_IDS)


def stale_head(blocks: int) -> Fault:
    """Head, latest state, receipts and logs as they were so many blocks ago; its mempool is up to date."""
    return Stale("stale_head", blocks)


def rate_limited(retry_after: float | datetime | None = None, *, status: int = 429) -> Fault:
    """Not performed. Retry-After in whole seconds or as a date: https://httpwg.org/specs/rfc9110.html#field.retry-after"""
    if isinstance(retry_after, datetime):
        said = {"Retry-After": format_datetime(retry_after, usegmt=True)}
    else:
        said = {} if retry_after is None else {"Retry-After": str(int(retry_after))}
    return Page("rate_limited", status, b"slow down", said)


def http_status(status: int, body: bytes = b"", *, performed: bool = False) -> Fault:
    """`performed` is a gateway that gives up after its node has acted."""
    return Page("http_status", status, body, performed=performed)


def redirect(to: str, status: int = 307) -> Fault:
    """Sends the caller elsewhere."""
    return Page("redirect", status, b"", {"Location": to})


def garbage(body: bytes = b"<html>bad gateway</html>", *, performed: bool = True) -> Fault:
    """200 with something that is no JSON."""
    return Page("garbage", 200, body, performed=performed)


def huge_body(size: int = 64 * 2**20) -> Fault:
    """200 and a JSON text of so many bytes, as fast as it is read."""
    return Flood("huge_body", size)


def fee_outlier(factor: int = 100) -> Fault:
    """Base fees, tips and gas prices times `factor`; also a block's base fee, if eth_getBlockByNumber is among `methods`."""

    def alter(_method: str, _params: Sequence[Any], reply: dict[str, Any]) -> None:
        reply["result"] = _times(reply.get("result"), factor)

    return Altered("fee_outlier", alter, methods=FEES)


def lying_receipt(changes: Mapping[str, Any], *, invented: bool = False) -> Fault:
    """Receipts with these fields changed, such as `status` or `blockHash`; `invented` ones also where there is none."""

    def alter(_method: str, params: Sequence[Any], reply: dict[str, Any]) -> None:
        true = reply.get("result") or (_invention(str(params[0])) if invented else None)
        reply["result"] = None if true is None else {**true, **changes}

    return Altered("lying_receipt", alter, methods=RECEIPT)


def _nothing(_method: str, _params: Sequence[Any], reply: dict[str, Any]) -> None:
    reply.pop("error", None)
    reply["result"] = None


def _times(shown: Any, factor: int) -> Any:
    if isinstance(shown, str):
        return hex(int(shown, 16) * factor)
    if isinstance(shown, dict):
        priced: Collection[str] = ("baseFeePerGas", "reward")
        return {name: _times(each, factor) if name in priced else each for name, each in shown.items()}
    return [_times(each, factor) for each in shown] if isinstance(shown, list) else shown


def _invention(tx_hash: str) -> dict[str, Any]:
    nobody = "0x" + "00" * 20
    return {
        "transactionHash": tx_hash,
        "transactionIndex": "0x0",
        "blockHash": "0x" + "be" * 32,
        "blockNumber": "0x1",
        "from": nobody,
        "to": nobody,
        "contractAddress": None,
        "status": "0x1",
        "type": "0x2",
        "gasUsed": "0x5208",
        "cumulativeGasUsed": "0x5208",
        "effectiveGasPrice": "0x1",
        "logs": [],
        "logsBloom": "0x" + "00" * 256,
    }
