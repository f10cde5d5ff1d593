"""One JSON-RPC endpoint over HTTP: one call, one POST; no retry, no redirect, no proxy. URLs are secrets.

https://www.jsonrpc.org/specification · https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from itertools import count
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import msgspec

from keeper.adapters import foreign_json
from keeper.adapters.rpc_bucket import Bucket
from keeper.adapters.rpc_errors import RpcTimeout, RpcUnreadable
from keeper.errors import ConfigError, RateLimited, RpcUnavailable

Request = tuple[str, Sequence[Any]]
"""Method and parameters."""
Reply = dict[str, Any]
"""A JSON-RPC answer with our id: it has `result` or `error`."""

_SHORTEST_SECRET = 6
_HEADERS = {"Content-Type": "application/json"}
_TOO_MANY_REQUESTS = 429
_REDIRECTS = range(300, 400)
_FIRST_FAILURE = 400
_LONGEST_PAUSE_S = 3600.0
_FIRST_BENCH_S = 1.0
_LONGEST_BENCH_S = 30.0


@dataclass(frozen=True, slots=True)
class RpcEndpoint:
    """`url` may carry credentials and is never shown; `name` is what logs, errors and metrics say.

    `per_s`: the most requests a second that its plan allows. `write_only`: it is sent transactions and asked nothing.

    Raises ConfigError when the address is not http(s)://host….
    """

    SCHEMES: ClassVar[tuple[str, str]] = ("http", "https")
    url: str = field(repr=False)
    name: str = ""
    per_s: float | None = None
    write_only: bool = False

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in self.SCHEMES or not parts.hostname:
            wanted = " or ".join(f"{scheme}://host" for scheme in self.SCHEMES)
            raise ConfigError(f"rpc endpoint {self.name or '(unnamed)'}: the address must be {wanted}")
        try:
            port = parts.port
        except ValueError:
            raise ConfigError(f"rpc endpoint {self.name or '(unnamed)'}: the port is not a number") from None
        if not self.name:
            object.__setattr__(self, "name", parts.hostname if port is None else f"{parts.hostname}:{port}")

    def secrets(self) -> tuple[str, ...]:
        """Whatever in the address could be a key: a node that echoes one must not write it into our logs."""
        parts = urlsplit(self.url)
        values = (value for _, value in parse_qsl(parts.query))
        words = (parts.username, parts.password, *parts.path.split("/"), *values)
        found = {word for word in words if word and len(word) >= _SHORTEST_SECRET}
        return tuple(sorted(found, key=lambda word: (-len(word), word)))  # one may be the beginning of another

    def scrub(self, text: str) -> str:
        for secret in self.secrets():
            text = text.replace(secret, "***")
        return text


class HttpEndpoint:
    """Posts to one endpoint and remembers how it has been behaving. `suspended`: why it is not to be read from."""

    def __init__(self, endpoint: RpcEndpoint, session: aiohttp.ClientSession, max_reply_bytes: int) -> None:
        self.label = endpoint.name
        self.write_only = endpoint.write_only
        self.bucket = Bucket(endpoint.per_s)
        self.verified = False
        self.wrong_chain: int | None = None
        self.suspended = ""
        self.lock = asyncio.Lock()
        self._url = endpoint.url
        self._secrets = endpoint.secrets()
        self._session = session
        self._limit = max_reply_bytes
        self._ids = count(1)
        self.latency_s = 0.0
        self._failures = 0
        self._benched_until = 0.0
        self._quiet_until = 0.0

    async def post(self, requests: Sequence[Request], timeout_s: float) -> list[Reply]:
        """The answers in the order of `requests`, in one exchange. Raises RpcUnavailable or RateLimited."""
        body, ids = self._encode(requests)
        try:
            async with asyncio.timeout(timeout_s):
                async with self._session.post(self._url, data=body, headers=_HEADERS, allow_redirects=False) as answer:
                    content = await self._content(answer)
        except TimeoutError:
            raise RpcTimeout(f"{self.label} {requests[0][0]}: no answer within {timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # aiohttp's own words can contain the address, keys and all: only the kind of error is passed on.
            raise RpcUnavailable(f"{self.label} {requests[0][0]}: {kind_of(error)}") from None
        return self._decode(requests, ids, content, answer.status)

    def scrub(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def answered(self, seconds: float) -> None:
        """Keeps a moving mean, so that one slow answer changes little and a slow node is known after a few."""
        self.latency_s += (seconds - self.latency_s) / 2

    def succeeded(self) -> None:
        self._failures = 0
        self._benched_until = 0.0

    def failed(self, error: Exception, now_s: float) -> None:
        """Benches the endpoint: others are asked first; after a rate limit it is left alone altogether."""
        self._failures += 1
        pause_s = min(_FIRST_BENCH_S * 2 ** (self._failures - 1), _LONGEST_BENCH_S)
        if not isinstance(error, RateLimited | RpcTimeout | RpcUnreadable):
            self.verified = False  # the connection broke: something else may listen there next time
        if isinstance(error, RateLimited):
            pause_s = min(error.retry_after_s or pause_s, _LONGEST_PAUSE_S)
            self._quiet_until = now_s + pause_s
        self._benched_until = now_s + pause_s

    def benched(self, now_s: float) -> bool:
        return now_s < self._benched_until

    def quiet_for_s(self, now_s: float) -> float:
        """How long the endpoint's own Retry-After still asks for silence."""
        return max(0.0, self._quiet_until - now_s)

    def _encode(self, requests: Sequence[Request]) -> tuple[bytes, list[int]]:
        ids = [next(self._ids) for _ in requests]
        calls = [
            {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            for number, (method, params) in zip(ids, requests, strict=True)
        ]
        return msgspec.json.encode(calls if len(calls) > 1 else calls[0]), ids

    async def _content(self, answer: aiohttp.ClientResponse) -> bytes:
        if answer.status == _TOO_MANY_REQUESTS:
            raise RateLimited(f"{self.label}: HTTP 429, asked to slow down", _retry_after_s(answer))
        if answer.status in _REDIRECTS:
            raise RpcUnavailable(f"{self.label}: HTTP {answer.status}, a redirect, which is not followed")
        if (answer.content_length or 0) > self._limit:
            answer.close()
            raise RpcUnreadable(f"{self.label}: a reply of more than {self._limit} bytes")
        content = bytearray()
        async for chunk in answer.content.iter_any():
            content += chunk
            if len(content) > self._limit:
                answer.close()
                raise RpcUnreadable(f"{self.label}: a reply of more than {self._limit} bytes")
        return bytes(content)

    def _decode(self, requests: Sequence[Request], ids: list[int], content: bytes, status: int) -> list[Reply]:
        try:
            said = foreign_json.decode(content)
        except ValueError:
            said = None
        if len(ids) > 1 and isinstance(said, dict) and isinstance(said.get("error"), dict):
            # A batch refused as a whole is answered with one error, and its id may be null.
            return [said for _ in ids]
        replies = said if isinstance(said, list) and len(ids) > 1 else [said]
        by_id = {reply["id"]: reply for reply in replies if _is_reply(reply)}
        if len(by_id) == len(replies) and set(by_id) == set(ids):
            return [by_id[number] for number in ids]
        if status >= _FIRST_FAILURE:
            raise RpcUnavailable(f"{self.label} {requests[0][0]}: HTTP {status}")
        raise RpcUnreadable(f"{self.label} {requests[0][0]}: the answer is not a JSON-RPC reply to what was asked")


def _is_reply(said: object) -> bool:
    if not isinstance(said, dict) or type(said.get("id")) is not int:
        return False
    return isinstance(said.get("error"), dict) or ("result" in said and said.get("error") is None)


def _retry_after_s(answer: aiohttp.ClientResponse) -> float | None:
    """Seconds, or a date, which is read against the answer's own Date so that our clock does not matter. An hour at most."""
    words = answer.headers.get("Retry-After", "")
    if words.isdecimal():
        return min(float(words), _LONGEST_PAUSE_S)
    try:
        until, sent = parsedate_to_datetime(words), parsedate_to_datetime(answer.headers.get("Date", ""))
        return min(max(0.0, (until - sent).total_seconds()), _LONGEST_PAUSE_S)
    except (TypeError, ValueError, OverflowError):
        return None


def kind_of(error: Exception) -> str:
    """What may be told of it. Its words can contain an address."""
    if isinstance(error, OSError) and error.strerror:
        return f"{type(error).__name__}: {error.strerror}"
    return type(error).__name__
