from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from keeper.devnet.deploy import FeedParameters, MarketListing
from tests.evm.chain import batch_tuple, named
from tests.evm.oracle_model import ONE, Batch, Price
from tests.evm.scenes import SIMPLE, listing, market_at
from tests.evm.world import SIGNERS, World, world

SECP256K1_N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
Mend = Callable[[Batch], Batch]


async def test_push__with_every_fault_at_once__names_them_in_the_order_of_the_rules() -> None:
    async with market_at(100) as w:
        await w.chain.act(named("guardian"), w.d.oracle, "setPaused", True)
        w.oracle.s.paused = True
        w.tick(100)
        now = w.now
        batch = Batch((now + 50) * 1000, now - 90, now - 1, 7, bytes(32), [])
        mends: list[tuple[str, Mend]] = [
            ("BatchSize", lambda b: replace(b, prices=[Price(1, 100 * ONE, 100 * ONE)])),
            ("NoEvidence", lambda b: replace(b, evidence=b"\1" * 32)),
            ("RoundMismatch", lambda b: replace(b, observed_at=now + 50)),
            ("ReportFromFuture", lambda b: replace(b, observed_at=now - 90, round_id=(now - 90) * 1000)),
            ("ReportTooOld", lambda b: replace(b, observed_at=now - 5, round_id=(now - 5) * 1000)),
            ("ReportExpired", lambda b: replace(b, valid_until=now + 30)),
            ("WrongEpoch", lambda b: replace(b, epoch=1)),
        ]
        assert (await w.push_batch(batch)).error == "Paused"
        await w.chain.act(w.d.deployer, w.d.oracle, "setPaused", False)
        w.oracle.s.paused = False
        for fault, mend in mends:
            assert (await w.push_batch(batch)).error == fault
            batch = mend(batch)
        assert (await w.push_batch(batch)).error is None


async def test_push__of_33_prices__is_a_batch_too_large() -> None:
    async with market_at(100) as w:
        prices = [Price(no, ONE, ONE) for no in range(1, 34)]
        assert (await w.push_batch(w.batch(prices))).error == "BatchSize"


async def test_push__valid_for_longer_than_the_limit__is_expired() -> None:
    async with market_at(100) as w:
        w.tick(1)
        batch = w.batch([Price(1, 100 * ONE, 100 * ONE)])
        assert (await w.push_batch(replace(batch, valid_until=w.now + 121))).error == "ReportExpired"
        assert (await w.push_batch(replace(batch, valid_until=w.now + 120))).error is None


async def test_push__with_too_few_signatures__says_how_many_it_needs() -> None:
    async with market_at(100) as w:
        w.tick(1)
        outcome = await w.push({1: 100 * ONE}, signers=2)
        assert (outcome.error, outcome.arguments) == ("QuorumNotReached", (2, 3))


async def test_push__signed_twice_by_one__is_refused() -> None:
    async with market_at(100) as w:
        w.tick(1)
        assert (await w.push_batch(w.batch([Price(1, ONE, ONE)]), (0, 1, 1))).error == "DuplicateSigner"


async def test_push__signed_by_a_stranger__is_refused() -> None:
    async with world([listing()], signers=SIGNERS[:4]) as w:
        assert (await w.push_batch(w.batch([Price(1, ONE, ONE)]), (0, 1, 4))).error == "UnknownSigner"


async def test_push__with_a_signature_made_from_a_valid_one__is_refused() -> None:
    """https://eips.ethereum.org/EIPS/eip-2: (r, s) and (r, n - s) both verify. Only the lower one is a signature here."""
    async with market_at(100) as w:
        w.tick(1)
        batch = w.batch([Price(1, 100 * ONE, 100 * ONE)])
        *others, (r, vs) = [w.sign(batch, i) for i in range(3)]
        number = int.from_bytes(vs, "big")
        parity, s = number >> 255, number & (2**255 - 1)
        forgeries = {
            "mirrored": ((SECP256K1_N - s) & (2**255 - 1) | (1 - parity) << 255, "UnknownSigner"),
            "other parity": (s | (1 - parity) << 255, "UnknownSigner"),
            "s above n/2": (2**255 - 1, "MalformedSignature"),
            "s of zero": (0, "MalformedSignature"),
        }
        for forged, error in forgeries.values():
            assert await _push_raw(w, batch, [*others, (r, forged.to_bytes(32, "big"))]) == error
        assert await _push_raw(w, batch, [*others, (bytes(32), vs)]) == "MalformedSignature"
        assert await _push_raw(w, batch, [*others, (r, vs)]) is None


