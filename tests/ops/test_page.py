"""The operator's page over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Sequence

import aiohttp
import pytest

from keeper.adapters.prometheus import CONTENT_TYPE, PrometheusMeter
from keeper.app.ops import MAX_CONCURRENT, OpsServer, Readiness, host_allowed
from keeper.errors import ConfigError
from keeper.settings.models import OpsSettings

CONDITIONS = {
    None: [Readiness("chain", True), Readiness("quorum", False, "2 of 3 sources", "see /status")],
    "BTC-USD": [Readiness("chain", True)],
}


def ready(market: str | None) -> Sequence[Readiness]:
    return CONDITIONS[market]


def server(**options: object) -> OpsServer:
    meter = PrometheusMeter()
    meter.gauge("keeper_ready", 1)
    status = {"markets": {"BTC-USD": {"price": "1", "note": "<img onerror=alert(1)>\x1b[31m"}}}
    return OpsServer(OpsSettings(port=0, **options), meter.exposition, CONTENT_TYPE, lambda: status, ready)


@contextlib.asynccontextmanager
async def serving(page: OpsServer) -> AsyncIterator[str]:
    await page.open()
    try:
        yield f"http://127.0.0.1:{page.port}"
    finally:
        await page.close()


async def test_endpoints__when_asked__answer_with_their_status_and_headers() -> None:
    async with serving(server()) as url, aiohttp.ClientSession() as client:
        for path, status in [
            ("/livez", 200),
            ("/readyz", 503),
            ("/readyz?market=BTC-USD", 200),
            ("/metrics", 200),
            ("/status", 200),
        ]:
            async with client.get(url + path) as answer:
                assert answer.status == status, path
                assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["Cache-Control"] == "no-store"


async def test_readyz__when_a_condition_fails__says_which_and_what_to_do() -> None:
    async with serving(server()) as url, aiohttp.ClientSession() as client, client.get(url + "/readyz") as answer:
        body = await answer.json()
    assert body["ready"] is False
    assert body["checks"][1] == {"check": "quorum", "ok": False, "detail": "2 of 3 sources", "fix": "see /status"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/readyz?market=DOGE-USD", 404),
        ("GET", "/admin", 404),
        ("POST", "/status", 405),
        ("PUT", "/metrics", 405),
        ("GET", "/../etc/passwd", 404),
    ],
)
async def test_request__of_something_else__is_refused(method: str, path: str, status: int) -> None:
    async with (
        serving(server()) as url,
        aiohttp.ClientSession() as client,
        client.request(method, url + path, data=b"x" * 1000) as answer,
    ):
        assert answer.status == status
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("options", "host", "allowed"),
    [
        ({}, "127.0.0.1:1", True),
        ({}, "localhost", True),
        ({}, "[::1]:9464", True),
        ({}, "evil.example.org", False),
        ({}, "127.0.0.1.evil.example.org", False),
        ({}, "10.0.0.9:9464", False),
        ({}, "", False),
        ({"allowed_hosts": ("keeper.example.org",)}, "keeper.example.org:9464", True),
        ({"host": "0.0.0.0", "expose": True}, "10.0.0.9:9464", True),
        ({"host": "0.0.0.0", "expose": True}, "evil.example.org", False),
    ],
)
def test_host_allowed__of_a_name_that_may_be_rebound__is_false(
    options: dict[str, object], host: str, allowed: bool
) -> None:
    """A page in somebody's browser that rebinds its name to us gets nothing; an address cannot be rebound."""
    assert host_allowed(OpsSettings(**options), host) is allowed


async def test_host_header__not_one_of_ours__is_misdirected() -> None:
    foreign = {"Host": "evil.example.org"}
    async with (
        serving(server()) as url,
        aiohttp.ClientSession() as client,
        client.get(url + "/status", headers=foreign) as answer,
    ):
        assert answer.status == 421
        assert "price" not in await answer.text()


async def test_status__with_foreign_text__is_escaped_json() -> None:
    async with serving(server()) as url, aiohttp.ClientSession() as client, client.get(url + "/status") as answer:
        assert answer.content_type == "application/json"
        raw = await answer.text()
    assert "\x1b" not in raw
    assert json.loads(raw)["markets"]["BTC-USD"]["price"] == "1"


async def test_metrics__when_scraped__are_prometheus_text_with_process_metrics() -> None:
    async with serving(server()) as url, aiohttp.ClientSession() as client, client.get(url + "/metrics") as answer:
        text = await answer.text()
    assert answer.headers["Content-Type"] == CONTENT_TYPE
    assert "keeper_ready 1.0" in text
    assert "process_resident_memory_bytes" in text


async def test_port__already_taken__is_a_fault_of_the_configuration() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        page = OpsServer(OpsSettings(port=taken), bytes, CONTENT_TYPE, dict, ready, where="keeper.yaml:7:30: ops.port")
        with pytest.raises(ConfigError) as refused:
            await page.open()
    assert (
        str(refused.value)
        == f"keeper.yaml:7:30: ops.port: port {taken} of 127.0.0.1 is in use by another program; choose another, or 0 for any"
    )


async def test_livez__when_the_loop_did_not_turn__fails() -> None:
    page = server()
    async with serving(page) as url, aiohttp.ClientSession() as client:
        page._ticked -= 6
        async with client.get(url + "/livez") as answer:
            assert answer.status == 503
            assert (await answer.json())["live"] is False


async def test_run__while_it_serves__tells_how_late_the_loop_is_and_closes_its_port() -> None:
    told = asyncio.Event()
    page = server()
    page.on_lag = lambda late_s: told.set() if late_s >= 0 else None
    task = asyncio.get_running_loop().create_task(page.run())
    async with asyncio.timeout(5):
        await told.wait()
    port = page.port
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


async def test_flood__of_slow_scrapes__is_turned_away_and_not_queued() -> None:
    page = server()
    async with serving(page) as url, aiohttp.ClientSession() as client:
        page._busy = MAX_CONCURRENT
        async with client.get(url + "/metrics") as answer:
            assert answer.status == 503
            assert answer.headers["Retry-After"] == "1"
