"""Everything around the keeper, built up and taken down: chain, contracts, venues, book, bank, operator, floor."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from keeper.devnet.configure import INSURANCE_UNITS, LISTINGS, Endpoints, Keys, Listing, address_of, market_documents
from keeper.devnet.demo.bank import Bank
from keeper.devnet.demo.control import Control
from keeper.devnet.demo.floor import Floor, Pit
from keeper.devnet.demo.outlet import BookOutlet
from keeper.devnet.demo.wallet import Wallet, fund
from keeper.devnet.demo.weather import DEAD, OWN, Weather
from keeper.devnet.deploy import Deployment, DeployParameters, deploy
from keeper.devnet.engine import MatchingEngine
from keeper.devnet.jsonrpc import JsonRpc
from keeper.devnet.market import HiddenMarket
from keeper.devnet.node import AnvilNode, NodeOptions
from keeper.devnet.operator import REST_S, InventoryDesk, Operator, Rest
from keeper.devnet.recorder import Recorder
from keeper.devnet.scenario import FUNDING_INTERVAL_S, Timeline
from keeper.devnet.simulator import Simulator, SimulatorOptions, simulated
from keeper.devnet.simulator.fees import MAX_CHANGE
from keeper.devnet.traders import population
from keeper.devnet.venues import DEMO_VENUES
from keeper.devnet.venues.perp import PerpServer
from keeper.devnet.venues.venue import VenueServer
from keeper.domain.ids import address
from keeper.domain.time import SECOND
from keeper.ports.clock import Clock

GAS_LIMIT = 60_000_000
LEAST_BASE_FEE_WEI = 10**9
"""Of a storm: where the base fee stands in calm blocks, and what it walks back down to."""
VOLATILITY = 2.0
"""Of the hidden market, per year: about 4 bps in a second, so that a calm minute has something to publish."""
STORM_REST_S = 1.2
"""Before a boundary: in a storm a trade may wait for more than a block, and would then settle what is the keeper's."""
TICKS = {"BTC": 10**17, "ETH": 10**16}
CLIP_UNITS = 100_000 * 10**6
"""Most of the fund's inventory that is offered at a time, by notional."""


@dataclass(frozen=True, slots=True)
class World:
    """A running world. `documents` are the market files as designed; `chain_urls` are for the keeper, best first.

    `weather` is there in a storm only: then the chain is the simulator, and `rpc` an honest endpoint of the world's own.
    """

    chain_urls: tuple[str, ...]
    rpc: JsonRpc
    session: aiohttp.ClientSession
    keys: Keys
    deployment: Deployment
    market: HiddenMarket
    venues: Mapping[str, VenueServer]
    book: PerpServer
    outlet: BookOutlet
    bank: Bank
    operator: Operator
    desk: InventoryDesk
    floor: Floor
    control: Control
    documents: Sequence[Mapping[str, Any]]
    weather: Weather | None

    def endpoints(self) -> Endpoints:
        """Where a keeper finds all of this, with a free port for its own page."""
        servers = {**self.venues, self.book.name: self.book}
        options = {name: server.options() for name, server in servers.items()}
        return Endpoints(self.chain_urls[0], options, free_port(), self.chain_urls[1:])

    @property
    def addresses(self) -> Mapping[str, str]:
        deployment = self.deployment
        return {
            "token": deployment.token,
            "oracle": deployment.oracle,
            "exchange": deployment.exchange,
            "lens": deployment.lens,
        }


