"""From an intent to a mined transaction: one outbox per wallet."""

from keeper.services.outbox.outcomes import OutcomeBoard
from keeper.services.outbox.rules import OutboxRules, PendingTx, WalletStatus
from keeper.services.outbox.service import Outbox
from keeper.services.outbox.wallet import Chain, Wallet

__all__ = ["Chain", "Outbox", "OutboxRules", "OutcomeBoard", "PendingTx", "Wallet", "WalletStatus"]
