"""The life of one nonce, step by step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.domain.chain import Call, Log, Receipt
from keeper.domain.fees import Fees
from keeper.domain.ids import DeploymentId, Hash, address
from keeper.domain.time import SECOND, Timestamp
from keeper.domain.transaction import (
    Attempt,
    Expectation,
    Intent,
    IntentRecord,
    IntentState,
    Lane,
    Purpose,
    TxRecord,
    TxState,
    intent_id,
    may_start,
)
from keeper.domain.txerrors import SendAnswer
from keeper.domain.txsteps import (
    Missed,
    confirmed,
    displaced,
    effect,
    final,
    is_elsewhere,
    mined,
    missed,
    missing,
    orphaned,
    sent,
    signed,
    taken_back,
)
from keeper.errors import InvariantBroken

WALLET, CONTRACT = address("0x" + "11" * 20), address("0x" + "22" * 20)
TOPIC, ROUND = Hash("0x" + "aa" * 32), Hash("0x" + "00" * 31 + "07")
NOW = Timestamp(10 * SECOND)
EMPTY = TxRecord(31337, WALLET, 4)


def hash_of(number: int) -> Hash:
    return Hash(f"0x{number:064x}")


def intent(key: str = "7") -> Intent:
    return Intent(
        id=intent_id(31337, CONTRACT, Lane.PRICE, key),
        deployment=DeploymentId("d"),
        lane=Lane.PRICE,
        key=key,
        call=Call(CONTRACT, b"\x01", 0, 100_000),
        created_at=NOW,
        deadline=None,
        expects=(Expectation(CONTRACT, TOPIC, ROUND),),
    )


def attempt(number: int, wanted: Intent | None, purpose: Purpose = Purpose.CALL) -> Attempt:
    fees = Fees(100 * number, number)
    return Attempt(hash_of(number), bytes([number]), purpose, wanted, fees, 100_000, NOW, signed_block=10)


def receipt(number: int, status: int = 1, *topics: Hash) -> Receipt:
    logs = (Log(CONTRACT, topics, b"", 12, hash_of(999), hash_of(number), 0),) if topics else ()
    return Receipt(hash_of(number), status, 12, hash_of(999), 50_000, 1, logs)


def broadcast(*attempts: Attempt) -> TxRecord:
    tx = EMPTY
    for each in attempts:
        tx = sent(signed(tx, each), each.hash, SendAnswer.ACCEPTED, NOW)
    return tx


def test_road__from_signed_to_final() -> None:
    tx = signed(EMPTY, attempt(1, intent()))
    assert tx.state is TxState.SIGNED
    tx = sent(tx, hash_of(1), SendAnswer.ACCEPTED, NOW)
    assert (tx.state, tx.last.sends, tx.last.answer) == (TxState.BROADCAST, 1, SendAnswer.ACCEPTED)
    tx = mined(tx, receipt(1, 1, TOPIC, ROUND))
    assert (tx.state, effect(tx)) == (TxState.MINED, IntentState.MINED)
    assert final(confirmed(tx)).state is TxState.FINAL


def test_any_attempt__may_be_the_mined_one() -> None:
    old, new = intent("7"), intent("8")
    tx = mined(broadcast(attempt(1, old), attempt(2, new, Purpose.SUPERSEDE)), receipt(1, 1, TOPIC, ROUND))
    assert tx.winner is not None
    assert tx.winner.intent == old
    assert displaced(tx) == (new,)


def test_receipt__of_somebody_else__is_refused() -> None:
    with pytest.raises(InvariantBroken):
        mined(broadcast(attempt(1, intent())), receipt(2))


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (receipt(1, 1, TOPIC, ROUND), IntentState.MINED),
        (receipt(1, 1, TOPIC, Hash("0x" + "00" * 32)), IntentState.NO_EFFECT),
        (receipt(1, 1, TOPIC), IntentState.NO_EFFECT),
        (receipt(1, 1), IntentState.NO_EFFECT),
        (receipt(1, 0), IntentState.REVERTED),
    ],
)
def test_effect__is_proved_by_the_log_alone(found: Receipt, wanted: IntentState) -> None:
    assert effect(mined(broadcast(attempt(1, intent())), found)) is wanted


def test_reorganised__goes_back_to_broadcast_and_keeps_every_attempt() -> None:
    tx = confirmed(mined(broadcast(attempt(1, intent()), attempt(2, intent(), Purpose.BUMP)), receipt(1)))
    back = taken_back(tx)
    assert (back.state, back.receipt, back.attempts) == (TxState.BROADCAST, None, tx.attempts)


def test_refused_for_good__only_when_every_attempt_is__frees_the_nonce() -> None:
    alone = sent(signed(EMPTY, attempt(1, intent())), hash_of(1), SendAnswer.FATAL, NOW)
    assert alone.state is TxState.VACANT
    second = signed(broadcast(attempt(1, intent())), attempt(2, intent(), Purpose.BUMP))
    assert sent(second, hash_of(2), SendAnswer.FATAL, NOW).state is TxState.BROADCAST


def test_taken_once__a_later_refusal_of_the_same_bytes_does_not_undo_it() -> None:
    tx = sent(broadcast(attempt(1, intent())), hash_of(1), SendAnswer.POOL_FULL, NOW)
    assert (tx.last.answer, tx.last.sends) == (SendAnswer.ACCEPTED, 2)


def test_unknown_outcome__never_frees_a_nonce() -> None:
    for answer in SendAnswer:
        tx = sent(signed(EMPTY, attempt(1, intent())), hash_of(1), answer, NOW)
        assert (tx.state is TxState.VACANT) == (answer in (SendAnswer.FATAL, SendAnswer.TIP_ABOVE_CAP))


def test_cancelling__stays_so_until_a_payload_takes_the_nonce_again() -> None:
    tx = broadcast(attempt(1, intent()), attempt(2, None, Purpose.CANCEL))
    assert tx.state is TxState.CANCELLING
    assert tx.intent == intent()
    again = sent(signed(tx, attempt(3, intent("8"), Purpose.SUPERSEDE)), hash_of(3), SendAnswer.ACCEPTED, NOW)
    assert again.state is TxState.BROADCAST


def test_levels__what_could_not_be_paid_is_not_to_be_exceeded() -> None:
    tx = signed(broadcast(attempt(1, intent())), attempt(2, intent(), Purpose.BUMP))
    tx = sent(tx, hash_of(2), SendAnswer.INSUFFICIENT_FUNDS, NOW)
    assert tx.levels == (Fees(100, 1),)
    assert tx.best.hash == hash_of(1)


def test_missing__remembers_since_when() -> None:
    tx = missing(missing(broadcast(attempt(1, intent())), 20), 25)
    assert tx.missing_since == 20
    assert mined(tx, receipt(1)).missing_since is None
    assert orphaned(tx).state is TxState.ORPHANED


@pytest.mark.parametrize("step", [confirmed, final, taken_back])
def test_steps__out_of_order__are_refused(step) -> None:
    with pytest.raises(InvariantBroken):
        step(broadcast(attempt(1, intent())))


def test_settled__takes_no_more_attempts() -> None:
    with pytest.raises(InvariantBroken):
        signed(final(mined(broadcast(attempt(1, intent())), receipt(1))), attempt(2, intent()))


def test_may_start__once__and_after_a_failure_with_growing_pauses() -> None:
    def record(state: IntentState, failures: int) -> IntentRecord:
        return IntentRecord(state, failures, NOW)

    assert may_start(None, NOW)
    for state in (
        IntentState.CONFIRMED,
        IntentState.MINED,
        IntentState.ACTIVE,
        IntentState.LOST_RACE,
        IntentState.EXPIRED,
    ):
        assert not may_start(record(state, 0), Timestamp(NOW + 10**6 * SECOND))
    for failures, pause_s in ((1, 2), (2, 4), (30, 300)):
        assert not may_start(record(IntentState.REVERTED, failures), Timestamp(NOW + pause_s * SECOND - 1))
        assert may_start(record(IntentState.REVERTED, failures), Timestamp(NOW + pause_s * SECOND))
    assert may_start(record(IntentState.REVERTED, 1), Timestamp(NOW - 1)), "our clock was set back"


@pytest.mark.parametrize("state", [IntentState.LOST_RACE, IntentState.EXPIRED])
def test_may_start__liquidation_that_a_price_overtook__again_when_a_price_brings_the_account_down_once_more(
    state: IntentState,
) -> None:
    record = IntentRecord(state, 0, NOW)
    assert may_start(record, Timestamp(NOW + SECOND), Lane.LIQUIDATION)
    assert not may_start(record, Timestamp(NOW + SECOND - 1), Lane.LIQUIDATION)
    for lane in set(Lane) - {Lane.LIQUIDATION}:
        assert not may_start(record, Timestamp(NOW + 10**6 * SECOND), lane)


@pytest.mark.parametrize("state", [IntentState.REVERTED, IntentState.NO_EFFECT])
def test_may_start__price_that_was_mined_in_vain__never_for_its_bytes_are_what_the_contract_refused(
    state: IntentState,
) -> None:
    """Found: one signed under an epoch that was over was sent again, and reverted again, while no newer could be signed."""
    record, later = IntentRecord(state, 1, NOW), Timestamp(NOW + 300 * SECOND)
    assert [lane for lane in Lane if not may_start(record, later, lane)] == [Lane.PRICE]
    assert may_start(replace(record, state=IntentState.REJECTED), later, Lane.PRICE)


def test_intent_id__same_words__same_id() -> None:
    assert intent_id(1, CONTRACT, Lane.PRICE, "7") == intent_id(1, CONTRACT, Lane.PRICE, "7")
    ids = {intent_id(chain, CONTRACT, lane, key) for chain in (1, 2) for lane in Lane for key in ("7", "8")}
    assert len(ids) == 20


def test_signed__again_after_one_was_sent__is_still_broadcast() -> None:
    """Something of this nonce is with the nodes, whatever of the new attempt is."""
    assert signed(broadcast(attempt(1, intent())), attempt(2, intent())).state is TxState.BROADCAST
    assert signed(signed(EMPTY, attempt(1, intent())), attempt(2, intent())).state is TxState.SIGNED


def test_effect__without_a_receipt_or_without_its_attempt__is_refused() -> None:
    tx = broadcast(attempt(1, intent()))
    with pytest.raises(InvariantBroken, match="no receipt"):
        effect(tx)
    with pytest.raises(InvariantBroken, match="no receipt"):
        effect(replace(tx, receipt=receipt(2)))


def test_elsewhere__only_after_looks_blocks_and_seconds() -> None:
    tx = missing(broadcast(attempt(1, intent())), 100)
    seen = missed(missed(missed(None, 5), 6), 7)
    assert seen == Missed(3, since_ns=5)

    def judged(found: TxRecord = tx, looks: int = 3, block: int = 112, now_ns: int = 35) -> bool:
        return is_elsewhere(found, Missed(looks, 5), block, now_ns, blocks=12, wait_ns=30)

    assert judged()
    assert not judged(looks=2)
    assert not judged(block=111)
    assert not judged(now_ns=34)
    assert not judged(replace(tx, missing_since=None))
    vacant = missing(replace(EMPTY, state=TxState.VACANT), 100)
    assert judged(vacant)
    assert not judged(vacant, block=111)


def test_missing__since_the_first_block_of_a_chain__is_given_up_like_any_other() -> None:
    """Its number is 0, which counted as not missing: the nonce stayed open for ever."""
    found = missing(broadcast(attempt(1, intent())), 0)
    assert not is_elsewhere(found, Missed(3, 5), 11, 35, blocks=12, wait_ns=30)
    assert is_elsewhere(found, Missed(3, 5), 12, 35, blocks=12, wait_ns=30)
