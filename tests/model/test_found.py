"""What the model has found, each in the fewest steps."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from random import Random

import pytest

from keeper.app.txreason import reason
from keeper.devnet.simulator.envelope import Envelope
from keeper.domain.chain import At
from keeper.domain.funds import Balance
from keeper.domain.ids import Address
from keeper.domain.time import SECOND, Timestamp
from keeper.domain.transaction import Intent, IntentState, Lane, Outcome, Purpose, TxState
from keeper.errors import RpcError
from keeper.runtime.virtual import run_virtual
from keeper.services.outbox import OutboxRules
from keeper.services.outbox.commands import Commands, Declined
from tests.model.acts import CHAIN_ID, GAS, Kind, intent
from tests.model.lies import CUT_OFF_S, FATAL, Read, Reply
from tests.model.memory_ledger import Killed
from tests.model.network import GWEI
from tests.model.node import Node
from tests.model.settling import settle
from tests.model.steps import foreign_use
from tests.model.world import World

RULES = OutboxRules(finality_blocks=12, resend_after_s=2.0)


def played(play: Callable[[World], Coroutine[None, None, None]], rules: OutboxRules = RULES) -> World:
    """A world after `play`, settled and judged."""
    world = World(Random(0), rules)

    async def whole() -> None:
        world.start()
        await asyncio.sleep(0.01)
        await play(world)
        await settle(world)
        await world.kill()

    run_virtual(whole)
    return world


async def block(world: World) -> None:
    world.network.mine(world.network.pool.choose())
    world.announce()
    await asyncio.sleep(2.5)


def want(world: World, kind: Kind, lane: Lane, deadline_s: int | None = None, gas: int | None = GAS) -> Intent:
    now, number = world.clock.now(), 1 + len(world.wanted)
    deadline = None if deadline_s is None else Timestamp(world.network.blocks.now() + deadline_s * SECOND)
    new = intent(kind, lane, number, now, deadline, gas)
    world.wanted[new.id] = new
    world.price = new if lane is Lane.PRICE else world.price
    world.offer(new)
    return new


def test_price__mined_in_time_and_still_the_newest_at_its_deadline__is_not_told_as_expired() -> None:
    async def play(world: World) -> None:
        price = want(world, Kind.ROUND, Lane.PRICE, deadline_s=10)
        for _ in range(8):
            await block(world)
        assert world.told[price.id].state is IntentState.CONFIRMED

    played(play)


@pytest.mark.parametrize("writes", [1, 2, 3, 4])
def test_intent__mined_while_the_journal_cannot_be_written__is_not_sent_again(writes: int) -> None:
    async def play(world: World) -> None:
        funding = want(world, Kind.RECORD, Lane.FUNDING)
        await asyncio.sleep(0.01)
        world.unwritable = writes
        await block(world)
        world.offer(funding)
        await block(world)

    played(play)


@pytest.mark.parametrize("writes", [1, 2, 3, 4])
def test_intent__final_after_its_outcome_could_not_be_written__is_known_after_a_restart(writes: int) -> None:
    async def play(world: World) -> None:
        want(world, Kind.RECORD, Lane.FUNDING)
        await asyncio.sleep(0.01)
        world.unwritable = writes
        for _ in range(14):
            await block(world)
        await world.kill()
        world.start()
        await block(world)

    played(play)


def test_intent__sent_before_a_crash_and_refused_after_it_by_a_node_that_lags__keeps_its_nonce() -> None:
    """Its reply was not recorded. "Nonce too low" is then no proof that the nonce went to somebody else."""

    async def play(world: World) -> None:
        world.die_after = 3
        want(world, Kind.RECORD, Lane.FUNDING)
        await asyncio.sleep(0.01)
        assert not world.outlive()
        assert len(world.network.pool) == 1
        world.network.stale = list(world.network.blocks.line)
        world.network.mine(world.network.pool.choose())
        world.lies.reads |= {"nonce": [Read.STALE] * 3, "receipt": [Read.STALE] * 2}
        world.start()
        for _ in range(3):
            await block(world)

    assert played(play).diary.alarms == 0


def test_intent__taken_by_a_node_that_calls_its_nonce_too_low__keeps_its_nonce() -> None:
    async def play(world: World) -> None:
        world.lies.replies.append(Reply(taken=True, words="nonce too low: next nonce 1, tx nonce 0"))
        world.lies.reads["receipt"] = [Read.NULL]
        want(world, Kind.RECORD, Lane.FUNDING)
        await asyncio.sleep(0.01)
        for _ in range(3):
            await block(world)

    assert played(play).diary.alarms == 0


def test_intent__done_while_an_estimate_for_it_was_under_way__is_not_told_as_a_lost_race() -> None:
    """Two loops asked for the gas of one intent: the second to hear learns that it is done, by ourselves."""

    async def play(world: World) -> None:
        await block(world)
        world.lies.reads["estimate_gas"] = [Read.SLOW]
        funding = want(world, Kind.ONCE, Lane.FUNDING, gas=None)
        await asyncio.sleep(0.01)
        world.announce()
        await asyncio.sleep(0.01)
        await block(world)
        assert world.told[funding.id].state is IntentState.CONFIRMED

    played(play)


def test_intent__its_cancelled_nonce_went_to_somebody_else__comes_to_an_end() -> None:
    """Taken back by a reorganisation and cancelled while the contracts were paused, it was told as active for ever."""

    async def play(world: World) -> None:
        funding = want(world, Kind.RECORD, Lane.FUNDING)
        await asyncio.sleep(0.01)
        await block(world)
        want(world, Kind.RECORD, Lane.FUNDING)
        await asyncio.sleep(0.01)
        world.barred = "the contracts are paused"
        gone = world.network.blocks.pop()
        world.network.pool.drop(gone.txs[0].hash)
        foreign = foreign_use(0, 400 * GWEI)
        world.network.seen[foreign.hash] = foreign
        world.network.foreign.add(foreign.hash)
        world.network.reorgs += 1
        for _ in range(3):
            world.network.mine([])
            world.announce()
            await asyncio.sleep(2.5)
        assert world.life is not None
        assert world.life.outbox.wallet.desk.open[0].state is TxState.CANCELLING
        world.network.mine([foreign])
        for _ in range(16):
            await block(world)
        assert world.told[funding.id].state is not IntentState.ACTIVE

    played(play)


def test_nonce__used_elsewhere_and_a_crash_at_its_last_write__has_raised_the_alarm() -> None:
    async def play(world: World) -> None:
        foreign = foreign_use(0, 400 * GWEI)
        world.network.seen[foreign.hash] = foreign
        world.network.foreign.add(foreign.hash)
        want(world, Kind.RECORD, Lane.FUNDING)
        await asyncio.sleep(0.01)
        world.network.mine([foreign])
        await block(world)
        while world.life is not None:
            world.die_after = 3
            await block(world)
            world.outlive()
        world.start()
        await block(world)

    played(play)


async def got_a_second_nonce(world: World) -> tuple[Intent, Envelope, Envelope]:
    """A newer price, its bytes for the nonce of the older one, which are held up, and those for its own, whose block is gone
    again with the one before it.
    """
    network, older = world.network, want(world, Kind.ROUND, Lane.PRICE)
    await asyncio.sleep(0.01)
    world.lies.replies = [Reply(taken=False, words="nonce too low: next nonce 1, tx nonce 0", held=True)]
    newer = want(world, Kind.ROUND, Lane.PRICE)
    while not network.delayed:
        network.mine([])
        world.announce()
        await asyncio.sleep(0.1)
    (first,) = network.delayed
    await block(world)
    await block(world)
    second, _ = network.blocks.takers[1]
    assert second.data == first.data != older.call.data
    network.blocks.pop()
    network.blocks.pop()
    return newer, first, second


def test_price__mined_after_all_at_the_nonce_it_was_first_meant_for__leaves_its_second_nonce_to_nothing() -> None:
    """Torture, counter-after_receipt_saved-28: the second was sent again beside the first, and reverted."""

    async def play(world: World) -> None:
        network = world.network
        new, first, second = await got_a_second_nonce(world)
        network.mine([first])
        network.mine([])
        network.look_again([second])
        network.reorgs += 1
        world.announce()
        await asyncio.sleep(2.5)
        for _ in range(4):
            await block(world)
        assert network.blocks.takers[1][0].data == b""
        assert world.told[new.id].state is IntentState.CONFIRMED

    played(play)


@pytest.mark.parametrize("restart", [False, True])
def test_nonce__counted_a_thousand_too_high_once__is_not_gone_on_with(restart: bool) -> None:
    async def play(world: World) -> None:
        want(world, Kind.RECORD, Lane.FUNDING)
        for _ in range(3):
            await block(world)
        world.lies.reads["nonce"] = [Read.NULL] * 2
        if restart:
            await world.kill()
            world.start()
        world.announce()
        await asyncio.sleep(0.1)
        later = want(world, Kind.RECORD, Lane.FUNDING)
        for _ in range(8):
            await block(world)
        assert world.told[later.id].state is IntentState.CONFIRMED
        assert world.network.blocks.nonce == 2
        assert world.diary.alarms == 0

    played(play)


def test_nonces__given_up_by_two_intents_and_taken_again_by_the_first__are_its_own_after_a_crash() -> None:
    async def play(world: World) -> None:
        await block(world)
        refused = []
        for _ in range(2):
            world.lies.replies = [Reply(taken=False, words=FATAL)]
            refused.append(want(world, Kind.RECORD, Lane.FUNDING))
            await asyncio.sleep(0.01)
        assert {world.told[each.id].state for each in refused} == {IntentState.REJECTED}
        await asyncio.sleep(3)
        assert world.life is not None
        world.life.inbox.offer(refused[0])
        await asyncio.sleep(0.01)
        await world.kill()
        world.start()
        await asyncio.sleep(0.01)
        wanted = world.life.outbox.wallet.desk.open[0].intent
        assert wanted is not None
        assert wanted.id == refused[0].id

    played(play)


def test_intent__displaced_by_an_empty_transfer__gets_a_second_nonce_only_when_that_is_final() -> None:
    async def play(world: World) -> None:
        await block(world)
        funding = want(world, Kind.RECORD, Lane.FUNDING)
        want(world, Kind.RECORD, Lane.FUNDING)
        await asyncio.sleep(0.01)
        world.barred = "the contracts are paused"
        for _ in range(4):
            world.network.mine([])
            world.announce()
            await asyncio.sleep(2.5)
        await block(world)
        assert world.told[funding.id].state is IntentState.SUPERSEDED
        world.barred = ""
        assert world.life is not None
        world.life.inbox.offer(funding)
        await block(world)

    played(play)


def test_intent__superseded_by_a_receipt_of_a_gone_branch_and_then_a_crash__is_judged_again() -> None:
    """A node that lags showed its cancellation as mined. That was told, and the crash came before the nonce was written."""

    async def play(world: World) -> None:
        funding = want(world, Kind.RECORD, Lane.FUNDING)
        await asyncio.sleep(0.01)
        await block(world)
        await world.kill()
        told, gone = world.told[funding.id], IntentState.SUPERSEDED
        world.ledger.settle(Outcome(funding.id, funding.lane, funding.key, gone, told.at))
        world.start()
        await block(world)

    played(play)


def test_intent__refused_at_one_nonce_and_mined_at_another__is_not_told_as_superseded_at_the_first() -> None:
    async def play(world: World) -> None:
        refused = Reply(taken=False, words="exceeds block gas limit")
        lost = Reply(taken=False, words="")
        world.lies.replies[:] = [lost]
        first = want(world, Kind.RECORD, Lane.FUNDING)
        await asyncio.sleep(0.01)
        want(world, Kind.RECORD, Lane.FUNDING)
        await asyncio.sleep(0.01)
        world.halted = "so that nothing fills the gap"
        await asyncio.sleep(2.5)
        world.lies.replies[:] = [refused]
        world.halted = ""
        world.announce()
        await asyncio.sleep(3)
        assert world.told[first.id].state is IntentState.REJECTED
        assert world.life is not None
        world.life.inbox.offer(first)
        for _ in range(3):
            await block(world)

    played(play)


@pytest.mark.parametrize("writes", [0, 1, 2, 3])
def test_intent__taken_back_by_a_reorganisation_and_a_crash_meanwhile__is_not_told_as_mined(writes: int) -> None:
    async def play(world: World) -> None:
        funding = want(world, Kind.RECORD, Lane.FUNDING, deadline_s=12)
        await asyncio.sleep(0.01)
        await block(world)
        gone = world.network.blocks.pop()
        world.network.pool.drop(gone.txs[0].hash)
        world.network.blocks.append((), world.network.base_fee)
        world.network.reorgs += 1
        world.die_after = writes
        world.announce()
        await asyncio.sleep(15)
        if not world.outlive():
            world.start()
        await block(world)
        assert world.told[funding.id].state is not IntentState.MINED

    played(play)


async def cancelled(world: World, kind: Kind, lane: Lane) -> Intent:
    """One whose nonce an empty transfer has taken in the newest block; it is wanted again, for a minute."""
    await block(world)
    found = want(world, kind, lane, deadline_s=3)
    await asyncio.sleep(4)
    world.network.mine([])
    world.announce()
    await asyncio.sleep(0.1)
    await block(world)
    assert world.told[found.id].state is IntentState.EXPIRED
    again = replace(found, deadline=Timestamp(world.network.blocks.now() + 60 * SECOND))
    world.wanted[found.id] = again
    return again


async def offered(world: World, intent: Intent) -> bool:
    """Whether it has a nonce after it was offered once more."""
    assert world.life is not None
    world.life.inbox.offer(intent)
    await asyncio.sleep(0.1)
    return world.life.outbox.wallet.desk.is_active(intent.id)


def test_funding__expired_by_an_empty_transfer__gets_a_second_nonce_only_when_that_is_final() -> None:
    """It may be wanted again; until then its first bytes can still come back with a reorganisation."""

    async def play(world: World) -> None:
        funding = await cancelled(world, Kind.RECORD, Lane.FUNDING)
        await block(world)
        await block(world)
        assert not await offered(world, funding)

    played(play)


@pytest.mark.parametrize(("confirmations", "blocks"), [(1, 0), (2, 1), (3, 2), (12, 2)])
def test_liquidation__expired_by_an_empty_transfer__gets_a_second_nonce_as_soon_as_that_is_confirmed(
    confirmations: int, blocks: int
) -> None:
    """An account stays open no longer: three blocks at most, however many everything else waits for."""

    async def play(world: World) -> None:
        liquidation = await cancelled(world, Kind.ONCE, Lane.LIQUIDATION)
        for _ in range(blocks):
            assert not await offered(world, liquidation)
            await block(world)
        assert await offered(world, liquidation)
        await block(world)
        assert world.network.blocks.effects[liquidation.id] == 1

    played(play, replace(RULES, confirmations=confirmations, finality_blocks=64))


def test_liquidation__its_first_bytes_come_back_beside_the_second__is_done_once_and_told_as_ours() -> None:
    """A reorganisation deeper than was waited for: the contract refuses the second, and it lost against ourselves."""

    async def play(world: World) -> None:
        liquidation = await cancelled(world, Kind.ONCE, Lane.LIQUIDATION)
        assert await offered(world, liquidation)
        network, life = world.network, world.life
        assert life is not None
        first = life.outbox.wallet.desk.open[0].attempts[0]
        second = life.outbox.wallet.desk.open[1].attempts[0]
        network.blocks.pop()
        network.reorgs += 1
        network.mine([network.seen[first.hash]])
        network.mine([network.seen[second.hash]])
        world.announce()
        await asyncio.sleep(2.5)
        assert network.blocks.effects[liquidation.id] == 1
        told = world.told[liquidation.id]
        assert (told.state, told.tx_hash) == (IntentState.CONFIRMED, first.hash)

    played(play)


def test_intent__done_after_its_nonce_went_to_somebody_else_unwritten__is_not_done_again_after_a_crash() -> None:
    """The disk was full when the nonce was given up: after the restart it is given up once more."""

    async def play(world: World) -> None:
        foreign = foreign_use(0, 400 * GWEI)
        world.network.seen[foreign.hash] = foreign
        world.network.foreign.add(foreign.hash)
        funding = want(world, Kind.RECORD, Lane.FUNDING)
        await asyncio.sleep(0.01)
        world.network.mine([foreign])
        world.announce()
        await asyncio.sleep(2.5)
        assert world.life is not None
        desk = world.life.outbox.wallet.desk
        while 0 in desk.open:
            world.unwritable = 3  # that it is missing, its outcome, and that again with the nonce
            await block(world)
        while world.told[funding.id].state is not IntentState.CONFIRMED:
            await block(world)
        await world.kill()
        world.start()
        for _ in range(16):
            await block(world)

    played(play)


def test_funds__gone_while_the_signer_takes_its_time__nothing_is_sent_until_they_are_back() -> None:
    async def play(world: World) -> None:
        await block(world)
        world.lies.signer[:] = [Read.SLOW]
        want(world, Kind.RECORD, Lane.FUNDING)
        await asyncio.sleep(0.1)
        world.network.blocks.balance = 0
        await block(world)
        assert world.life is not None
        desk = world.life.outbox.wallet.desk
        assert (len(world.signed), desk.open, world.network.seen) == (1, {}, {})
        await block(world)
        assert desk.scarce, "and that is told with the next block"

    played(play)


def test_funds__gone_while_the_signer_raises_the_fees__the_older_bytes_stay() -> None:
    async def play(world: World) -> None:
        await block(world)
        want(world, Kind.RECORD, Lane.LIQUIDATION)
        await asyncio.sleep(0.1)
        assert world.life is not None
        desk = world.life.outbox.wallet.desk
        world.lies.signer[:] = [Read.SLOW]
        world.network.mine([])
        world.announce()
        await asyncio.sleep(0.1)
        world.network.blocks.balance = desk.open[0].last.gas_limit * desk.open[0].last.fees.max_fee_wei
        desk.balance = Balance(world.network.blocks.balance, desk.block)  # as `keeper tx` or another loop would find it
        await asyncio.sleep(1)
        assert len(world.signed) == 2
        assert len(desk.open[0].attempts) == 1

    played(play)


def test_intent__failed_and_then_its_second_nonce_went_to_somebody_else__gets_a_third() -> None:
    """What was mined in vain is in nobody's way, although the intent is open again."""

    async def play(world: World) -> None:
        await block(world)
        funding = want(world, Kind.ONCE, Lane.FUNDING)
        await asyncio.sleep(0.1)
        world.lies.reads["simulate"] = [Read.AWAY] * 2
        world.network.mine([], rivals=[funding.id])
        world.network.mine(world.network.pool.choose())
        world.announce()
        await asyncio.sleep(2.5)
        assert world.told[funding.id].state is IntentState.REVERTED
        assert world.life is not None
        world.life.inbox.offer(funding)
        await asyncio.sleep(0.1)
        foreign = foreign_use(1, 400 * GWEI)
        world.network.seen[foreign.hash] = foreign
        world.network.foreign.add(foreign.hash)
        world.network.mine([foreign])
        for _ in range(16):
            await block(world)
        assert {each.nonce for each in world.signed.values() if each.data} == {0, 1, 2}

    played(play)


