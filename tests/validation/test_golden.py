"""No worked example lies unused: each of the file is computed by a check or a test that names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from keeper.domain.ticks import mean_tick
from tests.validation.data import golden

TESTS = Path(__file__).parents[1]
FAMILIES = ("wmedian_", "bitmex_fair_", "binance_liq_")
"""Named by their beginning, and the rest from a table."""
OTHERS = [
    path.read_text()
    for path in TESTS.rglob("*.py")
    if path.name != "test_golden.py" and "node_modules" not in path.parts
]


@pytest.mark.parametrize("name", sorted(golden().keys() - {"uniswap_tick_floor"}))
def test_golden__of_every_worked_example__somebody_computes_it(name: str) -> None:
    begins = next((family for family in FAMILIES if name.startswith(family)), name.removeprefix("index_"))
    assert any(f'"{begins}' in text for text in OTHERS)


def test_uniswap_tick_floor__of_a_negative_mean__goes_to_the_lower_tick() -> None:
    vector = golden()["uniswap_tick_floor"]
    assert mean_tick(0, vector["inputs"]["delta"], vector["inputs"]["dt"]) == vector["published"]
