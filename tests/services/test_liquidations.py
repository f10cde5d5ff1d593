"""Who is liquidated, at which block, how often, and who is left alone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from keeper.domain.ahead import UnderWay
from keeper.domain.chain import Receipt
from keeper.domain.columns import AccountColumns
from keeper.domain.gate import Doubt, Open, Shut
from keeper.domain.holdings import Holdings
from keeper.domain.ids import Hash
from keeper.domain.market import LiquidationRules
from keeper.domain.mirror import Cursor, Mirror
from keeper.domain.report import MarketPrice, PriceReport
from keeper.domain.time import SECOND, Timestamp, from_seconds
from keeper.domain.transaction import Intent, IntentState, Lane, Outcome
from keeper.errors import AbiMismatch, Reverted, RpcError, RpcUnavailable
from keeper.ports.protocol import LiquidationPreview
from keeper.runtime.board import Board
from keeper.runtime.mailbox import Mailbox
from keeper.services.liquidations import LiquidationService
from tests.domain.accounts.bridge import CALLER, ENGINE, block, block_hash, events_of, state_of, who
from tests.domain.accounts.reference import E18, FUND
from tests.domain.pricing.builders import e18
from tests.services.fakes import BTC, ETH, SITE, START_S, Desk, outcome, play, running, settled
from tests.services.markets import exchange_of, plan_of, priced

A, B, MAKER = who(1), who(2), who(3)
USD = 10**6
FREE = 2**128 - 1
NOT_LIQUIDATABLE = bytes.fromhex("7a0a5c04")
DISAGREED = f"keeper_health_disagreements_total protocol={SITE}"


@dataclass
class Stage:
    """A and B are long 100 at 100 with 150 and 152 USD against the maker: at 99 both are below their maintenance."""

    desk: Desk = field(default_factory=Desk)
    capacity: int = 100
    fund: int = 1_000
    enabled: bool = True
    priced_ago_s: int = 0
    traders: tuple[Any, ...] = ((A, 150), (B, 152))

    def __post_init__(self) -> None:
        self.exchange = exchange_of({1: 100, 2: 100}, START_S)
        if self.fund:
            self.exchange.deposit(FUND, self.fund * USD)
        self.exchange.deposit(MAKER, 10**6 * USD)
        for trader, usd in self.traders:
            self.exchange.deposit(trader, usd * USD)
            self.exchange.trade(MAKER, trader, 1, 100 * E18, e18(100), START_S)
        names = ("holdings", "states", "prices", "paused", "underway", "statuses", "outcomes")
        self.boards: dict[str, Board[Any, Any]] = {name: Board() for name in names}
        self.box: Mailbox[Intent] = Mailbox("intents", self.capacity)
        self.number, self.now_s, self.round = 100, START_S, 1
        self.kept: Mirror | None = None
        self.desk.perp.preview = self.preview
        desk = self.desk
        self.service = LiquidationService(
            desk.deployment,
            CALLER,
            *(self.boards[name] for name in names[:6]),
            self.box,
            self.boards["outcomes"],
            desk.chain,  # type: ignore[arg-type]
            desk.lease,
            desk.clock,
            desk.pulse,
            desk.meter,
            desk.log,
        )

    def preview(self, account: Any, number: int) -> LiquidationPreview:
        """The reference exchange's own word."""
        reason, size = self.exchange.reason(account, number, FREE, CALLER, self.now_s)
        _, equity, maintenance, _, _ = self.exchange.worth(account, self.now_s)
        loss = self.exchange._after(account, number, size, self.now_s)[4] if size else 0
        return LiquidationPreview(reason, size, equity, maintenance, loss, self.exchange.available(self.now_s))

    def gates(self, btc: bool = True, eth: bool = True) -> None:
        now = self.desk.clock.now()
        for market, is_open in ((BTC, btc), (ETH, eth)):
            plan = plan_of(market, liquidation=LiquidationRules(enabled=self.enabled))
            gate = Open(now) if is_open else Shut((Doubt.MOVED,), now)
            as_of = Timestamp(now - self.priced_ago_s * SECOND)
            self.boards["prices"].put(market, replace(priced(plan, 100, now, None), gate=gate, as_of=as_of))

    def push(self, price: Any, number: int = 1) -> None:
        self.exchange.push([(number, e18(price), e18(price), 0)], self.now_s, self.round, many=True)
        self.round += 1

    def mirror(self) -> Mirror:
        found = Mirror(Cursor(90, block_hash(90)), ENGINE)
        at = block(self.number, at_s=self.now_s)
        found.apply_block(at, events_of(self.exchange.log, at))
        return found

    async def head(self, price: Any = None, *, btc: bool = True, eth: bool = True, mirrored: bool = True) -> None:
        """A block two seconds later, in which the chain's price may have changed."""
        self.number, self.now_s = self.number + 1, self.now_s + 2
        await settled(2)
        if price is not None:
            self.push(price)
        self.gates(btc, eth)
        if mirrored:
            self.show()
        state = state_of(self.exchange, self.now_s, self.number)
        self.boards["states"].put(SITE, replace(state, at=block(self.number, at_s=self.now_s)))
        await settled()

    def show(self) -> None:
        mirror = self.kept = self.kept or self.mirror()  # nobody trades any more: what `last` says stays
        columns = AccountColumns(ENGINE)
        columns.put_all(mirror.accounts.values())
        cursor = Cursor(self.number, block_hash(self.number))
        held = {number: market.holders for number, market in mirror.markets.items()}
        self.boards["holdings"].put(SITE, Holdings(cursor, ENGINE, mirror.accounts, columns, held, mirror.totals, 0))

    async def becomes(self, intent: Intent, state: IntentState) -> None:
        self.boards["outcomes"].put(intent.id, outcome(intent, state))
        await settled()

    def letters(self) -> list[Intent]:
        found = []
        while (letter := self.box.take()) is not None:
            found.append(letter)
        return found

    @property
    def asked(self) -> list[list[Any]]:
        """The accounts of each call that was built."""
        return [[request.account for request in requests] for requests in self.desk.perp.liquidations]

    def simulated(self) -> list[Any]:
        return [about[1] for verb, about in self.desk.chain.asked if verb == "simulate"]


