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
    tx: TxRecord,
    newer: Intent | None,
    now: Timestamp,
    block: int,
    rules: OutboxRules,
    *,
    late: bool = False,
    followed: bool = False,
) -> Step:
    """`newer`: what should take the place of this nonce's payload, if anything. A stale price is not bumped: its nonce
    carries the newer one. `late`: the chain has come to the payload's deadline, or the operator took it back. `followed`:
    other nonces wait for this one.
    """
    last = tx.last
    replace = Step.BUMP if newer is None else Step.SUPERSEDE
    if late and last.purpose is not Purpose.CANCEL:
        return Step.SUPERSEDE if newer is not None else Step.CANCEL
    due = is_due(tx, block, rules)
    if is_unpaid(tx):
        return Step.RESEND
    if due and last.sends > 0 and (newer is not None or not is_spent(tx, rules, followed=followed)):
        return replace
    return Step.RESEND if _is_due_again(tx, now, rules) else Step.WAIT


def is_due(tx: TxRecord, block: int, rules: OutboxRules) -> bool:
    """Whether it waited for its replacement long enough."""
    blocks = 1 if tx.last.answer in _TOO_CHEAP else rules.bump_blocks.get(tx.lane, 1)
    return block - tx.last.signed_block >= blocks


def is_spent(tx: TxRecord, rules: OutboxRules, *, followed: bool) -> bool:
    """Whether it has as many forms as one gets. What keeps others waiting gets more, up to the limit of its fees: one with
    others behind it, and an empty transfer, whose intent does not start again before.
    """
    return len(tx.attempts) >= rules.max_attempts and tx.last.purpose is not Purpose.CANCEL and not followed


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
