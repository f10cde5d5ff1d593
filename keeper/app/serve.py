"""From the settings to the services that act: one deployment's loops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from keeper import __version__
from keeper.adapters.attestor import LocalAttestor
from keeper.adapters.encoding.keccak import keccak
from keeper.adapters.protocols import PROTOCOLS
from keeper.adapters.rpc_pages import pages
from keeper.adapters.signers.policy import RisingRounds, SignedRound
from keeper.app.boards import Boards, DeploymentBoards
from keeper.app.world import App, Keys, World
from keeper.domain.ids import Address, DeploymentId
from keeper.domain.report import PriceReport
from keeper.domain.transaction import Intent, Lane
from keeper.ports.deployment import Deployment
from keeper.ports.signer import Attestor, Coordinator, ReportSigner
from keeper.runtime.mailbox import Mailbox
from keeper.runtime.supervisor import Service
from keeper.services.accounts import AccountIndexService
from keeper.services.chainstate import ChainStateService
from keeper.services.funding import FundingService
from keeper.services.liquidations import LiquidationService
from keeper.services.publishing import PublishingService, PublishOptions
from keeper.settings.models import Settings
from keeper.settings.options import build as build_option


def deployment_of(settings: Settings, name: str) -> Deployment:
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


def serve(
    app: App, deployment: Deployment, keys: Keys, coordinator: Coordinator, inboxes: Mapping[Lane, Mailbox[Intent]]
) -> dict[str, Service]:
    """The five loops of one deployment. Each hands its acts to the wallet of its lane."""
    world, boards, own = app.world, app.boards, DeploymentBoards()
    chainstate = ChainStateService(
        deployment.id,
        deployment.protocol,
        lambda: _needed_markets(boards, deployment),
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
    funding = settling(world, boards, own, deployment, inboxes[Lane.FUNDING], coordinator)
    app.schedule.every(funding.name, 1, lambda: own.wake.put("due", own.wake.version))
    publishing = _publishing(app, deployment, keys, coordinator)
    services: list[Service] = [chainstate, accounts, funding, publishing]
    if (liquidator := keys.sender(Lane.LIQUIDATION)) is not None:
        inbox = inboxes[Lane.LIQUIDATION]
        services.append(_liquidations(app, deployment, liquidator.address, coordinator, inbox))
    return {service.name: service for service in services}


def settling(
    world: World,
    boards: Boards,
    own: DeploymentBoards,
    deployment: Deployment,
    inbox: Mailbox[Intent],
    coordinator: Coordinator,
) -> FundingService:
    return FundingService(
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


def _needed_markets(boards: Boards, deployment: Deployment) -> Sequence[int]:
    holdings = boards.holdings.get(deployment.id)
    return sorted({*deployment.markets, *(holdings.holders if holdings is not None else ())})


def _publishing(app: App, deployment: Deployment, keys: Keys, coordinator: Coordinator) -> PublishingService:
    boards = app.boards
    attestor = LocalAttestor(_report_signers(app, deployment, keys), lambda report: _authorised(boards, report))
    signers = frozenset(signer.address for signer in keys.reports)
    return publishing(app.settings, app.world, boards, deployment, signers, attestor, coordinator)


def publishing(
    settings: Settings,
    world: World,
    boards: Boards,
    deployment: Deployment,
    signers: frozenset[Address],
    attestor: Attestor,
    coordinator: Coordinator,
) -> PublishingService:
    options = PublishOptions(ttl_s=settings.report.ttl_s, code_version=__version__, signers=signers)
    return PublishingService(
        deployment,
        boards.prices,
        boards.states,
        boards.paused,
        boards.pushes,
        boards.slot,
        boards.underway,
        boards.outcomes,
        attestor,
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
        boards.underway,
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
