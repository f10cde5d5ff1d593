"""How many signatures are collected, and from whom."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

import pytest

from keeper.adapters.attestor import LocalAttestor
from keeper.adapters.coordinator import AlwaysLeader
from keeper.adapters.signers.curve import signing_key
from keeper.adapters.signers.key_signer import KeySigner
from keeper.domain.ids import Address, DeploymentId
from keeper.domain.report import PriceReport, Signature
from keeper.errors import SignerRefused, SignerUnavailable
from keeper.ports.signer import Attestor, Coordinator, ReportSigner

_REPORT = PriceReport(DeploymentId("devnet"), 1, 0, 60, 1, bytes(32), ())


def _signers(count: int) -> list[KeySigner]:
    keys = [signing_key(scalar.to_bytes(32, "big")) for scalar in range(1, count + 1)]
    return sorted((KeySigner(key, 1) for key in keys if key is not None), key=lambda signer: signer.address)


class Failing:
    """A signer that only fails."""

    remote = False

    def __init__(self, address: Address, error: Exception) -> None:
        self.address = address
        self._error = error

    async def sign_report(self, report: PriceReport, digest: bytes) -> Signature:
        raise self._error


class Meeting:
    """Signers that answer only once all of them have been asked."""

    remote = True

    def __init__(self, signer: KeySigner, barrier: asyncio.Barrier) -> None:
        self.address = signer.address
        self._signer = signer
        self._barrier = barrier

    async def sign_report(self, report: PriceReport, digest: bytes) -> Signature:
        await self._barrier.wait()
        return await self._signer.sign_report(report, digest)


def _attestor(signers: Sequence[ReportSigner], authorised: Collection[Address] | None = None) -> Attestor:
    allowed = {signer.address for signer in signers} if authorised is None else authorised
    return LocalAttestor(signers, lambda _report: allowed)


@pytest.mark.parametrize("need", [1, 2, 3])
async def test_collect__more_signers_than_needed__takes_the_first_by_address(need: int) -> None:
    signers = _signers(3)
    signed = await _attestor(signers[::-1]).collect(_REPORT, bytes(32), need)
    assert signed.report is _REPORT
    assert [signature.signer for signature in signed.signatures] == [signer.address for signer in signers[:need]]


async def test_collect__a_signer_that_the_chain_does_not_know__is_not_asked() -> None:
    signers = _signers(3)
    stranger = Failing(signers[0].address, AssertionError("was asked"))
    attestor = _attestor([stranger, *signers[1:]], {signers[1].address, signers[2].address})
    assert len((await attestor.collect(_REPORT, bytes(32), 2)).signatures) == 2


async def test_collect__a_signer_that_does_not_answer__is_replaced_by_the_next() -> None:
    signers = _signers(3)
    away = Failing(signers[0].address, SignerUnavailable("connection refused"))
    signed = await _attestor([away, *signers[1:]]).collect(_REPORT, bytes(32), 2)
    assert [signature.signer for signature in signed.signatures] == [signer.address for signer in signers[1:]]


async def test_collect__too_few_left__says_how_many() -> None:
    signers = _signers(3)
    away = Failing(signers[0].address, SignerUnavailable("connection refused"))
    with pytest.raises(SignerUnavailable, match="2 of 3 signatures for round 1"):
        await _attestor([away, *signers[1:]]).collect(_REPORT, bytes(32), 3)
    with pytest.raises(SignerUnavailable, match="1 of 3 local signers are authorised"):
        await _attestor(signers, {signers[2].address}).collect(_REPORT, bytes(32), 2)


async def test_collect__a_refusal__is_not_papered_over() -> None:
    signers = _signers(3)
    refusing = Failing(signers[1].address, SignerRefused("policy"))
    with pytest.raises(SignerRefused, match="policy"):
        await _attestor([signers[0], refusing, signers[2]]).collect(_REPORT, bytes(32), 2)


async def test_collect__remote_signers__are_asked_in_parallel() -> None:
    barrier = asyncio.Barrier(3)
    met = [Meeting(signer, barrier) for signer in _signers(3)]
    async with asyncio.timeout(5):
        assert len((await _attestor(met).collect(_REPORT, bytes(32), 3)).signatures) == 3


def test_collect__keys_in_memory__answer_without_letting_anybody_else_in() -> None:
    collecting = _attestor(_signers(3)).collect(_REPORT, bytes(32), 3)
    with pytest.raises(StopIteration) as done:
        collecting.send(None)
    assert len(done.value.value.signatures) == 3


def test_always_leader__leads_every_shard_with_one_fence() -> None:
    coordinator: Coordinator = AlwaysLeader()
    assert coordinator.is_leader("BTC-USD")
    assert coordinator.fence() == coordinator.fence() == 0