def test_run__two_below_maintenance__one_batch_the_worse_first():
    async def scenario():
        stage = Stage()
        async with running(stage.service):
            await stage.head(100)
            assert (stage.letters(), stage.boards["statuses"].get(SITE).liquidatable) == ([], {BTC: 0, ETH: 0})
            await stage.head(99)
            (intent,) = stage.letters()
        assert stage.asked == [[A, B]]
        assert (intent.lane, intent.deployment) == (Lane.LIQUIDATION, SITE)
        assert intent.deadline == from_seconds(stage.boards["states"].get(SITE).at.timestamp_s + 30), (
            "by the chain's time"
        )
        assert [at.number for at in stage.simulated()] == [102]
        assert [at.number for verb, at in stage.desk.chain.asked if verb == "ask"] == [102]
        assert stage.desk.meter.gauges[f"keeper_accounts_liquidatable market={BTC}"] == 2
        assert {line["account"] for line in stage.desk.log.of("liquidation.submitted")} == {A, B}
        assert stage.desk.log.of("liquidation.disagreed") == []

    play(scenario)


@pytest.mark.parametrize(
    "why", ["gate", "paused", "price stopped", "price ahead", "another leads", "mirror behind", "disabled"]
)
def test_run__not_beyond_doubt__nothing_is_sent_until_it_is(why):
    async def scenario():
        stage = Stage()
        if why == "paused":
            stage.boards["paused"].put(BTC, "operator")
        stage.desk.lease.leads = why != "another leads"
        stage.enabled, stage.priced_ago_s = why != "disabled", {"price stopped": 3, "price ahead": -3}.get(why, 0)
        async with running(stage.service):
            await stage.head(99, btc=why != "gate", mirrored=why != "mirror behind")
            assert stage.letters() == []
            if why != "mirror behind":
                assert stage.boards["statuses"].get(SITE).liquidatable[BTC] == 2  # it is shown all the same
            stage.boards["paused"].drop(BTC)
            stage.desk.lease.leads = stage.enabled = True
            stage.priced_ago_s = 0
            await stage.head()
            assert len(stage.letters()) == 1

    play(scenario)