def test_intent__mined_and_not_found_on_both_sides_of_a_long_silence__keeps_its_nonce() -> None:
    async def play(world: World) -> None:
        funding = want(world, Kind.RECORD, Lane.FUNDING)
        await asyncio.sleep(0.1)
        world.lies.reads["receipt"] = [Read.NULL] * 2
        await block(world)
        await block(world)
        for _ in range(12):
            world.lies.reads["receipt"] = [Read.AWAY]
            await block(world)
        world.lies.reads["receipt"] = [Read.NULL]
        await block(world)
        await block(world)
        assert world.told[funding.id].state is IntentState.CONFIRMED
        assert not world.diary.alarms

    played(play)


def test_funds__short_for_a_price_that_is_too_late_now__are_told_no_longer() -> None:
    """It stays on the board until there is a newer one, and waits for nothing."""

    async def play(world: World) -> None:
        world.network.blocks.balance = 0
        await block(world)
        price = want(world, Kind.ROUND, Lane.PRICE, deadline_s=6)
        await block(world)
        assert world.life is not None
        desk = world.life.outbox.wallet.desk
        assert (desk.scarce, price.id in desk.short) == (True, True)
        for _ in range(3):
            await block(world)
        assert world.told[price.id].state is IntentState.EXPIRED
        assert (desk.scarce, desk.short) == (False, {})

    played(play)


