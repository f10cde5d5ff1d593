"""What a node's refusal means. Error objects: https://www.jsonrpc.org/specification#error_object, EIP-1474, EIP-838."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from keeper.errors import KeeperError, RateLimited, Reverted, RpcError, RpcUnavailable

CALL_METHODS = frozenset({"eth_call", "eth_estimateGas"})
_REVERTED = 3
"""go-ethereum's code of a reverted call: https://geth.ethereum.org/docs/interacting-with-geth/rpc"""
_TOO_MANY_REQUESTS = 429
_LIMIT_EXCEEDED = (_TOO_MANY_REQUESTS, -32005)

_TOO_FAST = re.compile(r"rate|capacity|too many requests|requests? per|throttl|compute units", re.IGNORECASE)
_LAGGING = re.compile(
    r"header not found|unknown block|block not found|resource not found|missing trie node|BlockOutOfRange"
    r"|not currently canonical|state .{0,80}not available|hash .{0,80}not found|could not find block",
    re.IGNORECASE,
)
_REVERT_WORDS = re.compile(r"revert|vm execution error", re.IGNORECASE)
_HEX = re.compile(r"0x(?:[0-9a-fA-F]{2})*")
_LONG_HEX = re.compile(r"(?:0x|(?<![0-9a-f]))[0-9a-f]{65,}", re.IGNORECASE)
"""Begins where a run does, so that one that is too short is read once, not from each digit: 8 MiB of hashes took four seconds."""
_HEX_SHOWN = 10
_LONGEST = 300


class RpcTimeout(RpcUnavailable):
    """No complete answer in time."""


class RpcUnreadable(RpcUnavailable):
    """An answer came that is not one: not JSON, another id, the wrong shape, too long."""


def refusal(method: str, error: Mapping[str, Any], where: str) -> KeeperError:
    """The exception for a JSON-RPC error object. `where` names the endpoint, never its address."""
    code = error.get("code")
    code = code if isinstance(code, int) else 0
    message = _printable(str(error.get("message", "")))
    words = f"{where} {method}: {message or 'no message'}"
    data = revert_data(error.get("data"))
    if code in _LIMIT_EXCEEDED and (code == _TOO_MANY_REQUESTS or _TOO_FAST.search(message)):
        return RateLimited(words)
    if method in CALL_METHODS and (code == _REVERTED or _REVERT_WORDS.search(message)):
        return Reverted(words, data or b"")
    if method != "eth_sendRawTransaction" and _LAGGING.search(message):
        # The node lacks the block that was asked for: another one may have it.
        return RpcUnavailable(words)
    return RpcError(words, code, None if data is None else "0x" + data.hex())


def revert_data(value: object) -> bytes | None:
    """The revert data wherever a client puts it: plain, after a word (`Reverted 0x…`), or one object deeper."""
    if isinstance(value, str):
        found = _HEX.search(value)
        return bytes.fromhex(found.group()[2:]) if found else None
    if isinstance(value, dict):
        for key in ("data", "originalError", "result"):
            if (inner := revert_data(value.get(key))) is not None:
                return inner
    return None


def abridged(text: str) -> str:
    """Without the hexadecimal that is longer than a hash: a node that repeats a request repeats what we have signed."""
    return _LONG_HEX.sub(lambda found: f"{found[0][:_HEX_SHOWN]}…({len(found[0])} characters)", text)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in abridged(text)[:_LONGEST])
