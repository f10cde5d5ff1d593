"""Defects that a sending side could have. Each is put into the real one for a test, and the model must find it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from keeper.domain import txsteps
from keeper.domain.fees import FeeLimit, Fees, bump
from keeper.domain.ids import Hash
from keeper.domain.time import Timestamp
from keeper.domain.transaction import Attempt, IntentState, TxRecord, TxState
from keeper.domain.txerrors import SendAnswer
from keeper.services.outbox import funds, receipts, sender
from keeper.services.outbox.desk import Desk
from keeper.services.outbox.receipts import Receipts
from keeper.services.outbox.sender import Sender
from keeper.services.outbox.service import Outbox
from keeper.services.outbox.steps import is_expired
from keeper.services.outbox.wallet import Wallet
from tests.model.world import START

Plant = Callable[[pytest.MonkeyPatch], None]


def nonce_given_back_on_a_timeout(patch: pytest.MonkeyPatch) -> None:
    def sent(tx: TxRecord, tx_hash: Hash, answer: SendAnswer, at: Timestamp) -> TxRecord:
        told = txsteps.sent(tx, tx_hash, answer, at)
        return replace(told, state=TxState.VACANT) if answer is SendAnswer.UNKNOWN else told

    patch.setattr(sender, "sent", sent)


def receipt_of_the_last_attempt_only(patch: pytest.MonkeyPatch) -> None:
    whole = Receipts._canonical_receipt
    patch.setattr(Receipts, "_canonical_receipt", lambda self, tx: whole(self, replace(tx, attempts=tx.attempts[-1:])))


def bump_raises_the_cap_only(patch: pytest.MonkeyPatch) -> None:
    def half(old: Fees, *rest: object) -> Fees | FeeLimit:
        new = bump(old, *rest)  # type: ignore[arg-type]
        return new if isinstance(new, FeeLimit) else Fees(new.max_fee_wei, old.tip_wei)

    patch.setattr(sender, "bump", half)


def wire_before_journal(patch: pytest.MonkeyPatch) -> None:
    """Signed bytes are written with what the node answered to them."""

    def journal(self: Sender, tx: TxRecord, attempt: Attempt) -> Attempt:
        self.wallet.desk.open[tx.nonce] = txsteps.signed(tx, attempt)
        return attempt

    patch.setattr(Sender, "_journal", journal)


def no_lock_while_preparing(patch: pytest.MonkeyPatch) -> None:
    class Open(asyncio.Lock):
        async def acquire(self) -> bool:  # type: ignore[override]
            return True

        def release(self) -> None: ...

    made = Desk.__init__

    def init(self: Desk) -> None:
        made(self)
        self.preparing = Open()

    patch.setattr(Desk, "__init__", init)


def second_nonce_after_a_refusal(patch: pytest.MonkeyPatch) -> None:
    """What is under way is not remembered: a repeated intent starts anew."""
    patch.setattr(Desk, "is_active", lambda _self, _intent: False)


def receipt_taken_for_success(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(receipts, "effect", lambda _tx: IntentState.MINED)


def any_block_taken_for_canonical(patch: pytest.MonkeyPatch) -> None:
    """After a reorganisation nothing is looked up again, and depth alone confirms."""

    async def recheck(self: Receipts) -> None:
        self.wallet.desk.recheck = False

    async def confirm(self: Receipts) -> None:
        for tx in self.wallet.desk.included():
            if tx.receipt is not None and self.wallet.desk.block - tx.receipt.block_number >= 12:
                self._promote(tx)

    patch.setattr(Receipts, "recheck", recheck)
    patch.setattr(Receipts, "confirm", confirm)


def given_up_at_the_first_missing_receipt(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Receipts, "_miss", Receipts._orphan)


def kill_switch_above_the_sender(patch: pytest.MonkeyPatch) -> None:
    """New intents are held back, replacements and repetitions are not."""
    patch.setattr(Wallet, "forbids", lambda _self, _intent: "")


def silent_about_foreign_use(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Receipts, "_alarm", lambda _self, _reason, _nonce: None)


def gaps_stay_open(patch: pytest.MonkeyPatch) -> None:
    async def nothing(_self: Outbox) -> None: ...

    patch.setattr(Outbox, "_close_gaps", nothing)


def balance_compared_with_the_new_one_alone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(funds, "reserved", lambda _txs, _balance: 0)


def deadlines_by_our_own_clock(patch: pytest.MonkeyPatch) -> None:
    """As right as can be while it goes right: the chain of the model began at the time 0."""
    patch.setattr(Wallet, "is_late", lambda self, intent: is_expired(intent, Timestamp(self.clock.now() - START)))


PLANTED: dict[Plant, frozenset[str]] = {
    nonce_given_back_on_a_timeout: frozenset({"RUN", "I3", "I6", "END", "GAP"}),
    receipt_of_the_last_attempt_only: frozenset({"I3", "I6", "I8", "END"}),
    bump_raises_the_cap_only: frozenset({"FEE"}),
    wire_before_journal: frozenset({"I1"}),
    no_lock_while_preparing: frozenset({"I2"}),
    second_nonce_after_a_refusal: frozenset({"I3"}),
    receipt_taken_for_success: frozenset({"I5"}),
    any_block_taken_for_canonical: frozenset({"I5", "END"}),
    given_up_at_the_first_missing_receipt: frozenset({"I3", "I8", "END"}),
    kill_switch_above_the_sender: frozenset({"I7"}),
    silent_about_foreign_use: frozenset({"I8"}),
    gaps_stay_open: frozenset({"GAP", "END"}),
    balance_compared_with_the_new_one_alone: frozenset({"FUNDS"}),
    deadlines_by_our_own_clock: frozenset({"TIME"}),
}
"""With the laws that it breaks: which of them shows first depends on the seed."""