async def _push_raw(w: World, batch: Batch, signatures: list[tuple[bytes, bytes]]) -> str | None:
    outcome = await w.chain.act(named("keeper"), w.d.oracle, "pushPrices", batch_tuple(batch), signatures)
    return outcome.error


async def test_push__signed_before_the_signers_were_replaced__is_dead() -> None:
    async with market_at(100) as w:
        w.tick(1)
        batch = w.batch([Price(1, 100 * ONE, 100 * ONE)])
        signatures = [w.sign(batch, i) for i in range(3)]
        await w.chain.act(w.d.deployer, w.d.oracle, "setSigners", SIGNERS, 3, 4)
        assert await _push_raw(w, batch, signatures) == "WrongEpoch"


SEVEN = tuple(listing(no) for no in range(2, 9))


async def test_push__with_one_fault_of_each_kind__skips_those_and_accepts_the_rest() -> None:
    async with market_at(100, markets=(listing(1), *SEVEN)) as w:
        await w.freeze(3)
        w.tick(1)
        entries = [
            Price(1, 100 * ONE, 100 * ONE),
            Price(20, 100 * ONE, 100 * ONE),
            Price(2, 0, 100 * ONE),
            Price(3, 100 * ONE, 100 * ONE),
            Price(1, 101 * ONE, 101 * ONE),
            Price(4, 106 * ONE, 104 * ONE),
            Price(5, 98 * ONE, 102 * ONE),
            Price(6, 100 * ONE, 100 * ONE, ONE + 1),
            Price(7, 105 * ONE, 105 * ONE),
            Price(8, 100 * ONE, 103 * ONE, -ONE),
        ]
        outcome = await w.push_batch(w.batch(entries))
        skipped = [(log[1], log[3]) for log in outcome.logs if log[0] == "PriceSkipped"]
        assert skipped == [(20, 1), (2, 2), (3, 3), (1, 4), (4, 5), (5, 6), (6, 7)]
        assert outcome.logs[-1][-1] == 3
        await w.compare()


async def test_push__when_all_are_skipped__reverts_with_their_reasons() -> None:
    async with market_at(100) as w:
        w.tick(1)
        outcome = await w.push({9: 100 * ONE, 1: 120 * ONE})
        assert (outcome.error, outcome.arguments) == ("NothingAccepted", (b"\x01\x05",))


async def test_super_quorum__for_the_same_batch_again__accepts_only_what_was_held_back() -> None:
    async with market_at(100, markets=(listing(1), listing(2))) as w:
        w.tick(5)
        batch = w.batch([Price(1, 101 * ONE, 101 * ONE), Price(2, 50 * ONE, 50 * ONE)])
        first = await w.push_batch(batch, (0, 1, 2))
        assert ("PriceSkipped", 2, batch.round_id, 5) in first.logs
        w.tick(3)
        again = await w.push_batch(batch, (0, 1, 2, 3))
        assert ("PriceSkipped", 1, batch.round_id, 4) in again.logs
        assert w.oracle.s.feeds[2].mark == 50 * ONE
        assert (await w.push_batch(batch, (0, 1, 2, 3, 4))).error == "NothingAccepted"
        w.tick(60)
        assert (await w.push_batch(batch, (0, 1, 2, 3, 4))).error == "ReportTooOld"
        await w.compare()


async def test_first_price__with_a_plain_quorum__is_held_back() -> None:
    async with world([listing()]) as w:
        assert (await w.push({1: 100 * ONE}, signers=3)).arguments == (b"\x05",)
        assert (await w.push({1: 100 * ONE}, signers=4)).error is None


async def test_rounds__of_one_market__do_not_block_another() -> None:
    async with market_at(100, markets=(listing(1), listing(2))) as w:
        w.tick(10)
        assert (await w.push({1: 101 * ONE})).error is None
        assert (await w.push({2: 101 * ONE}, observed_at=w.now - 5)).error is None
        assert (await w.push({1: 102 * ONE}, observed_at=w.now - 5)).arguments == (b"\x04",)


