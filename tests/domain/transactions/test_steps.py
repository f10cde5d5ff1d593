"""What happens next to a nonce that is not mined."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.domain.chain import Call
from keeper.domain.fees import Fees
from keeper.domain.ids import DeploymentId, Hash, address
from keeper.domain.time import SECOND, Timestamp
from keeper.domain.transaction import Attempt, Intent, Lane, Purpose, TxRecord
from keeper.domain.txerrors import SendAnswer
from keeper.domain.txsteps import sent, signed
from keeper.services.outbox.rules import OutboxRules
from keeper.services.outbox.steps import Step, is_expired, is_unpaid, next_step

WALLET = address("0x" + "11" * 20)
RULES = OutboxRules(resend_after_s=12.0, max_attempts=4)
NOW = Timestamp(100 * SECOND)
PRICE = Intent(
    "a" * 32, DeploymentId("d"), Lane.PRICE, "7", Call(WALLET, b"", 0, 99_000), NOW, Timestamp(NOW + 60 * SECOND), ()
)
NEWER = replace(PRICE, id="b" * 32, key="8")


def attempt(number: int, purpose: Purpose = Purpose.CALL) -> Attempt:
    intent = None if purpose is Purpose.CANCEL else PRICE
    return Attempt(Hash(f"0x{number}"), b"", purpose, intent, Fees(10 * number, number), 99_000, NOW, signed_block=10)


def pending(answer: SendAnswer, *more: Purpose) -> TxRecord:
    tx = sent(signed(TxRecord(1, WALLET, 0), attempt(1)), Hash("0x1"), answer, NOW)
    for number, purpose in enumerate(more, start=2):
        tx = sent(signed(tx, attempt(number, purpose)), Hash(f"0x{number}"), SendAnswer.ACCEPTED, NOW)
    return tx


def step(
    tx: TxRecord, newer: Intent | None = None, after_s: float = 0, block: int = 10, *, followed: bool = False
) -> Step:
    now = Timestamp(NOW + int(after_s * SECOND))
    return next_step(tx, newer, now, block, RULES, late=is_expired(tx.intent, now), followed=followed)


ACCEPTED = pending(SendAnswer.ACCEPTED)


def test_taken__young__waits_and_is_told_again_after_a_while() -> None:
    assert step(ACCEPTED) is Step.WAIT
    assert step(ACCEPTED, after_s=11.9) is Step.WAIT
    assert step(ACCEPTED, after_s=12) is Step.RESEND


def test_taken__our_clock_was_set_back__is_told_again_rather_than_an_hour_later() -> None:
    assert step(ACCEPTED, after_s=-1) is Step.RESEND


def test_taken__old_in_blocks__is_bumped_or_gives_its_nonce_to_the_newer() -> None:
    assert step(ACCEPTED, block=11) is Step.WAIT
    assert step(ACCEPTED, block=12) is Step.BUMP
    assert step(ACCEPTED, NEWER, block=11) is Step.WAIT
    assert step(ACCEPTED, NEWER, block=12) is Step.SUPERSEDE


def test_deadline__passed__cancels_unless_something_newer_is_wanted() -> None:
    assert step(ACCEPTED, after_s=60) is Step.CANCEL
    assert step(ACCEPTED, NEWER, after_s=60) is Step.SUPERSEDE


def test_cancelling__is_bumped_like_any_other_and_gives_way_to_a_newer_payload() -> None:
    cancelling = pending(SendAnswer.ACCEPTED, Purpose.CANCEL)
    assert step(cancelling, after_s=60) is Step.RESEND
    assert step(cancelling, after_s=60, block=12) is Step.BUMP
    assert step(cancelling, NEWER, after_s=60, block=12) is Step.SUPERSEDE


@pytest.mark.parametrize(
    "answer", [SendAnswer.UNKNOWN, SendAnswer.POOL_FULL, SendAnswer.NONCE_GAP, SendAnswer.NODE_FEE_CAP]
)
def test_not_taken_yet__same_bytes_again_at_once(answer: SendAnswer) -> None:
    assert step(pending(answer)) is Step.RESEND


@pytest.mark.parametrize("answer", [SendAnswer.UNDERPRICED, SendAnswer.REPLACEMENT_UNDERPRICED])
def test_too_cheap__is_priced_anew_with_the_next_block(answer: SendAnswer) -> None:
    assert step(pending(answer), block=10) is Step.WAIT
    assert step(pending(answer), block=11) is Step.BUMP


@pytest.mark.parametrize("answer", [SendAnswer.INSUFFICIENT_FUNDS, SendAnswer.ALREADY_RESERVED])
def test_unpaid__same_bytes_again_and_never_a_bump(answer: SendAnswer) -> None:
    assert is_unpaid(pending(answer))
    assert step(pending(answer), block=99) is Step.RESEND


def test_unpaid__only_the_bump__is_not_the_wallets_trouble() -> None:
    tx = signed(ACCEPTED, attempt(2, Purpose.BUMP))
    assert not is_unpaid(sent(tx, Hash("0x2"), SendAnswer.INSUFFICIENT_FUNDS, NOW))


def test_attempts__as_many_as_allowed__no_more_bumps() -> None:
    tx = pending(SendAnswer.ACCEPTED, *[Purpose.BUMP] * 3)
    assert step(tx, block=99) is Step.WAIT
    assert step(tx, NEWER, block=99) is Step.SUPERSEDE


def test_attempts__as_many_as_allowed_and_others_wait_behind__bumped_all_the_same() -> None:
    tx = pending(SendAnswer.ACCEPTED, *[Purpose.BUMP] * 3)
    assert step(tx, block=11, followed=True) is Step.WAIT
    assert step(tx, block=12, followed=True) is Step.BUMP


def test_attempts__as_many_as_allowed_of_an_empty_transfer__bumped_all_the_same() -> None:
    """It keeps its intent from starting again, and whatever comes later from being mined."""
    tx = pending(SendAnswer.ACCEPTED, *[Purpose.BUMP] * 3, Purpose.CANCEL)
    assert step(tx, after_s=60, block=99) is Step.BUMP


def test_never_sent__is_sent_as_it_was_signed() -> None:
    assert step(signed(TxRecord(1, WALLET, 0), attempt(1)), block=99) is Step.RESEND
