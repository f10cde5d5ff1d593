"""What watches over a market's price, as its file says it, or as it is when the file says nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from keeper.app.registries import REGISTRIES
from keeper.domain.condition import ConditionRules
from keeper.domain.market import MarketPlan
from keeper.domain.scorecard import ScoreRules
from keeper.domain.time import SECOND
from keeper.settings.faults import SettingsRefused
from keeper.settings.load import load
from keeper.settings.specs import index_spec, market_plan
from tests.settings.examples import INDEX, MARKET, written

MORE = MARKET.replace(
    "  - {kind: kraken, symbol: BTC/USD}\n",
    "  - {kind: kraken, symbol: BTC/USD}\n  - {kind: bitstamp, symbol: btcusd}\n  - {kind: bitfinex, symbol: tBTCUSD}\n",
)


def plan(tmp_path: Path, text: str) -> MarketPlan:
    return market_plan(load(written(tmp_path, BTC=text), REGISTRIES, {}).perps[0])


def test_market__that_says_nothing__has_bands_a_halt_and_a_scorecard(tmp_path: Path) -> None:
    found = plan(tmp_path, MARKET)
    assert found.condition == ConditionRules()
    assert (found.condition.alert_bps, found.condition.halt_bps, found.condition.full_sources) == (100, 300, 0)
    assert found.spec.scorecard == ScoreRules()
    spec = index_spec(
        load(written(tmp_path, USDT=INDEX.replace("median}", "median, max_deviation_bps: 40}"))).markets[1]
    )
    assert spec.scorecard == ScoreRules(bench_apart_bps=20)


def test_market__with_sources_to_spare__is_degraded_one_above_its_quorum(tmp_path: Path) -> None:
    assert plan(tmp_path, MORE).condition.full_sources == 4
    assert plan(tmp_path, MORE + "condition: {full_sources: 0}\n").condition.full_sources == 0


def test_market__that_says_everything__is_obeyed(tmp_path: Path) -> None:
    found = plan(
        tmp_path,
        MARKET + "condition: {full_sources: 3, degraded_max_s: 9, alert_bps: 50, halt_bps: 150,"
        " halt: {after_s: 7, recover_s: 5, manual: true}}\n"
        "scorecard: {memory_s: 60, warm_s: 10, bench_bad_pct: 20, bench_apart_bps: 15, readmit_s: 30, most_benched_pct: 20}\n",
    )
    assert found.condition == ConditionRules(3, 9 * SECOND, 7 * SECOND, 5 * SECOND, 50, 150, True)
    assert found.spec.scorecard == ScoreRules(SECOND, 60, 10, 20, 15, 30 * SECOND, 20)
    assert plan(tmp_path, MARKET + "scorecard: {enabled: false}\n").spec.scorecard is None


@pytest.mark.parametrize(
    ("condition", "alert", "halt"),
    [
        ("alert_bps: 0, halt_bps: 0", None, None),
        ("halt_bps: 0", 100, None),
        ("alert_bps: 500", 500, 500),
        ("halt_bps: 40", 40, 40),
    ],
)
def test_bands__of_which_one_is_named__never_contradict_the_other(
    tmp_path: Path, condition: str, alert: int | None, halt: int | None
) -> None:
    found = plan(tmp_path, MARKET + f"condition: {{{condition}}}\n").condition
    assert (found.alert_bps, found.halt_bps) == (alert, halt)


def test_dated_future__has_no_bands_unless_it_names_some(tmp_path: Path) -> None:
    text = MARKET.replace("mark: {method: index}", "mark: {method: bybit_dated}")
    found = plan(tmp_path, text).condition
    assert (found.alert_bps, found.halt_bps) == (None, None)
    assert plan(tmp_path, text + "condition: {halt_bps: 900}\n").condition.halt_bps == 900


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (MARKET + "condition: {alert_bps: 400, halt_bps: 300}\n", "condition: need alert_bps <= halt_bps"),
        (MARKET + "condition: {full_sources: 9}\n", "condition.full_sources: asks for 9 sources of the 3"),
        (MARKET + "condition: {halt: {afters_s: 3}}\n", "condition.halt.afters_s: unknown key; did you mean after_s?"),
        (MARKET + "scorecard: {warm_s: 400}\n", "scorecard: need a positive interval of looks and 0 < warm_looks"),
        (MARKET + "scorecard: {most_benched_pct: 60}\n", "scorecard.most_benched_pct"),
        (MARKET + "scorecard: {bench_bad_pc: 60}\n", "did you mean bench_bad_pct?"),
    ],
)
def test_contradiction__in_a_market_file__is_refused_at_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsRefused, match=re.escape(said)):
        load(written(tmp_path, BTC=text), REGISTRIES, {})


def test_condition__of_an_index_alone__is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused, match="condition: an index without `deployment` has no such part"):
        load(written(tmp_path, USDT=INDEX + "condition: {halt_bps: 300}\n"), REGISTRIES, {})
