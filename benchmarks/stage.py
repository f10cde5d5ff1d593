"""Everything around a keeper under load: chain with the protocol, relay, exchanges, configuration, and the process."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.exchanges import Exchanges, Feed
from benchmarks.relay import Relay
from keeper.devnet.configure import Endpoints, Keys, address_of, write_config
from keeper.devnet.demo.wallet import fund
from keeper.devnet.demo.world import free_port
from keeper.devnet.deploy import BTC_RULES, Deployment, DeployParameters, FeedParameters, MarketListing, deploy
from keeper.devnet.jsonrpc import JsonRpc
from keeper.devnet.node import AnvilNode
from keeper.domain.ids import address

ROOT = Path(__file__).resolve().parents[1]
MARKETS, BOOKS_PER_S = 20, 5
BASES = tuple(f"C{number:02d}" for number in range(1, MARKETS + 1))
VENUES = ("binance", "okx", "coinbase")
SYMBOLS = {"binance": "{}{}", "okx": "{}-{}", "coinbase": "{}-{}"}
PROGRAM = ("-m", "benchmarks.daemon")
NOWHERE = "http://127.0.0.1:9"
"""REST is never asked while ticks flow."""
LOW_BPS, HIGH_BPS, FAR_BPS = -10, 10, 12
"""Where the venues stand: the third one's move from below the others to above them moves the median by 20 bps."""


@dataclass(slots=True)
class Stage:
    node: AnvilNode
    rpc: JsonRpc
    relay: Relay
    exchanges: Exchanges
    deployment: Deployment
    keys: Keys
    directory: Path
    session: aiohttp.ClientSession
    movers: dict[str, Feed]
    """By base: the feed that decides the median."""
    prices: dict[str, float]
    environ: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Daemon:
    process: asyncio.subprocess.Process
    directory: Path
    ops_url: str

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def config(self) -> Path:
        return self.directory / "config" / "keeper.yaml"

    @property
    def journal(self) -> Path:
        return self.directory / "config" / "state" / "journal.sqlite"

    def tail(self) -> str:
        return (self.directory / "stderr").read_text(errors="replace")[-2000:]


def feeds(prices: dict[str, float]) -> tuple[list[Feed], dict[str, Feed]]:
    """Three spot feeds of each base and of USDT, the book of each base last; and the movers."""
    spots: list[Feed] = []
    movers: dict[str, Feed] = {}
    for base, price in prices.items():
        for venue, bps in zip(VENUES, (LOW_BPS, -FAR_BPS, HIGH_BPS), strict=True):
            quote, noise = ("USD", 0.0) if base == "USDT" else ("USDT", 0.5)
            spots.append(Feed(venue, SYMBOLS[venue].format(base, quote), price * (1 + bps / 1e4), noise))
        movers[base] = spots[-2]
    books = [Feed("perp", f"{base}-USD", price) for base, price in prices.items() if base != "USDT"]
    return spots + books, movers


def documents(*, together: bool) -> list[dict[str, Any]]:
    """`together`: one market that is due takes the others along."""
    return [_perp(number, base, together) for number, base in enumerate(BASES, 1)] + [_rate()]


def _sources(base: str, quote: str) -> list[dict[str, Any]]:
    return [{"kind": venue, "symbol": SYMBOLS[venue].format(base, quote), "quote": quote} for venue in VENUES]


def _perp(number: int, base: str, together: bool) -> dict[str, Any]:
    # Alone a market keeps its price for the whole run unless it moves: a heartbeat would be taken for an answer.
    heartbeat = {"heartbeat_s": 4, "ride_along_heartbeat_pct": 1} if together else {"heartbeat_s": 600}
    return {
        "market": f"{base}-USD",
        "sources": _sources(base, "USDT"),
        "conversions": {"USDT": "USDT-USD"},
        "index": {"method": "median", "min_sources": 3, "max_age_s": 5},
        "deployment": "main",
        "market_no": number,
        "book": {"kind": "perp", "symbol": f"{base}-USD"},
        "mark": {"method": "median3"},
        "funding": {"premium": "impact", "impact_notional": 10_000},
        "publish": {"deviation_bps": 10, "min_interval_s": 0.05, **heartbeat},
        "liquidation": {"enabled": True},
    }


def _rate() -> dict[str, Any]:
    return {
        "market": "USDT-USD",
        "sources": _sources("USDT", "USD"),
        "index": {"method": "median", "min_sources": 3, "max_age_s": 5},
    }


@asynccontextmanager
async def staged(directory: Path, per_s: float, tls: ssl.SSLContext | None = None) -> AsyncIterator[Stage]:
    """`per_s` frames a second over all connections."""
    dice, keys = random.Random(5), Keys.fresh()
    keys = Keys(keys.deployer, keys.operator, keys.funder, keys.sender, keys.reports[:1])
    prices = {base: 10 ** dice.uniform(-1, 4.5) for base in BASES} | {"USDT": 1.0}
    told, movers = feeds(prices)
    async with (
        AnvilNode() as node,
        aiohttp.ClientSession() as session,
        Relay(node.url) as relay,
        Exchanges(told, per_s, tls) as exchanges,
    ):
        rpc = JsonRpc(session, node.url)
        for key in (keys.deployer, keys.sender):
            await fund(rpc, address_of(key))
        listings = tuple(
            MarketListing(number, FeedParameters(premium_kind=1), BTC_RULES) for number in range(1, MARKETS + 1)
        )
        signers = tuple(address(address_of(key)) for key in keys.reports)
        wanted = DeployParameters(signers=signers, quorum=1, super_quorum=1, markets=listings)
        deployment = await deploy(node.url, "0x" + keys.deployer.hex(), wanted)
        yield Stage(node, rpc, relay, exchanges, deployment, keys, directory, session, movers, prices)


@asynccontextmanager
async def running(stage: Stage, name: str, *options: str, together: bool = True) -> AsyncIterator[Daemon]:
    """A keeper that is ready and has pushed its first prices. Raises SystemExit with the end of its log if it is not."""
    directory = stage.directory / name
    directory.mkdir(parents=True)
    venues = {venue: {"url": f"{stage.exchanges.url}/{venue}", "rest_url": NOWHERE} for venue in VENUES}
    venues["perp"] = {"url": f"{stage.exchanges.url}/perp"}
    port = free_port()
    endpoints = Endpoints(stage.relay.url, venues, port)
    config = write_config(directory / "config", documents(together=together), stage.deployment, stage.keys, endpoints)
    before = len(stage.relay.arrived)
    with (directory / "stderr").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *PROGRAM, str(config), *options,
            stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT, env={**os.environ, **stage.environ},
        )  # fmt: skip
        daemon = Daemon(process, directory, f"http://127.0.0.1:{port}")
        try:
            if not await stage.relay.next_after(before, 30) or not await stage.relay.landed(10):
                raise SystemExit(f"{name} did not begin: {daemon.tail()}")
            yield daemon
        finally:
            await _stopped(process)


async def _stopped(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), 15)
        except TimeoutError:
            process.kill()
            await process.wait()


def moved(stage: Stage, base: str, up: bool) -> float:
    """The new price of a base's mover."""
    return stage.prices[base] * (1 + (FAR_BPS if up else -FAR_BPS) / 1e4)


def bases_in_turn(count: int) -> Sequence[str]:
    return [BASES[number % MARKETS] for number in range(count)]
