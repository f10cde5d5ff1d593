"""The operator's page: /livez, /readyz, /metrics and /status over HTTP. It tells; it takes no orders (see `admin`)."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from aiohttp import web

from keeper.app.scrub import scrubbed
from keeper.errors import ConfigError
from keeper.settings.fields import is_loopback
from keeper.settings.models import OpsSettings

TICK_S = 0.5
LATE_S = 5.0
MAX_CONCURRENT = 32
_MAX_BODY = 64 * 1024
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Readiness:
    """One condition of being ready. `fix` says what an operator can do about it."""

    check: str
    ok: bool
    detail: str = ""
    fix: str = ""


Ready = Callable[[str | None], Sequence[Readiness]]
"""Conditions of the whole keeper (None) or of one market. Raises KeyError for a market that is not configured."""


@dataclass(slots=True)
class OpsServer:
    """A service. `metrics` gives the exposition text, `status` a JSON-able tree, `on_lag` hears how late the loop is.

    `where` names the line of the configuration that chose the port, for the message when it is taken.
    """

    settings: OpsSettings
    metrics: Callable[[], bytes]
    content_type: str
    status: Callable[[], Mapping[str, Any]]
    ready: Ready
    on_lag: Callable[[float], None] = lambda _late_s: None
    where: str = "ops.port"
    name: str = "ops"
    port: int = 0
    _ticked: float = 0.0
    _busy: int = 0
    _runner: web.AppRunner | None = field(default=None, repr=False)

    async def open(self) -> None:
        """Binds the port, so that a port already taken ends the start. Raises ConfigError."""
        app = web.Application(middlewares=[self._guarded], client_max_size=_MAX_BODY)
        app.add_routes(
            [
                web.get("/livez", self._livez),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
                web.get("/status", self._status),
            ]
        )
        self._ticked = asyncio.get_running_loop().time()
        self._runner = web.AppRunner(app, access_log=None, keepalive_timeout=15, handle_signals=False)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self.settings.host, self.settings.port, backlog=64).start()
        except OSError as error:
            await self.close()
            raise ConfigError(self._refused(error)) from None
        self.port = int(self._runner.addresses[0][1])

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def run(self) -> None:
        """Ticks, so that /livez and the metrics can tell how late the loop is; serves until cancelled."""
        loop = asyncio.get_running_loop()
        if self._runner is None:
            await self.open()
        try:
            while True:
                due = loop.time() + TICK_S
                await asyncio.sleep(TICK_S)
                self._ticked = loop.time()
                self.on_lag(max(0.0, self._ticked - due))
        finally:
            await self.close()

    def _refused(self, error: OSError) -> str:
        host, port = self.settings.host, self.settings.port
        if error.errno == errno.EADDRINUSE:
            return f"{self.where}: port {port} of {host} is in use by another program; choose another, or 0 for any"
        return f"{self.where}: cannot listen on {host}:{port}: {error.strerror}"

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not host_allowed(self.settings, request.host):
            response: web.StreamResponse = web.Response(status=421, text="unknown Host; see ops.allowed_hosts\n")
        elif self._busy >= MAX_CONCURRENT:
            response = web.Response(status=503, text="busy\n", headers={"Retry-After": "1"})
        else:
            response = await self._answer(request, handler)
        response.headers.update(_HEADERS)
        return response

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._busy += 1
        try:
            return await handler(request)
        except web.HTTPException as refusal:
            return web.Response(status=refusal.status, text=f"{refusal.reason}\n")
        finally:
            self._busy -= 1

    async def _livez(self, _request: web.Request) -> web.Response:
        age = asyncio.get_running_loop().time() - self._ticked
        return _json({"live": age < LATE_S, "tick_age_s": round(age, 3)}, ok=age < LATE_S)

    async def _readyz(self, request: web.Request) -> web.Response:
        market = request.query.get("market")
        try:
            found = self.ready(market)
        except KeyError:
            return web.Response(status=404, text="no such market\n")
        ready = all(condition.ok for condition in found)
        body = {"ready": ready, "market": market, "checks": [asdict(condition) for condition in found]}
        return _json(body, ok=ready)

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self.metrics(), headers={"Content-Type": self.content_type})

    async def _status(self, _request: web.Request) -> web.Response:
        return _json(self.status())


def host_allowed(settings: OpsSettings, host: str) -> bool:
    """Against DNS rebinding: a foreign page's name that resolves to us is not one of ours, an address cannot be one."""
    name = _without_port(host)
    if name in (*_LOOPBACK, settings.host, *settings.allowed_hosts):
        return True
    return not is_loopback(settings.host) and _is_address(name)


def _json(body: Mapping[str, Any], ok: bool = True) -> web.Response:
    text = json.dumps(scrubbed(body), indent=1) + "\n"
    return web.Response(status=200 if ok else 503, text=text, content_type="application/json")


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