async def build(
    stack: AsyncExitStack, recorder: Recorder, clock: Clock, seed: int, timeline: Timeline, storm: bool = False
) -> World:
    """Starts everything that needs no tasks; `stack` takes it down in the reverse order."""
    session = await stack.enter_async_context(aiohttp.ClientSession())
    keys = Keys.fresh()
    simulator = await _simulator(stack, session) if storm else None
    urls = [await _anvil(stack)] if simulator is None else simulator.urls
    rpc = JsonRpc(session, urls[-1])
    deployment = await _deploy(rpc, urls[-1], keys)
    market = HiddenMarket(clock, seed=seed, annual_volatility=VOLATILITY)
    venues: dict[str, VenueServer] = {}
    for name, kind in DEMO_VENUES.items():
        venues[name] = await stack.enter_async_context(kind(market, seed=seed))
    documents = market_documents(_offered(venues), PerpServer.name)
    symbols = [document["book"]["symbol"] for document in documents if "book" in document]
    book = await stack.enter_async_context(PerpServer(clock, symbols))
    outlet = BookOutlet(book, recorder)
    operator = Operator(
        rpc,
        Wallet(rpc, keys.operator, deployment.chain_id),
        deployment.exchange,
        Rest(clock, FUNDING_INTERVAL_S, STORM_REST_S if storm else REST_S),
    )
    floor = _floor(outlet, operator, market, seed, timeline, deployment.exchange)
    engines = {number: pit.engine for number, pit in floor.pits.items()}
    control = Control(market, {**{n: v.faults for n, v in venues.items()}, book.name: book.faults})
    await control.start()
    stack.push_async_callback(control.stop)
    return World(
        tuple(urls if simulator is None else urls[:OWN]),
        rpc,
        session,
        keys,
        deployment,
        market,
        venues,
        book,
        outlet,
        Bank(rpc, Wallet(rpc, keys.funder, deployment.chain_id), deployment),
        operator,
        InventoryDesk(deployment.exchange, engines, operator, CLIP_UNITS),
        floor,
        control,
        documents,
        None if simulator is None else Weather(simulator, session, recorder, clock, address_of(keys.sender), seed),
    )


async def _anvil(stack: AsyncExitStack) -> str:
    node = await stack.enter_async_context(AnvilNode(NodeOptions(block_time_s=1, gas_limit=GAS_LIMIT)))
    return node.url


async def _simulator(stack: AsyncExitStack, session: aiohttp.ClientSession) -> Simulator:
    """The chain of a storm: go-ethereum's mempool and four endpoints before an anvil, one of them dead from the beginning."""
    options = SimulatorOptions(
        endpoints=4,
        block_time_s=1.0,
        walk=lambda base_fee: max(LEAST_BASE_FEE_WEI, base_fee - base_fee // MAX_CHANGE),
        node=NodeOptions(gas_limit=GAS_LIMIT),
    )
    simulator = await stack.enter_async_context(simulated(session, options))
    await simulator.endpoints[DEAD].die()
    return simulator


async def _deploy(rpc: JsonRpc, url: str, keys: Keys) -> Deployment:
    for key in (keys.deployer, keys.operator, keys.funder, keys.sender):
        await fund(rpc, address_of(key))
    parameters = DeployParameters(
        signers=tuple(address(address_of(key)) for key in keys.reports),
        operators=(address(address_of(keys.operator)),),
        deleveragers=(address(address_of(keys.sender)),),
        insurance_units=INSURANCE_UNITS,
        markets=LISTINGS,
    )
    return await deploy(url, "0x" + keys.deployer.hex(), parameters)


def _offered(venues: Mapping[str, VenueServer]) -> list[Listing]:
    return [
        Listing(name, symbol, listing.base, listing.quote)
        for name, venue in venues.items()
        for symbol, listing in venue.listings.items()
    ]


def _floor(
    outlet: BookOutlet, operator: Operator, market: HiddenMarket, seed: int, timeline: Timeline, exchange: str
) -> Floor:
    pits = {}
    for base, listing in zip(("BTC", "ETH"), LISTINGS, strict=True):
        engine = MatchingEngine(TICKS[base], listing.rules.lot_e18)
        pits[listing.market_no] = Pit(listing.market_no, f"{base}-USD", base, engine)
    traders = population(seed, timeline, list(pits))
    return Floor(pits, traders, outlet, operator, lambda base: _scaled(market.usd(base)), seed, exchange)


def _scaled(price: float) -> int:
    return round(price * 10**9) * 10**9


def free_port() -> int:
    """A port of loopback that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def save_world(recorder: Recorder, world: World) -> None:
    """The tapes of all venues and the path of the hidden market."""
    for name, venue in world.venues.items():
        for symbol in venue.listings:
            recorder.save_tape(name, symbol, venue.tape.of(symbol))
    for asset in (*world.market.start, *world.market.pegs):
        recorder.save_path(asset, world.market.path(asset))


def seconds_between(start_ns: int, end_ns: int) -> float:
    return (end_ns - start_ns) / SECOND


def journal_of(config_directory: Path) -> Path:
    """Where the keeper of this configuration keeps its journal."""
    return config_directory / "state" / "journal.sqlite"