@pytest.mark.parametrize("fork", ["a", "b"])
def test_run__accounts_of_another_block_than_the_prices__are_not_judged(fork):
    async def scenario():
        stage = Stage()
        async with running(stage.service):
            await stage.head(100)
            if fork == "b":  # of the same height, but another block
                held = stage.boards["holdings"].get(SITE)
                stage.boards["holdings"].put(SITE, replace(held, cursor=Cursor(102, block_hash(102, "b"))))
            await stage.head(99, mirrored=False)
            assert (stage.letters(), stage.desk.chain.asked) == ([], [])
            assert stage.boards["statuses"].get(SITE).block == 101
            stage.show()
            await settled()
            assert len(stage.letters()) == 1

    play(scenario)


def test_run__gate_opens_between_two_heads__is_judged_at_once():
    async def scenario():
        stage = Stage()
        async with running(stage.service):
            await stage.head(99, btc=False)
            assert stage.letters() == []
            stage.gates()
            await settled()
            assert len(stage.letters()) == 1

    play(scenario)


def test_run__intent_open__candidate_is_not_sent_twice_and_again_after_it_failed():
    async def scenario():
        stage = Stage()
        async with running(stage.service):
            await stage.head(99)
            (first,) = stage.letters()
            await stage.head()
            for state in (IntentState.QUEUED, IntentState.ACTIVE, IntentState.MINED):
                await stage.becomes(first, state)
                await stage.head()
            assert stage.letters() == []
            await stage.becomes(first, IntentState.REVERTED)
            await stage.head()
            (again,) = stage.letters()
        assert again.id == first.id  # the outbox knows it, and how often it failed
        assert len(stage.asked) == 2

    play(scenario)


def test_run__batch_mined_that_passed_one_over__that_one_is_not_kept_waiting_until_it_is_confirmed():
    """The contract skips whom another price has healed in that block: what it leaves as it was may fall again."""

    async def scenario():
        stage = Stage()
        async with running(stage.service):
            await stage.head(99)
            (first,) = stage.letters()
            mined = replace(outcome(first, IntentState.MINED), receipt=receipt(stage.number + 1))
            stage.boards["outcomes"].put(first.id, mined)
            for _ in range(2):
                await stage.head()
                assert stage.letters() == []  # a block so young may be replaced
            await stage.head()
            (again,) = stage.letters()
        assert stage.asked[1:] == [[A, B]]
        assert again.id == first.id

    play(scenario)


def test_run__nothing_is_told_of_an_intent_until_it_is_too_late__is_offered_again():
    """As when another life of the keeper had it, or so many others were told since that its word is gone."""

    async def scenario():
        stage = Stage()
        async with running(stage.service):
            await stage.head(99)
            (first,) = stage.letters()
            for _ in range(15):
                await stage.head(99)
            assert stage.letters() == []  # its deadline is this block's stamp: not told of, it may be on its way
            await stage.head(99)
            (again,) = stage.letters()
        assert again.id == first.id
        assert again.deadline > first.deadline

    play(scenario)


def test_run__deleveraging_untold_until_it_is_too_late__is_offered_again():
    async def scenario():
        stage = Stage(fund=0, traders=((A, 150),))
        async with running(stage.service):
            await stage.head(97)
            (first,) = stage.letters()
            for _ in range(16):
                await stage.head()
            (again,) = stage.letters()
        assert again.id == first.id

    play(scenario)


def test_run__bankrupt_changes_while_its_deleveraging_is_under_way__the_pair_is_not_sent_twice():
    """As by the first of two steps: the second was planned and sent once more, and reverted."""

    async def scenario():
        stage = Stage(fund=0, traders=((A, 150),))
        async with running(stage.service):
            await stage.head(97)
            (first,) = stage.letters()
            await stage.becomes(first, IntentState.ACTIVE)
            stage.kept = None  # what is told of the accounts is of this block now
            await stage.head()
            assert stage.letters() == []
            await stage.becomes(first, IntentState.LOST_RACE)
            await stage.head()
            (again,) = stage.letters()
        assert again.id != first.id

    play(scenario)


def test_run__second_account_falls_while_the_first_is_under_way__only_the_second_is_sent():
    async def scenario():
        stage = Stage(traders=((A, 150), (B, 220)))
        async with running(stage.service):
            await stage.head(99)
            await stage.head("98.3")
        assert stage.asked == [[A], [B]]
        assert len({intent.id for intent in stage.letters()}) == 2

    play(scenario)


def receipt(number: int) -> Receipt:
    return Receipt(Hash("0x" + "1" * 64), 1, number, Hash(block_hash(number)), 100_000, 1, ())


