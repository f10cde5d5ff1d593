"""Build and supervise on the real loop: start, ready, stop, drain."""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from keeper import __version__
from keeper.adapters.journal import Journal, Reaper
from keeper.adapters.lock import StateLock
from keeper.adapters.prometheus import CONTENT_TYPE, PrometheusMeter
from keeper.app import logs
from keeper.app.admin import AdminServer
from keeper.app.build import archived, build, meter_of, open_chain, open_keys, system_clock, taped
from keeper.app.gauges import Gauges
from keeper.app.intake import listen
from keeper.app.keyless import KEYLESS, keyless
from keeper.app.ops import OpsServer
from keeper.app.orders import Orders
from keeper.app.preflight import Preflight
from keeper.app.standby import Heartbeat
from keeper.app.status import StatusPage
from keeper.app.systemd import Notifier, Watchdog
from keeper.app.world import App, Keys, World
from keeper.errors import ConfigError, KeeperError
from keeper.ports.log import EventLog
from keeper.runtime.pulse import Pulse
from keeper.runtime.supervisor import Supervisor
from keeper.settings.models import Settings

_FORCED = 130
_RECURSION = 2_000


class Undrained(KeeperError):
    """The grace of a stop was over before every transaction was mined."""

    exit_code = 1


def run(
    settings: Settings,
    dry_run: bool,
    whole_tape: Path | None = None,
    for_s: float | None = None,
    lock: StateLock | None = None,
    waited: Sequence[int] = (),
) -> None:
    """Runs until SIGTERM or SIGINT, or for so long. A second signal ends the process at once. Raises what ended it otherwise.

    `whole_tape`: where to keep all that is heard, instead of a ring in the state directory. `lock`: a standby's, which has
    waited for it, and `waited` what it heard about the kill switch meanwhile.
    """
    faulthandler.enable()
    early = heard_early()
    # Whom the first listened to since, we do not know: what was ordered here holds, and nothing of its orders is lifted.
    if waited[-1:] == [signal.SIGUSR1]:
        early.insert(0, signal.SIGUSR1)
    # A library raises it to 100,000 on import, at which deep nesting from a stranger ends in a segmentation fault.
    sys.setrecursionlimit(_RECURSION)
    clock = system_clock()
    log = logs.configure(settings.log, clock)
    keys = open_keys(settings, os.environ)
    dry_run = dry_run or not keys.wallets or not keys.reports
    state = settings.state_dir / "dry-run" if dry_run else settings.state_dir
    if lock is not None and lock.path.parent != state:
        raise ConfigError(
            f"while this standby waited for {lock.path.parent} the configuration went to {state}: start it again"
        )
    with ExitStack() as opened:
        journal = opened.enter_context(Journal.open(state, clock, lock=lock))
        meter = meter_of(settings)
        chain = open_chain(settings, os.environ, meter, log)
        world = archived(World(clock, log, meter, Pulse(clock), journal, chain), settings, state)
        ring_mb = settings.tape.max_mb if whole_tape is None else None
        app = build(settings, keys, taped(world, settings, whole_tape or state / "tape", ring_mb), dry_run)
        for wallet, pending in keyless(
            state, settings.chain.id, {key.address for key in keys.wallets.values()}
        ).items():
            log.error("wallet.keyless", wallet=wallet, pending=pending, advice=KEYLESS)
        _spare_the_collector()
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_Running(app, keys, meter, "dry-run" if dry_run else "live", early, for_s).run())


def heard_early() -> list[int]:
    """Signals about the kill switch that come before the loop listens: unheard they would end the process."""
    heard: list[int] = []
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda found, _frame: heard.append(found))
    return heard


def _spare_the_collector() -> None:
    """Modules and settings live as long as the process: a full collection that visits them stops the loop for 0.1 s."""
    gc.collect()
    gc.freeze()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed: it halves the cost of a wake-up, and changes nothing else."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


