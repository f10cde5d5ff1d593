"""`keeper tx`: looks at transactions, and gives the running keeper orders about them."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from keeper.adapters.clock import SystemClock
from keeper.app.admin import order
from keeper.app.exitcodes import FAILED, OK
from keeper.app.screen import screen
from keeper.app.txfacts import shown
from keeper.app.txlisting import Listing
from keeper.app.txtables import listed, told
from keeper.settings.load import admin_sockets, state_directories

_REPAINT_S = 1.0


def listing(config: Path) -> Listing:
    return Listing(admin_sockets(config), state_directories(config), SystemClock())


def show_list(config: Path, *, settled: bool, as_json: bool) -> None:
    """Prints it once."""
    _list(listing(config).all(settled=settled), screen(), as_json)


def watch(config: Path, *, settled: bool, as_json: bool) -> None:
    """Once a second until Ctrl-C; off a terminal one table, or one line of JSON, below the other."""
    console, source = screen(), listing(config)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what runs in the background without it
    try:
        if as_json or not console.is_terminal:
            _repeat(lambda: _list(source.watched(settled=settled), console, as_json, indent=None))
        with Live(console=console, auto_refresh=False) as live:
            _repeat(lambda: live.update(listed(source.watched(settled=settled)), refresh=True))
    except KeyboardInterrupt:
        return


def show_one(config: Path, what: str, wallet: str, *, as_json: bool) -> None:
    found = listing(config).one(what, wallet)
    if as_json:
        _json(found)
    else:
        screen().print(shown(found))


def command(config: Path, verb: str, **words: str) -> int:
    """Carries out an order, says what it did, and returns the exit code: not 0 when fee limit or funds forbade any of it."""
    answer = order(admin_sockets(config), {"verb": verb, **words})
    done: Sequence[Any] = answer if isinstance(answer, list) else [answer]
    several = len({each["wallet"] for each in done}) > 1
    for each in done:
        sys.stdout.write((f"{each['wallet']}: " if several else "") + told(each) + "\n")
    if not done:
        sys.stdout.write("nothing is pending\n")
    return FAILED if any(each["after"] is None for each in done) else OK


def pending(config: Path, wallet: str) -> int:
    """How many transactions the running keeper has that are not mined, of one wallet or of all. Raises Absent."""
    found = order(admin_sockets(config), {"verb": "tx", "wallet": wallet})
    return sum(each["state"] in ("signed", "broadcast") for each in found["transactions"])


def _list(found: dict[str, Any], console: Console, as_json: bool, indent: int | None = 2) -> None:
    if not as_json:
        console.print(listed(found))
        return
    if found["note"]:
        sys.stderr.write(f"keeper: {found['note']}\n")
    _json(found, indent)


def _json(found: dict[str, Any], indent: int | None = 2) -> None:
    sys.stdout.write(json.dumps(found, indent=indent) + "\n")
    sys.stdout.flush()


def _repeat(once: Callable[[], None]) -> None:
    while True:
        once()
        time.sleep(_REPAINT_S)
