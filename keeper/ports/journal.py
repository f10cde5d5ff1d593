"""Two records, two names: the ledger (intents, transactions) and the decisions (what each decision saw)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class DecisionRecord(NamedTuple):
    """`leaf` is the 0x-hexadecimal hash of `canonical_json`, by which a batch's evidence refers to it."""

    leaf: str
    kind: str
    market: str
    canonical_json: str


class Decisions(Protocol):
    """What each decision saw, durable before the act."""

    def attach(self, records: Sequence[DecisionRecord], root: str) -> None:
        """Durable with the next write, at the latest that of the transaction which rests on them: both or neither.

        `root` is the evidence of their batch, 0x-hexadecimal.
        A record that is known already changes nothing. Raises TransientError when the journal cannot be written.
        """
        ...

    def find(self, leaf: str) -> str | None: ...

    def forget(self, leaves: Sequence[str]) -> None:
        """They are kept elsewhere. Raises TransientError when the journal cannot be written."""
        ...


class StateStore(Protocol):
    """Small snapshots, written atomically: mark state, last published, cursor of the mirror."""

    def save(self, name: str, document: str) -> None: ...

    def attach(self, name: str, document: str) -> None:
        """Durable with the next write."""
        ...

    def load(self, name: str) -> str | None: ...
