"""sd_notify on a real datagram socket."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from keeper.adapters.clock import SystemClock
from keeper.app.systemd import Notifier, Watchdog
from keeper.runtime.pulse import Pulse


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as found:
        found.bind(str(tmp_path / "notify"))
        found.settimeout(5)
        yield found


def test_notify__to_a_socket__sends_one_datagram_a_message(manager: socket.socket) -> None:
    notifier = Notifier.of({"NOTIFY_SOCKET": manager.getsockname()})
    notifier.ready("live,\n2 markets")
    notifier.status("x")
    notifier.alive()
    notifier.stopping()
    assert [manager.recv(1000) for _ in range(4)] == [
        b"READY=1\nSTATUS=live, 2 markets",
        b"STATUS=x",
        b"WATCHDOG=1",
        b"STOPPING=1",
    ]


def test_notify__to_an_abstract_name__reaches_it() -> None:
    name = f"keeper-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name)
        Notifier(f"@{name}").ready()
        assert manager.recv(100) == b"READY=1"


def test_notify__without_systemd__is_silent(tmp_path: Path) -> None:
    Notifier.of({}).ready()
    Notifier(str(tmp_path / "gone")).ready()


@pytest.mark.parametrize(
    ("environ", "window"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "x"}, None),
        ({}, None),
    ],
)
def test_watchdog_window__of_the_environment__is_ours_or_none(environ: dict[str, str], window: float | None) -> None:
    assert Notifier.of(environ).watchdog_s == window


async def test_watchdog__while_one_loop_is_late__lets_systemd_bark(manager: socket.socket) -> None:
    pulse = Pulse(SystemClock())
    pulse.expect("pricing", 5)
    manager.setblocking(False)
    loop = asyncio.get_running_loop()
    task = loop.create_task(Watchdog(Notifier(manager.getsockname(), watchdog_s=0.03), pulse).run())
    async with asyncio.timeout(5):
        assert await loop.sock_recv(manager, 100) == b"WATCHDOG=1"
    pulse.expect("pricing", 0)
    await asyncio.sleep(0.05)
    while True:  # what was sent before the loop was late
        try:
            manager.recv(100)
        except BlockingIOError:
            break
    await asyncio.sleep(0.1)
    with pytest.raises(BlockingIOError):
        manager.recv(100)
    pulse.expect("pricing", 5)
    async with asyncio.timeout(5):
        assert await loop.sock_recv(manager, 100) == b"WATCHDOG=1"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