def test_liquidation__reverted_and_a_restart_within_the_pause__is_told_to_whoever_wants_it_again() -> None:
    """Who decides heard nothing of it in this life, and took it for under way for ever."""

    async def play(world: World) -> None:
        refused = want(world, Kind.REVERT, Lane.LIQUIDATION)
        await asyncio.sleep(0.01)
        world.network.mine(world.network.pool.choose())
        world.announce()
        await asyncio.sleep(0.2)
        assert world.told[refused.id].state is IntentState.REVERTED
        await world.kill()
        world.told.clear()
        world.start()
        assert world.life is not None
        world.life.inbox.offer(refused)
        await asyncio.sleep(0.01)
        assert world.told[refused.id].state is IntentState.REVERTED
        assert world.ledger.intent(refused.id).failures == 1  # type: ignore[union-attr]  # told, not failed again

    played(play)


def test_funding__confirmed_and_a_restart__is_told_as_done_when_it_is_wanted_again() -> None:
    async def play(world: World) -> None:
        funding = want(world, Kind.ONCE, Lane.FUNDING)
        await asyncio.sleep(0.01)
        for _ in range(3):
            await block(world)
        await world.kill()
        world.told.clear()
        world.start()
        assert world.life is not None
        world.life.inbox.offer(funding)
        await asyncio.sleep(0.01)
        assert world.told[funding.id].state is IntentState.CONFIRMED
        assert world.network.blocks.effects[funding.id] == 1

    played(play)


