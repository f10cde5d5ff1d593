"""What a configuration that is right becomes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from keeper.adapters.sources import STREAM_VENUES
from keeper.app.registries import REGISTRIES
from keeper.domain.numbers import E18
from keeper.domain.time import SECOND
from keeper.settings.load import admin_sockets, load
from keeper.settings.market import MarketSettings
from keeper.settings.reference import reference
from keeper.settings.specs import index_spec, market_plan
from tests.architecture.code import ROOT
from tests.settings.examples import GLOBAL, MARKET, written


def test_examples__in_the_repository__load_against_the_real_registries() -> None:
    settings = load(ROOT / "config/keeper.yaml", REGISTRIES, {})
    assert [market.market for market in settings.markets] == ["BTC-USD", "ETH-USD", "USDT-USD"]
    assert [market.market for market in settings.perps] == ["BTC-USD", "ETH-USD"]
    assert {source.kind for source in settings.market("BTC-USD").sources} == set(STREAM_VENUES)
    for market in settings.markets:
        assert index_spec(market).id == market.market


def test_reference__beside_the_examples__is_what_the_models_say() -> None:
    """Renew it: make docs"""
    assert (ROOT / "config/README.md").read_text() == reference()


def test_plan__of_a_market_file__carries_every_figure_into_the_domain(tmp_path: Path) -> None:
    plan = market_plan(load(written(tmp_path), REGISTRIES, {}).market("BTC-USD"))
    assert (plan.market, plan.market_no, plan.deployment) == ("BTC-USD", 1, "main")
    assert [(s.source, s.quote, s.weight) for s in plan.spec.sources] == [
        ("binance:BTCUSDT", "USDT", 3),
        ("coinbase:BTC-USD", "USD", 2),
        ("kraken:BTC/USD", "USD", 1),
    ]
    assert plan.spec.conversions["USDT"].low_e18 == 98 * E18 // 100
    assert plan.policy.heartbeat_ns == 60 * SECOND
    assert plan.gate.max_mark_age_ns == 90 * SECOND
    assert plan.gate.confirmation == plan.guard.confirmation
    assert plan.impact_notional_e18 == 0, "a derived premium samples no book"


@pytest.mark.parametrize("text", ["0.1", '"0.1"', "0.100000000000000000", "1e-1"])
def test_decimal__quoted_or_not__keeps_its_digits(tmp_path: Path, text: str) -> None:
    path = written(
        tmp_path, BTC=MARKET.replace("symbol: BTC-USD, weight", f"symbol: BTC-USD, multiplier: {text}, weight")
    )
    assert load(path, REGISTRIES, {}).market("BTC-USD").sources[1].multiplier_e18 == E18 // 10


def test_paths__of_keys__start_from_the_global_file(tmp_path: Path) -> None:
    settings = load(written(tmp_path), REGISTRIES, {})
    assert settings.signers.reports[0].options == {"file": str(tmp_path / "report.key")}
    credential = GLOBAL.replace("file: sender.key", "file: cred:sender")
    sender = load(written(tmp_path, keeper=credential), REGISTRIES, {}).signers.sender
    assert sender is not None
    assert sender.options == {"file": "cred:sender"}


def test_directories__under_systemd__are_those_of_the_unit(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert load(path, REGISTRIES, {}).state_dir == tmp_path / "state"
    unit = {"STATE_DIRECTORY": "/var/lib/keeper/main", "RUNTIME_DIRECTORY": "/run/keeper/main"}
    settings = load(path, REGISTRIES, unit)
    assert settings.state_dir == Path("/var/lib/keeper/main")
    assert settings.admin_socket == Path("/run/keeper/main/keeper.sock")
    assert load(path, REGISTRIES, {}).admin_socket in admin_sockets(path, {})


def test_admin_sockets__with_a_broken_file__still_name_a_place(tmp_path: Path) -> None:
    """`keeper ctl pause` must work while somebody edits."""
    path = written(tmp_path, keeper="admin: [")
    assert tmp_path / "state/keeper.sock" in admin_sockets(path, {})


def test_public_view__of_settings__holds_no_secret_and_its_hash_follows_it(tmp_path: Path) -> None:
    secret = GLOBAL.replace("http://127.0.0.1:8545", "https://rpc.example.org/v2/s3cr3t-canary?key=s3cr3t-canary")
    settings = load(written(tmp_path, keeper=secret), REGISTRIES, {})
    for shown in (json.dumps(settings.public()), repr(settings), str(settings)):
        assert "s3cr3t-canary" not in shown
    assert settings.public()["chain"]["rpc"] == ["https://rpc.example.org/***"]
    other = load(written(tmp_path, keeper=secret, BTC=MARKET.replace("weight: 3", "weight: 4")), REGISTRIES, {})
    assert len(settings.hash) == 64
    assert settings.hash != other.hash
    keys = load(written(tmp_path, keeper=secret.replace("report.key", "other.key")), REGISTRIES, {})
    assert keys.public()["signers"]["reports"] == [{"kind": "key_file", "file": "other.key"}]
    assert keys.hash == settings.hash, "whose keys they are changes no price"


def test_public_view__of_a_market__reads_back_as_itself(tmp_path: Path) -> None:
    market = load(written(tmp_path), REGISTRIES, {}).market("BTC-USD")
    shown = json.loads(market.model_dump_json(by_alias=True))
    shown["sources"] = tuple(shown["sources"])
    assert MarketSettings.model_validate(shown) == market


def test_place__of_a_field__is_the_line_where_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path)
    settings = load(Path("keeper.yaml"), REGISTRIES, {})
    assert settings.where("chain.rpc[0]") == "keeper.yaml:1:26: chain.rpc[0]"
    assert settings.where("ops.port") == "ops.port"
