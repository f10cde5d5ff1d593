"""Every recipe of docs/index-prices.md is a market file's `index:` as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from keeper.app.registries import REGISTRIES
from keeper.settings.load import load
from keeper.settings.specs import index_spec
from tests.settings.examples import MARKET, written

DOCUMENT = Path(__file__).parents[2] / "docs" / "index-prices.md"
RECIPES = re.findall(r"```yaml\n(index:.*?)```", DOCUMENT.read_text(), re.DOTALL)


def test_document__has_recipes() -> None:
    assert len(RECIPES) >= 10


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe__in_a_market_file__is_accepted(recipe: str, tmp_path: Path) -> None:
    lines = [line for line in MARKET.splitlines() if not line.startswith("index:")]
    if "quote_group_median" in recipe:
        lines = [line for line in lines if not line.startswith("conversions:")]
    market = "\n".join([*lines, recipe.replace("max_age_s: 120", "max_age_s: 19")])
    found = load(written(tmp_path, BTC=market), REGISTRIES, {}).market("BTC-USD")
    assert index_spec(found).method.name in recipe
