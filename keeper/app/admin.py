"""Orders to a running keeper, over a unix socket that only its own user can open (mode 0600).

One line of JSON each way: `{"verb": "pause", "market": "BTC-USD"}` → `{"ok": true, "result": …}`. No verb takes a
price or a key.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keeper.app.exitcodes import FAILED
from keeper.app.scrub import scrubbed
from keeper.errors import AlreadyRunning, ConfigError, KeeperError, KeyPermissionError
from keeper.ports.log import EventLog

Verb = Callable[[Mapping[str, str]], Awaitable[Any]]
"""Takes the words of the order, gives a JSON-able answer. Raises KeeperError to refuse, with a sentence for people."""

MAX_LINE = 64 * 1024
MAX_REPLY = 16 * 1024 * 1024
REQUEST_TIMEOUT_S = 5.0
VERB_TIMEOUT_S = 60.0
MAX_CLIENTS = 16
_LONGEST_PATH = 107


class Refused(KeeperError):
    """The running keeper answered, and said no. `exit_code` is its own word."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = code


class Absent(Refused):
    """No keeper answers here."""


_LOOKS = frozenset({"tx", "tx_show"})
"""Asked again and again by whoever watches, and change nothing."""


@dataclass(slots=True)
class AdminServer:
    """A service. `verbs` are the orders it takes; every one is logged."""

    path: Path
    verbs: Mapping[str, Verb]
    log: EventLog
    name: str = "admin"
    _server: asyncio.Server | None = field(default=None, repr=False)
    _clients: int = 0

    async def open(self) -> None:
        """Raises AlreadyRunning when another keeper answers there, ConfigError when no socket can be."""
        listener = _listener(self.path)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=MAX_LINE)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
            self.path.unlink(missing_ok=True)

    async def run(self) -> None:
        if self._server is None:
            await self.open()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await self.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients += 1
        try:
            if self._clients <= MAX_CLIENTS:
                writer.write(json.dumps(await self._reply(reader)).encode() + b"\n")
                async with asyncio.timeout(REQUEST_TIMEOUT_S):
                    await writer.drain()
        except (TimeoutError, ConnectionError, ValueError):
            # A client that is slow, gone or sends a line without end: its own loss.
            return
        finally:
            self._clients -= 1
            writer.close()

    async def _reply(self, reader: asyncio.StreamReader) -> dict[str, Any]:
        async with asyncio.timeout(REQUEST_TIMEOUT_S):
            line = await reader.readline()
        words = _words(line)
        verb = words.pop("verb", "") if words else ""
        if words is None or verb not in self.verbs:
            return _no(f"unknown order; known: {', '.join(sorted(self.verbs))}")
        try:
            async with asyncio.timeout(VERB_TIMEOUT_S):
                result = await self.verbs[verb](words)
        except KeeperError as error:
            self.log.warning("admin.refused", verb=verb, reason=str(error), **_named(words))
            return _no(str(error), error.exit_code)
        except TimeoutError:
            return _no(f"{verb} took longer than {VERB_TIMEOUT_S:.0f} s")
        if verb in _LOOKS:
            self.log.debug("admin.answered", verb=verb, **_named(words))
        else:
            self.log.info("admin.obeyed", verb=verb, **_named(words))
        return {"ok": True, "result": result}


def _named(words: Mapping[str, str]) -> dict[str, Any]:
    return {"market": words["market"]} if "market" in words else {"words": dict(words)} if words else {}


def _no(message: str, code: int = FAILED) -> dict[str, Any]:
    return {"ok": False, "error": scrubbed(message), "exit_code": code}


def _words(line: bytes) -> dict[str, str] | None:
    """The order, or None when it is no flat JSON object of texts."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        return None
    return found


def _listener(path: Path) -> socket.socket:
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise ConfigError(f"admin.socket: {path} is longer than the {_LONGEST_PATH} bytes that a unix socket may have")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.is_socket():
        if _answers(path):
            raise AlreadyRunning(f"another keeper answers at {path}")
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        # Before bind, so that the socket is never open to others: bind(2) takes the mode from here (unix(7)).
        os.fchmod(listener.fileno(), 0o600)
        listener.bind(os.fspath(path))
    except OSError as error:
        listener.close()
        raise ConfigError(f"admin.socket: {path}: {error.strerror}") from None
    listener.setblocking(False)
    return listener


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(os.fspath(path))
        except OSError:
            return False
        return True


def order(sockets: Sequence[Path], words: Mapping[str, str], timeout_s: float = VERB_TIMEOUT_S) -> Any:
    """The running keeper's answer to `words`, which hold at least `verb`. Blocks; for the command line.

    Raises Refused (it said no), Absent (nobody answers) and KeyPermissionError (the socket belongs to another user).
    """
    silent: list[Absent] = []  # a keeper that was killed leaves its socket behind, and another may run elsewhere
    for path in filter(_exists, sockets):
        try:
            return _asked(path, words, timeout_s)
        except Absent as absent:
            silent.append(absent)
    if silent:
        raise silent[0]
    places = ", ".join(map(str, sockets))
    raise Absent(f"no keeper runs here: there is no socket at {places}; start `keeper run`, or name its --config")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        raise KeyPermissionError(f"{path}: only the keeper's own user may give it orders; use sudo -u") from None


def _asked(path: Path, words: Mapping[str, str], timeout_s: float) -> Any:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(timeout_s)
        try:
            client.connect(os.fspath(path))
            client.sendall(json.dumps(words).encode() + b"\n")
            with client.makefile("rb") as answer:
                line = answer.readline(MAX_REPLY)
        except PermissionError:
            raise KeyPermissionError(f"{path}: only the keeper's own user may give it orders; use sudo -u") from None
        except ConnectionRefusedError:
            raise Absent(f"no keeper runs here: nobody answers at {path}") from None
        except OSError as error:
            raise Refused(f"{path}: {error}") from None
    try:
        reply = json.loads(line)
    except ValueError:
        raise Refused(f"{path}: the keeper closed the connection without an answer") from None
    if not reply.get("ok"):
        raise Refused(str(reply.get("error")), int(reply.get("exit_code", FAILED)))
    return reply.get("result")
