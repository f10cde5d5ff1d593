"""What the chain enforces, at each head; and the sending wallet's balance."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from keeper.domain.ids import Address
from keeper.errors import AbiMismatch, Reverted, RpcError, RpcUnavailable
from keeper.runtime.board import Board
from keeper.services.balance import BalanceService
from keeper.services.chainstate import ChainStateService
from tests.services.fakes import KEYS, SITE, Desk, play, running, settled
from tests.services.markets import chain_state

WALLET = Address("0x" + "d" * 40)


@dataclass
class Stage:
    desk: Desk = field(default_factory=Desk)

    def __post_init__(self) -> None:
        self.heads: Board[str, Any] = Board()
        self.states: Board[Any, Any] = Board()
        desk = self.desk
        self.service = ChainStateService(
            SITE,
            desk.perp,  # type: ignore[arg-type]
            lambda: (1, 2),
            desk.chain,  # type: ignore[arg-type]
            self.heads,
            self.states,
            desk.pulse,
            desk.meter,
            desk.log,
        )

    async def head(self, state: Any) -> Any:
        new = self.desk.chain.mine()
        self.desk.chain.states[new.hash] = replace(state, at=new)
        self.heads.put("head", new)
        await settled()
        return self.states.get(SITE)


STATE = chain_state({1: 100, 2: 50})
RULES = replace(STATE.markets[1].parameters, taker_bps=9)


def test_run__each_head__is_asked_once_at_that_block():
    async def scenario():
        stage = Stage()
        async with running(stage.service):
            found = [await stage.head(STATE) for _ in range(3)]
        assert [state.at.number for state in found] == [100, 101, 102]
        assert [at.number for verb, at in stage.desk.chain.asked if verb == "ask"] == [100, 101, 102]
        assert stage.desk.log.lines == []

    play(scenario)


@pytest.mark.parametrize(
    ("after", "rule"),
    [
        (replace(STATE, oracle=replace(STATE.oracle, signers=KEYS[:2], signer_epoch=2)), "oracle"),
        (replace(STATE, pause_mask=4), "pauses"),
        (replace(STATE, markets={**STATE.markets, 1: replace(STATE.markets[1], parameters=RULES)}), "market 1"),
        (replace(STATE, feeds={**STATE.feeds, 2: replace(STATE.feeds[2], frozen=True)}), "feed 2"),
    ],
    ids=["oracle", "pauses", "market", "feed"],
)
def test_run__rule_changed__is_followed_and_told_once(after, rule):
    async def scenario():
        stage = Stage()
        async with running(stage.service):
            await stage.head(STATE)
            found = await stage.head(after)
            assert replace(found, at=after.at) == after
            await stage.head(after)
        (line,) = stage.desk.log.of("rules.changed")
        assert (line["rule"], line["block"]) == (rule, 101)
        assert line["old"] != line["new"]

    play(scenario)


def test_run__only_prices_and_funding_move__no_rule_changed():
    async def scenario():
        stage = Stage()
        async with running(stage.service):
            await stage.head(STATE)
            feeds = {no: replace(feed, index_e18=7, round_id=feed.round_id + 1) for no, feed in STATE.feeds.items()}
            markets = {no: replace(market, cum_e36=5) for no, market in STATE.markets.items()}
            await stage.head(replace(STATE, feeds=feeds, markets=markets))
        assert stage.desk.log.lines == []

    play(scenario)


@pytest.mark.parametrize(
    ("error", "level", "event"),
    [
        (RpcUnavailable("gone"), "warning", "chainstate.unread"),
        (Reverted("UnknownFeed"), "warning", "chainstate.unread"),
        (TimeoutError(), "warning", "chainstate.unread"),
        (AbiMismatch("odd"), "error", "chainstate.unreadable"),
        (RpcError("no"), "error", "chainstate.unreadable"),
    ],
    ids=repr,
)
def test_run__chain_unreadable__is_told_and_the_old_state_stays_until_the_next_head(error, level, event):
    async def scenario():
        stage = Stage()
        async with running(stage.service):
            await stage.head(STATE)
            stage.desk.chain.fails("ask", error)
            assert (await stage.head(STATE)).at.number == 100
            assert [line[:2] for line in stage.desk.log.lines] == [(level, event)]
            assert ("advice" in stage.desk.log.lines[0][2]) == (level == "error")
            assert (await stage.head(STATE)).at.number == 102

    play(scenario)


def test_run__chain_stands_still__goes_round_all_the_same_and_asks_nothing_twice():
    async def scenario():
        stage = Stage()
        async with running(stage.service):
            await stage.head(STATE)
            for _ in range(20):
                await settled(17)
                assert not stage.desk.pulse.late()
            assert [verb for verb, _ in stage.desk.chain.asked] == ["ask"]
            assert (await stage.head(STATE)).at.number == 101

    play(scenario)


def balance(desk: Desk) -> BalanceService:
    return BalanceService(WALLET, desk.chain, 10**17, desk.pulse, desk.meter, desk.log)  # type: ignore[arg-type]


def test_balance__falls_low__is_told_once_each_time():
    async def scenario():
        desk = Desk()
        gauge = f"keeper_signer_balance_wei signer={WALLET}"
        async with running(balance(desk)):
            assert desk.meter.gauges[gauge] == 10**18
            for wei, told in ((10**17, 0), (10**17 - 1, 1), (5, 1), (10**18, 1), (5, 2)):
                desk.chain.wei = wei
                await settled(15)
                assert (desk.meter.gauges[gauge], len(desk.log.of("wallet.low"))) == (wei, told)
        assert set(desk.log.levels("wallet.low")) == {"error"}

    play(scenario)


@pytest.mark.parametrize("error", [RpcUnavailable("gone"), RpcError("no")], ids=repr)
def test_balance__unreadable__old_figure_stays_and_the_loop_goes_on(error):
    async def scenario():
        desk = Desk()
        async with running(balance(desk)):
            desk.chain.fails("balance", error)
            desk.chain.wei = 5
            await settled(15)
            assert list(desk.meter.gauges.values()) == [10**18]
            assert desk.log.of("wallet.low") == []
            await settled(15)
            assert len(desk.log.of("wallet.low")) == 1
            assert not desk.pulse.late()

    play(scenario)
