"""Makes foreign text harmless before it is logged: no control characters, no bidi tricks, no keys, no floods."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MAX_TEXT = 2_048
_FLOOD = 8 * MAX_TEXT
"""More of a text is not even looked at."""
MAX_ITEMS = 200
MAX_DEPTH = 6
HIDDEN = "***"

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_URL = re.compile(r"\b(https?|wss?)://([^\s\"'<>\\]+)", re.IGNORECASE)
_SECRET_KEY = re.compile(r"(^|_)(password|passphrase|secret|private_key|mnemonic|token|api_key|authorization|cookie)$")


def scrubbed(value: Any, depth: int = 0) -> Any:
    """A copy of `value` that is safe to print, of plain types only."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return text(value)
    if isinstance(value, bytes | bytearray):
        return text("0x" + bytes(value[:MAX_TEXT]).hex())
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return _nested(value, depth + 1) if depth < MAX_DEPTH else "…"
    return text(str(value) if isinstance(value, BaseException) else repr(value))


def _nested(value: Any, depth: int) -> Any:
    if not isinstance(value, Mapping):
        return [scrubbed(inner, depth) for inner in list(value)[:MAX_ITEMS]]
    return {
        text(str(key)): HIDDEN if _SECRET_KEY.search(str(key).lower()) else scrubbed(inner, depth)
        for key, inner in list(value.items())[:MAX_ITEMS]
    }


def text(raw: str) -> str:
    """One line, at most MAX_TEXT characters, URLs without user, path and query (providers keep their keys there)."""
    safe = _UNSAFE.sub(_escaped, _URL.sub(_public_url, raw[:_FLOOD]))  # first: half a URL is none to this pattern
    over = len(safe) - MAX_TEXT + max(0, len(raw) - _FLOOD)
    return safe if over <= 0 else f"{safe[:MAX_TEXT]}…(+{over})"


def _escaped(found: re.Match[str]) -> str:
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(found[0], f"\\u{ord(found[0]):04x}")


def _public_url(found: re.Match[str]) -> str:
    host, slash, rest = found[2].partition("/")
    host, question, query = host.partition("?")
    hidden = "/" + HIDDEN if (slash and rest) or (question and query) else ""
    return f"{found[1]}://{host.rpartition('@')[2]}{hidden}"
