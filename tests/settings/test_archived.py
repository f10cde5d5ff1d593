"""A configuration outlives its files: what a decision names can be read back and prices the same."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from keeper.app.registries import REGISTRIES
from keeper.app.sessions import plans_of, session_rules
from keeper.domain.ids import IndexId
from keeper.domain.session import OffHours
from keeper.domain.time import SECOND, Timestamp
from keeper.errors import ConfigError
from keeper.settings.archived import archived_config
from keeper.settings.load import load
from keeper.settings.market import SessionSettings
from keeper.settings.specs import index_spec, market_plans

EXAMPLE = Path(__file__).resolve().parents[2] / "config" / "keeper.yaml"


def test_archived__the_example__gives_the_plans_and_indices_that_the_files_give() -> None:
    settings = load(EXAMPLE, REGISTRIES)
    found = archived_config(settings.decisive)
    assert found.hash == settings.hash == hashlib.sha256(settings.decisive.encode()).hexdigest()
    assert found.plans == market_plans(settings)
    assert {spec.id: spec for spec in found.specs} == {
        market.index_id: index_spec(market) for market in settings.markets
    }
    order = [spec.id for spec in found.specs_of([IndexId("BTC-USD"), IndexId("USDT-USD")])]
    assert order == ["USDT-USD", "BTC-USD"]
    assert found.chain_id == settings.chain.id
    assert found.deployments["main"]["oracle"] == settings.deployments["main"].options["oracle"]


def test_archived__with_a_session__gives_back_its_rules() -> None:
    settings = load(EXAMPLE, REGISTRIES)
    chosen = SessionSettings(calendar="XNYS", off_hours=OffHours.OWN_BOOK, drift_band_bps=300)
    perp = settings.perps[0]
    others = tuple(market for market in settings.markets if market.id != perp.id)
    settings = settings.model_copy(update={"markets": (perp.model_copy(update={"session": chosen}), *others)})
    now = Timestamp(1_795_000_000 * SECOND)
    found = archived_config(settings.decisive)
    assert found.plans[perp.id].session is None
    rules = session_rules(found.markets[perp.id], now)
    assert rules is not None
    assert rules == plans_of(settings, now)[perp.id].session
    assert plans_of(settings, now)[perp.id].config_hash == found.hash


def test_archived__of_another_version__one_sentence() -> None:
    settings = load(EXAMPLE, REGISTRIES)
    document = json.loads(settings.decisive)
    document["markets"][0]["unheard_of"] = 1
    with pytest.raises(ConfigError, match="cannot be read by this version"):
        archived_config(json.dumps(document))
    with pytest.raises(ConfigError, match="cannot be read by this version"):
        archived_config("{}")