@pytest.mark.parametrize("deadline_s", [None, 30])
def test_sends__hang_while_reads_work__the_keeper_is_not_taken_for_dead(deadline_s: int | None) -> None:
    """A rollup's sequencer is away: all that came due at one boundary waited its time-out out, one after the other."""
    late: list[float] = []

    async def play(world: World) -> None:
        await block(world)
        assert world.life is not None
        pulse = world.life.outbox.pulse
        for _ in range(14):
            want(world, Kind.ONCE, Lane.LIQUIDATION, deadline_s)
        world.lies.replies[:] = [Reply(taken=False, words="", pause_s=CUT_OFF_S)] * 5000
        for half_seconds in range(400):
            if half_seconds % 4 == 0:
                world.network.mine([])
                world.announce()
            await asyncio.sleep(0.5)
            late.extend(pulse.late().values())

    played(play, replace(RULES, max_in_flight=20))
    assert not late


def test_sends__hang__the_rest_waits_for_the_next_head() -> None:
    """One send that nobody answers is enough to know; a newer head is looked at before the next."""

    async def play(world: World) -> None:
        await block(world)
        life = world.life
        assert life is not None
        world.halted = "so that all of them wait"
        for _ in range(6):
            want(world, Kind.ONCE, Lane.LIQUIDATION)
        await asyncio.sleep(0.01)
        world.lies.replies[:] = [Reply(taken=False, words="", pause_s=CUT_OFF_S)] * 100
        world.halted = ""
        world.announce()
        await asyncio.sleep(world.rules.send_timeout_s + 0.1)
        assert len(life.outbox.wallet.desk.unmined()) == 1
        await asyncio.sleep(3 * world.rules.send_timeout_s)
        assert len(life.outbox.wallet.desk.unmined()) <= 3
        world.lies.replies.clear()

    played(play)