@dataclass(slots=True)
class _Running:
    app: App
    keys: Keys
    meter: PrometheusMeter
    mode: str
    early: Sequence[int]
    for_s: float | None = None
    supervisor: Supervisor = field(init=False)
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.supervisor = Supervisor(self.app.world.pulse.forget)  # by the names of services, which are their keys

    async def run(self) -> None:
        app, world = self.app, self.app.world
        page = StatusPage(
            self.mode, app.settings.hash, app.boards, app.plans,
            [market.index_id for market in app.settings.markets], app.outboxes, world.clock, world.pulse, app.switches,
        )  # fmt: skip
        orders = Orders(app, page, self.supervisor)
        gauges = Gauges(
            self.meter, app.boards, lambda: app.plans, app.outboxes, world.pulse, world.clock, app.switches.causes
        )

        def metrics() -> bytes:
            gauges.refresh()
            return self.meter.exposition()

        ops = OpsServer(
            app.settings.ops, metrics, CONTENT_TYPE, page.status, page.ready,
            on_lag=lambda late_s: self.meter.gauge("keeper_loop_lag_seconds", late_s),
            where=app.settings.where("ops.port"),
        )  # fmt: skip
        admin = AdminServer(app.settings.admin_socket, orders.verbs(), world.log)
        notifier = Notifier.of()
        self._listen(world.log)
        if self.for_s is not None:
            asyncio.get_running_loop().call_later(self.for_s, self.stop.set)
        orders.restore_pauses()
        async with world.chain:
            await ops.open()
            try:
                await admin.open()
                await self._supervise(ops, admin, notifier)
            finally:
                await ops.close()
                await admin.close()

    async def _supervise(self, ops: OpsServer, admin: AdminServer, notifier: Notifier) -> None:
        app, log = self.app, self.app.world.log
        preflight = Preflight(app.deployments, app.world.chain, app.boards, self.keys, log)
        for key, service in app.core.items():
            self.supervisor.start(key, service)
        for feed in app.intake.values():
            listen(self.supervisor, feed, app.world.clock)
        journal, pulse = app.world.journal, app.world.pulse
        reaper = Reaper(journal, log)
        for extra in (ops, admin, preflight, reaper, Watchdog(notifier, pulse), Heartbeat(journal.lock, pulse)):
            self.supervisor.start(extra.name, extra)
        app.schedule.start()
        log.info(
            "keeper.ready",
            version=__version__,
            mode=self.mode,
            config=app.settings.hash,
            markets=sorted(app.plans),
            chain=app.settings.chain.id,
            ops_port=ops.port,
            settings=app.settings.public(),
        )
        self.meter.gauge("keeper_build_info", 1, version=__version__, commit=os.environ.get("KEEPER_COMMIT", ""))
        self.meter.gauge("keeper_config_info", 1, sha256=app.settings.hash)
        self.meter.gauge("keeper_ready", 1)
        notifier.ready(f"{self.mode}, {len(app.plans)} markets")
        try:
            await self.supervisor.watch(self.stop.wait)
            await self._drain(notifier)
        finally:
            app.schedule.stop()
            await self.supervisor.stop_all()

    async def _drain(self, notifier: Notifier) -> None:
        """Intake ends first; what was broadcast is followed until it is mined; then everything else ends."""
        app, grace_s = self.app, self.app.settings.grace_s
        notifier.stopping("finishing what was sent")
        self.meter.gauge("keeper_ready", 0)
        app.world.log.info("keeper.stopping", grace_s=grace_s)
        deciding = ("publishing:", "funding:", "liquidations:")
        await self.supervisor.stop_all(keep=lambda key: key not in app.intake and not key.startswith(deciding))
        drained = await asyncio.gather(*(outbox.drain(grace_s) for outbox in app.outboxes))
        left = [tx for each in drained for tx in each]
        if left:
            raise Undrained(
                f"{len(left)} transactions are not mined after {grace_s:g} s; the next start follows them up"
            )
        app.world.log.info("keeper.stopped")

    def _listen(self, log: EventLog) -> None:
        loop = asyncio.get_running_loop()

        def heard(name: str) -> None:
            if self.stop.is_set():
                log.warning("keeper.forced", signal=name)
                os._exit(_FORCED)
            self.stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, heard, number.name)
        # Two signals, not one that toggles: whoever sends it twice in a hurry must not start the keeper again.
        halt = self.app.switches.halt
        loop.add_signal_handler(signal.SIGUSR1, halt.order, "SIGUSR1")
        loop.add_signal_handler(signal.SIGUSR2, halt.lift)
        for heard_early in self.early:
            halt.order("SIGUSR1") if heard_early == signal.SIGUSR1 else halt.lift()
