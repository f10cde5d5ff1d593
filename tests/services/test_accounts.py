"""The mirror of all accounts over restarts, gaps, late logs and reorganisations, against a replay from scratch."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pytest

from keeper.domain.chain import BlockRef
from keeper.domain.mirror import Cursor, Mirror
from keeper.errors import AbiMismatch, Reverted, RpcUnavailable
from keeper.runtime.board import Board
from keeper.services.accounts import AccountIndexService, written
from tests.domain.accounts.bridge import ENGINE, accounts_of, block_hash, events_of, totals_of, who
from tests.domain.accounts.world import ROUGH, World
from tests.services.fakes import SITE, Desk, ScriptedChain, play, running, settled

A, B = who(1), who(2)
REBUILDS = f"keeper_account_index_rebuilds_total protocol={SITE}"


def deposit(account: Any, delta: int, margin: int) -> tuple[Any, ...]:
    return ("MarginChanged", account, 1, delta, margin)


class Turning(ScriptedChain):
    """A node that changes to another fork, once, between its answer to `logs` and the next question. `behind`: blocks as a
    node has them that is asked for logs once, and has not heard of the other fork.
    """

    turn: Any = None
    behind: Any = None

    async def logs(self, where: Any, first: int, last: int) -> Any:
        now, self.blocks, self.behind = self.blocks, self.behind or self.blocks, None
        found = await super().logs(where, first, last)
        self.blocks = now
        turn, self.turn = self.turn, None
        if turn is not None:
            turn()
        return found


@dataclass
class Stage:
    desk: Desk = field(default_factory=Desk)
    certify_every: int = 0

    def __post_init__(self) -> None:
        self.heads: Board[str, BlockRef] = Board()
        self.views: Board[Any, Any] = Board()
        self.settlements: Board[int, Any] = Board()
        self.service = self.fresh()

    @property
    def chain(self) -> Any:
        return self.desk.chain

    def fresh(self) -> AccountIndexService:
        desk = self.desk
        return AccountIndexService(
            desk.deployment,
            desk.chain,  # type: ignore[arg-type]
            desk.chain.pages,
            self.heads,
            self.views,
            self.settlements,
            desk.store,
            desk.clock,
            desk.pulse,
            desk.meter,
            desk.log,
            certify_every=self.certify_every,
        )

    async def see(self, head: BlockRef | None = None) -> Any:
        """Announces a head, and answers the view that the service shows then."""
        self.heads.put("head", head or self.chain.tip)
        await settled()
        return self.views.get(SITE)

    def ranges(self) -> list[tuple[int, int]]:
        return [about for verb, about in self.chain.asked if verb == "logs"]

    def replayed(self) -> Mirror:
        """Everything from the deployment block, as the node tells it now."""
        mirror = Mirror(Cursor(99, block_hash(99)), ENGINE)
        for number in range(100, self.chain.tip.number + 1):
            at = self.chain.blocks[number]
            mirror.apply_block(at, self.chain.told[at.hash])
        return mirror


def same(view: Any, mirror: Mirror) -> bool:
    return (view.cursor, dict(view.accounts), view.totals) == (mirror.cursor, dict(mirror.accounts), mirror.totals)


def test_run__empty_snapshot__catches_up_in_pages_from_the_deployment_block():
    async def scenario():
        stage = Stage()
        for n in range(1, 11):
            stage.chain.mine(deposit(A, 1, n))
        async with running(stage.service):
            view = await stage.see()
        assert stage.ranges() == [(100, 103), (104, 107), (108, 109)]
        assert same(view, stage.replayed())
        assert (view.behind, view.accounts[A].margin_units) == (0, 10)
        assert stage.desk.meter.gauges[f"keeper_accounts_indexed protocol={SITE}"] == 2

    play(scenario)


@pytest.mark.parametrize("page", [1, 4])
def test_run__head_or_page_ends_with_the_deployment_block__is_followed_without_a_rebuild(page):
    async def scenario():
        stage = Stage()
        stage.chain.page = page
        async with running(stage.service):
            for n in range(1, 4):
                stage.chain.mine(deposit(A, 1, n))
                assert same(await stage.see(), stage.replayed())
        async with running(stage.service):
            assert same(await stage.see(), stage.replayed())
        assert stage.desk.log.of("accounts.broken") == []

    play(scenario)


def test_run__random_history__equals_the_exchange_itself():
    async def scenario():
        stage, world, told = Stage(), World(7, ROUGH), 0
        async with running(stage.service):
            for _ in range(40):
                world.step()
                stage.chain.mine(*world.exchange.log[told:])
                told = len(world.exchange.log)
                view = await stage.see()
            assert stage.desk.log.of("accounts.reread") == stage.desk.log.of("accounts.broken") == []
        wanted = accounts_of(world.exchange)
        assert {a: (h.margin_units, h.positions) for a, h in view.accounts.items()} == {
            a: (h.margin_units, h.positions) for a, h in wanted.items()
        }
        assert view.totals == totals_of(world.exchange)
        assert any(account.positions for account in wanted.values())

    play(scenario)


def test_run__chain_stands_still__goes_round_all_the_same_and_does_nothing_twice():
    async def scenario():
        stage = Stage()
        stage.chain.mine(deposit(A, 1, 1))
        async with running(stage.service):
            await stage.see()
            asked, version = list(stage.chain.asked), stage.views.version
            for _ in range(20):
                await settled(17)
                assert not stage.desk.pulse.late()
            assert (stage.chain.asked, stage.views.version) == (asked, version)
            assert stage.desk.store.documents == {}
            stage.chain.mine(deposit(A, 1, 2))
            assert same(await stage.see(), stage.replayed())
            assert len(stage.desk.store.documents) == 1

    play(scenario)


def test_run__disk_full__goes_on_and_keeps_the_mirror_when_there_is_room():
    async def scenario():
        stage = Stage()
        stage.desk.store.full = True
        async with running(stage.service):
            for n in range(1, 4):
                await settled(31)
                stage.chain.mine(deposit(A, 1, n))
                assert same(await stage.see(), stage.replayed())
            assert [line["name"].partition(":")[0] for line in stage.desk.log.of("state.unsaved")] == ["mirror"] * 3
            stage.desk.store.full = False
            await settled(31)
            stage.chain.mine(deposit(A, 1, 4))
            await stage.see()
            assert len(stage.desk.store.documents) == 1

    play(scenario)


def test_stop__disk_full__is_told_and_no_failure():
    async def scenario():
        stage = Stage()
        stage.chain.mine(deposit(A, 1, 1))
        async with running(stage.service):
            await stage.see()
            stage.desk.store.full = True
        assert len(stage.desk.log.of("state.unsaved")) == 1

    play(scenario)


def test_run__restarted__goes_on_from_the_snapshot():
    async def scenario():
        stage = Stage()
        for n in range(1, 7):
            stage.chain.mine(deposit(A, 1, n))
        async with running(stage.service):
            await stage.see()
        stage.chain.asked.clear()
        stage.chain.mine(deposit(B, 5, 5))
        stage.chain.mine(deposit(A, 1, 7))
        async with running(stage.fresh()):
            view = await stage.see()
        assert stage.ranges() == [(106, 107)]
        assert [line["block"] for line in stage.desk.log.of("accounts.loaded")] == [105]
        assert same(view, stage.replayed())

    play(scenario)


def test_run__snapshot_damaged__is_refused_and_everything_is_read_again():
    async def scenario():
        stage = Stage()
        stage.chain.mine(deposit(A, 1, 1))
        async with running(stage.service):
            await stage.see()
        (name,) = stage.desk.store.documents
        stage.desk.store.documents[name] = stage.desk.store.documents[name].replace(A, B)
        async with running(stage.fresh()):
            view = await stage.see()
        assert len(stage.desk.log.of("accounts.snapshot_refused")) == 1
        assert same(view, stage.replayed())

    play(scenario)


def test_run__restarted_on_a_fork__snapshot_is_rewound_not_trusted():
    async def scenario():
        stage = Stage()
        for n in range(1, 5):
            stage.chain.mine(deposit(A, 1, n))
            async with running(stage.fresh()):
                await stage.see()
        stage.chain.reorganise(101)
        stage.chain.mine(deposit(B, 9, 9), fork="b")
        stage.chain.mine(fork="b")
        stage.chain.mine(deposit(A, 1, 3), fork="b")
        async with running(stage.fresh()):
            view = await stage.see()
        assert same(view, stage.replayed())
        assert view.accounts[B].margin_units == 9

    play(scenario)


def test_run__restarted_with_a_snapshot_ahead_of_the_node__waits_or_rewinds_but_never_mixes():
    async def scenario():
        stage = Stage()
        for n in range(1, 5):
            stage.chain.mine(deposit(A, 1, n))
            async with running(stage.fresh()):
                await stage.see()
        stage.chain.reorganise(101)
        async with running(stage.fresh()):
            view = await stage.see()
            assert same(view, stage.replayed())
            stage.chain.mine(deposit(A, 1, 3))
            assert same(await stage.see(), stage.replayed())

    play(scenario)


@pytest.mark.parametrize("last_kept", [101, 102, 103, 105])
def test_run__reorganised_while_a_page_is_read__logs_of_one_fork_never_stay_under_the_blocks_of_another(last_kept):
    async def scenario():
        chain = Turning()
        stage = Stage(Desk(chain))
        for n in range(1, 4):
            chain.mine(deposit(A, 1, n))
        for _ in range(5):
            chain.mine()

        def turn() -> None:
            chain.reorganise(last_kept)
            chain.mine(deposit(B, 1, 1), fork="b")
            for _ in range(108 - chain.tip.number):
                chain.mine(fork="b")

        chain.turn = turn
        async with running(stage.service):
            await stage.see(chain.tip)
            for _ in range(3):
                chain.mine(fork="b")
                view = await stage.see()
        assert same(view, stage.replayed())
        assert view.accounts[B].margin_units == 1
        assert stage.desk.log.of("accounts.broken") == []

    play(scenario)


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_run__last_blocks_reorganised__rewinds_and_equals_a_replay(depth):
    async def scenario():
        stage = Stage()
        async with running(stage.service):
            for n in range(1, 9):
                stage.chain.mine(deposit(A, 1, n))
                await stage.see()
            stage.chain.reorganise(107 - depth)
            stage.chain.mine(deposit(B, 3, 3), deposit(A, 10, 18 - depth), fork="b")
            for _ in range(depth):
                stage.chain.mine(fork="b")
            stage.chain.asked.clear()
            view = await stage.see()
        assert same(view, stage.replayed())
        assert [line["block"] for line in stage.desk.log.of("accounts.rewound")] == [107 - depth]
        assert min(first for first, _ in stage.ranges()) == 108 - depth
        assert stage.desk.meter.counts[REBUILDS] == 0

    play(scenario)


def test_run__reorganised_deeper_than_what_can_be_undone__is_rebuilt():
    async def scenario():
        stage = Stage()
        for n in range(1, 11):
            stage.chain.mine(deposit(A, 1, n))
        async with running(stage.service):
            await stage.see()  # three pages: what was within them cannot be undone by itself
            stage.chain.mine(deposit(A, 1, 11))
            await stage.see()
            stage.chain.reorganise(100)
            stage.chain.blocks[100] = BlockRef(100, block_hash(100, "b"), block_hash(99), 0)
            stage.chain.told[block_hash(100, "b")] = events_of([deposit(A, 7, 7)], stage.chain.tip)
            for _ in range(11):
                stage.chain.mine(fork="b")
            view = await stage.see()
        assert same(view, stage.replayed())
        assert view.accounts[A].margin_units == 7

    play(scenario)


def test_run__reorganised_before_all_that_was_kept__is_rebuilt_from_the_deployment():
    async def scenario():
        stage = Stage()
        stage.chain.page = 1
        for n in range(1, 301):
            stage.chain.mine(deposit(A, 1, n))
        async with running(stage.service):
            await stage.see()
            stage.chain.reorganise(120)
            for _ in range(200):
                stage.chain.mine(fork="b")
            stage.chain.asked.clear()
            view = await stage.see()
        assert [line["reason"] for line in stage.desk.log.of("accounts.rebuilt")] == ["deep reorg"]
        assert stage.ranges()[0][0] == 100
        assert same(view, stage.replayed())
        assert view.accounts[A].margin_units == 21

    play(scenario)


def test_run__block_shown_before_all_of_its_logs__last_blocks_are_read_again_without_a_rebuild():
    async def scenario():
        stage = Stage()
        async with running(stage.service):
            for n in range(1, 6):
                stage.chain.mine(deposit(A, 1, n))
                await stage.see()
            late = stage.chain.mine(deposit(A, 1, 6))
            stage.chain.hidden.add((late.hash, 0))
            view = await stage.see()
            assert (view.cursor.number, view.accounts[A].margin_units) == (105, 5)  # nothing contradicts it yet
            stage.chain.mine(deposit(A, 1, 7))
            await stage.see()
            assert [line["block"] for line in stage.desk.log.of("accounts.reread")] == [98]
            stage.chain.hidden.clear()
            stage.chain.mine()
            view = await stage.see()
            assert same(view, stage.replayed())
            assert stage.desk.log.of("accounts.broken") == []
            assert stage.desk.meter.counts[REBUILDS] == 0

    play(scenario)


def test_run__two_late_logs_one_after_the_other__each_is_read_again():
    async def scenario():
        stage = Stage()
        async with running(stage.service):
            margin = 0
            for _ in range(2):
                margin += 1
                late = stage.chain.mine(deposit(A, 1, margin))
                stage.chain.hidden = {(late.hash, 0)}
                await stage.see()
                margin += 1
                stage.chain.mine(deposit(A, 1, margin))
                await stage.see()
                stage.chain.hidden = set()
                stage.chain.mine()
                assert same(await stage.see(), stage.replayed())
        assert len(stage.desk.log.of("accounts.reread")) == 2
        assert stage.desk.log.of("accounts.broken") == []

    play(scenario)


async def heads(stage: Stage, count: int) -> Any:
    view = None
    for _ in range(count):
        stage.chain.mine()
        view = await stage.see()
    return view


def contradictory(stage: Stage) -> None:
    """Twelve good blocks, then one whose log can never fit."""
    for n in range(1, 13):
        stage.chain.mine(deposit(A, 1, n))
    stage.chain.mine(deposit(A, 1, 99))


def test_run__log_that_can_never_fit__is_rebuilt_once_and_again_only_after_growing_pauses():
    async def scenario():
        stage = Stage()
        contradictory(stage)
        async with running(stage.service):
            view = await heads(stage, 40)
            assert stage.desk.meter.counts[REBUILDS] == len(stage.desk.log.of("accounts.broken")) == 1
            assert (view.cursor.number, view.accounts[A].margin_units) == (111, 12)  # what fits is held
            assert view.behind == stage.chain.tip.number - 111  # and whoever reads it is told how old it is
            await heads(stage, 400)
        rebuilt = [line["block"] for line in stage.desk.log.of("accounts.broken")]
        pauses = [later - earlier for earlier, later in pairwise(rebuilt)]
        assert pauses[0] >= 64
        assert all(later >= 2 * earlier for earlier, later in pairwise(pauses))
        assert len(rebuilt) == 3
        assert len(stage.desk.log.of("accounts.reread")) <= 2 * len(rebuilt)

    play(scenario)


def test_run__log_missing_for_long__is_taken_as_soon_as_the_node_shows_it():
    async def scenario():
        stage = Stage()
        for n in range(1, 13):
            stage.chain.mine(deposit(A, 1, n))
        late = stage.chain.mine(deposit(A, 1, 13))
        stage.chain.hidden.add((late.hash, 0))
        stage.chain.mine(deposit(A, 1, 14))
        async with running(stage.service):
            assert (await heads(stage, 20)).behind > 0
            stage.chain.hidden.clear()
            view = await heads(stage, 1)
            assert same(view, stage.replayed())
            assert stage.desk.meter.counts[REBUILDS] == 1

            for n in range(15, 20):  # that trouble is over: the next one is a new one
                stage.chain.mine(deposit(A, 1, n))
                await stage.see()
            await heads(stage, 20)
            stage.chain.mine(deposit(A, 1, 99))
            await heads(stage, 4)
            assert stage.desk.meter.counts[REBUILDS] == 2

    play(scenario)


@pytest.mark.parametrize("error", [Reverted("odd"), RpcUnavailable("gone"), AbiMismatch("odd")], ids=repr)
def test_run__sums_that_cannot_be_asked__end_nothing_and_are_asked_at_the_next_head(error):
    """A node without the state of that block may call that a revert."""

    async def scenario():
        stage = Stage(certify_every=1)
        async with running(stage.service):
            stage.chain.mine(deposit(A, 1, 1))
            stage.chain.fails("ask", error)
            await stage.see()
            stage.chain.mine(deposit(A, 1, 2))
            mirror = stage.replayed()
            stage.desk.perp.sums = (mirror.totals, dict(mirror.markets))
            view = await stage.see()
        assert same(view, mirror)
        assert stage.desk.meter.gauges[f"keeper_account_index_certified_block protocol={SITE}"] == view.cursor.number

    play(scenario)


def test_run__logs_of_a_gone_fork_after_a_reorganisation__are_noticed_by_the_sums_at_once():
    """Heads and logs may come from two nodes, of which one has not heard of the reorganisation yet."""

    async def scenario():
        chain = Turning()
        stage = Stage(Desk(chain), certify_every=32)
        chain.page = 64
        async with running(stage.service):
            for n in range(1, 9):
                chain.mine(deposit(A, 1, n))
                mirror = stage.replayed()
                stage.desk.perp.sums = (mirror.totals, dict(mirror.markets))
                await stage.see()
            old = dict(chain.blocks)
            chain.reorganise(chain.tip.number - 3)
            for _ in range(4):
                chain.mine(fork="b")
            new = dict(chain.blocks)
            mirror = stage.replayed()
            stage.desk.perp.sums = (mirror.totals, dict(mirror.markets))
            tip = chain.tip
            chain.behind = {**new, **old}
            await stage.see(tip)
            for _ in range(2):
                chain.mine(fork="b")
                view = await stage.see()
        assert same(view, stage.replayed())
        assert stage.desk.log.of("accounts.broken") == []

    play(scenario)


@pytest.mark.parametrize("error", [RpcUnavailable("gone"), AbiMismatch("odd"), TimeoutError()], ids=repr)
def test_run__range_that_fails__never_moves_the_cursor_and_is_read_at_the_next_head(error):
    async def scenario():
        stage = Stage()
        async with running(stage.service):
            stage.chain.mine(deposit(A, 1, 1))
            await stage.see()
            stage.chain.mine(deposit(A, 1, 2))
            stage.chain.fails("logs", error)
            view = await stage.see()
            assert (view.cursor.number, view.behind) == (100, 1)
            stage.chain.mine(deposit(A, 1, 3))
            view = await stage.see()
        assert stage.ranges()[-2:] == [(101, 101), (101, 102)]
        assert same(view, stage.replayed())
        (event,) = {line[1] for line in stage.desk.log.lines if line[1].startswith("accounts.un")}
        assert event == ("accounts.unreadable" if isinstance(error, AbiMismatch) else "accounts.unread")

    play(scenario)


def test_run__block_of_a_page_unreadable__the_page_is_not_taken():
    async def scenario():
        stage = Stage()
        for n in range(1, 7):
            stage.chain.mine(deposit(A, 1, n))
        stage.chain.fails("block", RpcUnavailable("gone"))
        async with running(stage.service):
            view = await stage.see()
            assert view.cursor.number < 100  # the page's last block could not be named
            stage.chain.mine()
            view = await stage.see()
            assert same(view, stage.replayed())

    play(scenario)


def test_run__funding_settled__is_announced_whoever_asked():
    async def scenario():
        stage = Stage()
        async with running(stage.service):
            stage.chain.mine(("FundingSettled", 1, 3_600, 1, 0, 0, 2, 10**48, 2 * 10**48, 0, 0))
            await stage.see()
        assert stage.settlements.get(1).rate_e18 == 2

    play(scenario)


def test_run__the_chains_sums_agree__certifies_the_block():
    async def scenario():
        stage = Stage(certify_every=2)
        async with running(stage.service):
            for n in range(1, 6):
                stage.chain.mine(deposit(A, 1, n))
                replayed = stage.replayed()
                stage.desk.perp.sums = (replayed.totals, dict(replayed.markets))
                await stage.see()
        assert stage.desk.meter.gauges[f"keeper_account_index_certified_block protocol={SITE}"] >= 103
        assert stage.desk.log.of("accounts.reread") == []

    play(scenario)


def test_run__an_account_of_which_no_log_was_ever_shown__is_noticed_by_the_sums_alone():
    async def scenario():
        stage = Stage(certify_every=1)
        async with running(stage.service):
            for n in range(1, 4):
                stage.chain.mine(deposit(A, 1, n))
                replayed = stage.replayed()
                stage.desk.perp.sums = (replayed.totals, dict(replayed.markets))
                await stage.see()
            hidden = replace(replayed.totals, accounts=replayed.totals.accounts + 1)
            stage.desk.perp.sums = (hidden, dict(replayed.markets))
            stage.chain.mine(deposit(A, 1, 4))
            await stage.see()
            await stage.see(stage.chain.mine(deposit(A, 1, 5)))
        assert len(stage.desk.log.of("accounts.reread")) == 1
        assert "totals: chain" in stage.desk.log.of("accounts.broken")[0]["error"]

    play(scenario)


def test_run__sums_that_never_agree__are_no_reason_to_read_everything_anew_at_each_head():
    async def scenario():
        stage = Stage(certify_every=1)
        stage.desk.perp.sums = (replace(stage.replayed().totals, accounts=99), {})
        async with running(stage.service):
            for n in range(1, 13):
                stage.chain.mine(deposit(A, 1, n))
                await stage.see()
        assert len(stage.desk.log.of("accounts.broken")) == 1

    play(scenario)


def test_snapshot__of_many_accounts__is_written_a_piece_at_a_time() -> None:
    """Found: of 50,000 accounts it held the loop for half a second, every 30 seconds."""
    stage, turns = Stage(), 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def scenario() -> None:
        stage.chain.mine(*(deposit(who(100 + number), 5, 5) for number in range(2_000)))
        mirror, beside = stage.replayed(), asyncio.create_task(other())
        text = await written(mirror)
        beside.cancel()
        assert text == mirror.dump()
        assert Mirror.load(text).accounts == mirror.accounts

    play(scenario)
    assert turns >= 8