def test_cancellation__passed_by_as_often_as_forms_are_signed__is_raised_when_the_market_rises() -> None:
    async def play(world: World) -> None:
        await block(world)
        want(world, Kind.ONCE, Lane.LIQUIDATION, deadline_s=20)
        await asyncio.sleep(0.01)
        for _ in range(40):
            world.network.mine([])
            world.announce()
            await asyncio.sleep(2.5)
        assert world.life is not None
        assert len(world.life.outbox.wallet.desk.open[0].attempts) >= world.rules.max_attempts
        world.network.walk(2 * world.life.outbox.wallet.desk.open[0].last.fees.max_fee_wei)
        for _ in range(20):
            await block(world)
        assert world.network.blocks.nonce == 1

    played(play, replace(RULES, max_attempts=6))


def test_forms__as_many_as_are_signed__is_told_once_and_the_view_says_so() -> None:
    async def play(world: World) -> None:
        await block(world)
        lone = want(world, Kind.ONCE, Lane.FUNDING)
        await asyncio.sleep(0.01)
        for _ in range(30):
            world.network.mine([])
            world.announce()
            await asyncio.sleep(2.5)
        assert world.life is not None
        outbox = world.life.outbox
        tx = outbox.wallet.desk.open[0]
        assert len(tx.attempts) == world.rules.max_attempts
        assert sum("tx.spent" in line for line in world.diary.lines) == 1
        assert "it has 6 forms" in reason(outbox, tx)[1]
        want(world, Kind.ONCE, Lane.FUNDING)  # somebody waits behind it now
        for _ in range(3):
            world.network.mine([])
            world.announce()
            await asyncio.sleep(2.5)
        tx = outbox.wallet.desk.open[0]
        assert len(tx.attempts) > world.rules.max_attempts
        assert "it has" not in reason(outbox, tx)[1]
        assert tx.intent == lone

    played(play, replace(RULES, max_attempts=6))


def test_intent__taken_back_by_the_operator_then_mined_then_reorganised__is_still_taken_back_after_a_restart() -> None:
    async def play(world: World) -> None:
        funding = want(world, Kind.RECORD, Lane.FUNDING)
        await asyncio.sleep(0.01)
        life, network = world.life, world.network
        assert life is not None
        await Commands(life.outbox.wallet, life.outbox.sender).cancel(0)
        first = life.outbox.wallet.desk.open[0].attempts[0]
        network.mine([network.seen[first.hash]])
        world.announce()
        await asyncio.sleep(1)
        assert world.told[funding.id].state is IntentState.CONFIRMED
        network.blocks.pop()
        network.reorgs += 1
        network.mine([])
        network.mine([])
        world.announce()
        await asyncio.sleep(1)
        await world.kill()
        world.start()
        await asyncio.sleep(0.1)
        for _ in range(15):
            assert world.life is not None
            world.life.inbox.offer(funding)
            await block(world)
        assert network.blocks.effects[funding.id] == 0
        assert world.told[funding.id].state is IntentState.ABANDONED

    played(play)


def test_receipts__seconds_behind_the_nonce_on_a_chain_of_quick_blocks__are_waited_for() -> None:
    """Twelve blocks are three seconds there, and the keeper gave up nonce after nonce of one intent."""

    async def play(world: World) -> None:
        funding = want(world, Kind.RECORD, Lane.FUNDING)
        await asyncio.sleep(0.01)
        world.lies.reads["receipt"] = [Read.NULL] * 100
        world.network.mine(world.network.pool.choose())
        for _ in range(100):
            world.network.mine([])
            world.announce()
            await asyncio.sleep(0.25)
        await block(world)
        assert world.network.blocks.effects[funding.id] == 1
        assert world.told[funding.id].state is IntentState.CONFIRMED

    assert played(play, replace(RULES, finality_blocks=64)).diary.alarms == 0


def test_intent__mined_without_effect__is_not_what_its_second_nonce_is_left_to_nothing_for() -> None:
    async def play(world: World) -> None:
        silent = want(world, Kind.SILENT, Lane.FUNDING)
        await asyncio.sleep(0.01)
        await block(world)
        assert world.told[silent.id].state is IntentState.NO_EFFECT
        world.lies.replies[:] = [Reply(taken=False, words="")]
        assert world.life is not None
        world.life.inbox.offer(silent)
        await asyncio.sleep(0.1)
        await block(world)
        await block(world)
        assert world.network.blocks.takers[1][0].data == silent.call.data

    played(play)


async def silent_block(world: World) -> None:
    """One in which the contract returns without doing anything."""
    blocks, effects = world.network.blocks, Counter(world.network.blocks.effects)
    execute = blocks._execute
    blocks._execute = lambda tx, ref: replace(execute(tx, ref), status=1, logs=())  # type: ignore[method-assign]
    world.network.mine(world.network.pool.choose())
    blocks._execute, blocks.effects = execute, effects  # type: ignore[method-assign]
    world.announce()
    await asyncio.sleep(2.5)


@pytest.mark.parametrize("restart", [False, True])
def test_intent__mined_without_effect_and_then_refused__is_not_told_as_done(restart: bool) -> None:
    async def play(world: World) -> None:
        funding = want(world, Kind.ONCE, Lane.FUNDING)
        await asyncio.sleep(0.01)
        await silent_block(world)
        assert await offered(world, funding)
        if restart:
            await world.kill()
            world.start()
            await asyncio.sleep(0.1)
        world.network.mine([], rivals=[funding.id])
        await block(world)
        assert world.network.blocks.nonce == 2
        assert world.told[funding.id].state is IntentState.LOST_RACE

    played(play)


@pytest.mark.parametrize("restart", [False, True])
def test_intent__done_after_one_without_effect__is_confirmed_by_its_own_block(restart: bool) -> None:
    async def play(world: World) -> None:
        funding = want(world, Kind.RECORD, Lane.FUNDING)
        await asyncio.sleep(0.01)
        await silent_block(world)
        assert world.told[funding.id].state is IntentState.NO_EFFECT
        assert await offered(world, funding)
        await block(world)
        if restart:
            await world.kill()
            world.start()
        while world.told[funding.id].state is not IntentState.CONFIRMED:
            await block(world)
        assert world.told[funding.id].tx_hash == world.network.blocks.takers[1][0].hash

    played(play, replace(RULES, confirmations=3))


