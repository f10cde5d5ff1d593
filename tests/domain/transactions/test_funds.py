"""What is reserved, what does not fit, and for how long the balance lasts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.chain import Call, Receipt
from keeper.domain.fees import Fees
from keeper.domain.funds import Balance, Shortfall, Spending, cost, held, most, reserved, shortfall
from keeper.domain.ids import DeploymentId, Hash, address
from keeper.domain.time import SECOND, Timestamp
from keeper.domain.transaction import NEVER_POOLED, Attempt, Intent, Lane, Purpose, TxRecord, TxState
from keeper.domain.txerrors import SendAnswer

WALLET = address("0x" + "11" * 20)
START = Timestamp(1_700_000_000 * SECOND)
HOUR = 3600
BALANCE = Balance(1000, 50)


def intent(value_wei: int = 0) -> Intent:
    return Intent("a" * 32, DeploymentId("d"), Lane.PRICE, "7", Call(WALLET, b"", value_wei, 10), START, None, ())


def attempt(cap: int, answer: SendAnswer | None = SendAnswer.ACCEPTED, gas: int = 10, value_wei: int = 0) -> Attempt:
    tx_hash = Hash(f"0x{cap}-{gas}-{value_wei}-{answer}")
    return Attempt(tx_hash, b"", Purpose.CALL, intent(value_wei), Fees(cap, 1), gas, START, 10, answer)


def broadcast(nonce: int, *attempts: Attempt) -> TxRecord:
    return TxRecord(1, WALLET, nonce, TxState.BROADCAST, attempts)


def included(nonce: int, block: int, *attempts: Attempt) -> TxRecord:
    receipt = Receipt(attempts[-1].hash, 1, block, Hash("0xb"), 5, 1, ())
    return replace(broadcast(nonce, *attempts), state=TxState.MINED, receipt=receipt)


def test_cost__is_gas_at_the_cap_and_what_is_sent_along() -> None:
    assert cost(attempt(7, gas=3, value_wei=4)) == most(3, 7, 4) == 25
    empty = replace(attempt(7, gas=3, value_wei=4), intent=None)
    assert cost(empty) == 21, "an empty transfer sends nothing along"


@pytest.mark.parametrize(
    ("attempts", "wanted"),
    [
        ((attempt(5),), 50),
        ((attempt(5, None),), 50),  # signed, and perhaps on its way
        ((attempt(5), attempt(6)), 60),
        ((attempt(5), attempt(6, gas=2)), 50),  # dearer for each gas, and cheaper
        ((attempt(5), attempt(6, SendAnswer.UNKNOWN)), 60),
        ((attempt(5), attempt(6, SendAnswer.REPLACEMENT_UNDERPRICED)), 60),  # another endpoint may have it
        ((attempt(5), attempt(6, SendAnswer.INSUFFICIENT_FUNDS)), 50),
        ((attempt(5), attempt(6, SendAnswer.FATAL)), 50),
        ((attempt(5, SendAnswer.INSUFFICIENT_FUNDS),), 50),  # offered again with each head
        ((attempt(6, SendAnswer.INSUFFICIENT_FUNDS), attempt(5, SendAnswer.INSUFFICIENT_FUNDS)), 50),
    ],
)
def test_held__is_the_dearest_form_that_a_pool_may_hold(attempts: tuple[Attempt, ...], wanted: int) -> None:
    assert held(broadcast(0, *attempts)) == wanted


@pytest.mark.parametrize(
    ("tx", "wanted"),
    [
        (broadcast(0, attempt(5)), 50),
        (replace(broadcast(0, attempt(5)), state=TxState.CANCELLING), 50),
        (replace(broadcast(0, attempt(5)), state=TxState.VACANT), 0),
        (replace(broadcast(0, attempt(5)), state=TxState.ORPHANED), 0),
        (included(0, 50, attempt(5)), 0),  # the balance of block 50 has paid it
        (included(0, 51, attempt(5), attempt(6)), 60),
        (replace(broadcast(0, attempt(5)), missing_since=50), 0),  # consumed, whoever hides the receipt
        (replace(broadcast(0, attempt(5)), missing_since=51), 50),
    ],
)
def test_reserved__is_what_the_balance_has_not_paid_yet(tx: TxRecord, wanted: int) -> None:
    assert reserved([tx], BALANCE) == wanted


def test_reserved__of_several__is_their_sum__and_without_a_balance_of_all_that_is_not_mined() -> None:
    txs = [included(0, 99, attempt(9)), broadcast(1, attempt(5)), broadcast(2, attempt(6), attempt(7))]
    assert reserved(txs, BALANCE) == 90 + 50 + 70
    assert reserved(txs, None) == 50 + 70


@pytest.mark.parametrize(
    ("others", "wanted", "before", "short"),
    [
        (0, 1000, 0, None),
        (0, 1001, 0, Shortfall(1001, 1001, 1000)),
        (400, 600, 0, None),
        (400, 601, 0, Shortfall(601, 1001, 1000)),
        (400, 601, 300, Shortfall(601, 1001, 1000)),
        (400, 601, 601, None),  # costs no more than the nonce does already
        (2000, 5, 10, None),  # a cancellation makes room, however little there is
    ],
)
def test_shortfall__by_one_wei(others: int, wanted: int, before: int, short: Shortfall | None) -> None:
    assert shortfall(BALANCE, others, wanted, before) == short
    assert shortfall(None, others, wanted, before) is None, "what is not known holds back nothing"


def test_shortfall__that_passes__is_one_that_the_balance_alone_covers() -> None:
    assert Shortfall(1000, 1400, 1000).passes
    assert not Shortfall(1001, 1401, 1000).passes


CAPS = st.integers(1, 10**12)
ANSWERS = st.one_of(st.none(), st.sampled_from(SendAnswer))
ATTEMPTS = st.lists(st.builds(attempt, CAPS, ANSWERS, st.integers(21_000, 10**7), st.integers(0, 10**18)), min_size=1)
TXS = st.lists(ATTEMPTS, max_size=6).map(lambda all_: [broadcast(n, *each) for n, each in enumerate(all_)])


def pooled(tx: TxRecord, data: st.DataObject) -> int:
    """What some pool holds of the nonce: one of the forms that may be there, or none."""
    forms = [cost(each) for each in tx.attempts if each.answer not in NEVER_POOLED]
    return data.draw(st.sampled_from([0, *forms]))


@given(TXS, st.integers(0, 10**21), st.integers(0, 10**20), st.data())
def test_law__whatever_a_pool_holds_of_ours__what_fits_overdraws_no_account(
    txs: list[TxRecord], balance: int, new: int, data: st.DataObject
) -> None:
    """go-ethereum's rule: spent + cost of a new one, or spent + what a replacement costs more, is at most the balance."""
    known = Balance(balance, 0)
    spent = [pooled(tx, data) for tx in txs]
    if shortfall(known, reserved(txs, known), new) is None and new:
        assert sum(spent) + new <= balance
    for number, tx in enumerate(txs):
        others = reserved((each for each in txs if each is not tx), known)
        if shortfall(known, others, new, held(tx)) is None and new > held(tx):
            assert sum(spent) + (new - spent[number]) <= balance


