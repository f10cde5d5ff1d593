"""The demo's own switchboard on loopback: faults of venues, moves of the market, de-pegs, for whoever plays with it.

POST /fault  {"venue": "okx", "fault": "stall", "on": true, …options}
POST /market {"jump": -0.2, "over_s": 2, "base": "BTC"}      without `base`: all of them
POST /depeg  {"price": 0.95, "over_s": 5, "stable": "USDT"}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiohttp import web

from keeper.devnet.market import HiddenMarket

LEAST_JUMP, MOST_JUMP = -0.9, 10.0


class Faulty(Protocol):
    """The part of a venue's fault board that is needed here."""

    def switch(self, name: str, on: bool = True, symbol: str | None = None, **options: Any) -> None: ...


@dataclass(slots=True)
class Control:
    """Open it with `start`, close it with `stop`; `url` then says where it listens."""

    market: HiddenMarket
    faults: Mapping[str, Faulty]
    url: str = ""
    _runner: web.AppRunner | None = field(default=None, repr=False)

    async def start(self) -> None:
        app = web.Application(client_max_size=4096)
        app.router.add_post("/fault", self._fault)
        app.router.add_post("/market", self._market)
        app.router.add_post("/depeg", self._depeg)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _fault(self, request: web.Request) -> web.Response:
        body = await _body(request)
        board = self.faults.get(str(body.pop("venue", "")))
        if board is None:
            return _refused(f"venue must be one of {', '.join(sorted(self.faults))}")
        name, on, symbol = body.pop("fault", None), body.pop("on", True), body.pop("symbol", None)
        try:
            board.switch(str(name), bool(on), symbol, **body)
        except (ValueError, TypeError) as error:
            return _refused(str(error))
        return web.json_response({"fault": name, "on": bool(on)})

    async def _market(self, request: web.Request) -> web.Response:
        body = await _body(request)
        jump, over_s = _number(body, "jump", 0.0), _number(body, "over_s", 0.0)
        bases = [str(body["base"])] if "base" in body else list(self.market.start)
        if jump is None or over_s is None or not LEAST_JUMP <= jump <= MOST_JUMP:
            return _refused(f"jump must be a number from {LEAST_JUMP} to {MOST_JUMP}, over_s seconds")
        if unknown := [base for base in bases if base not in self.market.start]:
            return _refused(f"{unknown[0]!r} is not one of {', '.join(self.market.start)}")
        for base in bases:
            self.market.jump(base, jump, over_s)
        return web.json_response({"jump": jump, "over_s": over_s, "bases": bases})

    async def _depeg(self, request: web.Request) -> web.Response:
        body = await _body(request)
        price, over_s = _number(body, "price", 0.95), _number(body, "over_s", 0.0)
        stable = str(body.get("stable", "USDT"))
        if price is None or over_s is None or not 0 < price <= MOST_JUMP or stable not in self.market.pegs:
            return _refused(f"price must be positive, stable one of {', '.join(self.market.pegs)}")
        self.market.depeg(stable, price, over_s)
        return web.json_response({"stable": stable, "price": price, "over_s": over_s})


async def _body(request: web.Request) -> dict[str, Any]:
    with suppress(json.JSONDecodeError):
        body = await request.json()
        if isinstance(body, dict):
            return body
    return {}


def _number(body: Mapping[str, Any], key: str, default: float) -> float | None:
    """A finite number that is not negative time; None for anything else."""
    value = body.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return None if key == "over_s" and not 0 <= value <= 3600 else float(value)


def _refused(reason: str) -> web.Response:
    return web.json_response({"error": reason}, status=400)
