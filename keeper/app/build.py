"""Settings to a program: the one place that knows all names. No logic, no maths."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from keeper import __version__
from keeper.adapters.attestor import LocalAttestor
from keeper.adapters.clock import SystemClock
from keeper.adapters.coordinator import AlwaysLeader
from keeper.adapters.encoding.keccak import keccak
from keeper.adapters.journal import Journal
from keeper.adapters.prometheus import PrometheusMeter
from keeper.adapters.protocols import PROTOCOLS
from keeper.adapters.rpc import RpcChain
from keeper.adapters.rpc_pages import pages
from keeper.adapters.schedule import ApschedulerSchedule
from keeper.adapters.signers import open_signer
from keeper.adapters.signers.key_signer import KeySigner
from keeper.adapters.signers.policy import PermittedCalls, RisingRounds, SendingRules, SignedRound
from keeper.adapters.sources import BOOK_VENUES, STREAM_VENUES
from keeper.adapters.websocket import WebsocketFeed
from keeper.app.boards import Boards, DeploymentBoards
from keeper.app.endpoints import rpc_endpoints
from keeper.domain.fees import FeeRules
from keeper.domain.ids import Address, DeploymentId, MarketId
from keeper.domain.market import MarketPlan, by_component
from keeper.domain.pricing import components
from keeper.domain.report import PriceReport
from keeper.domain.transaction import Intent, Lane
from keeper.errors import ConfigError
from keeper.ports.clock import Clock
from keeper.ports.deployment import Deployment
from keeper.ports.log import EventLog
from keeper.ports.meter import Meter
from keeper.ports.protocol import Revert
from keeper.ports.signer import Coordinator, ReportSigner
from keeper.runtime.mailbox import Mailbox
from keeper.runtime.pulse import Pulse
from keeper.runtime.supervisor import Service
from keeper.services import pricing
from keeper.services.accounts import AccountIndexService
from keeper.services.balance import BalanceService
from keeper.services.chainstate import ChainStateService
from keeper.services.funding import FundingService
from keeper.services.heads import HeadService, Pace
from keeper.services.liquidations import LiquidationService
from keeper.services.outbox.rules import OutboxRules
from keeper.services.outbox.service import Outbox
from keeper.services.outbox.wallet import Wallet
from keeper.services.pricing import PricingService
from keeper.services.publishing import PublishingService, PublishOptions
from keeper.services.quotes import QuoteService
from keeper.settings.models import Settings, SignerSettings, VenueSettings
from keeper.settings.options import build as build_option
from keeper.settings.specs import index_spec, market_plan

_LOW_BALANCE_WEI = 10**16
_INBOX = 256
HALT_FILE = "HALT"
"""While a file of this name stands in the state directory nothing is sent, whatever is decided."""


@dataclass(frozen=True, slots=True)
class World:
    """What every service is given of the machine that it runs on."""

    clock: Clock
    log: EventLog
    meter: Meter
    pulse: Pulse
    journal: Journal
    chain: RpcChain


@dataclass(frozen=True, slots=True)
class Keys:
    """`sender` is None in a dry run without keys."""

    reports: tuple[KeySigner, ...]
    sender: KeySigner | None


@dataclass(slots=True)
class App:
    """Everything, built and not yet running. `intake` is stopped first, `core` last."""

    settings: Settings
    world: World
    boards: Boards
    deployments: tuple[Deployment, ...]
    plans: Mapping[MarketId, MarketPlan]
    outboxes: tuple[Outbox, ...]
    schedule: ApschedulerSchedule
    intake: dict[str, Service] = field(default_factory=dict)
    core: dict[str, Service] = field(default_factory=dict)


def open_keys(settings: Settings, environ: Mapping[str, str]) -> Keys:
    """Raises ConfigError or KeyPermissionError; blocks for a keystore's scrypt."""

    def opened(signer: SignerSettings, where: str) -> KeySigner:
        return open_signer(signer.kind, signer.options, settings.chain.id, where, environ=environ)

    reports = [opened(signer, f"signers.reports[{n}]") for n, signer in enumerate(settings.signers.reports)]
    sender = opened(settings.signers.sender, "signers.sender") if settings.signers.sender is not None else None
    addresses = [signer.address for signer in reports]
    if len(set(addresses)) < len(addresses):
        raise ConfigError("signers.reports: one key stands there twice: each signer counts once on chain")
    if sender is not None and sender.address in addresses:
        raise ConfigError("signers.sender: a key that signs prices must not send: give the sender a key of its own")
    return Keys(tuple(reports), sender)


def open_chain(settings: Settings, environ: Mapping[str, str], meter: Meter, log: EventLog) -> RpcChain:
    return RpcChain(rpc_endpoints(settings, environ), settings.chain.id, meter=meter, log=log)


