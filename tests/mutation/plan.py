"""What is mutated: the arithmetic that money depends on."""

from __future__ import annotations

import random
from pathlib import Path

from tests.mutation.sites import Site, sites

ROOT = Path(__file__).parents[2]
TARGETS = {
    "index": ("aggregation", "index", "index_*", "outliers", "screening", "ladder", "caps", "quote_groups", "rounding"),
    "conversion": ("conversion", "pricing"),
    "mark": ("mark/*", "premium"),
    "funding": ("funding", "rates/*"),
    "margin": ("margin", "margining/*", "risk"),
    "liquidation": ("liquidation", "deleverage", "gate", "guard", "confirmation"),
    "transaction": ("fees", "nonces", "transaction", "txsteps", "txerrors", "reservation"),
}
TESTS = ("tests/domain",)


def files(part: str) -> list[str]:
    found = {path for name in TARGETS[part] for path in (ROOT / "keeper/domain").glob(f"{name}.py")}
    return sorted(str(path.relative_to(ROOT)) for path in found if path.name != "__init__.py")


def drawn(count: int, seed: int, parts: tuple[str, ...] = tuple(TARGETS)) -> list[Site]:
    """`count` changes, evenly over the parts, each part's evenly over its places."""
    draw = random.Random(seed)
    pools = {part: [site for path in files(part) for site in sites(ROOT, path)] for part in parts}
    for pool in pools.values():
        draw.shuffle(pool)
    chosen: list[Site] = []
    while len(chosen) < count and any(pools.values()):
        for pool in pools.values():
            if pool and len(chosen) < count:
                chosen.append(pool.pop())
    return chosen
