"""Every recipe of docs/index-prices.md is a market file's `index:` as it stands."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from keeper.adapters.onchain import ONCHAIN_SOURCES
from keeper.app.registries import REGISTRIES
from keeper.settings.faults import SettingsRefused
from keeper.settings.load import load
from keeper.settings.reference import reference
from keeper.settings.specs import index_spec
from tests.settings.examples import GLOBAL, INDEX, MARKET, written

DOCUMENT = Path(__file__).parents[2] / "docs" / "index-prices.md"
RECIPES = re.findall(r"```yaml\n(index:.*?)```", DOCUMENT.read_text(), re.DOTALL)


def test_document__has_recipes() -> None:
    assert len(RECIPES) >= 10


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe__in_a_market_file__is_accepted(recipe: str, tmp_path: Path) -> None:
    lines = [line for line in MARKET.splitlines() if not line.startswith("index:")]
    if "quote_group_median" in recipe:
        lines = [line for line in lines if not line.startswith("conversions:")]
    market = "\n".join([*lines, recipe])
    found = load(written(tmp_path, BTC=market), REGISTRIES, {}).market("BTC-USD")
    assert index_spec(found).method.name in recipe


EXAMPLES = DOCUMENT.parents[1] / "config"
INDEX_LINE = re.compile(r"^index: .*\n", re.MULTILINE)


@pytest.mark.parametrize("recipe", [recipe for recipe in RECIPES if "quote_group_median" not in recipe])
def test_recipe__in_the_shipped_file__is_accepted(recipe: str, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "config")
    file = tmp_path / "config/markets/BTC-USD.yaml"
    file.write_text(INDEX_LINE.sub(lambda _: recipe, file.read_text()))
    assert load(tmp_path / "config/keeper.yaml", REGISTRIES, {}).market("BTC-USD").index.method in recipe


@pytest.mark.parametrize("name", ["BTC-USD", "ETH-USD"])
def test_shipped_file__without_a_book_as_its_comment_says__is_accepted(name: str, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "config")
    file = tmp_path / f"config/markets/{name}.yaml"
    text = file.read_text()
    method, premium = re.findall(r"^book: .*mark method `?(\w+)`? and premium:? (\w+)", text, re.MULTILINE)[0]
    for key, value in (
        ("book", ""),
        ("mark", f"mark: {{method: {method}}}"),
        ("funding", f"funding: {{premium: {premium}}}"),
    ):
        text = re.sub(rf"^{key}: .*$", value, text, flags=re.MULTILINE)
    file.write_text(text)
    assert load(tmp_path / "config/keeper.yaml", REGISTRIES, {}).market(name).book is None


DOCS = DOCUMENT.parent
SESSIONS = re.findall(r"```yaml\n(session:.*?)```", (DOCS / "sessions.md").read_text(), re.DOTALL)
SHARED, OF_A_MARKET = re.findall(r"```yaml\n# [^\n]*\n(.*?)```", (DOCS / "onchain.md").read_text(), re.DOTALL)
CHAIN = re.findall(r"```yaml\n(chain:.*?)```", (DOCS / "onchain.md").read_text(), re.DOTALL)[0]


@pytest.mark.parametrize("recipe", SESSIONS)
def test_session__of_the_document__is_accepted(recipe: str, tmp_path: Path) -> None:
    found = load(written(tmp_path, BTC=MARKET + recipe), REGISTRIES, {}).market("BTC-USD")
    assert found.session is not None


def test_contracts__of_the_document__are_accepted(tmp_path: Path) -> None:
    """Market and conversion are called as the examples are."""
    keeper = SHARED + CHAIN + "\n".join(GLOBAL.splitlines()[1:])
    head, _, rest = MARKET.partition("sources:\n")
    rest = rest.partition("conversions:")[2].partition("\n")[2].replace("min_quote_groups: 2", "min_quote_groups: 1")
    market = head + OF_A_MARKET.replace("USDC", "USDT").replace("WETH-USDT", "WETH-USDC") + rest
    settings = load(written(tmp_path, keeper=keeper, BTC=market), REGISTRIES, {})
    assert {source.kind for source in settings.market("BTC-USD").sources} == set(ONCHAIN_SOURCES)


def test_reference__of_the_document__is_accepted(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n((?:index|sources):.*?)```", (DOCS / "sessions.md").read_text(), re.DOTALL)
    index, source = blocks[0], blocks[1].partition("sources:\n")[2]
    text = INDEX.replace("index: {method: median}\n", index)
    text = text.replace("index:", f"{source}index:", 1)
    found = load(written(tmp_path, USDT=text), REGISTRIES, {}).market("USDT-USD")
    assert found.index.reference is not None
    assert found.sources[-1].fallback


def test_ages__of_connect__are_accepted_beside_the_report_that_the_document_names(tmp_path: Path) -> None:
    age, report = re.findall(
        r"`(max_age_s: \d+)` is accepted here only beside a longer `(report: .*?)`", DOCUMENT.read_text()
    )[0]
    market = MARKET.replace("index: {", f"index: {{{age}, ")
    assert (
        load(written(tmp_path, keeper=GLOBAL + report, BTC=market), REGISTRIES, {}).market("BTC-USD").index.max_age_s
        == 120
    )
    with pytest.raises(SettingsRefused, match=r"shorter than report\.ttl_s"):
        load(written(tmp_path, BTC=market), REGISTRIES, {})
    text = INDEX.replace("method: median", f"method: median, {age}")
    assert load(written(tmp_path, USDT=text), REGISTRIES, {}).market("USDT-USD").index.max_age_s == 120


def test_rule_between_age_and_report__stands_at_both_fields() -> None:
    rows = {row.split("`")[1]: row for row in reference().splitlines() if row.startswith("| `")}
    assert "`report.ttl_s`" in rows["index.max_age_s"]
    assert "`index.max_age_s`" in rows["report.ttl_s"]
