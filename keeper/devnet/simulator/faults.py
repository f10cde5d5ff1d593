"""What an endpoint can do wrong, and the switchboard on which it is told to.

A fault strikes the calls of its methods (all, unless told otherwise), the next `times` of them or until it is cleared.
Several can strike the same call: first those that wait, then the first that spoils the whole HTTP answer, else every one
that changes the single reply, in the order in which they were added.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

Alter = Callable[[str, Sequence[Any], dict[str, Any]], None]
"""Changes a reply where it stands; told the method and what was asked."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`methods` empty means all. `performed`: the node has done what was asked before it goes wrong."""

    label: str
    methods: frozenset[str] = field(default=frozenset(), kw_only=True)
    performed: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Delay(Fault):
    """Answers later."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hang(Fault):
    """Waits until it is cleared, then goes on as if nothing had been."""


@dataclass(frozen=True, slots=True)
class Cut(Fault):
    """Closes the connection without a word."""


@dataclass(frozen=True, slots=True)
class Page(Fault):
    """An HTTP answer that is not JSON-RPC."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Flood(Fault):
    """An answer of so many bytes: a JSON text that is still going on."""

    size: int


@dataclass(frozen=True, slots=True)
class Error(Fault):
    """A JSON-RPC error instead of a result."""

    code: int
    message: str
    data: Any = None


@dataclass(frozen=True, slots=True)
class Altered(Fault):
    """The true reply, changed."""

    alter: Alter


@dataclass(frozen=True, slots=True)
class Stale(Fault):
    """Sees the chain as it was `blocks` ago."""

    blocks: int


@dataclass(slots=True, eq=False)
class Switch:
    """One fault that was switched on. `left` None: until cleared."""

    fault: Fault
    left: int | None = None
    strikes: int = 0
    struck: asyncio.Event = field(default_factory=asyncio.Event)
    """Set with the first strike."""
    holding: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once a call hangs because of it: what is `performed` has been performed by then."""
    cleared: asyncio.Event = field(default_factory=asyncio.Event)

    def clear(self) -> None:
        """Strikes no more; what hangs because of it goes on."""
        self.left = 0
        self.cleared.set()

    def strike(self, method: str) -> bool:
        """Whether it strikes this call, and counts it."""
        if self.left == 0 or (self.fault.methods and method not in self.fault.methods):
            return False
        self.left = None if self.left is None else self.left - 1
        self.strikes += 1
        self.struck.set()
        return True


@dataclass(slots=True, eq=False)
class FaultBoard:
    """The switches of one endpoint."""

    switches: list[Switch] = field(default_factory=list)

    def add(self, fault: Fault, *, methods: Collection[str] | None = None, times: int | None = None) -> Switch:
        """Switches it on. `methods` instead of its own."""
        chosen = fault if methods is None else replace(fault, methods=frozenset(methods))
        switch = Switch(chosen, times)
        self.switches.append(switch)
        return switch

    def strike(self, method: str) -> list[Switch]:
        """Those that strike this call."""
        return [switch for switch in self.switches if switch.strike(method)]

    def clear(self) -> None:
        """All of them."""
        for switch in self.switches:
            switch.clear()
        self.switches.clear()
