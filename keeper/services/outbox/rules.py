"""What an operator may say about sending, and what the outbox tells about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from keeper.domain.fees import FeeRules
from keeper.domain.ids import Address, Hash
from keeper.domain.time import Timestamp
from keeper.domain.transaction import IntentState, Lane, TxState

BUMP_BLOCKS: Mapping[Lane, int] = MappingProxyType(
    {Lane.SAFETY: 1, Lane.PRICE: 2, Lane.LIQUIDATION: 1, Lane.FUNDING: 2, Lane.HOUSEKEEPING: 10}
)

SCARCE = "balance_reserved"
"""Of a wallet: what waits does not fit its balance beside what is under way."""


@dataclass(frozen=True, slots=True)
class OutboxRules:
    """`dry_run`: nothing is signed or sent, every intent is withheld and told. `legacy_fees`: no EIP-1559 here.

    A transaction is confirmed at `confirmations` blocks and final at `finality_blocks`; its nonce counts as used by
    somebody else after `orphan_after_blocks` and `orphan_after_s` without a receipt of ours. `reserved_slots` of the `max_in_flight` are
    kept for the safety and price lanes: a pool takes 16 pending transactions of one account (go-ethereum AccountSlots).
    """

    fees: FeeRules = field(default_factory=FeeRules)
    bump_blocks: Mapping[Lane, int] = field(default_factory=lambda: BUMP_BLOCKS)
    confirmations: int = 1
    finality_blocks: int = 64
    orphan_after_blocks: int = 12
    orphan_after_s: float = 30.0
    max_in_flight: int = 16
    max_attempts: int = 40
    reserved_slots: int = 2
    queue_limit: int = 64
    gas_margin_percent: int = 20
    resend_after_s: float = 12.0
    tick_s: float = 5.0
    read_timeout_s: float = 5.0
    send_timeout_s: float = 5.0
    dry_run: bool = False
    legacy_fees: bool = False


@dataclass(frozen=True, slots=True)
class PendingTx:
    """A nonce that is not settled, for people: `tx_hash` is that of the mined attempt, else of the newest."""

    nonce: int
    lane: Lane
    key: str
    intent_id: str
    state: TxState
    attempts: int
    tx_hash: Hash | None
    max_fee_wei: int
    tip_wei: int
    signed_at: Timestamp | None


@dataclass(frozen=True, slots=True)
class WalletStatus:
    """`paused` is why nothing new is sent, and empty when it is; SCARCE: why some of it is not.

    `balance_wei` and `runway_s`: None while nobody knows. `reserved_wei`: what everything under way may cost.
    """

    name: str
    role: str
    lanes: frozenset[Lane]
    address: Address
    mined_nonce: int
    next_nonce: int
    in_flight: int
    queued: int
    paused: str
    balance_wei: int | None
    reserved_wei: int
    runway_s: int | None
    pending: tuple[PendingTx, ...]
    counts: Mapping[tuple[Lane, IntentState], int]
