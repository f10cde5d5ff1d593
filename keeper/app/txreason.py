"""Why a transaction waits, in a sentence: the outbox's own decision about it, and what that rests on."""

from __future__ import annotations

from keeper.app.txtables import ether
from keeper.domain.fees import GWEI, FeeLimit
from keeper.domain.funds import Shortfall
from keeper.domain.transaction import UNMINED, Intent, Purpose, TxRecord, TxState
from keeper.services.outbox.service import Outbox
from keeper.services.outbox.steps import Step, is_spent, is_unpaid


def reason(outbox: Outbox, tx: TxRecord) -> tuple[str, str]:
    """The step that the next head brings, or that something holds it back, and why; empty when nothing more is to do."""
    if tx.state not in UNMINED:
        return "", _mined(outbox, tx)
    wallet, desk = outbox.wallet, outbox.wallet.desk
    step, newer = outbox.decide(tx)
    if stopped := wallet.forbids(tx.last.intent):
        return "held", f"not sent: {stopped}; without that: {step.value}"
    ahead = next((each.nonce for each in desk.unmined()), tx.nonce)
    behind = f"; nonce {ahead} has to be mined before it" if ahead < tx.nonce else ""
    return step.value, _words(outbox, tx, step, newer) + behind


def _words(outbox: Outbox, tx: TxRecord, step: Step, newer: Intent | None) -> str:
    wallet, desk, last = outbox.wallet, outbox.wallet.desk, tx.last
    answer = "nothing yet" if last.answer is None else last.answer.value
    match step:
        case Step.WAIT if _is_spent(outbox, tx):
            return f"the node said {answer}; {_spent(tx)}"
        case Step.WAIT:
            due = last.signed_block + wallet.rules.bump_blocks.get(tx.lane, 1)
            return f"the node said {answer}; the fee is raised at block {due} if it is not mined by then"
        case Step.RESEND:
            why = "the wallet cannot pay" if is_unpaid(tx) else f"the node said {answer}"
            ended = f"; {_spent(tx)}" if _is_spent(outbox, tx) else ""
            return f"{why}; the same bytes go out again with the next block{ended}"
        case Step.BUMP:
            purpose = Purpose.CANCEL if last.purpose is Purpose.CANCEL else Purpose.BUMP
            return _raised(
                outbox, tx, purpose, tx.intent, "not mined for too long: its fee is raised with the next block"
            )
        case Step.SUPERSEDE:
            return _raised(outbox, tx, Purpose.SUPERSEDE, newer, "a newer price takes its nonce with the next block")
        case Step.CANCEL:
            late = wallet.is_late(tx.intent)
            barred = last.intent is not None and wallet.barred(last.intent)
            paused = "paused on chain" if barred else "done with another nonce"
            cause = "taken back" if desk.is_abandoned(tx.intent) else "too late" if late else paused
            return f"{cause}: an empty transfer takes its nonce with the next block"


def _is_spent(outbox: Outbox, tx: TxRecord) -> bool:
    return is_spent(tx, outbox.wallet.rules, followed=outbox.wallet.desk.is_followed(tx))


def _spent(tx: TxRecord) -> str:
    return f"it has {len(tx.attempts)} forms, as many as one gets: its fee is raised again when others wait behind it"


def _raised(outbox: Outbox, tx: TxRecord, purpose: Purpose, intent: Intent | None, words: str) -> str:
    raised = outbox.sender.raised(tx.nonce, purpose, intent)
    if isinstance(raised, FeeLimit):
        limit, wanted = raised.limit_wei / GWEI, raised.wanted_wei / GWEI
        return f"its fee may not be raised: {wanted:.6g} gwei are needed, the limit is {limit:.6g} gwei"
    return f"not replaced: {short(raised)}" if isinstance(raised, Shortfall) else words


def short(lack: Shortfall) -> str:
    """Why the wallet's balance does not do."""
    need, have = ether(lack.reserved_wei), ether(lack.balance_wei)
    return f"with everything under way it may cost {need} ether, and the wallet has {have}"


def _mined(outbox: Outbox, tx: TxRecord) -> str:
    if tx.receipt is None or tx.state is not TxState.MINED:
        return "nothing is signed for this nonce that could be mined" if tx.state is TxState.VACANT else ""
    depth = outbox.wallet.desk.block - tx.receipt.block_number + 1
    return f"mined; {depth} of {outbox.wallet.rules.confirmations} confirmations"
