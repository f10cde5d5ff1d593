from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keeper.devnet.node import NodeOptions
from tests.chain.stage import Stage, staged


@pytest.fixture
async def automine(tmp_path: Path) -> AsyncIterator[Stage]:
    """Every transaction is mined as it comes."""
    async with staged(tmp_path / "state", NodeOptions()) as stage:
        yield stage


@pytest.fixture
async def manual(tmp_path: Path) -> AsyncIterator[Stage]:
    """Nothing is mined until the test says so."""
    async with staged(tmp_path / "state", NodeOptions(mining=False)) as stage:
        yield stage
