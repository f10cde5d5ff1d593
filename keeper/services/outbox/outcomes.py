"""What became of the newest intents, by id, for whoever wants to know without waiting for it."""

from __future__ import annotations

from keeper.domain.transaction import Outcome
from keeper.runtime.board import Board


class OutcomeBoard(Board[str, Outcome]):
    """A board that keeps the newest `capacity` outcomes; older ones are in the ledger."""

    def __init__(self, capacity: int = 4096) -> None:
        super().__init__()
        self._capacity = capacity

    def put(self, key: str, value: Outcome) -> None:
        self._values.pop(key, None)
        while len(self._values) >= self._capacity:
            del self._values[next(iter(self._values))]
        super().put(key, value)
