from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aiohttp
import pytest

from keeper.devnet.simulator import SimulatorOptions, simulated
from tests.conftest import SocketRefused, _is_local
from tests.simulator.bench import Bench, Signer

Opener = Callable[[SimulatorOptions], AbstractAsyncContextManager[Bench]]


@pytest.fixture(autouse=True)
def _sockets_stay_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in tests/conftest.py for the directories of LOOPBACK: servers of this machine, and no other."""
    for name in ("connect", "connect_ex", "bind", "sendto"):
        original = getattr(socket.socket, name)

        def guarded(self: socket.socket, *args: object, original: object = original, name: str = name) -> object:
            if not _is_local(args[-1]):
                raise SocketRefused(f"{name} to {args[-1]!r}")
            return original(self, *args)  # type: ignore[operator]

        monkeypatch.setattr(socket.socket, name, guarded)


@pytest.fixture
def opened() -> Opener:
    """A simulator with options of the test's own."""
    return _opened


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """Two endpoints, blocks on request, two senders with 100 ether each."""
    async with _opened(SimulatorOptions(endpoints=2)) as bench:
        yield bench


@asynccontextmanager
async def _opened(options: SimulatorOptions) -> AsyncIterator[Bench]:
    async with aiohttp.ClientSession() as session, simulated(session, options) as sim:
        bench = Bench(sim, session, Signer(1), Signer(2))
        for signer in (bench.alice, bench.bob):
            await sim.fund(signer.address, 10**20)
        yield bench
