"""What can happen to a keeper: one step is one of these, and what the keeper makes of it."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from keeper.devnet.simulator.envelope import Envelope, decode
from keeper.domain.chain import Call
from keeper.domain.time import SECOND, Timestamp
from keeper.domain.transaction import Lane
from keeper.ports.signer import UnsignedTransaction
from tests.model.acts import CHAIN_ID, GAS, STRANGER, Kind, intent
from tests.model.lies import REPLIES, Read
from tests.model.network import DEEPEST, GWEI
from tests.model.world import SIGNER, World

Act = Callable[[World, Random], None]
MOST_OPEN = 10
_LANES = (Lane.SAFETY, Lane.LIQUIDATION, Lane.FUNDING, Lane.HOUSEKEEPING)


def send(world: World, chance: Random) -> None:
    if sum(map(world.is_open, world.wanted.values())) >= (MOST_OPEN if world.busy else 2):
        return
    now, lane = world.clock.now(), chance.choice(_LANES)
    chain_now = world.network.blocks.now()
    kind = chance.choices((Kind.RECORD, Kind.ONCE, Kind.REVERT, Kind.SILENT), (12, 3, 1, 1))[0]
    if lane is Lane.LIQUIDATION and kind is Kind.RECORD:
        kind = Kind.ONCE  # who is not under water any more cannot be liquidated
    deadline = Timestamp(chain_now + chance.randint(3, 60) * SECOND) if chance.random() < 0.2 else None
    gas = GAS if chance.random() < 0.7 else None
    new = intent(kind, lane, len(world.wanted), now, deadline, gas)
    world.wanted[new.id] = new
    world.offer(new)


def price(world: World, chance: Random) -> None:
    if not world.busy and chance.random() < 0.8:
        return  # where little is wanted, nothing comes along to close a gap by chance
    now = world.clock.now()
    deadline = Timestamp(world.network.blocks.now() + chance.randint(3, 40) * SECOND) if chance.random() < 0.5 else None
    new = intent(Kind.ROUND, Lane.PRICE, 1 + len(world.wanted), now, deadline)
    world.wanted[new.id] = world.price = new
    world.offer(new)


def offer_again(world: World, chance: Random) -> None:
    """Whatever became of it: a strategy may decide the same again."""
    found = chance.choice(list(world.wanted.values()) or [None])
    if found is not None and found.lane is not Lane.PRICE and world.life is not None:
        world.life.inbox.offer(found)


def mine(world: World, chance: Random) -> None:
    network = world.network
    chosen = network.pool.choose()
    if chance.random() < 0.3:
        chosen = chosen[: chance.randint(0, 2)]
    rivals = [each.id for each in world.wanted.values() if each.call.data[:1] == Kind.ONCE.value]
    quick = [chance.choice(rivals)] if rivals and chance.random() < 0.05 else []
    done = [each for each in quick if not network.blocks.is_done(each)]
    network.mine([network.other_form(each, chance) for each in chosen] if chance.random() < 0.2 else chosen, done)


def mine_and_tell(world: World, chance: Random) -> None:
    mine(world, chance)
    world.announce()


def drop(world: World, chance: Random) -> None:
    hashes = world.network.pool.hashes()
    for each in hashes if chance.random() < 0.2 else hashes[:1]:
        world.network.pool.drop(each)
    world.misfortunes += 1


def duplicate(world: World, chance: Random) -> None:
    """Another node gossips what it once had."""
    known = list(world.network.seen.values())[-20:]
    if known:
        world.network.submit(chance.choice(known))


def deliver(world: World, _chance: Random) -> None:
    world.network.deliver()


def reorg(world: World, chance: Random) -> None:
    world.misfortunes += 1
    world.network.reorganise(chance.randint(1, DEEPEST), chance)
    if chance.random() < 0.8:
        world.announce()


def crash(world: World, chance: Random) -> None:
    """At the next writes or sends, or at once."""
    world.misfortunes += 1
    world.die_after = chance.randint(0, 5)


def walk(world: World, chance: Random) -> None:
    fee = world.network.base_fee
    leap = chance.random() < 0.1
    factor = chance.choice((0.1, 0.3, 3, 10)) if leap else chance.uniform(0.875, 1.125)
    world.network.walk(min(max(round(fee * factor), 1000), 100 * GWEI))


def lie(world: World, chance: Random) -> None:
    world.misfortunes += 1
    question = chance.choice(("receipt", "block", "nonce", "fees", "balance", "estimate_gas", "simulate"))
    kinds = [Read.SILENT, Read.AWAY, Read.SLOW, Read.STALE]
    kinds += [Read.NULL, Read.NULL] if question in {"receipt", "block", "nonce"} else []
    kind = chance.choice(kinds)
    often = chance.randint(1, 2 if kind is Read.NULL else 4)
    if kind is Read.NULL and world.network.blocks.now() < world.seeing_until:
        return  # nodes that never find anything are not lies but the end of the chain
    if kind is Read.NULL:
        world.seeing_until = Timestamp(world.network.blocks.now() + 30 * SECOND)
    world.lies.reads[question] = [kind] * often


def mislead(world: World, chance: Random) -> None:
    world.misfortunes += 1
    world.lies.replies[:] = [chance.choice(REPLIES) for _ in range(chance.randint(1, 3))]


def lag(world: World, chance: Random) -> None:
    """Some questions go to a node that is some blocks behind, or on a branch that is gone."""
    world.misfortunes += 1
    if chance.random() < 0.5:
        line = world.network.blocks.line
        world.network.stale = line[: max(1, len(line) - chance.randint(1, DEEPEST))]
    world.lies.lag = chance.choice((0.0, 0.1, 0.5))


def pen(world: World, chance: Random) -> None:
    world.misfortunes += 1
    world.lies.signer[:] = [chance.choice((Read.AWAY, Read.SLOW, Read.SILENT))]


def fill_pool(world: World, chance: Random) -> None:
    world.misfortunes += 1
    world.network.pool.full = chance.random() < 0.5


def funds(world: World, chance: Random) -> None:
    world.misfortunes += 1
    world.network.blocks.balance = chance.choice((0, GAS * 3 * GWEI, 10**21, 10**21))
    world.network.look_again()


def full_disk(world: World, chance: Random) -> None:
    world.misfortunes += 1
    world.unwritable = chance.randint(1, 4)


def halt(world: World, chance: Random) -> None:
    world.misfortunes += 1
    world.halted = "" if world.halted or chance.random() < 0.3 else "the operator said so"


def bar(world: World, chance: Random) -> None:
    world.misfortunes += 1
    world.barred = "" if world.barred or chance.random() < 0.3 else "the contracts are paused"


def use_elsewhere(world: World, chance: Random) -> None:
    """Somebody signs with our key: the next nonce, or one that we have used."""
    if world.ledger.next_nonce(CHAIN_ID, SIGNER.address) is None:
        return  # before our first one it is a wallet with a past, and no alarm
    network = world.network
    nonce = network.blocks.nonce + chance.choice((0, 0, 1))
    tx = foreign_use(nonce, chance.choice((5, 400)) * GWEI)
    if network.submit(tx) is None or chance.random() < 0.5:
        world.misfortunes += 1
        network.seen[tx.hash] = tx
        network.foreign.add(tx.hash)
        if chance.random() < 0.5:
            network.mine([tx])
            world.announce()


def foreign_use(nonce: int, cap: int) -> Envelope:
    call = Call(STRANGER, b"", 1, 21_000)
    signing = SIGNER.sign_transaction(UnsignedTransaction(CHAIN_ID, nonce, call, 21_000, cap, cap // 2))
    try:
        signing.send(None)
    except StopIteration as done:
        return decode(done.value.raw, CHAIN_ID)
    raise AssertionError("a key in memory signs at once")


def set_clock(world: World, chance: Random) -> None:
    """Somebody sets the keeper's clock: right, a little wrong or an hour."""
    world.clock.ahead_ns = chance.choice((0, 5, -5, 3600, -3600, chance.randint(-300, 300))) * SECOND


STEPS: dict[str, tuple[int, Act]] = {
    "send": (140, send),
    "price": (70, price),
    "offer_again": (15, offer_again),
    "mine_and_tell": (220, mine_and_tell),
    "mine": (50, mine),
    "drop": (40, drop),
    "duplicate": (30, duplicate),
    "deliver": (40, deliver),
    "reorg": (35, reorg),
    "crash": (20, crash),
    "walk": (60, walk),
    "lie": (40, lie),
    "mislead": (70, mislead),
    "lag": (20, lag),
    "pen": (8, pen),
    "fill_pool": (12, fill_pool),
    "funds": (20, funds),
    "full_disk": (10, full_disk),
    "halt": (14, halt),
    "bar": (10, bar),
    "set_clock": (8, set_clock),
    "use_elsewhere": (1, use_elsewhere),
}
"""With how often, relatively. A foreign use ends what can be promised of its episode, so it is rare."""