@pytest.mark.parametrize("restart", [False, True])
def test_intent__done_by_its_first_nonce_and_a_restart__leaves_its_second_nonce_to_nothing(restart: bool) -> None:
    """Nothing was told of it in this life, and its second was sent again beside the first."""

    async def play(world: World) -> None:
        network = world.network
        _, first, second = await got_a_second_nonce(world)
        network.mine([first])
        network.mine([])
        network.pool.drop(second.hash)
        network.reorgs += 1
        world.halted = "so that nothing is sent before the restart" if restart else ""
        world.announce()
        await asyncio.sleep(0.1)
        if restart:
            await world.kill()
            world.halted, world.price = "", None
            world.start()
        for _ in range(4):
            await block(world)
        assert network.blocks.takers[1][0].data == b""

    played(play)


def test_intent__done_by_its_first_nonce_and_without_effect_at_its_second__is_told_as_done() -> None:
    """A contract may let the second pass and do nothing, as one that takes only newer prices does."""

    async def play(world: World) -> None:
        network = world.network
        _, first, second = await got_a_second_nonce(world)
        network.mine([first])
        network.look_again([second])
        network.reorgs += 1
        await silent_block(world)
        own = world.signed[second.raw].data[1:17].hex()
        assert world.told[own].state is IntentState.CONFIRMED
        assert world.told[own].tx_hash == first.hash

    played(play)


def test_reorganisation__receipts_unreadable_at_the_first_look__is_looked_at_again() -> None:
    """Else what is confirmed stays so until it is final, wherever its bytes are."""

    async def play(world: World) -> None:
        network = world.network
        funding = want(world, Kind.RECORD, Lane.FUNDING)
        await asyncio.sleep(0.01)
        await block(world)
        (first,) = network.blocks.head.txs
        network.mine([])
        world.announce()
        await asyncio.sleep(1)
        network.blocks.pop()
        network.blocks.pop()
        network.mine([])
        network.mine([first])
        network.reorgs += 1
        world.lies.reads["receipt"] = [Read.AWAY]
        world.announce()
        await asyncio.sleep(0.1)
        await block(world)
        receipt = world.told[funding.id].receipt
        assert receipt is not None
        assert receipt.block_hash == network.blocks.line[2].ref.hash

    played(play)


LUNCH = Reply(taken=False, words="the sequencer is having lunch")
REFUSED = Reply(taken=False, words=FATAL)


def test_gap__taken_by_a_price_while_another_is_filled__is_not_filled_again() -> None:
    async def play(world: World) -> None:
        await block(world)
        world.lies.replies[:] = [LUNCH] * 3
        for _ in range(3):
            want(world, Kind.RECORD, Lane.FUNDING)
        await asyncio.sleep(0.1)
        slow, taken = Reply(taken=True, words=None, pause_s=1), Reply(taken=True, words=None)
        world.lies.replies[:] = [slow, taken, REFUSED, REFUSED]
        world.network.mine([])
        world.announce()
        await asyncio.sleep(0.1)
        price = want(world, Kind.ROUND, Lane.PRICE)
        await asyncio.sleep(2)
        assert world.life is not None
        desk = world.life.outbox.wallet.desk
        assert [each.intent for each in desk.open[1].attempts[1:]] == [price]
        await block(world)
        assert world.told[price.id].state is IntentState.CONFIRMED

    played(play)


def test_nonce__that_no_node_takes_used_elsewhere_and_free_again_after_a_reorganisation__is_filled() -> None:
    async def play(world: World) -> None:
        network = world.network
        await block(world)
        world.lies.replies[:] = [LUNCH] * 2
        for _ in range(2):
            want(world, Kind.RECORD, Lane.FUNDING)
        await asyncio.sleep(0.1)
        world.barred = "so that nothing is sent"
        foreign = foreign_use(0, 400 * GWEI)
        network.seen[foreign.hash] = foreign
        world.lies.replies[:] = [Reply(taken=True, words=None), REFUSED]
        assert world.life is not None
        outbox, desk = world.life.outbox, world.life.outbox.wallet.desk
        world.barred = ""
        await outbox.sender.send(0, desk.open[0].last)
        await outbox.sender.send(1, desk.open[1].last)
        assert desk.open[0].state is TxState.VACANT
        network.mine([foreign])
        world.announce()
        await asyncio.sleep(0.1)
        network.blocks.pop()
        network.mine([])
        network.mine([])
        network.reorgs += 1
        for _ in range(8):
            await block(world)
        assert network.blocks.nonce == 2

    played(play)


def test_nonce__free_again_and_raised_by_the_operator_during_a_look__keeps_its_newest_form() -> None:
    async def play(world: World) -> None:
        network = world.network
        want(world, Kind.RECORD, Lane.FUNDING)
        second = want(world, Kind.RECORD, Lane.FUNDING)
        await asyncio.sleep(0.01)
        world.lies.reads["receipt"] = [Read.NULL] * 2
        await block(world)
        assert world.life is not None
        wallet, sender = world.life.outbox.wallet, world.life.outbox.sender
        assert {tx.missing_since for tx in wallet.desk.open.values()} == {1}
        gone = network.blocks.pop()
        network.mine(gone.txs[:1])
        network.look_again(gone.txs[1:])
        network.reorgs += 1
        world.lies.reads["receipt"] = [Read.SLOW]
        world.announce()
        await asyncio.sleep(0.1)
        await Commands(wallet, sender).bump(1)
        newest = wallet.desk.open[1].last
        await block(world)
        assert network.blocks.takers[1][0].hash == newest.hash
        assert world.told[second.id].state is IntentState.CONFIRMED

    assert played(play).diary.alarms == 0


