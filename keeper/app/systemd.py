"""Talking to systemd: sd_notify(3) is one datagram to the socket that $NOTIFY_SOCKET names."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from keeper.runtime.pulse import Pulse

_MICROSECONDS = 1_000_000
_BEATS_PER_WINDOW = 3


@dataclass(frozen=True, slots=True)
class Notifier:
    """Silent where there is no systemd. `watchdog_s` is None where the unit sets no WatchdogSec=."""

    address: str | None
    watchdog_s: float | None = None

    @classmethod
    def of(cls, environ: Mapping[str, str] | None = None) -> Notifier:
        environ = os.environ if environ is None else environ
        return cls(environ.get("NOTIFY_SOCKET"), _watchdog_s(environ))

    def ready(self, status: str = "") -> None:
        self._send(_lines("READY=1", status))

    def stopping(self, status: str = "") -> None:
        self._send(_lines("STOPPING=1", status))

    def status(self, text: str) -> None:
        self._send(_lines("", text))

    def alive(self) -> None:
        self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if not self.address:
            return
        # A leading @ stands for the NUL of the abstract namespace: unix(7).
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            try:
                sender.sendto(message.encode(), address)
            except OSError:
                # systemd is restarting or its queue is full: the next beat comes soon, and silence is its own alarm.
                return


@dataclass(frozen=True, slots=True)
class Watchdog:
    """A service that tells systemd that we are alive, only while every critical loop is: never a bare timer."""

    notifier: Notifier
    pulse: Pulse
    name: str = "watchdog"

    async def run(self) -> None:
        if self.notifier.watchdog_s is None:
            return
        while True:
            if not self.pulse.late():
                self.notifier.alive()
            await asyncio.sleep(self.notifier.watchdog_s / _BEATS_PER_WINDOW)


def _watchdog_s(environ: Mapping[str, str]) -> float | None:
    """sd_watchdog_enabled(3): meant for us only if WATCHDOG_PID is absent or our own."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    window = environ.get("WATCHDOG_USEC", "")
    return int(window) / _MICROSECONDS if window.isdigit() and int(window) > 0 else None


def _lines(assignment: str, status: str) -> str:
    one_line = " ".join(status.split())
    return "\n".join(part for part in (assignment, f"STATUS={one_line}" if one_line else "") if part)
