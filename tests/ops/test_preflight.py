"""What a start looks at once the chain answers."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from keeper.app.boards import Boards
from keeper.app.preflight import Preflight
from keeper.app.world import Keys
from keeper.errors import RpcError, RpcUnavailable
from keeper.runtime.virtual import run_virtual
from tests.domain.accounts.bridge import block
from tests.services.fakes import SITE, RecordingLog


class Moody:
    """A node that refuses, is away, and then answers."""

    def __init__(self) -> None:
        self.errors: list[Exception] = [RpcUnavailable("gone"), RpcError("internal error", -32_603)]

    async def code(self, *_: Any) -> bytes:
        if self.errors:
            raise self.errors.pop()
        return b"code"


def test_run__node_refuses_to_tell_the_code__is_asked_again_with_the_next_head() -> None:
    """It ended the keeper, with transactions under way."""

    async def scenario() -> None:
        boards, chain = Boards(), Moody()
        deployment: Any = SimpleNamespace(id=SITE, protocol=SimpleNamespace(oracle="0x1", exchange="0x2"))
        boards.states.put(SITE, SimpleNamespace(oracle=SimpleNamespace(signers=(), quorum=1)))  # type: ignore[arg-type]
        preflight = Preflight((deployment,), chain, boards, Keys(()), RecordingLog())  # type: ignore[arg-type]
        running = asyncio.ensure_future(preflight.run())
        for number in range(3):
            boards.blocks.put("head", block(100 + number))
            await asyncio.sleep(0.1)
        assert chain.errors == []
        await running

    run_virtual(scenario)
