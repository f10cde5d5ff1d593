"""A seeded walk on a real EVM: chain, model and the mirror from logs agree at every step, and nothing rare is left out."""

from __future__ import annotations

import pytest

from tests.evm.walk import run

SEED = 2
STEPS = 300


@pytest.mark.timeout(80)
async def test_random_walk__on_anvil__equals_the_model_and_reaches_every_branch() -> None:
    walk = await run(SEED, STEPS)
    print(f"seed {SEED}, {STEPS} steps: {dict(walk.counts)}")  # noqa: T201 - pytest shows it when the test fails
    for what in (
        "trade",
        "withdraw",
        "settleFunding",
        "settleFundingMany",
        "liquidate",
        "partial",
        "bad debt",
        "liquidate: FundShort",
        "deleverage",
        "deleverage the engine",
        "engine under water",
        "configureMarket",
        "skim",
        "price skipped 5",
    ):
        assert walk.counts[what] > 0, what
