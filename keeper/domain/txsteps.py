"""The steps of one nonce, pure: planned → signed → broadcast → mined → confirmed → final, and the ways off that road.

broadcast → cancelling (its deadline passed) · mined, confirmed → broadcast (a reorganisation) · vacant (no node will ever
take it) · orphaned (somebody else used the nonce). A step that does not fit the state raises InvariantBroken.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from keeper.domain.chain import Receipt
from keeper.domain.ids import Hash
from keeper.domain.time import Timestamp
from keeper.domain.transaction import (
    INCLUDED,
    SETTLED,
    UNMINED,
    Attempt,
    Expectation,
    Intent,
    IntentState,
    Purpose,
    TxRecord,
    TxState,
)
from keeper.domain.txerrors import SendAnswer, is_taken
from keeper.errors import InvariantBroken

LOOKS = 3
"""Without a receipt, before a nonce counts as used elsewhere: many blocks may pass between the first look and the next."""

_REFUSED = frozenset({SendAnswer.FATAL, SendAnswer.TIP_ABOVE_CAP})


@dataclass(frozen=True, slots=True)
class Missed:
    """Looks in a row at which a consumed nonce had no receipt of ours, the first at `since_ns` of a clock nobody sets."""

    looks: int
    since_ns: int


def signed(tx: TxRecord, attempt: Attempt) -> TxRecord:
    """One more attempt for the nonce. Journalled before it is sent."""
    _require(tx, tx.state is TxState.VACANT or tx.state in UNMINED, "signed")
    state = TxState.CANCELLING if attempt.purpose is Purpose.CANCEL else TxState.BROADCAST
    if all(each.sends == 0 for each in tx.attempts):
        state = TxState.SIGNED
    return replace(tx, state=state, attempts=(*tx.attempts, attempt))


def sent(tx: TxRecord, tx_hash: Hash, answer: SendAnswer, at: Timestamp) -> TxRecord:
    """A node's word on one attempt. FATAL words on all attempts free the nonce."""
    _require(tx, tx.state in UNMINED, "sent")
    attempts = tuple(
        replace(each, answer=_firmer(each.answer, answer), sent_at=at, sends=each.sends + 1)
        if each.hash == tx_hash
        else each
        for each in tx.attempts
    )
    if all(each.answer in _REFUSED for each in attempts):
        return replace(tx, state=TxState.VACANT, attempts=attempts)
    state = TxState.CANCELLING if attempts[-1].purpose is Purpose.CANCEL else TxState.BROADCAST
    return replace(tx, state=state, attempts=attempts)


def is_refused(tx: TxRecord, intent_id: str) -> bool:
    """Whether no node takes any of the intent's forms, so that none of them can come back."""
    forms = [each for each in tx.attempts if each.intent is not None and each.intent.id == intent_id]
    return all(each.answer in _REFUSED for each in forms)


def _firmer(before: SendAnswer | None, now: SendAnswer) -> SendAnswer:
    """What a pool has once taken stays possible: a later refusal of the same bytes does not undo it."""
    return before if before is not None and is_taken(before) and not is_taken(now) else now


def mined(tx: TxRecord, receipt: Receipt) -> TxRecord:
    _require(tx, tx.state not in SETTLED, "mined")
    _require(tx, any(each.hash == receipt.tx_hash for each in tx.attempts), "mined by one of its attempts")
    return replace(tx, state=TxState.MINED, receipt=receipt, missing_since=None)


def taken_back(tx: TxRecord) -> TxRecord:
    """Its block is no longer part of the chain: the same bytes are sent again at the same nonce."""
    _require(tx, tx.state in INCLUDED, "taken back")
    cancelling = tx.last.purpose is Purpose.CANCEL
    return replace(tx, state=TxState.CANCELLING if cancelling else TxState.BROADCAST, receipt=None)


def confirmed(tx: TxRecord) -> TxRecord:
    _require(tx, tx.state is TxState.MINED, "confirmed")
    return replace(tx, state=TxState.CONFIRMED)


def final(tx: TxRecord) -> TxRecord:
    _require(tx, tx.state in INCLUDED, "final")
    return replace(tx, state=TxState.FINAL)


def missing(tx: TxRecord, block: int) -> TxRecord:
    """The nonce is consumed and no attempt has a receipt: not yet evidence, a node may lag."""
    _require(tx, tx.state in UNMINED or tx.state is TxState.VACANT, "missing")
    return tx if tx.missing_since is not None else replace(tx, missing_since=block)


def missed(before: Missed | None, now_ns: int) -> Missed:
    """One more look in vain."""
    return Missed(1, now_ns) if before is None else Missed(before.looks + 1, before.since_ns)


def is_elsewhere(tx: TxRecord, seen: Missed, block: int, now_ns: int, *, blocks: int, wait_ns: int) -> bool:
    """Whether the nonce counts as used by somebody else: after `blocks` and `wait_ns`, for a node that lags does so in
    seconds, and blocks come in hours or in quarters of a second. One that is vacant waits as long: a reorganisation may
    free it, and everything above a nonce that is given up would wait for it for ever.
    """
    waited = 0 if tx.missing_since is None else block - tx.missing_since
    return waited >= blocks and now_ns - seen.since_ns >= wait_ns and seen.looks >= LOOKS


def found_again(tx: TxRecord) -> TxRecord:
    """The nonce is free after all."""
    return replace(tx, missing_since=None)


def orphaned(tx: TxRecord) -> TxRecord:
    _require(tx, tx.state in UNMINED or tx.state is TxState.VACANT, "orphaned")
    return replace(tx, state=TxState.ORPHANED)


def effect(tx: TxRecord) -> IntentState:
    """What the receipt proves for the intent of the mined attempt: MINED, NO_EFFECT or REVERTED.

    A receipt is not success: a contract can return without doing anything.
    """
    receipt, winner = tx.receipt, tx.winner
    if receipt is None or winner is None:
        raise InvariantBroken(f"nonce {tx.nonce} of {tx.wallet} has no receipt")
    if receipt.status != 1:
        return IntentState.REVERTED
    expects = () if winner.intent is None else winner.intent.expects
    shown = not expects or any(_shows(receipt, each) for each in expects)
    return IntentState.MINED if shown else IntentState.NO_EFFECT


def _shows(receipt: Receipt, wanted: Expectation) -> bool:
    want = (wanted.topic0,) if wanted.topic1 is None else (wanted.topic0, wanted.topic1)
    return any(log.address == wanted.address and log.topics[: len(want)] == want for log in receipt.logs)


def displaced(tx: TxRecord) -> tuple[Intent, ...]:
    """Intents that were signed for this nonce and whose attempt is not the mined one."""
    winner = tx.winner
    kept = None if winner is None or winner.intent is None else winner.intent.id
    found = {each.intent.id: each.intent for each in tx.attempts if each.intent is not None and each.intent.id != kept}
    return tuple(found.values())


def _require(tx: TxRecord, holds: bool, step: str) -> None:
    if not holds:
        raise InvariantBroken(f"nonce {tx.nonce} of {tx.wallet} is {tx.state} and cannot be {step}")
