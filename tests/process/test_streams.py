"""A keeper that is told of new heads by its node: it says so, and does without when nobody tells it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keeper.devnet.demo.world import free_port
from tests.canary import URL_SECRET
from tests.process.stage import stage

pytestmark = pytest.mark.timeout(240)


async def test_streams__one_that_works_and_one_that_does_not__are_told_and_prices_go_out(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        port = scene.node.ws_url.rpartition(":")[2]

        def streamed(settings: dict[str, Any], _markets: dict[str, Any]) -> None:
            good = f"{scene.node.ws_url}/?apikey={URL_SECRET}"
            settings["chain"]["streams"] = [good, good, f"ws://127.0.0.1:{free_port()}/{URL_SECRET}"]

        keeper = await scene.keeper(scene.configure(streamed))
        await keeper.published()
        names = {f"127.0.0.1:{port}", f"127.0.0.1:{port}#2"}
        found = await keeper.until(
            lambda status: (
                status["streams"].keys() == names and set(status["streams"].values()) == {status["block"]["number"]}
            )
        )
        assert found["late"] == {}
        code, metrics = await keeper.get("/metrics")
        assert code == 200
        assert f'keeper_rpc_stream_connected{{endpoint="127.0.0.1:{port}"}} 1.0' in metrics
        assert 'reason="connect_failed"' in metrics
        assert URL_SECRET not in metrics
        assert {each["endpoint"] for each in keeper.events("stream.connected")} == names
        assert await keeper.stop() == 0