def test_liquidation__wanted_again_for_longer_and_a_restart__is_not_taken_back_by_its_first_deadline() -> None:
    async def play(world: World) -> None:
        first = await cancelled(world, Kind.ONCE, Lane.LIQUIDATION)
        for _ in range(2):
            await block(world)
        again = replace(first, created_at=world.clock.now())
        world.wanted[first.id] = again
        assert await offered(world, again)
        await world.kill()
        world.start()
        world.network.mine([])
        world.announce()
        await asyncio.sleep(0.1)
        assert world.life is not None
        assert world.life.outbox.wallet.desk.open[1].intent == again
        await block(world)
        assert world.told[first.id].state is IntentState.CONFIRMED

    played(play)


def test_receipt__contradicted_and_then_agreed_on__is_told_anew_when_it_is_contradicted_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The time of the first was counted to the second, and somebody called at once."""

    async def alone(_node: object, _found: object) -> bool:
        return False

    async def play(world: World) -> None:
        want(world, Kind.REVERT, Lane.FUNDING)
        await asyncio.sleep(0.01)
        await block(world)
        for _ in range(2):
            with monkeypatch.context() as patch:
                patch.setattr(Node, "is_seconded", alone)
                world.network.reorgs += 1
                world.announce()
                await asyncio.sleep(0.1)
            for _ in range(20):
                world.network.mine([])
                world.announce()
                await asyncio.sleep(2.5)
        assert sum("tx.disputed" in line for line in world.diary.lines) == 2
        assert not any("tx.undecided" in line for line in world.diary.lines)

    played(play, replace(RULES, finality_blocks=64))


def test_intent__refused_at_a_nonce_and_done_with_another__stays_done_when_the_first_is_judged_again() -> None:
    """The disk was full when that became final: after a restart what had taken it was judged once more."""

    async def play(world: World) -> None:
        await block(world)
        world.lies.replies[:] = [REFUSED]
        done = want(world, Kind.RECORD, Lane.FUNDING)
        await asyncio.sleep(0.01)
        taker = want(world, Kind.SILENT, Lane.FUNDING)
        await asyncio.sleep(0.01)
        await block(world)
        assert world.told[taker.id].state is IntentState.NO_EFFECT
        assert world.life is not None
        desk = world.life.outbox.wallet.desk
        while 0 in desk.open:
            world.unwritable = int(desk.depth(desk.open[0]) == world.rules.finality_blocks - 1)
            await block(world)
        assert await offered(world, done)
        while desk.open:
            await block(world)
        world.lies.replies[:] = [REFUSED]
        assert not await offered(world, taker)
        assert world.told[taker.id].state is IntentState.REJECTED
        await world.kill()
        world.start()
        await block(world)
        assert world.told[done.id].state is IntentState.CONFIRMED

    played(play)


def test_liquidation__under_way_again_while_its_cancellation_is_mined_elsewhere__is_not_told_as_expired_again() -> None:
    async def play(world: World) -> None:
        network = world.network
        liquidation = await cancelled(world, Kind.ONCE, Lane.LIQUIDATION)
        (empty,) = network.blocks.head.txs
        await block(world)
        await block(world)
        assert await offered(world, liquidation)
        for _ in range(3):
            network.blocks.pop()
        network.mine([])
        network.mine([empty])
        for _ in range(2):
            network.mine([])
        network.reorgs += 1
        world.announce()
        await asyncio.sleep(0.1)
        assert world.told[liquidation.id].state is IntentState.ACTIVE

    played(play)


@pytest.mark.parametrize("steps", range(8))
def test_kill__as_a_head_is_being_looked_at__leaves_no_question_that_nobody_asks(steps: int) -> None:
    async def play(world: World) -> None:
        want(world, Kind.RECORD, Lane.FUNDING)
        await asyncio.sleep(0.01)
        world.network.mine(world.network.pool.choose())
        world.announce()
        for _ in range(steps):
            await asyncio.sleep(0)
        await world.kill()
        world.start()

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        played(play)
        gc.collect()
    assert not told


def test_intent__refused_by_every_node_and_its_nonce_taken_by_another__is_not_kept_waiting_until_that_is_final() -> (
    None
):
    """Nothing of it can come back: it was told as superseded, and waited for finality."""

    async def play(world: World) -> None:
        await block(world)
        world.lies.replies[:] = [REFUSED]
        refused = want(world, Kind.RECORD, Lane.SAFETY)
        await asyncio.sleep(0.01)
        want(world, Kind.RECORD, Lane.FUNDING)
        await asyncio.sleep(0.01)
        await block(world)
        assert world.network.blocks.nonce == 1
        assert world.told[refused.id].state is IntentState.REJECTED
        assert await offered(world, refused)
        await block(world)
        assert world.told[refused.id].state is IntentState.CONFIRMED

    played(play)


def test_words_that_nobody_knows__to_the_lowest_nonce__keep_no_cancellation_above_it_waiting() -> None:
    async def play(world: World) -> None:
        await block(world)
        world.lies.replies[:] = [*[LUNCH] * 9, Reply(taken=True, words=None), LUNCH]
        want(world, Kind.RECORD, Lane.HOUSEKEEPING)
        await asyncio.sleep(0.01)
        late = want(world, Kind.ONCE, Lane.FUNDING, deadline_s=1)
        await asyncio.sleep(0.1)
        assert world.life is not None
        desk = world.life.outbox.wallet.desk
        assert [tx.last.intent == late for tx in desk.unmined()] == [False, True]
        for _ in range(2):
            world.network.mine([])
            world.announce()
            await asyncio.sleep(2.5)
        assert desk.open[1].last.purpose is Purpose.CANCEL

    played(play)


def test_nonce__of_which_is_told_that_it_is_not_raised_again__and_mined__is_told_of_anew_after_a_reorganisation() -> (
    None
):
    async def play(world: World) -> None:
        network = world.network
        want(world, Kind.RECORD, Lane.FUNDING)
        await asyncio.sleep(0.1)
        assert world.life is not None
        desk = world.life.outbox.wallet.desk
        for _ in range(6):
            network.mine([])
            world.announce()
            await asyncio.sleep(2.5)
        assert desk.spent == {0}
        await block(world)
        assert desk.spent == set()
        network.look_again(network.blocks.pop().txs)
        network.mine([])
        network.reorgs += 1
        for _ in range(4):
            network.mine([])
            world.announce()
            await asyncio.sleep(2.5)
        assert desk.spent == {0}

    played(play, replace(RULES, max_attempts=2))


@pytest.mark.parametrize("steps", range(5))
def test_intent__taken_back_as_the_disk_is_full_for_a_moment_and_a_crash__is_still_taken_back(steps: int) -> None:
    """Its cancellation was signed and on the disk, and that it was taken back was not."""

    async def play(world: World) -> None:
        funding = want(world, Kind.RECORD, Lane.FUNDING)
        await asyncio.sleep(0.1)
        life = world.life
        assert life is not None
        world.unwritable, world.die_after = 1, steps
        with suppress(Killed, Declined):
            await Commands(life.outbox.wallet, life.outbox.sender).cancel(0)
        signed = len(world.ledger.unfinished(CHAIN_ID, world.network.wallet)[0].attempts) > 1
        await world.kill()
        world.start()
        await asyncio.sleep(0.1)
        for _ in range(15):
            assert world.life is not None
            world.life.inbox.offer(funding)
            await block(world)
        assert world.network.blocks.effects[funding.id] == (not signed)

    played(play)


def test_intent__its_form_and_its_cancellation_refused_by_every_node__is_told_how_it_ended() -> None:
    """The newest form was the cancellation, which is nobody's."""

    async def play(world: World) -> None:
        await block(world)
        world.lies.replies[:] = [REFUSED, REFUSED, Reply(taken=False, words="")]
        late = want(world, Kind.RECORD, Lane.FUNDING, deadline_s=1)
        await asyncio.sleep(2.5)
        for _ in range(3):
            world.network.mine([])
            world.announce()
            await asyncio.sleep(2.5)
        assert world.life is not None
        (tx,) = world.life.outbox.wallet.desk.open.values()
        assert (tx.state, tx.last.purpose) == (TxState.VACANT, Purpose.CANCEL)
        assert world.told[late.id].state is IntentState.EXPIRED
        other = want(world, Kind.RECORD, Lane.FUNDING)
        await asyncio.sleep(0.1)
        await block(world)
        assert world.told[other.id].state is IntentState.CONFIRMED
        assert world.told[late.id].state is IntentState.EXPIRED  # it was told: the nonce that it had was free

    played(play)


