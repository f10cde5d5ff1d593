"""Why a connection or a request failed, in words for people; and texts of others made short."""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections.abc import Callable
from typing import Any

import aiohttp

from keeper.errors import KeeperError

LONGEST = 200
"""Characters of a detail that a notice carries."""

_WORDS = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.EPIPE: "connection reset",
    errno.ENETUNREACH: "no route",
    errno.EHOSTUNREACH: "no route",
    errno.ETIMEDOUT: "no answer in time",
}
_SEVERAL = re.compile(r"\[Errno (\d+)\]")
"""aiohttp joins the errors of all addresses of a name into one text; the first one tells enough."""
_OPENSSL = re.compile(r"^\[[^]]*\] |\s*\(_ssl\.c:\d+\)$")


def cause(error: BaseException) -> str:
    """Without what libraries repeat of our request: its URL and headers may carry a key."""
    for kind, words in _KINDS:
        if isinstance(error, kind):
            return words(error)
    return type(error).__name__


def _of_name(error: OSError, name: str) -> str:
    """Offline no name server can be asked: that is another trouble than a name that is misspelt."""
    away = error.errno == socket.EAI_AGAIN
    return f"{name} is not known" + (": no name server answers" if away else "")


def _of_tls(error: Exception) -> str:
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return f"TLS: {_OPENSSL.sub('', said)}"


def _of_system(error: OSError) -> str:
    number, said = error.errno, error.strerror or ""
    if number is None and (first := _SEVERAL.search(str(error))):
        number = int(first[1])
    return _WORDS.get(number or 0) or said.lower() or type(error).__name__


_KINDS: tuple[tuple[type[BaseException], Callable[[Any], str]], ...] = (
    (KeeperError, str),
    (aiohttp.ClientResponseError, lambda error: f"HTTP {error.status}: {error.message}"),
    (aiohttp.WebSocketError, str),
    (TimeoutError, lambda _: "no answer in time"),
    (aiohttp.ClientConnectorCertificateError, lambda error: _of_tls(error.certificate_error)),
    (aiohttp.ClientConnectorDNSError, lambda error: _of_name(error.os_error, f"the name {error.host}")),
    (aiohttp.ClientConnectorError, lambda error: cause(error.os_error)),
    (socket.gaierror, lambda error: _of_name(error, "the name")),
    (ssl.SSLError, _of_tls),
    (aiohttp.ServerDisconnectedError, lambda _: "the connection was closed without an answer"),
    (aiohttp.ClientPayloadError, lambda _: "the answer broke off"),
    (ConnectionResetError, lambda _: "connection reset"),
    (OSError, _of_system),
)
"""The first that fits, so that the particular stands before the general."""


def shortened(words: str) -> str:
    """At most LONGEST characters. A URL is left out rather than cut: cut, nobody could tell the secret in it any more."""
    if len(words) <= LONGEST:
        return words
    head = words[: LONGEST - 1]
    before, space, last = head.rpartition(" ")
    return f"{before}{space}…" if "://" in last else f"{head}…"
