"""The end of an episode: nothing goes wrong any more, and then everything must have come to its end."""

from __future__ import annotations

import asyncio

from keeper.domain.time import SECOND
from keeper.domain.transaction import UNMINED, Intent, IntentState, Lane
from tests.model.acts import Kind, kind_of
from tests.model.network import GWEI
from tests.model.world import World

_LONGEST = 150
_WITH_EFFECT = (IntentState.MINED, IntentState.CONFIRMED)
_ENDS = {
    Kind.RECORD: (),
    Kind.ONCE: (IntentState.LOST_RACE, IntentState.REVERTED),
    Kind.ROUND: (IntentState.LOST_RACE, IntentState.REVERTED),
    Kind.REVERT: (IntentState.REVERTED,),
    Kind.SILENT: (IntentState.NO_EFFECT,),
}
_ANY_ENDS = (IntentState.EXPIRED, IntentState.ABANDONED, IntentState.SUPERSEDED, IntentState.REJECTED)
_QUIET_HEADS = 8
_QUIET_S = 20


def check_gap(world: World) -> None:
    """Heads without any misfortune, while the lowest nonce that we wait for is in no pool."""
    network, now = world.network, world.network.blocks.now()
    number = network.blocks.head.ref.number
    excused = world.misfortunes or world.halted or world.barred or network.blocks.balance < 10**20
    if world.life is None or excused or network.pool.full or not _has_gap(world):
        world.gap_since, world.misfortunes = (number, now), 0
        return
    heads, since = number - world.gap_since[0], (now - world.gap_since[1]) / SECOND
    lasting = heads > _QUIET_HEADS and since > _QUIET_S
    world.laws.require(not lasting, "GAP", f"nonce {network.blocks.nonce} for {heads} heads and {since} s")


def _has_gap(world: World) -> bool:
    assert world.life is not None
    desk, mined = world.life.outbox.wallet.desk, world.network.blocks.nonce
    waits = any(nonce >= mined and tx.state in UNMINED for nonce, tx in desk.open.items())
    pooled = world.network.pool.pending().get(world.network.wallet)
    return waits and not pooled


async def settle(world: World) -> None:
    world.lies.forget()
    world.network.stale = []
    world.halted = world.barred = ""
    world.unwritable, world.die_after = 0, -1
    world.network.blocks.balance = 10**24
    world.network.pool.full = False
    world.network.walk(GWEI)
    world.network.deliver()
    world.network.look_again()
    world.diary.note("all is well from now on")
    await _until_quiet(world)
    _judge(world)
    world.laws.check()


async def _until_quiet(world: World) -> None:
    for _ in range(_LONGEST):
        if not world.outlive():
            world.start()
        world.network.insist()
        world.network.mine(world.network.pool.choose())
        world.announce()
        await asyncio.sleep(2.5)
        world.laws.check()
        if _is_quiet(world):
            return
        for each in world.wanted.values():
            if each.id not in world.told or world.is_open(each):
                world.offer(each)


def _is_quiet(world: World) -> bool:
    assert world.life is not None
    desk = world.life.outbox.wallet.desk
    return (
        not desk.open
        and not desk.beyond
        and not any(world.is_open(each) and not _is_stale_price(world, each) for each in world.wanted.values())
    )


def _is_stale_price(world: World, intent: Intent) -> bool:
    """Overtaken on the board before it was ever started: nobody tells what became of it."""
    return intent.lane is Lane.PRICE and intent is not world.price


def _judge(world: World) -> None:
    foreign = any(tx.hash in world.network.foreign for tx, _ in world.network.blocks.takers.values())
    world.laws.require(not foreign or world.diary.alarms > 0, "I8", "a stranger's transaction was mined, and no alarm")
    for each in world.wanted.values():
        _judge_one(world, each)


def _judge_one(world: World, intent: Intent) -> None:
    record = world.ledger.intent(intent.id)
    told, count = None if record is None else record.state, world.network.blocks.effects[intent.id]
    words = f"{intent.lane.name} {intent.key} {intent.id} ends as {told} with {count} effects"
    kind = kind_of(intent.call.data)
    if told in _WITH_EFFECT:
        world.laws.require(count == 1, "END", words)
    elif kind is Kind.ROUND and len({tx.nonce for tx in world.signed.values() if tx.data == intent.call.data}) > 1:
        return  # it may have lost against itself: a price that was displaced is sent again before that is final
    elif told in _ENDS[kind] or told in _ANY_ENDS:
        world.laws.require(count == 0, "END", words)
    else:
        withheld = world.rules.dry_run and told is None and count == 0
        world.laws.require(withheld or _is_stale_price(world, intent), "END", words)