@given(TXS, ATTEMPTS, st.integers(0, 10**21))
def test_law__a_further_form_never_lowers_the_reservation__unless_none_was_payable(
    txs: list[TxRecord], more: list[Attempt], balance: int
) -> None:
    known = Balance(balance, 0)
    for number, tx in enumerate(txs):
        if all(each.answer in NEVER_POOLED for each in tx.attempts):
            continue
        raised = [*txs[:number], broadcast(number, *tx.attempts, *more), *txs[number + 1 :]]
        assert reserved(raised, known) >= reserved(txs, known)


def read(*balances: tuple[float, int]) -> Spending:
    """Balances by the hour since the start."""
    spending = Spending(START, balances[0][1])
    for hours, wei in balances:
        spending = spending.read(wei, at(hours))
    return spending


def at(hours: float) -> Timestamp:
    return Timestamp(START + int(hours * HOUR * SECOND))


def test_runway__at_a_steady_pace__is_the_balance_over_the_pace() -> None:
    spending = read(*[(n / 4, 1000 - n) for n in range(9)])
    assert spending.wei == 992
    assert spending.runway_s(at(2)) == 992 * 2 * HOUR // 8


def test_runway__before_there_is_a_pace__is_unknown() -> None:
    assert read((0, 1000), (0.1, 900)).runway_s(at(0.1)) is None
    assert read((0, 1000), (1, 1000)).runway_s(at(1)) is None


def test_runway__after_a_refill__counts_what_went_out_alone() -> None:
    spending = read((0, 100), (0.5, 50), (0.6, 1050), (1, 1000))
    assert spending.runway_s(at(1)) == 1000 * HOUR // 100


def test_runway__of_a_day_ago__is_forgotten() -> None:
    busy = read((0, 10_000), (1, 1_000), *[(n, 1_000) for n in range(2, 24)])
    assert busy.runway_s(at(23)) is not None
    assert busy.read(990, at(30)).runway_s(at(30)) == pytest.approx(990 * 24 * HOUR / 10, rel=0.05)


@given(st.lists(st.tuples(st.floats(0.01, 30), st.integers(0, 10**21)), min_size=1))
def test_law__spending_is_never_negative_and_keeps_a_day(steps: list[tuple[float, int]]) -> None:
    spending, hours = Spending(START, 0), 0.0
    for wait, wei in steps:
        hours += wait
        spending = spending.read(wei, at(hours))
    assert all(spent >= 0 for _, spent in spending.hours)
    assert len(spending.hours) <= 24
    found = spending.runway_s(at(hours))
    assert found is None or found >= 0
