"""A reload beside another one, and on a full disk."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from keeper.app import orders
from keeper.app.orders import Orders
from keeper.errors import TransientError
from keeper.runtime.board import Board
from keeper.runtime.supervisor import Supervisor
from keeper.runtime.virtual import run_virtual
from tests.services.fakes import MemoryStore, RecordingLog, RecordingMeter, StepClock

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


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Orders:
    """Orders to a keeper whose files read differently each time."""
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

    world = SimpleNamespace(
        clock=StepClock(),
        evidence=None,
        meter=RecordingMeter(),
        log=RecordingLog(),
        taping=None,
        journal=SimpleNamespace(snapshots=MemoryStore()),
    )
    app: Any = SimpleNamespace(
        settings=settings("before"),
        world=world,
        boards=SimpleNamespace(quotes=Board(), feeds=Board(), paused=Board()),
        plans={},
        intake={},
        core={},
    )
    page: Any = SimpleNamespace(plans={}, config_hash="before")
    return Orders(app, page, Supervisor())


async def started(asked: Orders) -> None:
    for key in KEYS:
        asked.supervisor.start(key, Lasting(key))
    await asyncio.sleep(0)


def test_reload__ordered_twice_at_once__every_service_runs_afterwards(asked: Orders) -> None:
    """The second stopped what the first had just started, and could not start it again: it ran already."""

    async def scenario() -> None:
        await started(asked)
        answers = await asyncio.gather(asked.reload({}), asked.reload({}), return_exceptions=True)
        assert asked.supervisor.keys == KEYS
        assert [each for each in answers if isinstance(each, BaseException)] == []
        assert asked.page.config_hash == asked.app.settings.hash == "hash1"
        await asked.supervisor.stop_all()

    run_virtual(scenario)


def test_reload__disk_full__is_refused_and_everything_goes_on(asked: Orders) -> None:
    """What the markets know is handed on through the journal: a halt of the last half minute was lost."""
    store: Any = asked.app.world.journal.snapshots
    store.full = True

    async def scenario() -> None:
        await started(asked)
        with pytest.raises(TransientError, match="full"):
            await asked.reload({})
        assert asked.supervisor.keys == KEYS
        assert asked.page.config_hash == asked.app.settings.hash == "before"
        await asked.supervisor.stop_all()

    run_virtual(scenario)