def build(settings: Settings, keys: Keys, world: World, dry_run: bool) -> App:
    """Raises ConfigError for settings that no build of this program can serve."""
    boards, coordinator = Boards(), AlwaysLeader()
    deployments = tuple(_deployment(settings, name) for name in sorted(settings.deployments))
    plans = {market.id: market_plan(market) for market in settings.perps}
    wallet_name = keys.sender.address if keys.sender is not None else "none"
    inbox: Mailbox[Intent] = Mailbox(f"intents:{wallet_name}", _INBOX)
    outboxes = _outboxes(settings, keys, world, boards, deployments, inbox, dry_run)
    app = App(settings, world, boards, deployments, plans, outboxes, ApschedulerSchedule(world.log))
    app.intake.update(feeds(settings, world, boards))
    app.core.update(chain_services(settings, world, boards))
    app.core.update(pricing_services(settings, world, boards, plans))
    for deployment in deployments:
        if deployment.markets:
            app.core.update(_serve(app, deployment, keys, coordinator, inbox))
    app.core.update({outbox.name: outbox for outbox in outboxes})
    if keys.sender is not None:
        balance = BalanceService(
            keys.sender.address, world.chain, _LOW_BALANCE_WEI, world.pulse, world.meter, world.log
        )
        app.core[balance.name] = balance
    return app


def feeds(settings: Settings, world: World, boards: Boards) -> dict[str, Service]:
    """One service per venue, with every symbol that any market wants of it."""
    wanted: dict[str, dict[str, None]] = {}
    for market in settings.markets:
        for source in market.sources:
            wanted.setdefault(source.kind, {})[source.symbol] = None
        if market.book is not None:
            wanted.setdefault(market.book.kind, {})[market.book.symbol] = None
    services: dict[str, Service] = {}
    for kind, symbols in sorted(wanted.items()):
        registry = STREAM_VENUES if kind in STREAM_VENUES else BOOK_VENUES
        venue = build_option(registry, kind, _venue_options(settings.venues.get(kind)), f"venues.{kind}")
        feed = WebsocketFeed(venue, tuple(sorted(symbols)), world.clock, random.Random())  # noqa: S311  (jitter)
        service = QuoteService(feed, boards.quotes, boards.books, boards.trades, boards.feeds, world.meter, world.log)
        services[service.name] = service
    return services


def _venue_options(overrides: VenueSettings | None) -> dict[str, Any]:
    if overrides is None:
        return {}
    given = {"url": overrides.url, "rest_url": overrides.rest_url}
    return {name: value for name, value in given.items() if value is not None}


def chain_services(settings: Settings, world: World, boards: Boards) -> dict[str, Service]:
    pace = Pace(poll_min_s=min(0.1, settings.chain.poll_s), poll_max_s=settings.chain.poll_s)
    heads = HeadService(
        settings.chain.id,
        world.chain,
        boards.heads,
        boards.blocks,
        world.clock,
        world.log,
        world.meter,
        world.pulse,
        pace,
    )
    return {heads.name: heads, world.chain.name: world.chain}


def pricing_services(
    settings: Settings, world: World, boards: Boards, plans: Mapping[MarketId, MarketPlan]
) -> dict[str, Service]:
    """One service per component of the conversion graph."""
    groups = components([index_spec(market) for market in settings.markets])
    seen = pricing.Boards(
        boards.quotes, boards.books, boards.trades, boards.states, boards.paused, boards.indices, boards.prices
    )
    services: dict[str, Service] = {}
    for specs, priced in by_component(groups, tuple(plans.values())):
        service = PricingService(
            specs, priced, seen, world.journal.snapshots, world.clock, world.pulse, world.meter, world.log
        )
        services[service.name] = service
    return services


def _deployment(settings: Settings, name: str) -> Deployment:
    chosen = settings.deployments[name]
    protocol = build_option(
        PROTOCOLS,
        chosen.protocol,
        chosen.options,
        f"deployments.{name}",
        chain_id=settings.chain.id,
    )
    identity = DeploymentId(name)
    markets = {
        market.market_no: id_ for id_, market in settings.markets_of(identity).items() if market.market_no is not None
    }
    return Deployment(identity, settings.chain.chain_id, protocol, markets)


