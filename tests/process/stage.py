"""A world for process tests: a chain with the protocol, local exchanges, a steady own book, and keepers as real processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
from ruamel.yaml import YAML

from keeper.adapters.clock import SystemClock
from keeper.devnet.configure import LISTINGS, Endpoints, Keys, Listing, address_of, market_documents, write_config
from keeper.devnet.demo.wallet import fund
from keeper.devnet.demo.world import free_port, journal_of
from keeper.devnet.deploy import Deployment, DeployParameters, MarketListing, deploy
from keeper.devnet.jsonrpc import JsonRpc
from keeper.devnet.market import HiddenMarket
from keeper.devnet.node import AnvilNode, NodeOptions
from keeper.devnet.venues import DEMO_VENUES
from keeper.devnet.venues.perp import PerpServer
from keeper.devnet.venues.venue import VenueServer
from keeper.domain.ids import address
from tests.canary import URL_SECRET, assert_kept, signed

QUICK_INTERVAL_S = 10


def settled_every(interval_s: int) -> tuple[MarketListing, ...]:
    return tuple(replace(each, feed=replace(each.feed, interval_s=interval_s, hold_s=interval_s)) for each in LISTINGS)


QUICK = settled_every(QUICK_INTERVAL_S)
"""Funding boundaries that a test need not wait long for."""
CALM = settled_every(3_600)
"""None comes between, but on the hour: a price is alone with the node."""
REPOSITORY = Path(__file__).resolve().parents[2]
Edit = Callable[[dict[str, Any], dict[str, dict[str, Any]]], None]
"""Changes keeper.yaml and the market files (by name) before they are written."""


@dataclass(slots=True)
class KeeperProcess:
    """`python -m keeper run`, its log and its page."""

    config: Path
    ops_url: str
    session: aiohttp.ClientSession
    process: asyncio.subprocess.Process

    @property
    def log_file(self) -> Path:
        return self.config.parent / "keeper.log"

    def events(self, name: str = "") -> list[dict[str, Any]]:
        """Log entries by event name, of all runs with this configuration."""
        lines = self.log_file.read_text(errors="replace").splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [entry for entry in found if not name or entry["event"] == name]

    async def get(self, path: str) -> tuple[int, Any]:
        async with self.session.get(self.ops_url + path) as answer:
            text = await answer.text()
            kind = answer.content_type
            return answer.status, json.loads(text) if kind == "application/json" else text

    async def status(self) -> dict[str, Any]:
        body: dict[str, Any] = (await self.get("/status"))[1]
        return body

    async def market(self, name: str = "BTC-USD") -> dict[str, Any]:
        found: dict[str, Any] = (await self.status())["markets"][name]
        return found

    async def until(self, what: Callable[[dict[str, Any]], bool], timeout_s: float = 20.0) -> dict[str, Any]:
        """The first /status for which `what` holds. Raises AssertionError with the last one seen."""
        seen: dict[str, Any] = {}
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    if self.process.returncode is not None:
                        raise AssertionError(f"the keeper ended with {self.process.returncode}: {self.tail()}")
                    try:
                        seen = await self.status()
                        if what(seen):
                            return seen
                    except aiohttp.ClientError:
                        pass
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"not within {timeout_s} s; last status: {json.dumps(seen)[:4000]}") from None

    async def published(self, market: str = "BTC-USD", timeout_s: float = 20.0) -> dict[str, Any]:
        return await self.until(lambda status: status["markets"][market]["onchain"] is not None, timeout_s)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)

    async def stop(self) -> int:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), 30)

    async def end(self) -> None:
        """Whatever it is doing."""
        if self.process.returncode is None:
            self.kill()
            await self.process.wait()

    def tail(self) -> str:
        return self.log_file.read_text(errors="replace")[-3000:]


@dataclass(slots=True)
class Stage:
    directory: Path
    node: AnvilNode
    rpc: JsonRpc
    session: aiohttp.ClientSession
    keys: Keys
    deployment: Deployment
    market: HiddenMarket
    venues: Mapping[str, VenueServer]
    book: PerpServer
    ops_port: int
    keepers: list[KeeperProcess] = field(default_factory=list)

    def configure(self, edit: Edit | None = None, name: str = "keeper") -> Path:
        """Writes a configuration directory; `edit` may change it first."""
        offered = [
            Listing(venue, symbol, listing.base, listing.quote)
            for venue, server in self.venues.items()
            for symbol, listing in server.listings.items()
        ]
        options = {venue: server.options() for venue, server in self.venues.items()}
        options[self.book.name] = self.book.options()
        documents = market_documents(offered, PerpServer.name)
        endpoints = Endpoints(f"{self.node.url}/?apikey={URL_SECRET}", options, self.ops_port)
        path = write_config(self.directory / name, documents, self.deployment, self.keys, endpoints)
        if edit is not None:
            edited(path, edit)
        return path

    async def keeper(self, config: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> KeeperProcess:
        found = await started(config, self.session, self.ops_port, *arguments, environ=environ)
        self.keepers.append(found)
        return found

    async def command(self, *words: str, timeout_s: float = 60.0) -> tuple[int, str]:
        """`python -m keeper WORDS`: exit code, and what it printed on both outputs."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "keeper", *words,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            cwd=REPOSITORY, env={**os.environ, "COLUMNS": "400", "NO_COLOR": "1"},
        )  # fmt: skip
        try:
            printed, _ = await asyncio.wait_for(process.communicate(), timeout_s)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode is not None
        text = printed.decode(errors="replace")
        assert_kept(text, self.secrets)
        return process.returncode, text

    @property
    def secrets(self) -> tuple[bytes, ...]:
        return (*self.keys.reports, self.keys.sender)

    async def close(self) -> None:
        """Ends every keeper, and looks for secrets in what they logged."""
        for keeper in self.keepers:
            await keeper.end()
        for config in {keeper.config for keeper in self.keepers}:
            log = (config.parent / "keeper.log").read_text(errors="replace")
            assert_kept(log, self.secrets, signed(journal_of(config.parent)))