def report(price: Any, round_id: int = START_S * 1000 + 900) -> PriceReport:
    entry = MarketPrice(BTC, 1, e18(price), e18(price), 0)
    return PriceReport(SITE, round_id, round_id // 1000, round_id // 1000 + 30, 1, b"\1" * 32, (entry,))


@pytest.mark.parametrize("state", [IntentState.ACTIVE, IntentState.QUEUED, None])
def test_run__price_of_ours_under_way__judged_on_it_at_pending_once_a_node_has_it(state):
    async def scenario():
        stage = Stage()
        async with running(stage.service):
            await stage.head(100)
            stage.boards["underway"].put(SITE, UnderWay(report(99, stage.now_s * 1000 + 900), "price"))
            if state is not None:
                stage.boards["outcomes"].put("price", Outcome("price", Lane.PRICE, "k", state, stage.desk.clock.now()))
            await settled()
            found = stage.letters()
            if state is not IntentState.ACTIVE:
                assert found == stage.asked == []
                return
            assert len(found) == 1
            assert stage.asked == [[A, B]]
            assert stage.simulated() == ["pending"]
            assert [verb for verb, _ in stage.desk.chain.asked if verb == "ask"] == []
            assert stage.boards["statuses"].get(SITE).liquidatable[BTC] == 0  # shown is what the chain holds
            assert {line["block"] for line in stage.desk.log.of("liquidation.submitted")} == {"pending"}

            await stage.head(99)  # the price has landed, our liquidation not yet
            assert stage.letters() == []

    play(scenario)


def test_run__coming_price_refused_by_the_pending_block__is_judged_again_when_it_is_there():
    async def scenario():
        stage = Stage()
        async with running(stage.service):
            await stage.head(100)
            stage.desk.chain.fails("simulate", Reverted("healthy", NOT_LIQUIDATABLE))
            stage.boards["underway"].put(SITE, UnderWay(report(99, stage.now_s * 1000 + 900), "price"))
            stage.boards["outcomes"].put(
                "price", Outcome("price", Lane.PRICE, "k", IntentState.ACTIVE, stage.desk.clock.now())
            )
            await settled()
            assert stage.letters() == []
            assert len(stage.desk.log.of("liquidation.refused")) == 1
            await stage.head(99)
            assert len(stage.letters()) == 1

    play(scenario)


@pytest.mark.parametrize("reason", [0, 4])
def test_run__chain_values_the_account_otherwise__is_told_and_counted_and_its_word_decides(reason):
    async def scenario():
        stage = Stage(traders=((A, 150),))
        right = stage.desk.perp.preview
        stage.desk.perp.preview = lambda account, number: replace(
            right(account, number), equity_units=right(account, number).equity_units + 1, reason=reason
        )
        async with running(stage.service):
            await stage.head(99)
        (line,) = stage.desk.log.of("liquidation.disagreed")
        assert stage.desk.log.levels("liquidation.disagreed") == ["error"]
        assert (line["account"], line["chain"][0] - line["ours"][0], bool(line["advice"])) == (A, 1, True)
        assert stage.desk.meter.counts[DISAGREED] == 1
        assert len(stage.letters()) == (reason == 0)
        assert len(stage.desk.log.of("liquidation.skipped")) == (reason != 0)

    play(scenario)


def test_run__account_holds_a_market_whose_gate_is_shut__is_left_alone():
    async def scenario():
        stage = Stage(traders=((A, 150), (B, 180)))
        stage.exchange.trade(MAKER, B, 2, E18, e18(100), START_S)
        async with running(stage.service):
            stage.push(100, 2)
            await stage.head("98.5", eth=False)
            assert stage.asked == [[A]]
            assert stage.boards["statuses"].get(SITE).liquidatable == {BTC: 2, ETH: 1}
            await stage.head()
            assert [account for batch in stage.asked[1:] for account in batch] == [B, B]

    play(scenario)


def test_run__fund_empty_and_account_bankrupt__is_deleveraged_once():
    async def scenario():
        stage = Stage(fund=0, traders=((A, 150),))
        async with running(stage.service):
            await stage.head(97)
            (intent,) = stage.letters()
            assert stage.asked == []
            assert [step[:3] for step in stage.desk.perp.deleverages] == [(A, MAKER, 1)]
            assert [at.number for at in stage.simulated()] == [101]
            assert stage.desk.log.levels("deleverage.submitted") == ["warning"]
            await stage.head()
            assert stage.letters() == []
            await stage.becomes(intent, IntentState.REVERTED)
            await stage.head()
            assert [again.id for again in stage.letters()] == [intent.id]

    play(scenario)


def test_run__fund_can_pay_the_hole__is_liquidated_not_deleveraged():
    async def scenario():
        stage = Stage(traders=((A, 150),))
        async with running(stage.service):
            await stage.head(97)
        assert (stage.asked, stage.desk.perp.deleverages) == ([[A]], [])
        (line,) = stage.desk.log.of("liquidation.submitted")
        assert line["loss_units"] > 0

    play(scenario)


def test_run__fund_pays_a_part_of_the_first_hole__that_part_is_liquidated_not_nothing():
    """`previewLiquidation` knows no limit: of an account whose hole is larger than the fund it says FUND_SHORT."""

    async def scenario():
        stage = Stage(fund=50, traders=((A, 150),))
        async with running(stage.service):
            await stage.head(97)
            ((request,),) = stage.desk.perp.liquidations
        assert (request.account, 0 < request.max_size_e18 < 100 * E18) == (A, True)
        assert len(stage.letters()) == 1

    play(scenario)


def test_run__bankrupt_under_a_shut_gate__is_not_deleveraged():
    async def scenario():
        stage = Stage(fund=0, traders=((A, 150),))
        async with running(stage.service):
            await stage.head(97, btc=False)
        assert (stage.letters(), stage.desk.perp.deleverages) == ([], [])

    play(scenario)


def test_run__outbox_full__is_deferred_unclaimed_and_offered_at_the_next_head():
    async def scenario():
        stage = Stage(capacity=1)
        now = stage.desk.clock
        async with running(stage.service):
            act = stage.desk.perp.settle_funding([1])
            stage.box.offer(stage.desk.deployment.intent(Lane.FUNDING, "x", act, now.now()))
            await stage.head(99)
            assert len(stage.desk.log.of("liquidation.deferred")) == 1
            assert stage.service.claims.intents == {}
            assert [letter.lane for letter in stage.letters()] == [Lane.FUNDING]
            await stage.head()
            assert [letter.lane for letter in stage.letters()] == [Lane.LIQUIDATION]

    play(scenario)


@pytest.mark.parametrize(
    ("verb", "error", "event"),
    [
        ("ask", RpcUnavailable("gone"), "liquidation.deferred"),
        ("ask", TimeoutError(), "liquidation.deferred"),
        ("ask", AbiMismatch("odd"), "liquidation.unreadable"),
        ("simulate", RpcUnavailable("gone"), "liquidation.deferred"),
        ("simulate", Reverted("healthy", NOT_LIQUIDATABLE), "liquidation.refused"),
    ],
    ids=repr,
)
def test_run__node_does_not_confirm__nothing_is_sent_and_the_next_head_tries_again(verb, error, event):
    async def scenario():
        stage = Stage()
        async with running(stage.service):
            stage.desk.chain.fails(verb, error)
            await stage.head(99)
            assert (stage.letters(), stage.service.claims.intents) == ([], {})
            assert len(stage.desk.log.of(event)) == 1
            await stage.head()
            assert len(stage.letters()) == 1
            assert not stage.desk.pulse.late()

    play(scenario)


@pytest.mark.parametrize("error", [Reverted("execution reverted"), RpcError("out of gas", -32_000)], ids=repr)
def test_run__more_gas_than_one_transaction_may_have__half_of_the_batch_goes_first(error):
    """Accounts with a loss, in many markets, are dear: twenty of them were refused at every head."""

    async def scenario():
        stage = Stage()
        async with running(stage.service):
            stage.desk.chain.fails("simulate", error)
            await stage.head(99)
            assert stage.asked == [[A, B], [A]]
            await stage.head()
            assert stage.asked[2:] == [[B]]
            assert len(stage.letters()) == 2

    play(scenario)


def test_run__preview_query_reverts__the_service_lives_on():
    """`ask` may answer Reverted: a node without the state of that block, or a contract that was exchanged."""

    async def scenario():
        stage = Stage()
        async with running(stage.service):
            stage.desk.chain.fails("ask", Reverted("odd"))
            await stage.head(99)
            assert stage.letters() == []
            await stage.head()
            assert len(stage.letters()) == 1

    play(scenario)
