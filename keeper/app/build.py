"""Settings to a program: the composition root. No logic, no maths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from keeper.adapters.clock import SystemClock
from keeper.adapters.coordinator import AlwaysLeader
from keeper.adapters.prometheus import PrometheusMeter
from keeper.adapters.rpc import RpcChain
from keeper.adapters.schedule import ApschedulerSchedule
from keeper.adapters.signers import open_signer
from keeper.adapters.signers.key_signer import KeySigner
from keeper.app.boards import Boards
from keeper.app.endpoints import rpc_endpoints
from keeper.app.halt import HALT_FILE, Halt, Switches
from keeper.app.intake import chain_services, feeds, pricing_services
from keeper.app.serve import deployment_of, outboxes_of, serve
from keeper.app.sessions import plans_of
from keeper.app.taping import Taping
from keeper.app.world import App, Keys, World
from keeper.domain.transaction import Intent
from keeper.errors import ConfigError
from keeper.ports.clock import Clock
from keeper.ports.log import EventLog
from keeper.ports.meter import Meter
from keeper.runtime.mailbox import Mailbox
from keeper.services.balance import BalanceService
from keeper.settings.models import Settings, SignerSettings

_LOW_BALANCE_WEI = 10**16
_INBOX = 256


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
    chain = settings.chain
    return RpcChain(rpc_endpoints(settings, environ), chain.id, meter=meter, log=log, legacy_fees=chain.legacy_fees)


def build(settings: Settings, keys: Keys, world: World, dry_run: bool) -> App:
    """Raises ConfigError for settings that no build of this program can serve."""
    boards, coordinator = Boards(), AlwaysLeader()
    deployments = tuple(deployment_of(settings, name) for name in sorted(settings.deployments))
    plans = plans_of(settings, world.clock.now())
    wallet_name = keys.sender.address if keys.sender is not None else "none"
    inbox: Mailbox[Intent] = Mailbox(f"intents:{wallet_name}", _INBOX)
    halt = Halt(settings.state_dir / HALT_FILE, world.journal.snapshots, world.clock, world.log)
    switches = Switches(halt, dry_run, boards)
    outboxes = outboxes_of(settings, keys, world, boards, deployments, inbox, switches)
    if world.taping is not None:
        world.taping.attach(boards, [signer.address for signer in keys.reports])
    app = App(settings, world, boards, deployments, plans, outboxes, ApschedulerSchedule(world.log), switches)
    app.intake.update(feeds(settings, world, boards))
    app.core.update(chain_services(settings, world, boards))
    app.core.update(pricing_services(settings, world, boards, plans))
    if world.taping is not None:
        world.taping.snapshots = tuple(name for name in app.core if name.startswith("pricing:"))
        app.core[world.taping.service.name] = world.taping.service
    for deployment in deployments:
        if deployment.markets:
            app.core.update(serve(app, deployment, keys, coordinator, inbox))
    app.core.update({outbox.name: outbox for outbox in outboxes})
    if keys.sender is not None:
        balance = BalanceService(
            keys.sender.address, world.chain, _LOW_BALANCE_WEI, world.pulse, world.meter, world.log
        )
        app.core[balance.name] = balance
    return app


def taped(world: World, settings: Settings, directory: Path, max_mb: int | None) -> World:
    """The world with a tape running: `max_mb` 0 for none, None for one that is kept whole."""
    if max_mb == 0:
        return world
    taping = Taping(directory, max_mb, settings, world.journal.snapshots, world.clock, world.log, world.meter)
    return replace(world, sessions=taping.sessions, taping=taping)


def system_clock() -> Clock:
    return SystemClock()


def meter_of(settings: Settings) -> PrometheusMeter:
    """With the series of every configured market and source at 0 from the first scrape on."""
    sources = sorted({source.id for market in settings.markets for source in market.sources})
    return PrometheusMeter({"market": [market.market for market in settings.perps], "source": sources})
