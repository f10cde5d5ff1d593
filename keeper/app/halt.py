"""The kill switch: while it is on nothing leaves the process, whatever is decided; reads and receipts go on.

A file that anybody with the directory can make, an order over the admin socket, a signal. The order, and the signal that
is the same as an order, outlive a restart: who gave it has not taken it back.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from keeper.app.boards import Boards
from keeper.domain.pauses import pauses
from keeper.domain.time import SECOND
from keeper.errors import TransientError
from keeper.ports.clock import Clock
from keeper.ports.journal import StateStore
from keeper.ports.log import EventLog

HALT_FILE = "HALT"
"""While a file of this name stands in the state directory nothing is sent."""
CAUSES = ("dry_run", "halt_file", "halt_order", "oracle_paused", "liquidation_paused", "funding_paused")
_ORDER = "halted"


@dataclass(slots=True)
class Halt:
    """`ordered`: who halted, why and since when, in words; empty when nobody did."""

    file: Path
    store: StateStore
    clock: Clock
    log: EventLog
    ordered: str = field(init=False, default="")

    def __post_init__(self) -> None:
        saved = json.loads(self.store.load(_ORDER) or "{}")
        self.ordered = str(saved.get("reason", ""))

    def causes(self) -> Mapping[str, str]:
        """What is on, by its word in CAUSES."""
        found = {"halt_file": f"halt file {self.file}" if self._has_file() else "", "halt_order": self.ordered}
        return {cause: words for cause, words in found.items() if words}

    def reason(self) -> str:
        """Why nothing may be sent, or an empty text. Asked before every broadcast."""
        return "; ".join(self.causes().values())

    def order(self, by: str, why: str = "") -> None:
        """Holds at once; a journal that cannot be written only keeps it from outliving a restart."""
        at = datetime.fromtimestamp(self.clock.now() // SECOND, UTC)
        self.ordered = f"halted by {by} at {at:%Y-%m-%d %H:%M:%S}Z" + (f": {why}" if why else "")
        self.log.warning("halt.ordered", reason=self.ordered)
        self._save()

    def lift(self) -> None:
        """Takes the order back; a halt file goes on to hold."""
        self.log.warning("halt.lifted", reason=self.ordered)
        self.ordered = ""
        self._save()

    def _save(self) -> None:
        try:
            self.store.save(_ORDER, json.dumps({"reason": self.ordered} if self.ordered else {}))
        except TransientError as error:
            self.log.error(
                "halt.unsaved",
                error=str(error),
                advice="the journal cannot be written: what was ordered holds until the process ends; use the halt file",
            )

    def _has_file(self) -> bool:
        """A file that cannot be looked at counts as one: when in doubt nothing is sent."""
        try:
            os.lstat(self.file)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return True


@dataclass(frozen=True, slots=True)
class Switches:
    """Everything that keeps transactions from being sent: in this process, and in the contracts."""

    halt: Halt
    dry_run: bool
    boards: Boards

    def causes(self) -> Mapping[str, str]:
        """By the words in CAUSES. What a contract pauses concerns only the acts that it would refuse."""
        found = {"dry_run": "dry run"} if self.dry_run else {}
        paused: dict[str, list[str]] = {}
        for deployment, state in sorted(self.boards.states.snapshot().items()):
            for word in pauses(state):
                paused.setdefault(word, []).append(deployment)
        return {
            **found,
            **self.halt.causes(),
            **{word: f"paused on chain: {', '.join(ids)}" for word, ids in paused.items()},
        }
