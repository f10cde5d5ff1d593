"""What a key refuses to sign."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.adapters.encoding.keccak import keccak
from keeper.adapters.signers.curve import signing_key
from keeper.adapters.signers.key_signer import KeySigner
from keeper.adapters.signers.policy import PermittedCalls, RisingRounds, SendingRules, SignedRound, forget
from keeper.domain.chain import Call
from keeper.domain.ids import Address, DeploymentId
from keeper.domain.report import PriceReport
from keeper.errors import SignerRefused
from keeper.ports.signer import UnsignedTransaction

_DEVNET, _OTHER = DeploymentId("devnet"), DeploymentId("other")
_ORACLE = Address("0x" + "0a" * 20)
_PUSH = b"\x01\x02\x03\x04"


def _signer(chain_id: int = 1) -> KeySigner:
    key = signing_key((77).to_bytes(32, "big"))
    assert key is not None
    return KeySigner(key, chain_id)


def _digest(report: PriceReport) -> bytes:
    return keccak(repr(report).encode())


def _report(epoch: int, round_id: int, evidence: int = 0, deployment: DeploymentId = _DEVNET) -> PriceReport:
    return PriceReport(deployment, round_id, round_id // 1000, 60, epoch, evidence.to_bytes(32, "big"), ())


def _policy(
    last: SignedRound | None = None, remember: Callable[[DeploymentId, SignedRound], None] = forget
) -> RisingRounds:
    known = {} if last is None else {_DEVNET: last}
    return RisingRounds(_signer(), {_DEVNET: _digest, _OTHER: _digest}, known, remember)


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 4), st.integers(0, 2)), max_size=30))
async def test_report_policy__any_sequence__signs_rising_rounds_and_one_digest_per_epoch_and_round(
    asked: list[tuple[int, int, int]],
) -> None:
    policy = _policy()
    signed: list[tuple[int, int, bytes]] = []
    for epoch, round_id, evidence in asked:
        report = _report(epoch, round_id, evidence)
        try:
            await policy.sign_report(report, _digest(report))
        except SignerRefused:
            continue
        signed.append((epoch, round_id, _digest(report)))
    rounds = [round_id for _, round_id, _ in signed]
    assert rounds == sorted(rounds)
    assert len({(epoch, round_id) for epoch, round_id, _ in signed}) == len(set(signed))


async def test_report_policy__a_rising_round_or_the_same_report_again__is_signed() -> None:
    policy = _policy()
    first, later = _report(1, 10), _report(1, 11)
    once = await policy.sign_report(first, _digest(first))
    assert await policy.sign_report(first, _digest(first)) == once
    assert (await policy.sign_report(later, _digest(later))).signer == policy.address
    after = _report(2, 11)
    assert (await policy.sign_report(after, _digest(after))).signer == policy.address


@pytest.mark.parametrize(
    ("report", "problem"),
    [
        (_report(1, 9), "round 9 after round 10"),
        (_report(2, 9), "round 9 after round 10"),
        (_report(1, 10, evidence=1), "a second report with epoch 1, round 10"),
        (_report(0, 10), "a second report with epoch 0, round 10"),
    ],
)
async def test_report_policy__after_a_restart__refuses_what_the_record_forbids(
    report: PriceReport, problem: str
) -> None:
    known = SignedRound(1, 10, _digest(_report(1, 10)))
    with pytest.raises(SignerRefused, match=problem):
        await _policy(known).sign_report(report, _digest(report))


@pytest.mark.parametrize("epoch", [0, 1, 2])
async def test_report_policy__a_recorded_round_without_its_digest__is_not_signed_again(epoch: int) -> None:
    """Neither under an epoch that the record does not know."""
    report = _report(epoch, 10)
    with pytest.raises(SignerRefused, match="second report"):
        await _policy(SignedRound(0, 10)).sign_report(report, _digest(report))
    later = _report(1, 11)
    assert await _policy(SignedRound(0, 10)).sign_report(later, _digest(later))


async def test_report_policy__deployments__do_not_hold_each_other_back() -> None:
    policy = _policy()
    for report in (_report(1, 10), _report(1, 3, deployment=_OTHER), _report(1, 4, deployment=_OTHER)):
        await policy.sign_report(report, _digest(report))


async def test_report_policy__a_digest_of_something_else_or_an_unknown_deployment__is_refused() -> None:
    policy = _policy()
    with pytest.raises(SignerRefused, match="digest given is not"):
        await policy.sign_report(_report(1, 10), _digest(_report(1, 11)))
    stranger = _report(1, 10, deployment=DeploymentId("mainnet"))
    with pytest.raises(SignerRefused, match="digest given is not"):
        await policy.sign_report(stranger, _digest(stranger))


async def test_report_policy__each_new_round__is_remembered_before_it_is_signed() -> None:
    noted: list[tuple[DeploymentId, SignedRound]] = []

    def full(_deployment: DeploymentId, _signed: SignedRound) -> None:
        raise OSError("no space left on device")

    report = _report(1, 10)
    policy = _policy(remember=lambda deployment, signed: noted.append((deployment, signed)))
    await policy.sign_report(report, _digest(report))
    await policy.sign_report(report, _digest(report))
    assert noted == [(_DEVNET, SignedRound(1, 10, _digest(report)))]
    broken = _policy(remember=full)
    for _ in range(2):
        with pytest.raises(OSError, match="no space"):
            await broken.sign_report(report, _digest(report))


_RULES = SendingRules(frozenset({(1, _ORACLE, _PUSH)}), max_fee_wei=100, max_gas=1_000_000)
_PERMITTED = UnsignedTransaction(1, 0, Call(_ORACLE, _PUSH + b"arguments"), 1_000_000, 100, 100)


async def test_sending_policy__a_permitted_call_or_a_cancellation__is_signed() -> None:
    policy = PermittedCalls(_signer(), _RULES)
    assert (await policy.sign_transaction(_PERMITTED)).hash.startswith("0x")
    cancel = UnsignedTransaction(1, 0, Call(policy.address, b"", 0, 21_000), 21_000, 100, 0)
    assert (await policy.sign_transaction(cancel)).raw[0] == 2


@pytest.mark.parametrize(
    ("transaction", "problem"),
    [
        (replace(_PERMITTED, chain_id=10), "on chain 10"),
        (replace(_PERMITTED, call=Call(Address("0x" + "0b" * 20), _PUSH)), "may not call"),
        (replace(_PERMITTED, call=Call(_ORACLE, b"\x01\x02\x03\x05")), "0x01020305"),
        (replace(_PERMITTED, call=Call(_ORACLE, b"\x01\x02\x03")), "may not call"),
        (replace(_PERMITTED, call=Call(_ORACLE, b"")), "may not call"),
        (replace(_PERMITTED, call=Call(_ORACLE, _PUSH, value_wei=1)), "may not send 1 wei"),
        (replace(_PERMITTED, max_fee_wei=101), "101 wei per gas"),
        (replace(_PERMITTED, max_fee_wei=50, tip_wei=51), "tip of 51"),
        (replace(_PERMITTED, gas_limit=1_000_001), "1000001 gas"),
        (replace(_PERMITTED, call=Call(_signer().address, b"", 1)), "may not call"),
        (replace(_PERMITTED, call=Call(_signer().address, b"\0")), "may not call"),
        (replace(_PERMITTED, chain_id=10, call=Call(_signer().address, b"")), "may not call"),
    ],
)
async def test_sending_policy__anything_else__is_refused(transaction: UnsignedTransaction, problem: str) -> None:
    with pytest.raises(SignerRefused, match=problem):
        await PermittedCalls(_signer(), _RULES).sign_transaction(transaction)
