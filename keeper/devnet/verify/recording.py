"""What a run left behind, read back: files only, so that a finished run can be judged again, anywhere.

`run.json` says what was started and with which rules; the `.jsonl` files hold one record a line:
`frames` what each venue sent and when, `books` the perp's own book, `blocks`, `logs` and `views` the chain as it is in the
end, `seen` every block when it was first seen, also if it vanished, `status` the keeper's own words every quarter of a second. Times are nanoseconds since the epoch (`t`), block times seconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from keeper.devnet.verify.abi import Event, contract
from keeper.devnet.verify.spans import Span, common, merged, taken_back

RECOVERY_NS = 2 * 10**9


@dataclass(frozen=True, slots=True)
class Block:
    """`seen_ns` is when the recorder first saw it, None for blocks mined while nobody looked."""

    number: int
    timestamp_s: int
    seen_ns: int | None


@dataclass(frozen=True, slots=True)
class Requirements:
    """How much must have happened in a run of this length: keeper.devnet.scenario.requirements."""

    pushes: int
    boundaries: int
    liquidations: int
    bankruptcies: int
    deleveragings: int


class Recording:
    """One run's directory. Everything is read once, when first asked for."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.run: Mapping[str, Any] = json.loads((directory / "run.json").read_text())

    def lines(self, name: str) -> Iterator[Any]:
        """The records of `name`.jsonl, none when there is no such file."""
        path = self.directory / f"{name}.jsonl"
        if path.exists():
            with path.open(encoding="utf-8") as file:
                yield from map(json.loads, file)

    @property
    def engine(self) -> str:
        """The exchange's own account."""
        address: str = self.run["exchange"]
        return address

    @property
    def ready_ns(self) -> int:
        at: int = self.run["keeper"]["ready_ns"]
        return at

    @property
    def stop_ns(self) -> int:
        at: int = self.run["keeper"]["stop_ns"]
        return at

    @property
    def requirements(self) -> Requirements:
        return Requirements(**self.run["requirements"])

    @property
    def perps(self) -> Sequence[Mapping[str, Any]]:
        """The designed market files of what is traded."""
        return [market for market in self.run["markets"] if "market_no" in market]

    @cached_property
    def blocks(self) -> Sequence[Block]:
        return [Block(b["number"], b["timestamp"], b.get("seen_ns")) for b in self.lines("blocks")]

    @cached_property
    def under_watch(self) -> Sequence[Block]:
        """Blocks that were seen while the keeper was ready, or should have been, and not yet told to stop."""
        return [b for b in self.blocks if b.seen_ns is not None and self.ready_ns <= b.seen_ns <= self.stop_ns]

    @cached_property
    def watched(self) -> Sequence[Block]:
        """Those of them outside of outages. After one the keeper has two seconds to find its way back."""
        away = [(down, up + RECOVERY_NS) for down, up in self.outages]
        return [b for b in self.under_watch if not any(down <= (b.seen_ns or 0) <= up for down, up in away)]

    @property
    def storm(self) -> bool:
        return bool(self.run.get("storm"))

    def befell(self, kind: str) -> Sequence[Span]:
        """When the scenario did that to chain, endpoints or keeper."""
        return [(each["since"], each["until"]) for each in self.run.get("troubles", ()) if each["kind"] == kind]

    @cached_property
    def taken_back(self) -> Mapping[int, Span]:
        """Blocks that stand where another one was seen before, by number, with the time that went with that one."""
        return taken_back(self.lines("seen"))

    @cached_property
    def outages(self) -> Sequence[Span]:
        """When the keeper was down by order or had no honest endpoint, and what a reorganisation took back."""
        return merged((*self.befell("kill"), *self.away, *self.taken_back.values()))

    @property
    def away(self) -> Sequence[Span]:
        """When none of the endpoints answered that tell the truth."""
        return common(self.befell("hang"), self.befell("dead"))

    @cached_property
    def events(self) -> Sequence[Event]:
        """Oracle and exchange, in chain order."""
        contracts = {self.run["oracle"]: contract("PriceOracle"), self.run["exchange"]: contract("PerpExchange")}
        decoded = (contracts[log["address"]].event(log) for log in self.lines("logs") if log["address"] in contracts)
        return sorted((event for event in decoded if event is not None), key=lambda e: (e.block, e.index))

    @cached_property
    def views(self) -> Mapping[tuple[int, str], Any]:
        """Raw answers of archive calls by (block, name)."""
        return {(view["block"], view["name"]): view["data"] for view in self.lines("views")}

    def named(self, name: str) -> Sequence[Event]:
        return [event for event in self.events if event.name == name]
