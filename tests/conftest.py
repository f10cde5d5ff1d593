"""No test reaches another machine, and most reach no socket at all."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("laws", max_examples=1_000, deadline=None, database=None, print_blob=True)
if settings.get_current_profile_name() == "default":
    settings.load_profile(
        "fixed"
    )  # a change is judged by the same examples as the one before it; `make laws` draws new ones

ROOT = Path(__file__).parent
LOOPBACK = frozenset(
    {
        "adapters",
        "benchmarks",
        "chain",
        "demo",
        "devnet",
        "evm",
        "onchain",
        "ops",
        "packaging",
        "process",
        "protocols",
        "references",
        "rpc",
        "scenarios",
        "simulator",
        "torture",
        "venues",
    }
)
"""Directories whose tests run real servers on this machine. The others are pure."""


class SocketRefused(AssertionError):
    """A test tried to leave its machine, or to use a socket where none belongs."""


def _is_local(address: object) -> bool:
    if not isinstance(address, tuple):
        return True  # a unix socket's path
    try:
        return ipaddress.ip_address(str(address[0])).is_loopback
    except ValueError:
        return address[0] == "localhost"


@pytest.fixture(autouse=True)
def _sockets_stay_here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = request.path.relative_to(ROOT).parts[0] in LOOPBACK
    for name in ("connect", "connect_ex", "bind", "sendto"):
        original = getattr(socket.socket, name)

        def guarded(self: socket.socket, *args: object, original: object = original, name: str = name) -> object:
            if not allowed or not _is_local(args[-1]):
                raise SocketRefused(f"{name} to {args[-1]!r}")
            return original(self, *args)  # type: ignore[operator]

        monkeypatch.setattr(socket.socket, name, guarded)
