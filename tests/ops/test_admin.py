"""Orders over a real unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import stat
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from keeper.app.admin import MAX_LINE, Absent, AdminServer, Refused, order
from keeper.errors import AlreadyRunning, ConfigError


class Heard:
    """An EventLog that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def info(self, event: str, **keys: Any) -> None:
        self.events.append((event, keys))

    debug = warning = error = exception = critical = info


async def _pause(words: Mapping[str, str]) -> Any:
    if words.get("market") != "BTC-USD":
        raise ConfigError("DOGE-USD: the markets are BTC-USD\x1b[31m")
    return {"paused": words["market"]}


async def _stuck(_words: Mapping[str, str]) -> Any:
    await asyncio.get_running_loop().create_future()


@contextlib.asynccontextmanager
async def serving(path: Path) -> AsyncIterator[Heard]:
    heard = Heard()
    server = AdminServer(path, {"pause": _pause, "stuck": _stuck}, heard)
    await server.open()
    try:
        yield heard
    finally:
        await server.close()


async def _order(path: Path, **words: str) -> Any:
    return await asyncio.to_thread(order, [path], words, 5.0)


async def test_order__known__is_obeyed_and_logged(tmp_path: Path) -> None:
    path = tmp_path / "keeper.sock"
    async with serving(path) as heard:
        assert await _order(path, verb="pause", market="BTC-USD") == {"paused": "BTC-USD"}
    assert heard.events == [("admin.obeyed", {"verb": "pause", "market": "BTC-USD"})]


async def test_order__refused__carries_the_sentence_and_the_exit_code(tmp_path: Path) -> None:
    path = tmp_path / "keeper.sock"
    async with serving(path) as heard:
        with pytest.raises(Refused, match="the markets are BTC-USD") as refused:
            await _order(path, verb="pause", market="DOGE-USD")
    assert refused.value.exit_code == 78
    assert "\x1b" not in str(refused.value)
    assert heard.events[0][0] == "admin.refused"


async def test_order__beside_the_socket_of_a_keeper_that_was_killed__reaches_the_one_that_runs(tmp_path: Path) -> None:
    """What `kill -9` leaves in the state directory must not keep a halt from the keeper of the unit."""
    left, path = tmp_path / "left.sock", tmp_path / "keeper.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as killed:
        killed.bind(str(left))
    words = {"verb": "pause", "market": "BTC-USD"}
    async with serving(path):
        assert await asyncio.to_thread(order, [left, path], words, 5.0) == {"paused": "BTC-USD"}
    with pytest.raises(Absent, match=f"no keeper runs here: nobody answers at {left}$"):
        await asyncio.to_thread(order, [left, path], words, 5.0)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"{}\n",
        b"[]\n",
        b"not json\n",
        b'{"verb": 1}\n',
        b'{"verb": "pause", "market": {}}\n',
        b'{"verb": "set_price"}\n',
        b"[" * 60_000 + b"\n",
        b"\xff\xfe\n",
    ],
)
async def test_order__that_is_none__is_answered_and_harms_nobody(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "keeper.sock"
    async with serving(path):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(line)
        writer.write_eof()
        answer = json.loads(await reader.readline())
        writer.close()
        assert answer == {"ok": False, "error": "unknown order; known: pause, stuck", "exit_code": 1}
        assert await _order(path, verb="pause", market="BTC-USD")


async def test_line__without_end__is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "keeper.sock"
    async with serving(path):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"x" * (MAX_LINE + 1024))
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()
        assert await _order(path, verb="pause", market="BTC-USD")


async def test_socket__while_it_exists__belongs_to_its_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "run/keeper.sock"
    async with serving(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) & 0o077 == 0
    assert not path.exists()


async def test_socket__left_by_a_killed_keeper__is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "keeper.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with serving(path):
        assert await _order(path, verb="pause", market="BTC-USD")


async def test_socket__that_answers__means_another_keeper(tmp_path: Path) -> None:
    path = tmp_path / "keeper.sock"
    async with serving(path):
        with pytest.raises(AlreadyRunning):
            await AdminServer(path, {}, Heard()).open()
        assert await _order(path, verb="pause", market="BTC-USD")


async def test_socket__with_too_long_a_path__is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"admin\.socket"):
        await AdminServer(tmp_path / ("x" * 120), {}, Heard()).open()


def test_order__without_a_keeper__says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"no keeper runs here: there is no socket at .*/a\.sock, .*/b\.sock"):
        order([tmp_path / "a.sock", tmp_path / "b.sock"], {"verb": "status"})


async def test_order__that_takes_too_long__gives_up(tmp_path: Path) -> None:
    path = tmp_path / "keeper.sock"
    async with serving(path):
        with pytest.raises(Refused, match="timed out"):
            await asyncio.to_thread(order, [path], {"verb": "stuck"}, 0.2)
