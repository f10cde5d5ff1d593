"""Settings to a program: the composition root. No logic, no maths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from keeper.adapters.clock import SystemClock
from keeper.adapters.coordinator import AlwaysLeader
from keeper.adapters.evidence.archive import EvidenceArchive, EvidenceLimits
from keeper.adapters.prometheus import PrometheusMeter
from keeper.adapters.rpc import RpcChain
from keeper.adapters.schedule import ApschedulerSchedule
from keeper.adapters.signers import open_signer
from keeper.adapters.signers.key_signer import KeySigner
from keeper.app.boards import Boards
from keeper.app.endpoints import rpc_endpoints
from keeper.app.halt import HALT_FILE, Halt, Switches
from keeper.app.intake import chain_services, feeds, pricing_services
from keeper.app.places import signer_where
from keeper.app.sending import inboxes_of, outboxes_of
from keeper.app.serve import deployment_of, serve
from keeper.app.sessions import plans_of
from keeper.app.taping import Taping
from keeper.app.world import App, Keys, World
from keeper.domain.time import SECOND
from keeper.domain.transaction import Lane
from keeper.errors import ConfigError
from keeper.ports.clock import Clock
from keeper.ports.log import EventLog
from keeper.ports.meter import Meter
from keeper.services.balance import BalanceService
from keeper.settings.models import Settings, SignerSettings, sender_place

_LOW_BALANCE_WEI = 10**16


def open_keys(settings: Settings, environ: Mapping[str, str]) -> Keys:
    """Raises ConfigError or KeyPermissionError; blocks for a keystore's scrypt."""

    def opened(signer: SignerSettings, place: str) -> KeySigner:
        where = signer_where(settings, place)
        return open_signer(signer.kind, signer.options, settings.chain.id, where, environ=environ)

    signers = settings.signers
    reports = [opened(signer, f"signers.reports[{n}]") for n, signer in enumerate(signers.reports)]
    wallets = {name: opened(signer, sender_place(name)) for name, signer in signers.senders.items()}
    _require_apart(reports, wallets)
    return Keys(tuple(reports), wallets, {lane: signers.wallet_of(lane) for lane in Lane} if wallets else {})


def _require_apart(reports: Sequence[KeySigner], wallets: Mapping[str, KeySigner]) -> None:
    """Raises ConfigError: a key signs once for a quorum, does not both sign and send, and its nonces have one owner."""
    addresses = [signer.address for signer in reports]
    if len(set(addresses)) < len(addresses):
        raise ConfigError("signers.reports: one key stands there twice: each signer counts once on chain")
    owners: dict[str, str] = {}
    for name, signer in wallets.items():
        place = sender_place(name)
        if signer.address in addresses:
            raise ConfigError(f"{place}: a key that signs prices must not send: give the sender a key of its own")
        if (other := owners.setdefault(signer.address, place)) != place:
            raise ConfigError(f"{place}: the same key as {other}: name one wallet for the lanes of both")


def open_chain(settings: Settings, environ: Mapping[str, str], meter: Meter, log: EventLog) -> RpcChain:
    chain = settings.chain
    return RpcChain(rpc_endpoints(settings, environ), chain.id, meter=meter, log=log, legacy_fees=chain.legacy_fees)


def build(settings: Settings, keys: Keys, world: World, dry_run: bool) -> App:
    """Raises ConfigError for settings that no build of this program can serve."""
    boards, coordinator = Boards(), AlwaysLeader()
    deployments = tuple(deployment_of(settings, name) for name in sorted(settings.deployments))
    plans = plans_of(settings, world.clock.now())
    inboxes = inboxes_of(keys)
    halt = Halt(settings.state_dir / HALT_FILE, world.journal.snapshots, world.clock, world.log)
    switches = Switches(halt, dry_run, boards)
    outboxes = outboxes_of(settings, keys, world, boards, deployments, inboxes, switches)
    if world.taping is not None:
        world.taping.attach(boards, [signer.address for signer in keys.reports])
    app = App(settings, world, boards, deployments, plans, outboxes, ApschedulerSchedule(world.log), switches)
    app.intake.update(feeds(settings, world, boards))
    app.core.update(chain_services(settings, world, boards))
    prices = pricing_services(settings, world, boards, plans)
    app.core.update(prices)
    if world.taping is not None:
        world.taping.snapshots = tuple(name for service in prices.values() for name in service.snapshots)
        app.core[world.taping.service.name] = world.taping.service
    if world.evidence is not None:
        world.evidence.configured(settings.decisive)
        app.core[world.evidence.name] = world.evidence
    for deployment in deployments:
        if deployment.markets:
            app.core.update(serve(app, deployment, keys, coordinator, inboxes))
    app.core.update({outbox.name: outbox for outbox in outboxes})
    for signer in keys.wallets.values():
        balance = BalanceService(signer.address, world.chain, _LOW_BALANCE_WEI, world.pulse, world.meter, world.log)
        app.core[balance.name] = balance
    return app


def taped(world: World, settings: Settings, directory: Path, max_mb: int | None) -> World:
    """The world with a tape running: `max_mb` 0 for none, None for one that is kept whole."""
    if max_mb == 0:
        return world
    taping = Taping(directory, max_mb, settings, world.journal.snapshots, world.clock, world.log, world.meter)
    return replace(world, sessions=taping.sessions, taping=taping)


def archived(world: World, settings: Settings, state: Path) -> World:
    """The world with records of decisions kept beyond the journal."""
    rules = settings.evidence
    limits = EvidenceLimits(keep_ns=rules.keep_days * 86_400 * SECOND, max_bytes=rules.max_mb << 20)
    archive = EvidenceArchive(
        state / "journal.sqlite",
        state / "evidence",
        world.journal.decisions,
        world.clock,
        world.log,
        world.meter,
        limits,
    )
    return replace(world, evidence=archive)


def system_clock() -> Clock:
    return SystemClock()


def meter_of(settings: Settings) -> PrometheusMeter:
    """With the series of every configured market and source at 0 from the first scrape on."""
    sources = sorted({source.id for market in settings.markets for source in (*market.sources, *market.references)})
    return PrometheusMeter({"market": [market.market for market in settings.perps], "source": sources})
