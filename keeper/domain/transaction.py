"""An intent (what is wanted once), a transaction (one nonce of one wallet) and its attempts (one fee level each)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from keeper.domain.chain import Call, Receipt
from keeper.domain.fees import Fees
from keeper.domain.ids import Address, DeploymentId, Hash
from keeper.domain.time import SECOND, Timestamp
from keeper.domain.txerrors import SendAnswer


class Lane(IntEnum):
    """What goes first on a shared wallet: nonce order is execution order."""

    SAFETY = 0
    PRICE = 1
    LIQUIDATION = 2
    FUNDING = 3
    HOUSEKEEPING = 4


@dataclass(frozen=True, slots=True)
class Expectation:
    """A log that proves the effect: the address, the event and, where given, its first indexed argument."""

    address: Address
    topic0: Hash
    topic1: Hash | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """Something to do once. The same decision after a restart has the same id.

    `key` of a price is its round, of a funding (market, boundary), of a liquidation (account, market, block and log
    index of the account's last event). Success is a receipt with status 1 that has one of the logs in `expects`.
    `created_at` is by our own clock, `deadline` an instant of the chain, from which on it is too late.
    """

    id: str
    deployment: DeploymentId
    lane: Lane
    key: str
    call: Call
    created_at: Timestamp
    deadline: Timestamp | None
    expects: tuple[Expectation, ...]


def intent_id(chain_id: int, contract: Address, lane: Lane, key: str) -> str:
    """Stable over restarts: 32 hexadecimal digits of BLAKE2b over what the intent is."""
    words = f"{chain_id}|{contract}|{lane.name}|{key}"
    return hashlib.blake2b(words.encode(), digest_size=16).hexdigest()


class IntentState(StrEnum):
    """QUEUED and ACTIVE are open, MINED waits for confirmations, the rest is settled."""

    QUEUED = "queued"
    ACTIVE = "active"
    MINED = "mined"
    CONFIRMED = "confirmed"
    REVERTED = "reverted"
    NO_EFFECT = "no_effect"
    """Mined with status 1, but without the log that proves the effect: a failure."""
    LOST_RACE = "lost_race"
    EXPIRED = "expired"
    ABANDONED = "abandoned"
    """Taken back by the operator: it is not started again by itself. Mined all the same, it is told as mined."""
    SUPERSEDED = "superseded"
    REJECTED = "rejected"
    """Refused before it was sent: by the node, by the signer, by an estimate that reverts."""
    WITHHELD = "withheld"
    """Dry run: decided, not sent."""


OPEN_INTENTS = frozenset({IntentState.QUEUED, IntentState.ACTIVE, IntentState.MINED})
FAILED_INTENTS = frozenset({IntentState.REVERTED, IntentState.NO_EFFECT, IntentState.REJECTED})
_OVERTAKEN = frozenset({IntentState.LOST_RACE, IntentState.EXPIRED})
_IN_VAIN = frozenset({IntentState.REVERTED, IntentState.NO_EFFECT})
_LONGEST_BACKOFF_S = 300


@dataclass(frozen=True, slots=True)
class IntentRecord:
    """What the ledger knows of an intent: `failures` so far, and when its state last changed."""

    state: IntentState
    failures: int
    changed_at: Timestamp


def may_start(record: IntentRecord | None, now: Timestamp, lane: Lane | None = None) -> bool:
    """Whether an intent with this history may be taken on: once, and after a failure again with growing pauses.

    A liquidation also when a price overtook it: another price can bring the account down again, as the same intent. A price
    that was mined in vain does not: what the contract refused are its signed bytes, and the next one is signed anew.
    A change that is yet to come is one before our clock was set back: no pause is counted from it.
    """
    if record is None or record.state in (IntentState.QUEUED, IntentState.SUPERSEDED, IntentState.WITHHELD):
        return True
    if lane is Lane.LIQUIDATION and record.state in _OVERTAKEN:
        return not 0 <= now - record.changed_at < SECOND
    if lane is Lane.PRICE and record.state in _IN_VAIN:
        return False
    if record.state in FAILED_INTENTS:
        pause_s = min(1 << min(record.failures, 16), _LONGEST_BACKOFF_S)
        return not 0 <= now - record.changed_at < pause_s * SECOND
    return False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an intent. `receipt` is that of the mined attempt, whatever its status."""

    intent_id: str
    lane: Lane
    key: str
    state: IntentState
    at: Timestamp
    tx_hash: Hash | None = None
    receipt: Receipt | None = None
    reason: str = ""


class Purpose(StrEnum):
    CALL = "call"
    BUMP = "bump"
    """The same payload for more."""
    SUPERSEDE = "supersede"
    """A newer payload at the same nonce."""
    CANCEL = "cancel"
    """A transfer of nothing to ourselves, so that the nonce is consumed by something harmless."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """Signed bytes for one nonce at one fee level. `intent` is None for a cancellation. `signed_block`: the head then."""

    hash: Hash
    raw: bytes = field(repr=False)
    purpose: Purpose
    intent: Intent | None
    fees: Fees
    gas_limit: int
    signed_at: Timestamp
    signed_block: int
    answer: SendAnswer | None = None
    sent_at: Timestamp | None = None
    sends: int = 0


class TxState(StrEnum):
    """Of one nonce.

    VACANT: nothing signed for it can be mined. CONFIRMED: as deep as acts wait for; FINAL: too deep to come back.
    ORPHANED: a transaction that is not ours consumed the nonce.
    """

    VACANT = "vacant"
    SIGNED = "signed"
    BROADCAST = "broadcast"
    CANCELLING = "cancelling"
    MINED = "mined"
    CONFIRMED = "confirmed"
    FINAL = "final"
    ORPHANED = "orphaned"


UNMINED = frozenset({TxState.SIGNED, TxState.BROADCAST, TxState.CANCELLING})
INCLUDED = frozenset({TxState.MINED, TxState.CONFIRMED})
SETTLED = frozenset({TxState.FINAL, TxState.ORPHANED})


@dataclass(frozen=True, slots=True)
class TxRecord:
    """One nonce of one wallet with everything ever signed for it: whichever attempt is mined, it is found.

    `missing_since` is the block at which the nonce was seen consumed while no attempt had a receipt.
    """

    chain_id: int
    wallet: Address
    nonce: int
    state: TxState = TxState.VACANT
    attempts: tuple[Attempt, ...] = ()
    receipt: Receipt | None = None
    missing_since: int | None = None

    @property
    def last(self) -> Attempt:
        return self.attempts[-1]

    @property
    def intent(self) -> Intent | None:
        """Whose payload is wanted at this nonce now: the newest that was signed."""
        return next((each.intent for each in reversed(self.attempts) if each.intent is not None), None)

    @property
    def lane(self) -> Lane:
        return Lane.SAFETY if self.intent is None else self.intent.lane

    @property
    def winner(self) -> Attempt | None:
        """The attempt that was mined."""
        mined = None if self.receipt is None else self.receipt.tx_hash
        return next((each for each in self.attempts if each.hash == mined), None)

    @property
    def best(self) -> Attempt:
        """What to send again: the newest that no node has refused for good, else the newest."""
        return next((each for each in reversed(self.attempts) if each.answer not in _WORTHLESS), self.last)

    @property
    def levels(self) -> tuple[Fees, ...]:
        """Fee levels that a pool may hold or ask to be exceeded; one that the wallet could not pay is not among them."""
        return tuple(each.fees for each in self.attempts if each.answer not in NEVER_POOLED)


NEVER_POOLED = frozenset({SendAnswer.INSUFFICIENT_FUNDS, SendAnswer.FATAL, SendAnswer.TIP_ABOVE_CAP})
_WORTHLESS = NEVER_POOLED | {SendAnswer.REPLACEMENT_UNDERPRICED, SendAnswer.UNDERPRICED}