@pytest.mark.parametrize(("index", "mark"), [(1, 2**96 - 1), (2**96 - 1, 1), (10**10, 10**10 + 7), (10**24, 1)])
async def test_extreme_prices__are_accepted_with_a_bounded_premium(index: int, mark: int) -> None:
    derived = MarketListing(1, FeedParameters(3600, 120, 500, 300, 0), SIMPLE)
    async with world([derived]) as w:
        assert (await w.push({1: (index, mark)}, signers=4)).error is None
        w.tick(50)
        assert (await w.push({1: (mark, index)}, signers=4)).error is None
        assert abs(w.oracle.s.feeds[1].premium) <= ONE
        await w.compare()


async def test_digest__is_that_of_eip_712() -> None:
    async with market_at(100) as w:
        batch = w.batch([Price(1, 100 * ONE, 101 * ONE, -5), Price(2, 1, 2**96 - 1, 2**63 - 1)])
        [(digest,)] = await w.chain.read([(w.d.oracle, "hashBatch", (batch_tuple(batch),))])
        assert digest == w.digest(batch)


@pytest.mark.parametrize("config", [(9, 1), (7, 1), (86_401, 1), (50_000, 1), (60, 0)])
async def test_configure_feed__outside_the_rules__is_refused(config: tuple[int, int]) -> None:
    async with world([listing()]) as w:
        feed = (*config, 500, 300, 0)
        outcome = await w.chain.act(w.d.deployer, w.d.oracle, "configureFeed", 5, feed)
        assert outcome.error == "InvalidFeed"


@pytest.mark.parametrize(
    ("changed", "error"), [((1800, 120), "InvalidFeed"), ((3600, 60), "InvalidFeed"), ((3600, 120), None)]
)
async def test_configure_feed__again__may_not_touch_what_sums_depend_on(changed: tuple[int, int], error: str) -> None:
    async with world([listing()]) as w:
        outcome = await w.chain.act(w.d.deployer, w.d.oracle, "configureFeed", 1, (*changed, 1, 1, 0))
        assert outcome.error == error


@pytest.mark.parametrize(
    ("signers", "quorum", "super_quorum"),
    [
        (SIGNERS[:4], 2, 4),
        (SIGNERS[:3], 3, 2),
        (SIGNERS[:3], 2, 4),
        ((*SIGNERS[:2], SIGNERS[0]), 2, 3),
        ((*SIGNERS[:2], "0x" + "0" * 40), 2, 3),
        ((), 0, 0),
    ],
)
async def test_set_signers__without_a_majority_or_with_doubles__is_refused(
    signers: Any, quorum: int, super_quorum: int
) -> None:
    async with world([listing()]) as w:
        outcome = await w.chain.act(w.d.deployer, w.d.oracle, "setSigners", signers, quorum, super_quorum)
        assert outcome.error == "InvalidSigners"


@pytest.mark.parametrize(("function", "arguments"), [("setPaused", ()), ("setFrozen", (1,))])
async def test_guardian__can_stop__and_only_the_owner_can_start_again(
    function: str, arguments: tuple[int, ...]
) -> None:
    async with market_at(100) as w:
        stranger, guardian, owner = named("stranger"), named("guardian"), w.d.deployer
        assert (await w.chain.act(stranger, w.d.oracle, function, *arguments, True)).error == "NotGuardian"
        assert (await w.chain.act(guardian, w.d.oracle, function, *arguments, True)).error is None
        assert await w.chain.read([(w.d.oracle, "fresh", (1, 1000))]) == [(False,)]
        assert (await w.chain.act(guardian, w.d.oracle, function, *arguments, False)).error == "NotOwner"
        assert (await w.chain.act(owner, w.d.oracle, function, *arguments, False)).error is None
        assert await w.chain.read([(w.d.oracle, "fresh", (1, 1000))]) == [(True,)]


async def test_premium_at__asks_for_a_boundary_that_it_still_knows() -> None:
    async with market_at(100) as w:
        boundary = w.now - w.now % 3600
        assert (await w.chain.act(named("x"), w.d.oracle, "premiumAt", 1, boundary + 1)).error == "NotABoundary"
        assert (await w.chain.act(named("x"), w.d.oracle, "premiumAt", 1, boundary - 3600)).error == "NoCheckpoint"
        assert (await w.chain.act(named("x"), w.d.oracle, "premiumAt", 9, boundary)).error == "UnknownFeed"