def _serve(
    app: App, deployment: Deployment, keys: Keys, coordinator: Coordinator, inbox: Mailbox[Intent]
) -> dict[str, Service]:
    """The five loops of one deployment."""
    world, boards, own = app.world, app.boards, DeploymentBoards()
    chainstate = ChainStateService(
        deployment.id,
        deployment.protocol,
        tuple(sorted(deployment.markets)),
        world.chain,
        boards.blocks,
        boards.states,
        world.pulse,
        world.meter,
        world.log,
    )
    accounts = AccountIndexService(
        deployment,
        world.chain,
        lambda where, first, last: pages(world.chain, where, first, last),
        boards.blocks,
        boards.holdings,
        own.settlements,
        world.journal.snapshots,
        world.clock,
        world.pulse,
        world.meter,
        world.log,
    )
    funding = FundingService(
        deployment,
        boards.states,
        own.settlements,
        boards.funding,
        boards.paused,
        own.wake,
        inbox,
        coordinator,
        world.clock,
        world.pulse,
        world.meter,
        world.log,
    )
    app.schedule.every(funding.name, 1, lambda: own.wake.put("due", own.wake.version))
    publishing = _publishing(app, deployment, keys, coordinator)
    services: list[Service] = [chainstate, accounts, funding, publishing]
    if keys.sender is not None:
        services.append(_liquidations(app, deployment, keys.sender.address, coordinator, inbox))
    return {service.name: service for service in services}


def _publishing(app: App, deployment: Deployment, keys: Keys, coordinator: Coordinator) -> PublishingService:
    world, boards = app.world, app.boards
    options = PublishOptions(
        ttl_s=app.settings.report.ttl_s,
        config_hash=app.settings.hash,
        code_version=__version__,
        keys=len(keys.reports),
    )
    return PublishingService(
        deployment,
        boards.prices,
        boards.states,
        boards.paused,
        boards.pushes,
        boards.slot,
        boards.outcomes,
        LocalAttestor(_report_signers(app, deployment, keys), lambda report: _authorised(boards, report)),
        coordinator,
        world.journal.decisions,
        world.journal.snapshots,
        keccak,
        options,
        world.clock,
        world.pulse,
        world.meter,
        world.log,
    )


def _report_signers(app: App, deployment: Deployment, keys: Keys) -> Sequence[ReportSigner]:
    """Each behind its policy. What was signed before a restart is the journal's last round."""
    saved = app.world.journal.snapshots.load(f"round:{deployment.id}")
    last = {deployment.id: SignedRound(0, int(saved))} if saved is not None else {}
    digests = {deployment.id: deployment.protocol.digest}
    return [RisingRounds(signer, digests, last) for signer in keys.reports]


def _authorised(boards: Boards, report: PriceReport) -> Sequence[Address]:
    state = boards.states.get(report.deployment)
    return state.oracle.signers if state is not None else ()


def _liquidations(
    app: App, deployment: Deployment, sender: Address, coordinator: Coordinator, inbox: Mailbox[Intent]
) -> LiquidationService:
    world, boards = app.world, app.boards
    return LiquidationService(
        deployment,
        sender,
        boards.holdings,
        boards.states,
        boards.prices,
        boards.paused,
        boards.liquidations,
        inbox,
        boards.outcomes,
        world.chain,
        coordinator,
        world.clock,
        world.pulse,
        world.meter,
        world.log,
    )


def _outboxes(
    settings: Settings,
    keys: Keys,
    world: World,
    boards: Boards,
    deployments: Sequence[Deployment],
    inbox: Mailbox[Intent],
    dry_run: bool,
) -> tuple[Outbox, ...]:
    if keys.sender is None:
        return ()
    chain = settings.chain
    fees = FeeRules(bump_percent=chain.bump_percent, ceiling_wei=chain.max_fee_wei)
    bumps = {lane: min(chain.bump_blocks, blocks) for lane, blocks in OutboxRules().bump_blocks.items()}
    rules = OutboxRules(
        fees=fees,
        bump_blocks={**bumps, Lane.HOUSEKEEPING: 10},
        confirmations=chain.confirmations,
        dry_run=dry_run,
    )
    by_id = {deployment.id: deployment.protocol for deployment in deployments}
    allowed = frozenset(call for deployment in deployments for call in deployment.protocol.permitted())

    halt = settings.state_dir / HALT_FILE

    def explain(intent: Intent, data: bytes) -> Revert:
        return by_id[intent.deployment].explain_revert(data)

    wallet = Wallet(
        name=keys.sender.address,
        chain_id=chain.id,
        chain=world.chain,
        signer=PermittedCalls(keys.sender, SendingRules(allowed, chain.max_fee_wei)),
        ledger=world.journal.ledger,
        explain=explain,
        clock=world.clock,
        log=world.log,
        meter=world.meter,
        halted=lambda: "halt file" if halt.exists() else "",
        rules=rules,
        outcomes=boards.outcomes,
    )
    return (Outbox(wallet, boards.slot, inbox, boards.heads, world.pulse),)


def system_clock() -> Clock:
    return SystemClock()


def meter_of(settings: Settings) -> PrometheusMeter:
    """With the series of every configured market and source at 0 from the first scrape on."""
    sources = sorted({source.id for market in settings.markets for source in market.sources})
    return PrometheusMeter({"market": [market.market for market in settings.perps], "source": sources})


__all__ = ["App", "Keys", "World", "build", "meter_of", "open_chain", "open_keys", "system_clock"]
