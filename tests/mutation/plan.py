"""What is mutated: the arithmetic that money depends on."""

from __future__ import annotations

import random
from pathlib import Path

from tests.mutation.sites import Site, sites

ROOT = Path(__file__).parents[2]
TARGETS = {
    "index": (
        *("aggregation", "ballots", "caps", "composition", "index", "index_*", "ladder", "operators", "outlier_rules"),
        *("outliers", "quarantine", "quote_groups", "rounding", "scorecard", "screening", "second_look"),
    ),
    "conversion": ("conversion", "pricing"),
    "mark": ("mark/*", "market", "off_hours", "premium", "session"),
    "funding": ("funding", "rates/*"),
    "margin": ("account", "holdings", "margin", "margining/*", "risk"),
    "liquidation": ("condition", "confirmation", "deleverage", "gate", "guard", "liquidation", "publishing"),
    "transaction": ("adoption", "fees", "funds", "heads", "nonces", "transaction", "txerrors", "txsteps"),
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
