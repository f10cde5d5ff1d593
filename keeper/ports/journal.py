"""Two records, two names: the ledger (intents, transactions) and the decisions (what each decision saw)."""

from __future__ import annotations

from typing import Protocol


class Decisions(Protocol):
    """Durable before the act: the canonical JSON of a decision, found again by the hash that is its evidence leaf."""

    def record(self, leaf: str, kind: str, market: str, canonical_json: str) -> None: ...

    def find(self, leaf: str) -> str | None: ...


class StateStore(Protocol):
    """Small snapshots, written atomically: mark state, last published, cursor of the mirror."""

    def save(self, name: str, document: str) -> None: ...

    def load(self, name: str) -> str | None: ...
