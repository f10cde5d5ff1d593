"""Many short lives of a world, each from a seed of its own, so that a failure can be lived again alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from keeper.runtime.virtual import run_virtual
from keeper.services.outbox import OutboxRules
from tests.model.laws import Broken
from tests.model.settling import check_gap, settle
from tests.model.steps import STEPS
from tests.model.world import World

LENGTH = 400
Script = Sequence[tuple[str, int]]
"""Steps by name, each with the seed of its own chance: one can be left out and the others stay as they were."""
Make = Callable[[Random, OutboxRules], World]


@dataclass(slots=True)
class Failure(AssertionError):
    breach: Broken
    seed: str
    step: int
    last: Sequence[str]

    def __str__(self) -> str:
        story = "\n".join(self.last[-60:])
        return f"{story}\n{self.breach}\nat step {self.step}; again with MODEL_SEED={self.seed}"


def script(seed: str, length: int = LENGTH) -> Script:
    chance = Random(seed)
    names = chance.choices(list(STEPS), [weight for weight, _ in STEPS.values()], k=length)
    return [(name, chance.getrandbits(32)) for name in names]


def rules(chance: Random) -> OutboxRules:
    return OutboxRules(
        confirmations=chance.choice((1, 2, 3)),
        finality_blocks=12,
        orphan_after_blocks=12,
        max_in_flight=chance.choice((4, 16)),
        resend_after_s=2.0,
        tick_s=5.0,
        dry_run=chance.random() < 0.02,
    )


def live(seed: str, steps: Script, make: Make = World) -> World:
    """Raises Failure."""
    chance = Random(f"{seed} world")
    world = make(chance, rules(chance))

    async def whole() -> None:
        world.start()
        for world.step, (name, own) in enumerate(steps):
            await _step(world, name, Random(own))
        await settle(world)
        await world.kill()

    try:
        run_virtual(whole)
    except Broken as breach:
        raise Failure(breach, seed, world.step, world.diary.lines) from None
    return world


async def _step(world: World, name: str, chance: Random) -> None:
    world.diary.note(f"{name} @{world.network.blocks.head.ref.number} nonce {world.network.blocks.nonce}")
    STEPS[name][1](world, chance)
    hurried = chance.random()
    await asyncio.sleep(0 if hurried < 0.1 else 0.01 if hurried < 0.6 else 0.5 if hurried < 0.85 else 2.5)
    if not world.outlive():
        world.down -= 1
        if world.down < 0:
            world.start()
            await asyncio.sleep(0.01)
    check_gap(world)
    world.laws.check()
