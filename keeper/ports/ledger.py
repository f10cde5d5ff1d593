"""The record of intents and transactions: whatever is signed is durable here before a node sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from keeper.domain.ids import Address
from keeper.domain.transaction import IntentRecord, Outcome, TxRecord


class Ledger(Protocol):
    """Every write is durable when it returns. Raises TransientError when nothing was written, StateCorrupt (fatal)."""

    def intent(self, intent_id: str) -> IntentRecord | None: ...

    def save(self, tx: TxRecord, outcomes: Sequence[Outcome] = ()) -> None:
        """The nonce with all its attempts, its receipt and the intents they carry, and `outcomes`, in one commit.

        An intent that was decided again is kept as it was decided last: its deadline is the later one.
        """
        ...

    def settle(self, outcome: Outcome) -> None:
        """What became of an intent; also of one that was never signed."""
        ...

    def unfinished(self, chain_id: int, wallet: Address) -> tuple[TxRecord, ...]:
        """By rising nonce: all that are neither final nor orphaned. Their receipts come without logs."""
        ...

    def under_way_elsewhere(self, wallet: Address) -> frozenset[str]:
        """Intents that any other wallet than this has unsettled nonces for: what `elsewhere` may find something of."""
        ...

    def elsewhere(self, intent_id: str, wallet: Address) -> tuple[TxRecord, ...]:
        """Nonces of other wallets that are wanted for the intent and not mined: as after its lane has moved."""
        ...

    def next_nonce(self, chain_id: int, wallet: Address) -> int | None:
        """One more than the highest nonce ever signed for; None for a wallet without history."""
        ...
