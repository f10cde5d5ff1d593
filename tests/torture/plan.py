"""What one seed decides: where the process is killed, and how the chain and the node behave meanwhile."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

CONTRACTS = ("counter", "probe")
"""`counter` refuses what was done before, `probe` counts it."""
CROWDED = frozenset({"at_bump_signed", "at_bump_saved", "at_supersede_saved", "at_cancel_saved", "at_resend"})
"""Places that are only come to while nothing of ours is mined."""
REORGED = frozenset({"at_taken_back"})
ONCE = frozenset({"before_migration", "during_reconcile", "at_first_head"})
"""Places that every process comes to once."""
RARE = CROWDED | REORGED
FAILPOINTS = (
    "before_migration",
    "during_reconcile",
    "at_first_head",
    "before_sign",
    "after_sign",
    "before_commit",
    "after_commit",
    "before_broadcast",
    "after_broadcast_before_reply",
    "after_reply",
    "before_answer_saved",
    "after_answer_saved",
    "before_receipt_saved",
    "after_receipt_saved",
    "before_settle",
    "after_settle",
    "before_confirm",
    "after_confirm",
    "at_bump_signed",
    "at_bump_saved",
    "at_supersede_saved",
    "at_cancel_saved",
    "at_resend",
    "at_taken_back",
)


@dataclass(frozen=True, slots=True)
class Kill:
    """At the `passing`-th time that the process comes to `failpoint`."""

    failpoint: str
    passing: int


@dataclass(frozen=True, slots=True)
class Weather:
    """Chances per kill that nothing is mined until well after the restart; per block that it leaves ours
    out, that it is taken back, that the pool forgets us; per request that the node loses it, loses its answer, is busy,
    or does not know the receipt yet. After `stormy_blocks` all is calm.
    """

    block_s: float
    held: float
    stormy_blocks: int
    crowd: float
    reorg: float
    drop: float
    swallowed: float
    unanswered: float
    busy: float
    lagging: float


@dataclass(frozen=True, slots=True)
class Case:
    contract: str
    failpoint: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.contract}-{self.failpoint}-{self.seed}"

    @property
    def command(self) -> str:
        words = f"--contract {self.contract} --failpoint {self.failpoint} --seed {self.seed}"
        return f'make torture ARGS="{words}"'


@dataclass(frozen=True, slots=True)
class Plan:
    """`kills`: one process after the other; the process after the last is left alone."""

    kills: tuple[Kill, ...]
    weather: Weather
    fundings: int
    liquidations: int
    prices: int
    price_every_s: float
    price_deadline_s: float | None

    def wishes(self) -> dict[str, Any]:
        return {
            "prices": self.prices,
            "price_every_s": self.price_every_s,
            "price_deadline_s": self.price_deadline_s,
        }


def plan(case: Case) -> Plan:
    """The same for the same case, always."""
    draw = random.Random(case.name)
    kills = [_kill(case.failpoint, draw)]
    while len(kills) < 3 and draw.random() < 0.35:
        kills.append(_kill(draw.choice([name for name in FAILPOINTS if name not in RARE]), draw))
    deadline_s = draw.uniform(0.1, 0.25) if _is_cancelled(case) or draw.random() < 0.3 else None
    return Plan(
        kills=tuple(kills),
        weather=_weather(draw),
        fundings=draw.randint(2, 4),
        liquidations=draw.randint(2, 4),
        prices=draw.randint(3, 6) + (4 if case.failpoint in CROWDED else 0),
        # A newer price takes the place of an expired one: only a pause between prices makes room for a cancellation.
        price_every_s=draw.uniform(0.03, 0.12) + (0.4 if _is_cancelled(case) else 0.0),
        price_deadline_s=deadline_s,
    )


def _is_cancelled(case: Case) -> bool:
    return case.failpoint == "at_cancel_saved"


def _kill(failpoint: str, draw: random.Random) -> Kill:
    most = 1 if failpoint in ONCE | RARE else 4
    return Kill(failpoint, draw.randint(1, most))


def _weather(draw: random.Random) -> Weather:
    """Each trouble comes in about half of the cases, so that they meet in all combinations."""

    def chance(most: float) -> float:
        return draw.choice((0.0, draw.uniform(0.0, most)))

    return Weather(
        block_s=draw.uniform(0.02, 0.05),
        held=draw.choice((0.0, 0.5, 1.0)),
        stormy_blocks=draw.randint(15, 40),
        crowd=chance(0.6),
        reorg=chance(0.2),
        drop=chance(0.2),
        swallowed=chance(0.15),
        unanswered=chance(0.2),
        busy=chance(0.1),
        lagging=chance(0.3),
    )
