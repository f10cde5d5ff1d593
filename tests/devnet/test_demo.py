"""The whole demo with the real keeper, shortened: a sound run passes, a sabotaged one is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from keeper.devnet.demo import main

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


def summary(directory: Path) -> dict[str, object]:
    return dict(json.loads((directory / "summary.json").read_text()))


def test_demo__calm_run__every_check_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(for_s=25, headless=True, keep=tmp_path / "run")
    assert code == 0, capsys.readouterr().out
    assert summary(tmp_path / "run")["failed"] == []
    assert main(for_s=1, headless=True, keep=tmp_path / "run") == 2


def test_demo__short_storm__every_check_passes_and_what_befell_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(for_s=36, headless=True, storm=True, seed=5, keep=tmp_path / "run")
    told = capsys.readouterr().out
    assert code == 0, told
    assert "the keeper killed at" in told
    assert "reorg of depth" in told
    found = summary(tmp_path / "run")
    assert found["failed"] == []
    assert any("the liar: " in line for line in found["troubles"])  # type: ignore[attr-defined]


def test_demo__one_venue_falsified__the_check_of_the_inputs_names_it(tmp_path: Path) -> None:
    assert main(for_s=15, headless=True, sabotage="falsify:okx", keep=tmp_path / "run") == 1
    found = summary(tmp_path / "run")
    assert "evidence-inputs" in found["failed"]  # type: ignore[operator]
    assert "okx:BTC-USDT" in json.dumps(found)


def test_demo__nobody_liquidates__is_named(tmp_path: Path) -> None:
    assert main(for_s=42, headless=True, sabotage="no-liquidator", keep=tmp_path / "run") == 1
    assert {"liquidations", "liquidation-latency"} <= set(summary(tmp_path / "run")["failed"])  # type: ignore[call-overload]


def test_demo__unknown_sabotage__is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(for_s=1, headless=True, sabotage="rain") == 2
    assert "no-liquidator, falsify:VENUE" in " ".join(capsys.readouterr().out.split())
