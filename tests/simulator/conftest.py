from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import aiohttp
import pytest

from keeper.devnet.simulator import SimulatorOptions, simulated
from tests.simulator.bench import Bench, Signer

Opener = Callable[[SimulatorOptions], AbstractAsyncContextManager[Bench]]


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
