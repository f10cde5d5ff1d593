"""What to do next with a nonce that is not mined. Pure: the record, the head, the time and the rules decide."""

from __future__ import annotations

from enum import StrEnum

from keeper.domain.heads import Head
from keeper.domain.time import SECOND, Timestamp
from keeper.domain.transaction import Intent, Purpose, TxRecord
from keeper.domain.txerrors import SendAnswer, is_taken
from keeper.services.outbox.rules import OutboxRules

UNPAID = frozenset({SendAnswer.INSUFFICIENT_FUNDS, SendAnswer.ALREADY_RESERVED})
_TOO_CHEAP = frozenset({SendAnswer.UNDERPRICED, SendAnswer.REPLACEMENT_UNDERPRICED})
_AGAIN = frozenset({SendAnswer.UNKNOWN, SendAnswer.POOL_FULL, SendAnswer.NONCE_GAP, SendAnswer.NODE_FEE_CAP})


class Step(StrEnum):
    WAIT = "wait"
    RESEND = "resend"
    BUMP = "bump"
    SUPERSEDE = "supersede"
    CANCEL = "cancel"


def next_step(
    tx: TxRecord, newer: Intent | None, now: Timestamp, block: int, rules: OutboxRules, *, late: bool = False
) -> Step:
    """`newer`: what should take the place of this nonce's payload, if anything. A stale price is not bumped: its nonce
    carries the newer one. `late`: the chain has come to the payload's deadline, or the operator took it back.
    """
    last = tx.last
    replace = Step.BUMP if newer is None else Step.SUPERSEDE
    age = block - last.signed_block
    if late and last.purpose is not Purpose.CANCEL:
        return Step.SUPERSEDE if newer is not None else Step.CANCEL
    due = age >= rules.bump_blocks.get(tx.lane, 1) if last.answer not in _TOO_CHEAP else age >= 1
    if is_unpaid(tx):
        return Step.RESEND
    if due and last.sends > 0 and (newer is not None or len(tx.attempts) < rules.max_attempts):
        return replace
    return Step.RESEND if _is_due_again(tx, now, rules) else Step.WAIT


def restrained(step: Step, *, followed: bool) -> Step:
    """Of a payload that the contracts refuse while they are paused: it is not sent again. An empty transfer takes its
    nonce when that is due and others wait behind it, for a pool may have dropped it.
    """
    if step is Step.CANCEL or (step is Step.BUMP and followed):
        return Step.CANCEL
    return Step.WAIT


def is_expired(intent: Intent | None, chain_now: Timestamp) -> bool:
    return intent is not None and intent.deadline is not None and chain_now >= intent.deadline


def is_unpaid(tx: TxRecord) -> bool:
    """No node holds any of its attempts, because the wallet cannot pay or is reserved for other kinds of transaction."""
    return tx.last.answer in UNPAID and not any(
        each.answer is not None and is_taken(each.answer) for each in tx.attempts
    )


def is_older(tx: TxRecord, head: Head) -> bool:
    """Sent before the head came, so that its miner could have taken it."""
    sent_at = tx.best.sent_at
    return sent_at is not None and sent_at < head.received_at


def _is_due_again(tx: TxRecord, now: Timestamp, rules: OutboxRules) -> bool:
    best = tx.best
    if best.sent_at is None or best.answer in _AGAIN:
        return True
    return not 0 <= now - best.sent_at < rules.resend_after_s * SECOND  # sent in the future: our clock was set back
