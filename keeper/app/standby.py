"""A keeper that waits for another one's state directory and goes on in its place: docs/decisions/0017-standby.md."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass, field

from keeper.adapters.journal_files import LOCK
from keeper.adapters.lock import Holder, StateLock
from keeper.app import logs
from keeper.app.build import open_keys, system_clock
from keeper.app.systemd import Notifier
from keeper.errors import AlreadyRunning, ConfigError
from keeper.ports.log import EventLog
from keeper.runtime.pulse import Pulse
from keeper.settings.models import Settings

BEAT_S = 1.0
LEAST_SILENCE_S = 3 * BEAT_S
_LOOK_S = 0.2
_UNSEEN = "it runs in another container, as another user, or on a system without pidfd: end it, or restart it"


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A service that beats only while every critical loop does: what hangs is to be replaced."""

    lock: StateLock
    pulse: Pulse
    name: str = "heartbeat"

    async def run(self) -> None:
        while True:
            if not self.pulse.late():
                self.lock.beat()
            await asyncio.sleep(BEAT_S)


def wait(settings: Settings, silence_s: float) -> StateLock:
    """Blocks until the live state directory's lock is ours: its holder ended, or was silent for so long and is ended.

    Raises ConfigError without keys to send with, and what opening these raises: now, not at the moment it matters.
    """
    keys = open_keys(settings, os.environ)
    if not keys.wallets or not keys.reports:
        raise ConfigError(
            "--standby takes the place of a keeper that sends: signers.sender and signers.reports must be set"
        )
    settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = StateLock(settings.state_dir / LOCK)
    _Wait(lock, silence_s, logs.configure(settings.log, system_clock()), Notifier.of()).over()
    return lock


@dataclass(slots=True)
class _Wait:
    lock: StateLock
    silence_s: float
    log: EventLog
    notifier: Notifier
    seen: Holder | None = None
    silent_s: float = 0.0
    looked_s: float = field(default_factory=time.monotonic)

    def over(self) -> None:
        while not self._ours():
            self._look(time.monotonic())
            self.notifier.alive()
            time.sleep(_LOOK_S)
        if self.seen is not None:
            self.log.warning("standby.takes_over", holder=self.seen.pid)

    def _ours(self) -> bool:
        try:
            self.lock.acquire()
        except AlreadyRunning:
            return False
        return True

    def _look(self, now_s: float) -> None:
        """By how long we saw no beat, and no clock but our own: a start, which has not beaten yet, may take its time.

        What we did not look at does not count: when all of a machine stood still, we may be the first to wake up.
        """
        found = self.lock.holder()
        self.silent_s += min(now_s - self.looked_s, BEAT_S)
        self.looked_s = now_s
        if found is None:
            return
        if found != self.seen:
            if self.seen is None or found.pid != self.seen.pid:
                self._tell_waiting(found)
            self.seen, self.silent_s = found, 0.0
        elif found.beats and self.silent_s > self.silence_s:
            self.silent_s = 0.0
            self._end(found)

    def _tell_waiting(self, holder: Holder) -> None:
        self.log.info("standby.waiting", holder=holder.pid, silence_s=self.silence_s)
        self.notifier.ready(f"standby: process {holder.pid} is at work")

    def _end(self, holder: Holder) -> None:
        if self.lock.kill(holder):
            self.log.critical(
                "standby.killed",
                holder=holder.pid,
                silence_s=self.silence_s,
                advice="a keeper hung or was stopped and has been ended with SIGKILL; its log tells what it did last",
            )
        elif self.lock.holder() == holder:
            self.log.critical("standby.powerless", holder=holder.pid, silence_s=self.silence_s, advice=_UNSEEN)
