"""Whatever happens to transactions, the laws hold. MODEL_SEED=… repeats one episode, MODEL_STEPS=… goes on for longer."""

from __future__ import annotations

import os
import secrets
import sys

import pytest

from tests.model.episode import LENGTH, live, script

STEPS = int(os.environ.get("MODEL_STEPS", "100000"))
SEED = os.environ.get("MODEL_SEED", "")
PARTS = 10
USUAL = "keeper"
"""A change is judged by the same episodes as the one before it; MODEL_STEPS=… draws new ones."""


@pytest.mark.timeout(3600)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("part", range(PARTS))
def test_any_misfortunes__in_any_order__every_law_holds_after_each_step(part: int) -> None:
    if "." in SEED:
        live(SEED, script(SEED))
        return
    base = SEED or (secrets.token_hex(4) if "MODEL_STEPS" in os.environ else USUAL)
    sys.stdout.write(f"MODEL_SEED={base}\n")
    for number in range(-(-STEPS // LENGTH // PARTS)):
        seed = f"{base}.{part}.{number}"
        live(seed, script(seed))