async def started(
    config: Path,
    session: aiohttp.ClientSession,
    ops_port: int,
    *arguments: str,
    environ: Mapping[str, str] | None = None,
) -> KeeperProcess:
    with (config.parent / "keeper.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "keeper", "run", "--config", str(config), *arguments,
            stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, cwd=REPOSITORY,
            env={**os.environ, **(environ or {})},
        )  # fmt: skip
    return KeeperProcess(config, f"http://127.0.0.1:{ops_port}", session, process)


def edited(path: Path, edit: Edit) -> None:
    yaml = YAML()
    files = {file.stem: file for file in sorted((path.parent / "markets").glob("*.yaml"))}
    settings = yaml.load(path.read_text())
    markets = {name: yaml.load(file.read_text()) for name, file in files.items()}
    edit(settings, markets)
    for target, document in [(path, settings), *((files[name], found) for name, found in markets.items())]:
        with target.open("w") as out:
            yaml.dump(document, out)
    for name in files.keys() - markets.keys():
        files[name].unlink()


@asynccontextmanager
async def stage(
    directory: Path,
    block_time_s: int | None = 1,
    *,
    chain_id: int = 31337,
    listings: Sequence[MarketListing] = LISTINGS,
) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        options = NodeOptions(block_time_s=block_time_s, chain_id=chain_id, gas_limit=60_000_000)
        node = await stack.enter_async_context(AnvilNode(options))
        rpc, keys, clock = JsonRpc(session, node.url), Keys.fresh(), SystemClock()
        for key in (keys.deployer, keys.operator, keys.funder, keys.sender):
            await fund(rpc, address_of(key))
        parameters = DeployParameters(
            signers=tuple(address(address_of(key)) for key in keys.reports),
            operators=(address(address_of(keys.operator)),),
            guardians=(address(address_of(keys.operator)),),
            deleveragers=(address(address_of(keys.sender)),),
            markets=tuple(listings),
        )
        deployment = await deploy(node.url, "0x" + keys.deployer.hex(), parameters)
        market = HiddenMarket(clock, seed=3, annual_volatility=0.5)
        venues = {name: await stack.enter_async_context(kind(market, seed=3)) for name, kind in DEMO_VENUES.items()}
        book = await stack.enter_async_context(PerpServer(clock, ("BTC-USD", "ETH-USD")))
        tasks = [asyncio.create_task(market.run()), asyncio.create_task(_quote(book, market))]
        found = Stage(directory, node, rpc, session, keys, deployment, market, venues, book, free_port())
        try:
            yield found
        finally:
            await found.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _quote(book: PerpServer, market: HiddenMarket) -> None:
    """A deep book around the true price."""
    while True:
        for base in ("BTC", "ETH"):
            price = Decimal(round(market.usd(base), 2))
            step = (price / 20_000).quantize(Decimal("0.01"))
            bids = [(price - step * n, Decimal(5)) for n in range(1, 21)]
            asks = [(price + step * n, Decimal(5)) for n in range(1, 21)]
            await book.publish_book(f"{base}-USD", bids, asks)
        await asyncio.sleep(0.2)