def test_start__count_refused_by_the_node__is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal ended the keeper, as a silence did not."""
    refuse_counts(monkeypatch, "pending", 2)

    async def play(world: World) -> None:
        funding = want(world, Kind.RECORD, Lane.FUNDING)
        await asyncio.sleep(3)
        await block(world)
        assert world.told[funding.id].state is IntentState.CONFIRMED

    played(play)


def test_pool__that_tells_nothing_about_itself__keeps_no_receipt_from_being_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is asked of it is only a hint."""

    async def play(world: World) -> None:
        funding = want(world, Kind.RECORD, Lane.FUNDING)
        await asyncio.sleep(0.1)
        refuse_counts(monkeypatch, "pending", 10**6)
        await block(world)
        assert world.told[funding.id].state is IntentState.CONFIRMED

    played(play)


def refuse_counts(monkeypatch: pytest.MonkeyPatch, at: str, times: int) -> None:
    """A node that answers questions for the count at `at` with an error."""
    right, left = Node.nonce, [None] * times

    async def nonce(node: Node, account: Address, asked: At) -> int:
        if asked == at and left:
            left.pop()
            raise RpcError("internal error", -32_603)
        return await right(node, account, asked)

    monkeypatch.setattr(Node, "nonce", nonce)


@pytest.mark.parametrize(("later_s", "begun"), [(0.01, 1), (1.0, 2)])
def test_liquidation__behind_fundings_in_the_inbox__goes_before_all_that_are_not_begun(
    later_s: float, begun: int
) -> None:
    """At a full hour every market is settled: each took as long as signer and node, and the account stayed open."""

    async def play(world: World) -> None:
        await block(world)
        world.lies.signer[:] = [Read.SLOW] * 6
        for _ in range(5):
            want(world, Kind.RECORD, Lane.FUNDING)
        await asyncio.sleep(later_s)
        liquidation = want(world, Kind.ONCE, Lane.LIQUIDATION)
        await asyncio.sleep(6)
        assert world.life is not None
        nonces = {tx.intent.id: nonce for nonce, tx in world.life.outbox.wallet.desk.open.items() if tx.intent}
        assert len(nonces) == 6
        assert nonces[liquidation.id] == begun

    played(play)


@pytest.mark.parametrize("restart", [False, True])
def test_price__back_at_the_nonce_that_it_never_got_beside_the_one_that_it_waits_at__is_done_once(
    restart: bool,
) -> None:
    """Torture, probe-during_reconcile-30: after a reorganisation it was sent at both, and mined at both."""

    async def play(world: World) -> None:
        network = world.network
        want(world, Kind.RECORD, Lane.PRICE)
        await asyncio.sleep(0.01)
        first = network.pool.choose()
        new = want(world, Kind.RECORD, Lane.PRICE)
        world.lies.replies = [Reply(taken=False, words="nonce too low: next nonce 1, tx nonce 0")]
        while world.lies.replies:
            network.mine([])
            world.announce()
            await asyncio.sleep(0.1)
        network.mine(first)
        world.announce()
        await asyncio.sleep(0.1)
        assert world.life is not None
        desk = world.life.outbox.wallet.desk
        assert [tx.last.intent for tx in desk.open.values()] == [new, new]
        network.blocks.pop()
        network.mine([])
        network.mine([])
        network.look_again(first)
        network.reorgs += 1
        if restart:
            await world.kill()
            world.start()
        world.announce()
        await asyncio.sleep(2.5)
        for _ in range(4):
            await block(world)
        own = new.call.data[1:17].hex()
        assert network.blocks.effects[own] == 1
        assert world.told[new.id].state is IntentState.CONFIRMED

    played(play)
