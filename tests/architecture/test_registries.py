"""One new file, one line in a registry, one fixture: an entry without recorded evidence is not finished."""

from __future__ import annotations

import re

import pytest

from keeper.adapters.onchain import ONCHAIN_SOURCES
from keeper.adapters.signers import SIGNERS
from keeper.adapters.sources import STREAM_VENUES
from keeper.app.registries import REGISTRIES
from keeper.domain.index_methods import INDEX_METHODS
from keeper.domain.ladder import LADDERS
from keeper.domain.mark import MARK_METHODS
from keeper.domain.outlier_rules import OUTLIER_RULES
from keeper.domain.rates import FUNDING_METHODS
from scripts.render_docs import funding_document
from tests.architecture.code import ROOT, tracked


@pytest.mark.parametrize("kind", sorted(STREAM_VENUES))
def test_venue__in_the_registry__has_recorded_frames(kind: str) -> None:
    frames = ROOT / "tests/venues" / kind / "frames.jsonl"
    assert frames.is_file(), f"record frames of {kind} into {frames.relative_to(ROOT)}"
    assert frames.stat().st_size > 0


def _tests_under(folder: str) -> str:
    return "".join((ROOT / name).read_text() for name in tracked() if name.startswith(folder) and name.endswith(".py"))


@pytest.mark.parametrize("kind", sorted(MARK_METHODS))
def test_mark_method__in_the_registry__is_tested(kind: str) -> None:
    assert re.search(rf"\b({kind}|{MARK_METHODS[kind].__name__})\b", _tests_under("tests/domain"))


@pytest.mark.parametrize("kind", sorted(FUNDING_METHODS))
def test_funding_method__in_the_registry__is_tested(kind: str) -> None:
    assert re.search(rf"\b({kind}|{FUNDING_METHODS[kind].__name__})\b", _tests_under("tests/domain/rates"))


def test_documentation__of_the_funding_methods__is_their_table() -> None:
    """Renew it: make docs"""
    text = (ROOT / "docs/funding-methods.md").read_text()
    assert text == funding_document(text)


def test_documentation__of_the_funding_methods__says_what_to_set_as_impact_notional() -> None:
    """The default is one number for all; no venue's is."""
    rows = (ROOT / "docs/funding-methods.md").read_text().splitlines()
    column = {row.split("|")[1].strip(" `"): row.split("|")[5].strip() for row in rows if row.startswith("| `")}
    assert set(column) == set(FUNDING_METHODS)
    assert column["hyperliquid"] == "20,000 USDC (BTC, ETH), 6,000 (others)"
    assert column["dydx_v4"] == "500 USDC / initial margin fraction"
    assert column["binance"] == "200 USDT / initial margin rate at the highest leverage"
    assert column["gate"].startswith("the contract's funding_impact_value")
    assert column["btse"] == "10,000 contracts"
    assert column["bybit"] == "not in our sources"
    for name in ("okx", "ftx", "kraken", "coinbase_intx", "deribit", "drift", "curie", "synthetix", "gmx_v1"):
        assert column[name] == "none", name


@pytest.mark.parametrize("kind", sorted(INDEX_METHODS))
def test_index_method__in_the_registry__is_tested(kind: str) -> None:
    assert re.search(rf"\b({kind}|{INDEX_METHODS[kind].__name__})\b", _tests_under("tests/domain"))


@pytest.mark.parametrize("kind", sorted(OUTLIER_RULES))
def test_outlier_rule__in_the_registry__is_tested(kind: str) -> None:
    assert re.search(rf"\b({kind}|{OUTLIER_RULES[kind].__name__})\b", _tests_under("tests/domain"))


@pytest.mark.parametrize("kind", sorted(LADDERS))
def test_ladder__in_the_registry__is_tested(kind: str) -> None:
    assert re.search(rf"\b({kind})\b", _tests_under("tests/domain"))


@pytest.mark.parametrize("kind", sorted(ONCHAIN_SOURCES))
def test_onchain_source__in_the_registry__is_tested_against_a_contract(kind: str) -> None:
    assert re.search(rf"\b{ONCHAIN_SOURCES[kind].__name__}\(", _tests_under("tests/onchain"))


@pytest.mark.parametrize("kind", sorted(SIGNERS))
def test_signer__in_the_registry__is_tested(kind: str) -> None:
    assert re.search(rf"\b({kind}|{SIGNERS[kind].__name__})\b", _tests_under("tests/signers"))


def test_registries__of_the_app__are_those_of_the_adapters() -> None:
    assert REGISTRIES.venues is STREAM_VENUES
    assert REGISTRIES.signers is SIGNERS
