"""RPC endpoints with their keys, which may stand in files or credentials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from keeper.adapters.rpc_http import RpcEndpoint
from keeper.adapters.rpc_stream import StreamEndpoint
from keeper.adapters.signers.secret_file import Environment, read_secret
from keeper.errors import ConfigError
from keeper.settings.fields import HTTP, WS, endpoint_fault, is_plain
from keeper.settings.models import Settings


def rpc_endpoints(settings: Settings, environ: Mapping[str, str]) -> tuple[RpcEndpoint, ...]:
    """In order of preference, those that are only sent to last. Raises ConfigError, KeyPermissionError."""
    chain = settings.chain
    wanted = [("rpc", number) for number in range(len(chain.rpc))]
    wanted += [("send_to", number) for number in range(len(chain.send_to))]
    return tuple(
        RpcEndpoint(_url(settings, key, number, environ), per_s=chain.requests_per_s, write_only=key == "send_to")
        for key, number in wanted
    )


def stream_endpoints(settings: Settings, environ: Mapping[str, str]) -> tuple[StreamEndpoint, ...]:
    """Raises ConfigError, KeyPermissionError."""
    urls = [_url(settings, "streams", number, environ) for number in range(len(settings.chain.streams))]
    found: dict[str, StreamEndpoint] = {}
    for number, url in enumerate(urls, start=1):
        plain = StreamEndpoint(url)
        named = plain if plain.name not in found else replace(plain, name=f"{plain.name}#{number}")
        found[named.name] = named
    return tuple(found.values())


def _url(settings: Settings, key: str, number: int, environ: Mapping[str, str]) -> str:
    text: str = getattr(settings.chain, key)[number].get_secret_value()
    if not text.startswith(("file:", "cred:")):
        return text
    where = settings.where(f"chain.{key}[{number}]")
    file = str(settings.file.parent / text.removeprefix("file:")) if text.startswith("file:") else text
    url = read_secret(file, where, Environment(environ)).reveal().decode(errors="replace").strip()
    schemes = WS if key == "streams" else HTTP
    fault = endpoint_fault(url, schemes)
    if not fault and is_plain(url) and not settings.chain.plain_http:
        fault = f"{schemes[0]}:// to another machine; use {schemes[1]}://, or set chain.plain_http"
    if fault:
        raise ConfigError(f"{where}: the file holds no usable URL: {fault}")
    return url
