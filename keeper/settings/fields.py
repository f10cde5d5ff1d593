"""Kinds of value that an operator may write. Units stand in the names of the fields that use them."""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, SecretStr, WithJsonSchema

from keeper.domain.numbers import parse_e18, text_of
from keeper.settings.spelling import CURRENCY, NAME, PAIR, SYMBOL


def _e18(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError('write a decimal number, e.g. "0.98"')
    try:
        scaled = parse_e18(format(value, "f") if isinstance(value, Decimal) else str(value))
    except ValueError:
        raise ValueError('write a plain decimal number, e.g. "0.98"') from None
    if isinstance(value, str | Decimal) and Decimal(value) != Decimal(scaled).scaleb(-18):
        raise ValueError("at most 18 digits after the point")
    return scaled


def _seconds(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("write a number of seconds")
    return float(value) if isinstance(value, int | Decimal) else value


def _instant(value: Any) -> Any:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or found.microsecond:
        raise ValueError('write a time of whole seconds with its zone, e.g. "2026-01-01T00:00:00Z"')
    return int(found.timestamp())


def _written_instant(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _path(value: Any) -> Any:
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("write a file name")
    return Path(value)


def is_loopback(host: str) -> bool:
    """True for `localhost` and the loopback addresses, by name only: nothing is resolved."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _url(schemes: tuple[str, ...]) -> Any:
    def check(text: str) -> str:
        try:
            parts = urlsplit(text)
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise ValueError("not a URL") from None
        if parts.scheme not in schemes or not host:
            raise ValueError(f"write a URL that begins with {' or '.join(f'{s}://' for s in schemes)}")
        if parts.username is not None or parts.password is not None:
            raise ValueError("no user or password in a URL")
        if parts.fragment or re.search(r"[\s\x00-\x1f\x7f]", text):
            raise ValueError("not a URL")
        return text

    return check


def is_plain(url: str) -> bool:
    """True when `url` would carry its traffic unencrypted over a network."""
    parts = urlsplit(url)
    return parts.scheme in ("http", "ws") and not is_loopback(parts.hostname or "")


HTTP = ("http", "https")
WS = ("ws", "wss")


def endpoint_fault(text: str, schemes: tuple[str, ...] = HTTP) -> str:
    """Why `text` is not the URL of an RPC endpoint, or nothing. Never repeats it."""
    try:
        _url(schemes)(text)
    except ValueError as error:
        return str(error)
    return ""


def _endpoint(schemes: tuple[str, ...]) -> Any:
    def check(value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        if not text.startswith(("file:", "cred:")):
            _url(schemes)(text)
        return value

    return check


def public_url(text: str) -> str:
    """Scheme and host alone: providers put their keys into path and query."""
    parts = urlsplit(text)
    if parts.scheme in ("file", "cred"):
        return text
    path = "/***" if parts.path.strip("/") or parts.query else ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}"


def _public_endpoint(value: SecretStr) -> str:
    return public_url(value.get_secret_value())


_DECIMAL_SCHEMA = WithJsonSchema({"type": ["string", "number"], "examples": ["0.98"]})

Seconds = Annotated[
    float,
    BeforeValidator(_seconds),
    Field(gt=0, le=31_536_000, allow_inf_nan=False),
    WithJsonSchema({"type": "number"}),
]
Bps = Annotated[int, Field(ge=0, le=10_000)]
PositiveBps = Annotated[int, Field(ge=1, le=10_000)]
Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]
E18 = Annotated[int, BeforeValidator(_e18), PlainSerializer(text_of, return_type=str), _DECIMAL_SCHEMA]
"""Decimal text as an integer scaled by 1e18."""
PositiveE18 = Annotated[
    int, BeforeValidator(_e18), Field(gt=0), PlainSerializer(text_of, return_type=str), _DECIMAL_SCHEMA
]
FilePath = Annotated[Path, BeforeValidator(_path), WithJsonSchema({"type": "string"})]
StreamUrl = Annotated[str, AfterValidator(_url(("ws", "wss", "http", "https")))]
"""Of a websocket, or of an event stream: which one, its venue tells."""
HttpUrl = Annotated[str, AfterValidator(_url(("http", "https")))]
Endpoint = Annotated[SecretStr, AfterValidator(_endpoint(HTTP)), PlainSerializer(_public_endpoint, return_type=str)]
"""An RPC URL, or `file:NAME` or `cred:NAME` of a file that holds one. Shown by scheme and host alone."""
Instant = Annotated[
    int,
    BeforeValidator(_instant),
    PlainSerializer(_written_instant, return_type=str),
    WithJsonSchema({"type": "string"}),
]
"""UTC text as whole seconds since the epoch."""
StreamEndpoint = Annotated[SecretStr, AfterValidator(_endpoint(WS)), PlainSerializer(_public_endpoint, return_type=str)]
"""The same for a websocket."""
Name = Annotated[str, Field(pattern=NAME.pattern)]
PairName = Annotated[str, Field(pattern=PAIR.pattern)]
"""Base and quote, e.g. `BTC-USD`; a suffix tells two markets of one pair apart."""
Currency = Annotated[str, Field(pattern=CURRENCY.pattern)]
Symbol = Annotated[str, Field(pattern=SYMBOL.pattern)]
"""A venue's own spelling."""
