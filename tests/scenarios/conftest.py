from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.scenarios.stage import Scene, staged


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """Three endpoints, blocks on request, a Counter and a wallet with 100 ether."""
    async with staged(tmp_path / "state") as scene:
        yield scene
