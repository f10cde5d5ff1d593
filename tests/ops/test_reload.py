"""Two who order a reload at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from keeper.app import orders
from keeper.app.orders import Orders
from keeper.runtime.board import Board
from keeper.runtime.supervisor import Supervisor
from keeper.runtime.virtual import run_virtual
from tests.services.fakes import RecordingLog, RecordingMeter, StepClock

KEYS = ("pricing:BTC", "pricing:ETH", "quotes:binance", "quotes:kraken")


@dataclass
class Lasting:
    """A service that takes its time to end: it saves what it knows, or hangs up."""

    name: str

    async def run(self) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(2 if self.name == KEYS[1] else 0.1)


def settings(hashed: str) -> Any:
    return SimpleNamespace(file=Path("keeper.toml"), markets=(), hash=hashed, decisive={})


def test_reload__ordered_twice_at_once__every_service_runs_afterwards(monkeypatch):
    """The second stopped what the first had just started, and could not start it again: it ran already."""
    made: list[str] = []

    def services(prefix: str) -> dict[str, Lasting]:
        return {key: Lasting(key) for key in KEYS if key.startswith(prefix)}

    def loaded(*_: Any) -> Any:
        made.append(f"hash{len(made)}")
        return settings(made[-1])

    monkeypatch.setattr(orders, "load", loaded)
    monkeypatch.setattr(orders, "_needs_restart", lambda *_: [])
    monkeypatch.setattr(orders, "plans_of", lambda *_: {})
    monkeypatch.setattr(orders, "pricing_services", lambda *_: services("pricing:"))
    monkeypatch.setattr(orders, "feeds", lambda *_: services("quotes:"))
    monkeypatch.setattr(orders, "listen", lambda supervisor, feed, _: supervisor.start(feed.name, feed))

    async def scenario() -> None:
        supervisor = Supervisor()
        for key in KEYS:
            supervisor.start(key, Lasting(key))
        world = SimpleNamespace(
            clock=StepClock(), evidence=None, meter=RecordingMeter(), log=RecordingLog(), taping=None
        )
        app = SimpleNamespace(
            settings=settings("before"),
            world=world,
            boards=SimpleNamespace(quotes=Board(), feeds=Board()),
            plans={},
            intake={},
            core={},
        )
        page = SimpleNamespace(plans={}, config_hash="")
        asked = Orders(app, page, supervisor)  # type: ignore[arg-type]
        await asyncio.sleep(0)
        answers = await asyncio.gather(asked.reload({}), asked.reload({}), return_exceptions=True)
        assert supervisor.keys == KEYS
        assert [each for each in answers if isinstance(each, BaseException)] == []
        assert page.config_hash == app.settings.hash == "hash1"
        await supervisor.stop_all()

    run_virtual(scenario)
