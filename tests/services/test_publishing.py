"""When a price goes out, with what evidence and how many signatures, and what happens to the one under way."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pytest

from keeper.adapters.encoding.keccak import keccak
from keeper.domain.chain import Receipt
from keeper.domain.evidence import merkle_proof, proves
from keeper.domain.guard import Held
from keeper.domain.ids import Hash, MarketId
from keeper.domain.transaction import IntentState, Outcome
from keeper.runtime.board import Board
from keeper.services.publishing import PublishingService, PublishOptions
from tests.domain.accounts.bridge import block_hash
from tests.domain.pricing.builders import e18
from tests.services.fakes import (
    BTC,
    ETH,
    KEYS,
    SITE,
    START_S,
    Desk,
    KeyRing,
    MemoryDecisions,
    outcome,
    play,
    running,
    settled,
)
from tests.services.markets import chain_state, index_of, plan_of, priced


@dataclass
class Stage:
    """The chain holds 100 for both markets, observed `age_s` ago, unless told otherwise."""

    desk: Desk = field(default_factory=Desk)
    held: tuple[Any, ...] = KEYS

    def __post_init__(self) -> None:
        self.order: list[str] = []
        self.boards: dict[str, Board[Any, Any]] = {
            name: Board() for name in ("prices", "states", "paused", "statuses", "slot", "underway", "outcomes")
        }
        self.intents: list[Any] = []
        self.boards["slot"].follow(self._slotted)
        self.decisions = MemoryDecisions(self.order.append)
        self.ring = KeyRing(self.held, lambda: self.boards["states"].get(SITE).oracle.signers)
        self.service = self.fresh()

    def _slotted(self, _: Any, intent: Any) -> None:
        self.order.append("slot")
        self.intents.append(intent)

    def fresh(self) -> PublishingService:
        desk = self.desk
        return PublishingService(
            desk.deployment,
            *(self.boards[n] for n in ("prices", "states", "paused", "statuses", "slot", "underway", "outcomes")),
            self.ring,
            desk.lease,
            self.decisions,
            desk.store,
            keccak,
            PublishOptions(30, "1.0", frozenset(self.held)),
            desk.clock,
            desk.pulse,
            desk.meter,
            desk.log,
        )

    def chain(self, prices: dict[int, Any] | None = None, **options: Any) -> None:
        options.setdefault("observed_s", START_S - 5)
        self.boards["states"].put(SITE, chain_state({1: 100, 2: 100} if prices is None else prices, **options))

    async def price(self, btc: Any = None, eth: Any = None, **options: Any) -> None:
        chain = self.boards["states"].get(SITE)
        for market, price in ((BTC, btc), (ETH, eth)):
            if price is not None:
                found = priced(plan_of(market, **options), price, self.desk.clock.now(), chain)
                self.boards["prices"].put(market, found)
        await settled(0.01)

    def reports(self) -> list[Any]:
        return [signed.report for signed in self.desk.perp.published]

    def pushed(self) -> list[dict[MarketId, int]]:
        return [{price.market: price.mark_e18 for price in report.prices} for report in self.reports()]

    def status(self, market: MarketId) -> tuple[str, str]:
        found = self.boards["statuses"].get(market)
        return found.kind, found.reason

    async def becomes(self, state: IntentState) -> None:
        intent = self.intents[-1]
        self.boards["outcomes"].put(intent.id, outcome(intent, state))
        await settled(0.01)


def test_run__chain_without_a_price__is_pushed_first():
    async def scenario():
        stage = Stage()
        stage.chain({})
        async with running(stage.service):
            await stage.price("100", "7")
        assert stage.pushed() == [{BTC: e18(100), ETH: e18(7)}]
        assert stage.status(BTC) == stage.status(ETH) == ("publish", "first")
        assert stage.boards["statuses"].get(BTC).pushes == {"first": 1}
        assert stage.boards["underway"].get(SITE).intent_id == stage.intents[0].id
        assert stage.intents[0].key == str(stage.reports()[0].round_id)

    play(scenario)


@pytest.mark.parametrize(
    ("price", "age_s", "wanted"),
    [
        ("100.1", 5, ("publish", "deviation")),
        ("100.09", 5, ("hold", "quiet")),
        ("100", 60, ("publish", "heartbeat")),
        ("100", 58, ("hold", "quiet")),
        ("101", 0, ("hold", "min_interval")),
    ],
)
def test_run__chain_has_a_price__pushed_when_far_or_old_only(price, age_s, wanted):
    async def scenario():
        stage = Stage()
        stage.desk.clock.offset_s = 0.001
        stage.chain(observed_s=START_S - age_s)
        async with running(stage.service):
            await stage.price(price)
        assert stage.status(BTC) == wanted
        assert len(stage.intents) == (wanted[0] == "publish")
        assert stage.status(ETH) == ("hold", "no_price")

    play(scenario)


def test_run__quiet_market_beside_a_due_one__stays_out_of_the_batch():
    async def scenario():
        stage = Stage()
        stage.chain()
        async with running(stage.service):
            await stage.price("101", "100.01")
        assert stage.pushed() == [{BTC: e18(101)}]
        assert stage.status(ETH) == ("hold", "quiet")

    play(scenario)


def test_run__report_under_way__nothing_is_signed_until_it_is_stuck_then_the_newest_price_is():
    async def scenario():
        stage = Stage()
        stage.chain()
        async with running(stage.service):
            await stage.price("101")
            for n in range(2, 6):
                await settled(1)
                await stage.price(str(100 + n))
            assert len(stage.intents) == 1
            stage.chain(number=101)
            await stage.price("107")
            assert len(stage.intents) == 1
            stage.chain(number=102)
            await stage.price("109")
        assert [mark[BTC] for mark in stage.pushed()] == [e18(101), e18(109)]

    play(scenario)


def test_run__stuck_report_is_still_right__is_not_signed_again():
    async def scenario():
        stage = Stage()
        stage.chain()
        async with running(stage.service):
            await stage.price("101")
            stage.chain(number=105)
            await settled(1)
            await stage.price("101.05")
        assert len(stage.intents) == 1
        assert stage.status(BTC) == ("hold", "quiet")

    play(scenario)


def test_run__report_mined_ahead_of_our_state__waits_for_the_block_that_holds_it():
    async def scenario():
        stage = Stage()
        stage.chain()
        async with running(stage.service):
            await stage.price("101")
            await settled(1)
            intent = stage.intents[0]
            receipt = Receipt(Hash("0x" + "1" * 64), 1, 101, block_hash(101), 1, 1, ())
            stage.boards["outcomes"].put(intent.id, replace(outcome(intent, IntentState.MINED), receipt=receipt))
            await stage.price("103")
            assert len(stage.intents) == 1
            stage.chain({1: 101, 2: 100}, number=101, observed_s=START_S)
            await settled(0.6)
            await stage.price("103")
        assert [mark[BTC] for mark in stage.pushed()] == [e18(101), e18(103)]
        counted = stage.desk.meter.counts
        assert counted[f"keeper_reports_total market={BTC} outcome=done trigger=deviation"] == 1

    play(scenario)


def test_run__report_on_chain_but_its_receipt_hidden__the_next_one_does_not_wait_for_it():
    async def scenario():
        stage = Stage()
        stage.chain()
        async with running(stage.service):
            await stage.price("101")
            await settled(1.5)
            found = chain_state({1: 101, 2: 100}, number=101, observed_s=START_S)
            pushed = {no: replace(feed, round_id=stage.reports()[0].round_id) for no, feed in found.feeds.items()}
            stage.boards["states"].put(SITE, replace(found, feeds=pushed))
            await stage.price("103")
        assert [mark[BTC] for mark in stage.pushed()] == [e18(101), e18(103)]

    play(scenario)


@pytest.mark.parametrize("state", [IntentState.REVERTED, IntentState.EXPIRED, IntentState.REJECTED])
def test_run__report_failed__the_newest_price_is_pushed_again(state):
    async def scenario():
        stage = Stage()
        stage.chain()
        async with running(stage.service):
            await stage.price("101")
            await settled(1)
            await stage.price("102")
            assert len(stage.intents) == 1
            await stage.becomes(state)
        assert [mark[BTC] for mark in stage.pushed()] == [e18(101), e18(102)]
        assert stage.intents[0].id != stage.intents[1].id
        counted = stage.desk.meter.counts
        assert counted[f"keeper_reports_total market={BTC} outcome={state.value} trigger=deviation"] == 1

    play(scenario)


def test_run__guard_holds_a_jump__nothing_of_that_market_goes_out():
    async def scenario():
        stage = Stage()
        stage.chain()
        async with running(stage.service):
            chain = stage.boards["states"].get(SITE)
            now = stage.desk.clock.now()
            cautious = replace(plan_of(ETH).guard, max_jump_bps=200)
            held = priced(plan_of(ETH, guard=cautious), "150", now, chain)
            assert isinstance(held.guard, Held)
            stage.boards["prices"].put(ETH, held)
            await stage.price("101")
        assert stage.pushed() == [{BTC: e18(101)}]
        assert stage.status(ETH) == ("hold", "guard")

    play(scenario)


def test_run__market_paused__others_go_on_and_it_comes_back():
    async def scenario():
        stage = Stage()
        stage.chain()
        stage.boards["paused"].put(BTC, "operator")
        async with running(stage.service):
            await stage.price("101", "101")
            assert stage.pushed() == [{ETH: e18(101)}]
            assert stage.status(BTC) == ("hold", "paused")
            stage.boards["paused"].drop(BTC)
            await settled(1)
            await stage.price("101", "101")
            await stage.becomes(IntentState.REVERTED)
        assert stage.pushed()[-1] == {BTC: e18(101), ETH: e18(101)}

    play(scenario)


def test_run__oracle_paused__nothing_is_signed_or_recorded():
    async def scenario():
        stage = Stage()
        stage.chain(paused=True)
        async with running(stage.service):
            await stage.price("101", "101")
        assert (stage.intents, stage.decisions.records, stage.ring.asked) == ([], {}, [])
        assert stage.status(BTC) == stage.status(ETH) == ("hold", "oracle_paused")

    play(scenario)


def test_run__price_no_longer_fresh__is_not_pushed():
    """A pricing loop that stopped leaves its last price on the board."""

    async def scenario():
        stage = Stage()
        async with running(stage.service):
            stage.boards["prices"].put(
                BTC, priced(plan_of(BTC), "101", stage.desk.clock.now(), chain_state({1: 100}, observed_s=START_S - 5))
            )
            await settled(2.1)
            stage.chain()
            await settled(1)
        assert stage.intents == []
        assert stage.status(BTC) == ("hold", "no_price")

    play(scenario)


def test_run__another_keeper_leads__nothing_is_signed():
    async def scenario():
        stage = Stage()
        stage.desk.lease.leads = False
        stage.chain()
        async with running(stage.service):
            await stage.price("101")
            assert (stage.intents, stage.ring.asked) == ([], [])
            stage.desk.lease.leads = True
            await settled(0.6)
        assert len(stage.intents) == 1

    play(scenario)


def test_run__super_quorum_needed_and_one_key_not_authorised__that_market_is_left_out():
    async def scenario():
        stage = Stage()
        stage.chain(signers=KEYS[:2])
        async with running(stage.service):
            await stage.price("106", "101")  # 6 % is further than the feed allows for two signatures
        assert stage.pushed() == [{ETH: e18(101)}]
        assert stage.status(BTC) == ("hold", "signatures: 3 needed, 2 held")
        assert len(stage.desk.perp.published[0].signatures) == 2

    play(scenario)


def test_run__super_quorum_needed_and_held__all_sign():
    async def scenario():
        stage = Stage()
        stage.chain()
        async with running(stage.service):
            await stage.price("106", "101")
        assert stage.pushed() == [{BTC: e18(106), ETH: e18(101)}]
        assert len(stage.desk.perp.published[0].signatures) == 3

    play(scenario)


def test_run__quorum_lost_by_a_rotation__is_told_once_and_tried_at_each_head():
    async def scenario():
        stage = Stage()
        stage.chain(signers=KEYS[:1], signer_epoch=2)
        async with running(stage.service):
            await stage.price("101")
            await settled(1)
            await stage.price("101")
            assert len(stage.ring.asked) == 1  # not again before the next head
            for number in (101, 102):
                stage.chain(number=number, signers=KEYS[:1], signer_epoch=2)
                await settled(1)
                await stage.price("101")
            assert len(stage.ring.asked) == 3
            assert stage.desk.log.levels("report.unsigned") == ["error"]
            stage.chain(number=103, signer_epoch=3)
            await settled(1)
            await stage.price("101")
        assert stage.pushed() == [{BTC: e18(101)}]
        assert stage.reports()[0].signer_epoch == 3
        rounds = [report.round_id for report in stage.ring.asked]
        assert rounds == sorted(set(rounds))

    play(scenario)


def test_run__clock_steps_back__rounds_rise_all_the_same():
    async def scenario():
        stage = Stage()
        stage.chain(observed_s=START_S - 100)
        async with running(stage.service):
            await stage.price("101")
            await stage.becomes(IntentState.REVERTED)
            stage.desk.clock.offset_s = -10
            for _ in range(12):
                await settled(1)
                await stage.price("102")
                await stage.becomes(IntentState.REVERTED)
        rounds = [report.round_id for report in stage.reports()]
        assert len(rounds) >= 2
        assert all(earlier < later for earlier, later in pairwise(rounds))
        assert rounds[0] < (START_S + 1) * 1000

    play(scenario)


def test_run__restarted_after_the_clock_stepped_back__no_round_is_used_twice():
    async def scenario():
        stage = Stage()
        stage.chain(observed_s=START_S - 100)
        async with running(stage.service):
            await stage.price("101")
        stage.desk.clock.offset_s = -5
        async with running(stage.fresh()):
            await stage.price("103")
            assert len(stage.reports()) == 1
            await settled(6)
            await stage.price("103")
        first, second = (report.round_id for report in stage.reports())
        assert first < second

    play(scenario)


def test_run__clock_that_was_ahead_is_set_right__why_nothing_is_published_is_told():
    """Rounds only rise, also over a restart: until the clock comes to the last one there is nothing to sign."""

    async def scenario():
        stage = Stage()
        stage.chain(observed_s=START_S - 100)
        stage.desk.clock.offset_s = 3_600
        async with running(stage.service):
            await stage.price("101")
        made = len(stage.reports())
        stage.desk.clock.offset_s = 0
        async with running(stage.fresh()):
            await stage.price("103")
            await settled(2)
            assert len(stage.reports()) == made == 1
            assert stage.status(BTC) == ("hold", "round_ahead")
            assert stage.desk.log.of("report.held")[-1] == {"market": ETH, "reason": "round_ahead"}
            stage.desk.clock.offset_s = 3_600
            await stage.price("103")
            await settled(1)
            assert len(stage.reports()) == 2

    play(scenario)


def test_run__report_signed__its_evidence_was_durable_before_the_intent_was_out():
    async def scenario():
        stage = Stage()
        stage.chain()
        saved: list[str] = []
        async with running(stage.service):
            stage.boards["slot"].follow(lambda *_: saved.append(stage.desk.store.documents[f"round:{SITE}"]))
            await stage.price("101", "102")
        assert stage.order == ["evidence", "evidence", "slot"]
        assert saved == [str(stage.reports()[0].round_id)]

    play(scenario)


def test_run__two_markets_in_a_batch__root_proves_each_leaf():
    async def scenario():
        stage = Stage()
        stage.chain()
        async with running(stage.service):
            await stage.price("101", "102")
        (report,) = stage.reports()
        leaves = [bytes.fromhex(leaf[2:]) for leaf in stage.decisions.records]
        assert len(leaves) == 2
        for leaf, record in stage.decisions.records.items():
            raw = bytes.fromhex(leaf[2:])
            assert keccak(record.canonical_json.encode()) == raw
            assert proves(report.evidence, raw, merkle_proof(leaves, raw, keccak), keccak)
        assert not proves(report.evidence, keccak(b"other"), merkle_proof(leaves, leaves[0], keccak), keccak)
        assert {record.market for record in stage.decisions.records.values()} == {BTC, ETH}

    play(scenario)


def test_run__record__names_its_round_its_plan_and_what_the_chain_held():
    async def scenario():
        stage = Stage()
        stage.chain()
        async with running(stage.service):
            await stage.price("101", config_hash="c0ffee")
        (report,), (record,) = stage.reports(), stage.decisions.records.values()
        document = json.loads(record.canonical_json)
        assert document["config"] == "c0ffee"
        assert document["due"] == {
            "age_ms": document["due"]["age_ms"],
            "block": "100",
            "deviation_bps": "100",
            "held": {
                "index": str(e18(100)),
                "mark": str(e18(100)),
                "observed_s": str(START_S - 5),
                "round": document["due"]["held"]["round"],
            },
            "round": str(report.round_id),
            "trigger": "deviation",
        }
        assert document["guard"]["state_before"]["passed"] == str(e18(100))
        assert document["gate"]["doubts"] == ["confirming"]
        assert document["accepted"] == {}
        assert stage.decisions.roots == {record.leaf: "0x" + report.evidence.hex()}

    play(scenario)


def test_run__level_that_the_operator_vouched_for__stands_in_the_record():
    async def scenario():
        stage = Stage()
        stage.chain()
        found = priced(plan_of(BTC), "101", stage.desk.clock.now(), stage.boards["states"].get(SITE))
        accepted = {index_of(BTC): e18(101), index_of(ETH): 7}
        async with running(stage.service):
            stage.boards["prices"].put(BTC, replace(found, seen=found.seen._replace(accepted=accepted)))
            await settled(0.01)
        (record,) = stage.decisions.records.values()
        assert json.loads(record.canonical_json)["accepted"] == {index_of(BTC): str(e18(101))}

    play(scenario)


def test_run__decisions_cannot_be_written__nothing_is_signed():
    class Full(MemoryDecisions):
        def attach(self, records: Any, root: str) -> None:
            raise OSError("disk full")

    async def scenario():
        stage = Stage()
        stage.chain()
        service = replace(stage.service, decisions=Full())
        task = asyncio.create_task(service.run())
        await settled()
        await stage.price("101")
        assert isinstance(task.exception(), OSError)
        assert (stage.intents, stage.ring.asked) == ([], [])

    play(scenario)


def test_run__disk_full__nothing_is_signed_until_a_head_finds_room():
    async def scenario():
        stage = Stage()
        stage.chain()
        stage.desk.store.full = True
        async with running(stage.service):
            await stage.price("101")
            await settled(5)
            assert (stage.intents, stage.ring.asked, stage.service.flight.last_round) == ([], [], 0)
            assert len(stage.desk.log.of("report.unwritten")) == 1, "once a head"
            stage.desk.store.full = False
            stage.chain(number=102)
            await stage.price("101")
            await settled(1)
            assert len(stage.intents) == 1

    play(scenario)


def test_run__outcome_of_another_intent__does_not_land_ours():
    async def scenario():
        stage = Stage()
        stage.chain()
        async with running(stage.service):
            await stage.price("101")
            intent = stage.intents[0]
            stage.boards["outcomes"].put(
                "other", Outcome("other", intent.lane, "k", IntentState.REVERTED, stage.desk.clock.now())
            )
            await settled(1)
            await stage.price("103")
        assert len(stage.intents) == 1

    play(scenario)


def test_run__price_of_a_clock_that_was_ahead__is_not_decided_upon():
    """Its loop has stopped, and for an hour it would be no older than now."""

    async def scenario():
        stage = Stage()
        async with running(stage.service):
            stage.desk.clock.offset_s = 3_600
            late = stage.desk.clock.now()
            stage.desk.clock.offset_s = 0
            stage.boards["prices"].put(
                BTC, priced(plan_of(BTC), "101", late, chain_state({1: 100}, observed_s=START_S - 5))
            )
            stage.chain()
            await settled(1)
        assert stage.intents == []
        assert stage.status(BTC) == ("hold", "no_price")

    play(scenario)
