"""The adapter against the real contracts on a real anvil: every read, act, log and refusal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import astuple, replace
from random import Random
from typing import Any, get_args

import pytest_asyncio

from keeper.devnet.artifacts import load
from keeper.devnet.deploy import BTC_USD, ETH_USD, FeedParameters, MarketListing, feed_config, market_config
from keeper.domain import events
from keeper.domain.account import Account, apply
from keeper.domain.chain import Call
from keeper.domain.exchange import PAUSE_LIQUIDATE, ChainState, Tier
from keeper.domain.ids import Address, Hash, MarketId
from keeper.domain.mirror import Cursor, Mirror
from keeper.domain.report import MarketPrice, SignedReport
from keeper.ports.protocol import LiquidationRequest
from tests.protocols.chain_under_test import E18, USD, ChainUnderTest, chain_under_test

BTC, ETH = 1, 2
CALM = {BTC: (64_000, 64_010), ETH: (3_200, 3_199)}


@pytest_asyncio.fixture
async def chain() -> AsyncIterator[ChainUnderTest]:
    async with chain_under_test() as started:
        yield started


async def test_digest__random_reports__equals_hash_batch(chain: ChainUnderTest) -> None:
    rng = Random(5)
    for size in (1, 2, 20, 32):
        prices = tuple(
            MarketPrice(
                MarketId("M"),
                rng.getrandbits(32),
                rng.getrandbits(96),
                rng.getrandbits(96),
                rng.getrandbits(64) - 2**63,
            )
            for _ in range(size)
        )
        report = replace(
            await chain.report({}),
            round_id=rng.getrandbits(64),
            observed_at_s=rng.getrandbits(40),
            valid_until_s=rng.getrandbits(40),
            signer_epoch=rng.getrandbits(32),
            evidence=rng.randbytes(32),
            prices=prices,
        )
        batch = (
            report.round_id,
            report.observed_at_s,
            report.valid_until_s,
            report.signer_epoch,
            report.evidence,
            [(p.market_no, p.index_e18, p.mark_e18, p.premium_e18) for p in prices],
        )
        (on_chain,) = await chain.view(chain.perp.oracle, "PriceOracle", "hashBatch", batch)
        assert chain.perp.digest(report) == on_chain


async def test_publish__quorum_and_super_quorum__do_what_the_protocol_says(chain: ChainUnderTest) -> None:
    perp = chain.perp

    async def refusal(prices: dict[int, tuple[int, int]], need: int) -> tuple[str, str, bool]:
        revert = perp.explain_revert(await chain.refused(perp.publish(await chain.signed(prices, need))[0]))
        return revert.name, revert.detail, revert.benign

    assert await refusal(CALM, 2) == ("NothingAccepted", "deviation, deviation", False)
    receipt = await chain.publish(CALM, 3)
    decoded = [event for log in receipt.logs for event in perp.decode_log(log)]
    assert [type(event).__name__ for event in decoded] == ["PriceUpdated", "PriceUpdated", "BatchPushed"]
    pushed = decoded[-1]
    assert isinstance(pushed, events.BatchPushed)
    assert (pushed.submitter, pushed.accepted, pushed.evidence) == (chain.sender.address, 2, b"\xee" * 32)
    assert pushed.signer_bitmap == 0b111

    await chain.publish({BTC: (64_500, 64_510)}, 2, "publish one, quorum")
    assert await refusal({BTC: (64_500, 64_510)}, 1) == ("QuorumNotReached", "have=1, need=2", False)
    assert await refusal({BTC: (64_500 * 106 // 100, 64_500 * 106 // 100)}, 2) == (
        "NothingAccepted",
        "deviation",
        False,
    )
    assert await refusal({BTC: (64_500, 64_500 * 104 // 100)}, 2) == ("NothingAccepted", "spread", False)
    jump = {BTC: (64_500 * 106 // 100, 64_500 * 106 // 100), ETH: (3_201, 3_201)}
    receipt = await chain.publish(jump, 2, "publish two, one skipped")
    skipped, *_ = [event for log in receipt.logs for event in perp.decode_log(log)]
    assert isinstance(skipped, events.PriceSkipped)
    assert (skipped.market_no, skipped.reason) == (BTC, 5)
    await chain.publish(jump, 3, "publish the jump")


async def test_publish__the_same_batch_with_more_signatures__accepts_what_was_held_back(chain: ChainUnderTest) -> None:
    await chain.publish(CALM, 3)
    report = await chain.report({BTC: (70_000, 70_000), ETH: (3_201, 3_201)})
    digest = chain.perp.digest(report)
    await chain.act("first", chain.perp.publish(await chain.attestor.collect(report, digest, 2)))
    assert [feed.index_e18 for feed in (await chain.refresh()).feeds.values()] == [64_000 * E18, 3_201 * E18]
    again = chain.perp.publish(await chain.attestor.collect(report, digest, 3))
    await chain.act("again", again)
    assert [feed.index_e18 for feed in (await chain.refresh()).feeds.values()] == [70_000 * E18, 3_201 * E18]
    revert = chain.perp.explain_revert(await chain.refused(again[0]))
    assert (revert.name, revert.detail, revert.benign) == ("NothingAccepted", "old round, old round", True)


async def test_publish__replayed_elsewhere_or_later__is_refused_by_name(chain: ChainUnderTest) -> None:
    """Signatures die with the chain id, the contract, the epoch and their time (EIP-712's domain)."""
    perp = chain.perp
    signed = await chain.signed(CALM, 3)

    async def name_of(call: Call) -> str:
        return perp.explain_revert(await chain.refused(call)).name

    twin = replace(perp, oracle=Address("0x" + "77" * 20))
    foreign = await chain.attestor_of(twin).collect(signed.report, twin.digest(signed.report), 3)
    assert await name_of(perp.publish(foreign)[0]) == "UnknownSigner"
    await chain.node.call("anvil_setChainId", 10)
    assert await name_of(perp.publish(signed)[0]) == "UnknownSigner"
    await chain.node.call("anvil_setChainId", 31337)
    twice = SignedReport(signed.report, signed.signatures[:1] * 2)
    assert await name_of(perp.publish(twice)[0]) == "DuplicateSigner"
    upper = SignedReport(signed.report, (replace(signed.signatures[0], vs=b"\x7f" + b"\xff" * 31),))
    assert await name_of(perp.publish(upper)[0]) == "MalformedSignature"
    for changes, name in (
        ({"evidence": bytes(32)}, "NoEvidence"),
        ({"observed_at_s": signed.report.observed_at_s - 1}, "RoundMismatch"),
        ({"signer_epoch": 9}, "WrongEpoch"),
        ({"valid_until_s": signed.report.observed_at_s + 121}, "ReportExpired"),
    ):
        assert (
            await name_of(perp.publish(SignedReport(replace(signed.report, **changes), signed.signatures))[0]) == name
        )
    await chain.warp(61)
    assert await name_of(perp.publish(signed)[0]) == "ReportTooOld"


def _expected_rules(listing: Any) -> tuple[Any, ...]:
    *numbers, tiers = market_config(listing.rules)
    return (*numbers, tuple(tiers))


async def _assert_state_is_the_chains(chain: ChainUnderTest, state: ChainState) -> None:
    oracle, exchange = chain.perp.oracle, chain.perp.exchange
    signers, quorum, super_quorum, epoch = await chain.view(oracle, "PriceOracle", "getSigners")
    max_age, max_validity = await chain.view(oracle, "PriceOracle", "limits")
    paused = await chain.view(oracle, "PriceOracle", "isPaused")
    seen = state.oracle
    assert (seen.signers, seen.quorum, seen.super_quorum, seen.signer_epoch) == (signers, quorum, super_quorum, epoch)
    assert (seen.max_age_s, seen.max_validity_s, seen.paused) == (max_age, max_validity, *paused)
    totals = await chain.view(exchange, "PerpExchange", "totals")
    assert (state.account_count, state.held_units) == (totals[0], totals[5])
    assert (state.pause_mask,) == await chain.view(exchange, "PerpExchange", "paused")
    for listing in (BTC_USD, ETH_USD):
        no = listing.market_no
        feed, market = state.feeds[no], state.markets[no]
        ((config, frozen, index, mark, premium, observed_at, round_id, acc, covered, checkpoint),) = await chain.view(
            oracle, "PriceOracle", "getFeed", no
        )
        own = (feed.interval_s, feed.hold_s, feed.max_deviation_bps, feed.max_spread_bps, feed.premium_kind)
        assert own == config == feed_config(listing.feed)
        assert (feed.frozen, feed.index_e18, feed.mark_e18, feed.premium_e18) == (frozen, index, mark, premium)
        assert (feed.observed_at_s, feed.round_id, feed.acc, feed.covered) == (observed_at, round_id, acc, covered)
        sums = (feed.checkpoint_at_s, feed.checkpoint_acc, feed.checkpoint_covered, feed.checkpoint_mark_e18)
        assert sums == checkpoint
        rules, stored = await chain.view(exchange, "PerpExchange", "getMarket", no)
        assert rules == _expected_rules(listing)
        assert market.parameters == listing.rules
        _, funding_at, snap_s, snap_v, cum, _, open_interest, _ = stored
        assert (market.funding_at_s, market.snap_acc, market.snap_covered) == (funding_at, snap_s, snap_v)
        assert (market.cum_e36, market.open_interest_e18) == (cum, open_interest)


async def _assert_mirror_is_the_chains(chain: ChainUnderTest) -> list[events.ProtocolEvent]:
    """The fold over all logs, the adapter's accounts and the raw views are one."""
    history = await chain.history()
    mirror: dict[Address, Account] = {}
    for event in history:
        if isinstance(event, events.MarginChanged | events.PositionChanged):
            mirror[event.account] = apply(mirror.get(event.account, Account(event.account)), event)
    count = (await chain.refresh()).account_count
    (listed,) = await chain.view(chain.perp.exchange, "PerpExchange", "accountsPage", 0, 1000)
    assert len(listed) == count
    assert set(mirror) <= set(listed)
    read = await chain.transport.ask(chain.perp.accounts(listed), "latest")
    assert tuple(replace(mirror.get(who, Account(who)), last=None) for who in listed) == read
    for account in read:
        margin, positions = await chain.view(chain.perp.exchange, "PerpExchange", "getAccount", account.address)
        assert (margin, {no: tuple(rest) for no, *rest in positions}) == (
            account.margin_units,
            {no: (held.size_e18, held.quote_units, held.cum_entry_e36) for no, held in account.positions.items()},
        )
    folded = Mirror(Cursor(-2, Hash("0x" + "0" * 64)), chain.perp.exchange)
    head = await chain.transport.head()
    folded.apply_block(head, history)
    totals, markets = await chain.transport.ask(chain.perp.totals([BTC, ETH]), head)
    assert folded.disagreements(totals, markets) == ()
    return history


async def _refusal(chain: ChainUnderTest, act: tuple[Call, object]) -> tuple[str, bool]:
    revert = chain.perp.explain_revert(await chain.refused(act[0]))
    return revert.name, revert.benign


async def _trade(chain: ChainUnderTest) -> None:
    _, whale, weak, weaker = chain.traders[:4]
    await chain.publish(CALM, 3, "publish, first of all")
    for who, units in ((whale, 50_000), (weak, 1_000), (weaker, 900)):
        await chain.deposit(who, units * USD)
    await chain.trade(whale, weak, BTC, E18, 64_000)
    await chain.trade(whale, weaker, BTC, E18, 64_000)
    await chain.trade(whale, weaker, ETH, -E18, 3_200)
    await _assert_state_is_the_chains(chain, await chain.refresh())


async def _settle(chain: ChainUnderTest) -> None:
    settlement = chain.perp.settle_funding([BTC])
    assert await _refusal(chain, settlement) == ("FundingNotDue", True)
    await chain.warp(3_600)
    await chain.publish(CALM, 2, "publish over a boundary")
    await chain.act("settle one", settlement)
    assert await _refusal(chain, settlement) == ("FundingNotDue", True)
    await chain.warp(7_200)
    await chain.publish(CALM, 2)
    await chain.act("settle two", chain.perp.settle_funding([BTC, ETH]))
    await _assert_state_is_the_chains(chain, await chain.refresh())


async def _liquidate(chain: ChainUnderTest) -> None:
    perp, (_, whale, weak) = chain.perp, chain.traders[:3]
    requests = [LiquidationRequest(weak, BTC, 2**128 - 1), LiquidationRequest(whale, BTC, 2**128 - 1)]
    lost = perp.explain_revert(await chain.refused(perp.liquidate(requests)[0]))
    assert (lost.name, lost.detail, lost.benign) == ("NothingLiquidated", "healthy, healthy", True)
    assert await _refusal(chain, perp.liquidate(requests[:1])) == ("NotLiquidatable", True)
    await chain.publish({BTC: (63_200, 63_200), ETH: (3_200, 3_200)}, 2)
    asked = [(weak, BTC), (whale, BTC), (weak, ETH)]
    previews = await chain.transport.ask(perp.previews(asked), "latest")
    assert [preview.reason for preview in previews] == [0, 4, 2]
    for preview, (who, no) in zip(previews, asked, strict=True):
        assert astuple(preview) == await chain.view(perp.exchange, "PerpExchange", "previewLiquidation", who, no)
    await chain.act("liquidate two, one skipped", perp.liquidate(requests))


async def _deleverage(chain: ChainUnderTest) -> None:
    perp, (whale, weaker) = chain.perp, (chain.traders[1], chain.traders[3])
    await chain.publish({BTC: (50_000, 50_000)}, 3)
    act = perp.deleverage(weaker, whale, BTC, E18)
    assert await _refusal(chain, perp.liquidate([LiquidationRequest(weaker, BTC, 2**128 - 1)])) == ("FundShort", True)
    await chain.act("deleverage", act)
    assert await _refusal(chain, act) == ("NoPosition", True)


async def _stop(chain: ChainUnderTest) -> None:
    perp, owner = chain.perp, chain.traders[0]
    await chain.do(owner, perp.exchange, "PerpExchange", "pause", PAUSE_LIQUIDATE)
    await chain.do(owner, perp.oracle, "PriceOracle", "setFrozen", ETH, True)
    stopped = perp.explain_revert(await chain.refused(perp.liquidate([LiquidationRequest(owner, BTC, 1)])[0]))
    assert (stopped.name, stopped.detail, stopped.benign) == ("ActionPaused", "action=4", False)
    state = await chain.refresh()
    assert (state.pause_mask, state.feeds[ETH].frozen, state.feeds[BTC].frozen) == (PAUSE_LIQUIDATE, True, False)
    await _assert_state_is_the_chains(chain, state)


async def test_market__over_its_whole_life__every_act_is_proved_and_every_log_understood(chain: ChainUnderTest) -> None:
    for phase in (_trade, _settle, _liquidate, _deleverage, _stop):
        await phase(chain)
        await _assert_mirror_is_the_chains(chain)
    history = await chain.history()
    assert {type(event) for event in history} == set(get_args(events.ProtocolEvent)) - {events.PriceSkipped}
    changed = {event.what for event in history if isinstance(event, events.RulesChanged)}
    kept = {"FeedConfigured", "SignersSet", "LimitsSet", "MarketConfigured"}
    assert changed == kept | {"FrozenSet", "PausedSet", "RoleSet"}
    _assert_gas_leaves_room(chain)


def _assert_gas_leaves_room(chain: ChainUnderTest) -> None:
    """Whatever the chain did, a fifth of the limit was left."""
    tight = {name: figures for name, figures in chain.gas.items() if figures[0] > 0.8 * figures[1]}
    assert tight == {}


async def test_gas_limits__the_largest_acts_that_the_contracts_allow__leave_room() -> None:
    """32 markets of 10 tiers, an account of 8 positions, and a loss for the fund to pay."""
    tiers = tuple(Tier(step * 1_000 * USD, 50 + 20 * step) for step in range(10))
    listings = tuple(MarketListing(no, FeedParameters(), replace(BTC_USD.rules, tiers=tiers)) for no in range(1, 33))
    numbers = [listing.market_no for listing in listings]
    async with chain_under_test(insurance_units=10**12, markets=listings) as chain:
        _, maker, weak = chain.traders[:3]
        await chain.publish(dict.fromkeys(numbers, (1_000, 1_000)), 3, "publish the first 32")
        await chain.deposit(maker, 10**12)
        await chain.deposit(weak, 4_000 * USD)
        for no in numbers[:8]:
            await chain.trade(maker, weak, no, 10 * E18, 1_000)
        await chain.warp(3_600)
        await chain.publish(dict.fromkeys(numbers, (500, 500)), 3, "publish 32 over a boundary")
        await chain.act("liquidate with a loss", chain.perp.liquidate([LiquidationRequest(weak, 1, 2**128 - 1)]))
        await chain.act("settle 31", chain.perp.settle_funding(numbers[1:]))
        (page,) = chain.perp.accounts([weak] * 100).calls
        assert await chain.transport.estimate_gas(page, chain.sender.address) < 16_000_000
        _assert_gas_leaves_room(chain)


async def test_state__a_feed_that_the_oracle_does_not_have__is_named(chain: ChainUnderTest) -> None:
    (*_, unknown) = chain.perp.state(await chain.transport.head(), [BTC, 7]).calls
    revert = chain.perp.explain_revert(await chain.refused(unknown))
    assert (revert.name, revert.detail) == ("UnknownFeed", "marketId=7")


async def test_transaction__the_node__recovers_our_address_and_hash(chain: ChainUnderTest) -> None:
    receipt = await chain.publish(CALM, 3)
    seen = await chain.node.call("eth_getTransactionByHash", receipt.tx_hash)
    assert (seen["from"], seen["type"], seen["accessList"]) == (chain.sender.address, "0x2", [])
    assert load("PriceOracle").functions["pushPrices"].selector.hex() == seen["input"][2:10]
