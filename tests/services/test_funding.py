"""Each boundary is settled once, whoever does it, and what was charged is held against the rules."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from keeper.domain.time import from_seconds
from keeper.domain.transaction import Intent, Lane
from keeper.runtime.board import Board
from keeper.runtime.mailbox import Mailbox
from keeper.services.funding import FundingService, FundingStatus
from tests.domain.accounts.bridge import block, events_of, state_of
from tests.domain.accounts.reference import FUNDING
from tests.domain.pricing.builders import e18
from tests.services.fakes import BTC, ETH, SITE, START_S, Desk, play, running, settled
from tests.services.markets import exchange_of

HOUR = 3_600
FIRST = START_S - START_S % HOUR + HOUR
"""The first boundary after the listing."""


@dataclass
class Stage:
    desk: Desk = field(default_factory=Desk)
    capacity: int = 100

    def __post_init__(self) -> None:
        self.exchange = exchange_of({1: 100, 2: 50}, START_S)
        self.states: Board[Any, Any] = Board()
        self.settlements: Board[int, Any] = Board()
        self.statuses: Board[Any, FundingStatus] = Board()
        self.paused: Board[Any, str] = Board()
        self.wake: Board[str, int] = Board()
        self.box: Mailbox[Intent] = Mailbox("intents", self.capacity)
        self.number = 100
        self.service = self.fresh()

    def fresh(self) -> FundingService:
        desk = self.desk
        return FundingService(
            desk.deployment,
            self.states,
            self.settlements,
            self.statuses,
            self.paused,
            self.wake,
            self.box,
            desk.lease,
            desk.clock,
            desk.pulse,
            desk.meter,
            desk.log,
        )

    async def head(self, at_s: int) -> None:
        self.number += 1
        state = state_of(self.exchange, at_s, self.number)
        self.states.put(SITE, replace(state, at=block(self.number, at_s=at_s)))
        await settled()

    def push(self, at_s: int, mark: str = "100.05") -> None:
        self.exchange.push([(1, e18(100), e18(mark), 0), (2, e18(50), e18(50), 0)], at_s, many=True)

    def push_until(self, last_s: int, every_s: int = 60) -> None:
        for at_s in range(self.exchange.feeds[1].at + every_s, last_s + 1, every_s):
            self.push(at_s)

    async def settle(self, number: int, at_s: int, **changed: Any) -> Any:
        """Somebody settles in the next block, whose logs arrive before its state."""
        before = len(self.exchange.log)
        assert self.exchange.accrue(number, at_s)
        (event,) = events_of(self.exchange.log[before:], block(self.number + 1, at_s=at_s))
        event = replace(event, **changed)
        self.settlements.put(number, event)
        await self.head(at_s)
        return event

    def letters(self) -> list[Intent]:
        found = []
        while (letter := self.box.take()) is not None:
            found.append(letter)
        return found


def test_run__boundary_passed__one_intent_for_each_market():
    async def scenario():
        stage = Stage()
        async with running(stage.service):
            await stage.head(FIRST - 1)
            assert stage.letters() == []
            await stage.head(FIRST)
            found = stage.letters()
        assert {intent.key for intent in found} == {f"{BTC}@{FIRST}", f"{ETH}@{FIRST}"}
        assert {intent.lane for intent in found} == {Lane.FUNDING}
        assert len({intent.id for intent in found}) == 2
        # Held up for longer, it is dropped: the settlement of the next boundary pays for this one too.
        assert {intent.deadline for intent in found} == {from_seconds(FIRST + HOUR)}
        assert [intent.call for intent in found] == [stage.desk.perp.settle_funding([no])[0] for no in (1, 2)]

    play(scenario)


@pytest.mark.parametrize("ahead_h", [3, -3])
def test_run__our_clock_is_hours_wrong__a_settlement_is_wanted_until_the_chain_comes_to_the_next_boundary(ahead_h):
    async def scenario():
        stage = Stage()
        stage.desk.clock.offset_s += ahead_h * HOUR
        async with running(stage.service):
            await stage.head(FIRST + 7)
            found = stage.letters()
        assert {intent.deadline for intent in found} == {from_seconds(FIRST + HOUR)}

    play(scenario)


def test_run__still_due_at_later_heads_or_after_a_restart__is_the_same_intent():
    async def scenario():
        stage = Stage()
        async with running(stage.service):
            for later in (0, 1, 2):
                await stage.head(FIRST + later)
        async with running(stage.fresh()):
            found = stage.letters()
        assert len(found) == 8  # three heads and the restart, two markets each
        assert len({intent.id for intent in found}) == 2

    play(scenario)


def test_run__several_boundaries_missed__one_settlement_for_all_of_them():
    async def scenario():
        stage = Stage()
        async with running(stage.service):
            await stage.head(FIRST - 10)
            await stage.head(FIRST + 4 * HOUR + 7)
            found = stage.letters()
            assert {intent.key for intent in found} == {f"{BTC}@{FIRST + 4 * HOUR}", f"{ETH}@{FIRST + 4 * HOUR}"}
            event = await stage.settle(1, FIRST + 4 * HOUR + 9)
            assert {intent.key.partition("@")[0] for intent in stage.letters()} == {ETH}
        assert event.intervals == 5
        (line,) = stage.desk.log.of("funding.settled")
        assert (line["intervals"], line["boundary_s"]) == (5, FIRST + 4 * HOUR)
        assert stage.desk.log.of("funding.differs") == []

    play(scenario)


def test_run__somebody_else_settled__nothing_is_sent_and_the_status_shows_it():
    async def scenario():
        stage = Stage()
        async with running(stage.service):
            await stage.head(FIRST - 1)
            stage.exchange.accrue(2, FIRST)
            event = await stage.settle(1, FIRST)
            assert stage.letters() == []
        status = stage.statuses.get(BTC)
        assert (status.last_boundary_s, status.last_rate_e18) == (FIRST, event.rate_e18)
        assert status.next_boundary_s == FIRST + HOUR
        counted = stage.desk.meter.counts
        assert counted[f"keeper_funding_settlements_total market={BTC} outcome=settled"] == 1

    play(scenario)


def test_run__nothing_moves__predicted_rate_is_the_one_charged():
    async def scenario():
        stage = Stage()
        async with running(stage.service):
            for boundary in (FIRST, FIRST + HOUR):
                stage.push_until(boundary - 5)
                await stage.head(boundary - 4)
                predicted = stage.statuses.get(BTC).predicted_rate_e18
                event = await stage.settle(1, boundary)
                status = stage.statuses.get(BTC)
                assert predicted == event.rate_e18 == status.last_rate_e18 == status.last_predicted_rate_e18
                assert predicted != 0
                assert status.last_late_blocks is None or status.last_late_blocks >= 0
        assert len(stage.desk.log.of("funding.settled")) == 2
        assert stage.desk.log.of("funding.differs") == []

    play(scenario)


def test_run__settled_some_blocks_late__lateness_is_counted_from_the_first_block_that_was_due():
    async def scenario():
        stage = Stage()
        async with running(stage.service):
            await stage.head(FIRST - 2)
            for later in (0, 2, 4):
                await stage.head(FIRST + later)
            await stage.settle(1, FIRST + 6)
        assert stage.statuses.get(BTC).last_late_blocks == 3
        assert stage.desk.meter.seen[f"keeper_funding_late_blocks market={BTC}"] == [3]

    play(scenario)


def test_run__chain_charged_another_rate__is_told_with_advice():
    async def scenario():
        stage = Stage()
        async with running(stage.service):
            stage.push_until(FIRST - 5)
            await stage.head(FIRST - 4)
            right = stage.statuses.get(BTC).predicted_rate_e18
            await stage.settle(1, FIRST, rate_e18=right + 1)
            await stage.head(FIRST + 2)
        (line,) = stage.desk.log.of("funding.differs")
        assert stage.desk.log.levels("funding.differs") == ["error"]
        assert "compare" in line["advice"]
        assert line["expected"] != line["rate"]
        assert stage.desk.log.of("funding.settled") == []
        counted = stage.desk.meter.counts
        assert counted[f"keeper_funding_settlements_total market={BTC} outcome=differs"] == 1

    play(scenario)


def test_run__price_moved_in_the_last_seconds__prediction_missed_but_the_rule_holds():
    async def scenario():
        stage = Stage()
        async with running(stage.service):
            stage.push_until(FIRST - 60)
            await stage.head(FIRST - 50)
            stage.push(FIRST - 45, "108")
            event = await stage.settle(1, FIRST)
        status = stage.statuses.get(BTC)
        assert status.last_predicted_rate_e18 != event.rate_e18
        assert stage.desk.log.of("funding.differs") == []

    play(scenario)


@pytest.mark.parametrize("how", ["on chain", "by the operator", "another leads"])
def test_run__funding_paused__nothing_is_sent_until_it_goes_on(how):
    async def scenario():
        stage = Stage()
        if how == "on chain":
            stage.exchange.paused = FUNDING
        elif how == "by the operator":
            stage.paused.put(BTC, "operator")
            stage.paused.put(ETH, "operator")
        else:
            stage.desk.lease.leads = False
        async with running(stage.service):
            await stage.head(FIRST)
            await stage.head(FIRST + 2)
            assert stage.letters() == []
            stage.exchange.paused, stage.desk.lease.leads = 0, True
            stage.paused.drop(BTC)
            stage.paused.drop(ETH)
            await stage.head(FIRST + 4)
            assert {intent.key for intent in stage.letters()} == {f"{BTC}@{FIRST}", f"{ETH}@{FIRST}"}

    play(scenario)


def test_run__mailbox_full__is_deferred_and_offered_again():
    async def scenario():
        stage = Stage(capacity=1)
        async with running(stage.service):
            await stage.head(FIRST)
            (first,) = stage.letters()
            assert [line["market"] for line in stage.desk.log.of("funding.deferred")] == [ETH]
            stage.exchange.accrue(1, FIRST)
            await stage.head(FIRST + 2)
            (second,) = stage.letters()
        assert (first.key, second.key) == (f"{BTC}@{FIRST}", f"{ETH}@{FIRST}")

    play(scenario)


def test_run__schedule_announces_before_the_chain_is_there__chain_time_alone_decides():
    async def scenario():
        stage = Stage()
        async with running(stage.service):
            await stage.head(FIRST - 1)
            stage.wake.put("hour", 1)
            await settled(HOUR)
            assert stage.letters() == []
            await stage.head(FIRST)
            assert len(stage.letters()) == 2

    play(scenario)


def test_run__settlement_seen_twice_or_an_older_one__is_compared_once():
    async def scenario():
        stage = Stage()
        async with running(stage.service):
            await stage.head(FIRST - 1)
            event = await stage.settle(1, FIRST)
            stage.settlements.put(1, event)
            await settled()
            stage.settlements.put(1, replace(event, boundary_s=FIRST - HOUR))
            await settled()
        assert len(stage.desk.log.of("funding.settled")) == 1

    play(scenario)
