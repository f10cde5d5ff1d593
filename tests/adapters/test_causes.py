"""Why a request or a connection failed, in words for people: what aiohttp and the system really raise."""

from __future__ import annotations

import asyncio
import errno
import re
import socket
import ssl
from collections.abc import AsyncIterator

import aiohttp
import pytest

from keeper.adapters.causes import LONGEST, cause, shortened
from keeper.adapters.websocket import open_session
from keeper.errors import FeedDisconnected

_REPR = re.compile(r"[A-Za-z]+\(|ssl:|\[Errno|ConnectionKey|<class")
"""What no message for people has in it."""


@pytest.fixture
async def silent() -> AsyncIterator[int]:
    """A server that takes what comes, answers nothing and hangs up."""

    async def heard(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.close()

    server = await asyncio.start_server(heard, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def told(url: str, within_s: float = 10.0) -> str:
    async with open_session() as session:
        try:
            async with asyncio.timeout(within_s), session.get(url) as response:
                await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return cause(error)
    raise AssertionError("it answered")


async def test_cause__of_what_really_fails__is_said_in_our_words(silent: int) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        found = {
            "refused": await told(f"http://127.0.0.1:{taken.getsockname()[1]}/"),
            "unknown": await told("http://nobody.invalid/"),
            "hung up": await told(f"http://127.0.0.1:{silent}/"),
            "no TLS": await told(f"https://127.0.0.1:{silent}/"),
        }
    assert found["refused"] == "connection refused"
    assert found["unknown"].startswith("the name nobody.invalid is not known")
    assert found["hung up"] == "the connection was closed without an answer"
    assert not [words for words in found.values() if _REPR.search(words)], found


async def test_cause__of_both_addresses_of_a_name__is_said_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert await told(f"http://localhost:{taken.getsockname()[1]}/") == "connection refused"


async def test_cause__of_plain_text_where_tls_was_expected__is_tls() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with server:
        words = await told(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert words.startswith("TLS: "), words
    assert not _REPR.search(words), words


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError(), "no answer in time"),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "no route"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "no route"),
        (ConnectionResetError(), "connection reset"),
        (OSError(errno.EMFILE, "Too many open files"), "too many open files"),
        (ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed (_ssl.c:1)"),
         "TLS: certificate verify failed: self-signed"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "the name is not known"),
        (FeedDisconnected("redirected away from example.org"), "redirected away from example.org"),
        (aiohttp.ClientError("x"), "ClientError"),
    ],
)  # fmt: skip
def test_cause__of_an_error__is_short_and_ours(error: Exception, words: str) -> None:
    assert cause(error) == words


def test_shortened__never_cuts_a_url_in_two() -> None:
    """What is cut off a URL is what tells that the rest is a secret."""
    assert shortened("short") == "short"
    assert len(shortened("x" * 1_000)) == LONGEST
    text = "y" * (LONGEST - 20) + " wss://user:s3cr3t-canary@example.org/path"
    assert shortened(text) == "y" * (LONGEST - 20) + " …"
    assert shortened("wss://example.org/" + "k" * 1_000) == "…"
