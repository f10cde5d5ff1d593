"""What a configuration that is right becomes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from keeper.app.registries import REGISTRIES
from keeper.devnet.venues import DEMO_VENUES
from keeper.domain.mark.index_only import IndexOnly
from keeper.domain.mark.stepped import Stepped
from keeper.domain.numbers import E18
from keeper.domain.rates.fold import RatePlan
from keeper.domain.rates.history import HISTORY
from keeper.domain.rates.method import Ratio
from keeper.domain.rates.presets import Binance, Hyperliquid, Plainly
from keeper.domain.rates.versions import Versions
from keeper.domain.time import SECOND
from keeper.ports.venue import PerpetualVenue
from keeper.settings.archived import archived_config
from keeper.settings.faults import SettingsRefused
from keeper.settings.load import admin_sockets, load, state_directories
from keeper.settings.market import MarketSettings, PerpetualSettings
from keeper.settings.reference import reference
from keeper.settings.specs import index_spec, market_plan
from tests.architecture.code import ROOT
from tests.settings.examples import GLOBAL, MARKET, written


def test_examples__in_the_repository__load_against_the_real_registries() -> None:
    settings = load(ROOT / "config/keeper.yaml", REGISTRIES, {})
    assert [market.market for market in settings.markets] == ["BTC-USD", "ETH-USD", "USDT-USD"]
    assert [market.market for market in settings.perps] == ["BTC-USD", "ETH-USD"]
    assert {source.kind for source in settings.market("BTC-USD").sources} == set(DEMO_VENUES)
    for market in settings.markets:
        assert index_spec(market).id == market.market


def test_reference__beside_the_examples__is_what_the_models_say() -> None:
    """Renew it: make docs"""
    assert (ROOT / "config/README.md").read_text() == reference()


def test_reference__what_it_says_of_an_endpoint_and_of_a_time__is_what_is_accepted(tmp_path: Path) -> None:
    rows = {row.split("`")[1]: row for row in reference().splitlines() if row.startswith("| `")}
    schemes = re.findall(r"`(\w+:)`", rows["chain.rpc[]"])
    assert len(schemes) == 2
    for scheme in schemes:
        keeper = GLOBAL.replace("http://127.0.0.1:8545", f"{scheme}rpc-url")
        assert len(load(written(tmp_path, keeper=keeper), REGISTRIES, {}).chain.rpc) == 1
    assert rows["funding.versions[].from"].split(" | ")[1] == "time"
    assert rows["funding.impact_notional"].split(" | ")[1] == "decimal"


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


def _rates(tmp_path: Path, funding: str) -> RatePlan | None:
    path = written(tmp_path, BTC=MARKET.replace("funding: {premium: derived}", f"funding: {funding}"))
    return market_plan(load(path, REGISTRIES, {}).market("BTC-USD")).rates


def test_funding_method__not_named__is_none(tmp_path: Path) -> None:
    assert _rates(tmp_path, "{premium: derived}") is None


def test_funding_method__named__has_the_venues_constants_and_its_history(tmp_path: Path) -> None:
    plan = _rates(tmp_path, '{premium: derived, method: binance, impact_notional: "5000"}')
    assert plan == RatePlan(Versions.always(Binance()), 5_000 * E18)
    plain = _rates(tmp_path, "{premium: derived, method: hyperliquid}")
    assert plain is not None
    assert plain.versions is HISTORY["hyperliquid"]
    own = _rates(tmp_path, "{premium: derived, method: hyperliquid, cap: 0.01}")
    assert own is not None
    assert own.versions == Versions.always(Hyperliquid(cap=Ratio(E18 // 100)))


def test_funding_method__changed_at_a_time__adds_to_what_was_before(tmp_path: Path) -> None:
    versions = '[{from: "2026-03-01T00:00:00Z", clamp: 0.0003}, {from: "2026-04-01T02:00:00+02:00", interest: "0"}]'
    plan = _rates(tmp_path, f"{{premium: derived, method: interest_clamp, every_s: 10, versions: {versions}}}")
    assert plan is not None
    third = Ratio(3 * E18 // 10_000)
    assert plan.versions.entries == (
        (0, Plainly(every_s=10)),
        (1_772_323_200, Plainly(every_s=10, clamp=third)),
        (1_775_001_600, Plainly(every_s=10, clamp=third, interest=Ratio(0))),
    )


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


def test_places__that_are_the_same__are_named_once(tmp_path: Path) -> None:
    path = written(tmp_path, keeper=GLOBAL + "admin: {socket: /run/k.sock}\nstate_dir: /var/lib/keeper/keeper\n")
    assert admin_sockets(path, {"RUNTIME_DIRECTORY": "/run/k"}) == (Path("/run/k.sock"),)
    assert state_directories(path, {}) == (Path("/var/lib/keeper/keeper"),)


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
    shown["mark"], shown["funding"] = {"method": "index"}, {"premium": "derived"}
    assert MarketSettings.model_validate(shown) == market


def test_place__of_a_field__is_the_line_where_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path)
    settings = load(Path("keeper.yaml"), REGISTRIES, {})
    assert settings.where("chain.rpc[0]") == "keeper.yaml:1:26: chain.rpc[0]"
    assert settings.where("ops.port") == "ops.port"


PERPS = "mark: {method: hyperliquid, max_basis_bps: 100, references: [{kind: okx, symbol: BTC-USDT-SWAP, quote: USDT, weight: 2}]}"


def test_references__of_a_mark__are_sources_of_the_plan(tmp_path: Path) -> None:
    settings = load(written(tmp_path, BTC=MARKET.replace("mark: {method: index}", PERPS)), REGISTRIES, {})
    plan = market_plan(settings.perps[0])
    assert [(each.source, each.quote, each.weight) for each in plan.references] == [("okx:BTC-USDT-SWAP", "USDT", 2)]
    assert plan.mark.name == "hyperliquid"
    assert plan.mark.max_basis_bps == 100  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("written_mark", "said"),
    [
        (PERPS.replace("hyperliquid", "binance"), "binance does not look at other venues' perpetuals; remove them"),
        (PERPS.replace("okx", "okex"), "mark.references[0].kind: unknown venue; did you mean okx?"),
        (PERPS.replace("USDT,", "EUR,"), "no conversion from EUR to USD; add it to `conversions`"),
        (PERPS.replace("okx, symbol: BTC-USDT-SWAP", "kraken, symbol: BTC/USD"), "kraken:BTC/USD is a source of the index"),
        (
            PERPS.replace("BTC-USDT-SWAP", "BTC-USDT"),
            "BTC-USD.yaml:10:74: mark.references[0].symbol: BTC-USDT is no perpetual at okx; write it as BTC-USDT-SWAP",
        ),
        (PERPS.replace("okx, symbol: BTC-USDT-SWAP", "binance, symbol: BTCUSDT.P"), "mark.references[0].kind: binance gives this keeper spot books alone; did you mean binance_perp?"),
        (PERPS.replace("okx, symbol: BTC-USDT-SWAP", "gate, symbol: BTC_USDT"), "mark.references[0].kind: gate gives this keeper spot books alone; did you mean gate_perp?"),
        (PERPS.replace("okx, symbol: BTC-USDT-SWAP", "mexc, symbol: BTCUSDT"), "mark.references[0].kind: mexc gives this keeper spot books alone; did you mean mexc_perp?"),
        (
            PERPS.replace("okx, symbol: BTC-USDT-SWAP", "bitstamp, symbol: btcusdt"),
            "mark.references[0].kind: bitstamp gives this keeper spot books alone; perpetuals come from binance_perp, bybit_perp, cryptocom, ",
        ),
        (PERPS.replace("okx, symbol: BTC-USDT-SWAP", "hyperliquid_perp, symbol: BTC.oracle"), "mark.references[0].symbol: BTC.oracle is no perpetual at hyperliquid_perp; write it as BTC"),
        (PERPS.replace("okx, symbol: BTC-USDT-SWAP", "binance_perp, symbol: BTCUSDT_261225"), "BTCUSDT_261225 is no perpetual at binance_perp; write it as BTCUSDT"),
        ("mark: {method: median3, step_s: 3}", "mark.step_s: an update of what size? set max_step_bps"),
        ("mark: {method: median3, max_step_bps: 10000}", "max_step_bps < 10000"),
        ("mark: {method: median3, max_step: 10}", "mark.max_step: unknown option of median3"),
        ("mark: {method: binanze}", "unknown method; did you mean binance?"),
        ("mark: {method: binance, sampels: 30}", "mark.sampels: unknown option of binance; did you mean samples?"),
        ("mark: {method: bitmex_dated}", "expires_at_s is missing"),
        ("mark: {method: gate, mark_tick: x}", "'x' is not a plain decimal number"),
        ("mark: {method: okx, average: median}", "mark.average: "),
    ],
)  # fmt: skip
def test_mark__impossible__is_refused(tmp_path: Path, written_mark: str, said: str) -> None:
    with pytest.raises(SettingsRefused, match=re.escape(said)):
        load(written(tmp_path, BTC=MARKET.replace("mark: {method: index}", written_mark)), REGISTRIES, {})


@pytest.mark.parametrize("method", ["hyperliquid", "hip3", "polymarket", "three_markets"])
def test_references__of_the_five_venues_of_the_formula__are_perpetuals(tmp_path: Path, method: str) -> None:
    """Binance 3, OKX 2, Bybit 2, Gate 1, MEXC 1: as Hyperliquid documents its mark."""
    five = {
        "binance_perp": ("BTCUSDT", 3),
        "okx": ("BTC-USDT-SWAP", 2),
        "bybit_perp": ("BTCUSDT", 2),
        "gate_perp": ("BTC_USDT", 1),
        "mexc_perp": ("BTC_USDT", 1),
    }
    written_ones = ", ".join(
        f"{{kind: {kind}, symbol: {symbol}, quote: USDT, weight: {weight}}}" for kind, (symbol, weight) in five.items()
    )
    mark = f"mark: {{method: {method}, references: [{written_ones}]}}"
    plan = market_plan(
        load(written(tmp_path, BTC=MARKET.replace("mark: {method: index}", mark)), REGISTRIES, {}).perps[0]
    )
    assert {each.source: each.weight for each in plan.references} == {
        f"{kind}:{symbol}": weight for kind, (symbol, weight) in five.items()
    }


@pytest.mark.parametrize(
    ("written_mark", "inner", "limit"),
    [
        ("mark: {method: median3, max_step_bps: 50}", "median3", (50, 3)),
        ("mark: {method: index, max_step_bps: 50, step_s: 1}", "index", (50, 1)),
        ("mark: {method: gate, max_step_bps: 50, mark_tick: 0.1}", "gate", (50, 3)),
    ],
)
def test_step__of_a_mark_without_one__is_put_around_it(
    tmp_path: Path, written_mark: str, inner: str, limit: tuple[int, int]
) -> None:
    text = MARKET.replace("mark: {method: index}", written_mark)
    settings = load(written(tmp_path, BTC=text), REGISTRIES, {})
    mark = market_plan(settings.perps[0]).mark
    assert isinstance(mark, Stepped)
    assert (mark.inner.name, mark.max_step_bps, mark.step_s) == (inner, *limit)
    (again,) = [plan.mark for plan in archived_config(settings.decisive).plans.values()]
    assert again == mark


@pytest.mark.parametrize(
    ("written_mark", "expected"),
    [
        ("mark: {method: okx, max_step_bps: 50, step_s: 2}", (50, 2)),
        ("mark: {method: hip3}", (100, 3)),
        ("mark: {method: hip3, step_s: 2}", (100, 2)),
        ("mark: {method: hip3, max_step_bps: 0}", (0, 3)),
        ("mark: {method: okx}", (0, 3)),
    ],
)
def test_step__of_a_method_that_has_one__is_its_own(
    tmp_path: Path, written_mark: str, expected: tuple[int, int]
) -> None:
    text = MARKET.replace("mark: {method: index}", written_mark)
    mark: Any = market_plan(load(written(tmp_path, BTC=text), REGISTRIES, {}).perps[0]).mark
    assert (mark.max_step_bps, mark.step_s) == expected


def test_recipe__of_hyperliquids_mark__is_accepted(tmp_path: Path) -> None:
    (recipe,) = re.findall(r"```yaml\n(mark:.*?)```", (ROOT / "config/README.md").read_text(), re.DOTALL)
    text = MARKET.replace("mark: {method: index}\n", recipe)
    plan = market_plan(load(written(tmp_path, BTC=text), REGISTRIES, {}).perps[0])
    assert [each.weight for each in plan.references] == [3, 2, 2, 1, 1]


def test_step__by_default__is_none(tmp_path: Path) -> None:
    assert market_plan(load(written(tmp_path), REGISTRIES, {}).perps[0]).mark == IndexOnly()


def test_venues_of_perpetuals__in_the_description__are_those_of_the_registry() -> None:
    assert REGISTRIES.venues is not None
    told = str(PerpetualSettings.model_fields["kind"].description)
    assert sorted(re.findall(r"`([a-z_]+)`", told)) == sorted(
        kind for kind, venue in REGISTRIES.venues.items() if issubclass(venue, PerpetualVenue)
    )


def test_mark__decimal_options__may_stand_without_quotes(tmp_path: Path) -> None:
    text = MARKET.replace("mark: {method: index}", "mark: {method: gate, mark_tick: 0.1}")
    assert market_plan(load(written(tmp_path, BTC=text), REGISTRIES, {}).perps[0]).mark.mark_tick == "0.1"  # type: ignore[attr-defined]
