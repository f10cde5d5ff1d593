"""The kill switch by itself: what holds, what outlives a restart, what happens when nothing can be written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keeper.adapters.journal import Journal
from keeper.app.boards import Boards
from keeper.app.halt import CAUSES, HALT_FILE, Halt, Switches
from keeper.domain.exchange import PAUSE_FUNDING, PAUSE_LIQUIDATE, ChainState, OracleState
from keeper.domain.ids import DeploymentId
from keeper.domain.pauses import paused_for, pauses
from keeper.domain.time import SECOND, Timestamp
from keeper.domain.transaction import Lane
from keeper.errors import TransientError
from tests.chain.stage import Log
from tests.ops.test_gauges import BLOCK


class HandClock:
    def now(self) -> Timestamp:
        return Timestamp(1_700_000_000 * SECOND)


class FullDisk:
    def load(self, _name: str) -> str | None:
        return None

    def save(self, _name: str, _document: str) -> None:
        raise TransientError("the disk is full")

    attach = save


def halt(directory: Path, store: Any, log: Log | None = None) -> Halt:
    return Halt(directory / HALT_FILE, store, HandClock(), log or Log())


def test_order__survives_a_restart_until_it_is_lifted(tmp_path: Path) -> None:
    with Journal.open(tmp_path, HandClock()) as journal:
        found = halt(tmp_path, journal.snapshots)
        assert found.reason() == ""
        found.order("the operator", "a bridge was drained")
    with Journal.open(tmp_path, HandClock()) as journal:
        found = halt(tmp_path, journal.snapshots)
        assert found.reason() == "halted by the operator at 2023-11-14 22:13:20Z: a bridge was drained"
        found.lift()
        assert found.reason() == ""
    with Journal.open(tmp_path, HandClock()) as journal:
        assert halt(tmp_path, journal.snapshots).reason() == ""


def test_order__with_a_full_disk__holds_and_says_that_it_will_not_outlive_the_process(tmp_path: Path) -> None:
    log = Log()
    found = halt(tmp_path, FullDisk(), log)
    found.order("SIGUSR1")
    assert found.reason().startswith("halted by SIGUSR1 at ")
    assert "halt file" in log.named("halt.unsaved")[0]["advice"]


def test_file__made_and_deleted__holds_meanwhile_beside_an_order(tmp_path: Path) -> None:
    found = halt(tmp_path, FullDisk())
    (tmp_path / HALT_FILE).symlink_to("nowhere")
    assert found.reason() == f"halt file {tmp_path / HALT_FILE}"
    found.order("the operator")
    assert set(found.causes()) == {"halt_file", "halt_order"}
    (tmp_path / HALT_FILE).unlink()
    assert set(found.causes()) == {"halt_order"}


def test_file__that_cannot_be_looked_at__holds(tmp_path: Path) -> None:
    """A directory that became a file, a mount that fails: when in doubt nothing is sent."""
    (tmp_path / "state").touch()
    assert "halt_file" in halt(tmp_path / "state", FullDisk()).causes()


def _state(*, oracle: bool, mask: int) -> ChainState:
    return ChainState(BLOCK, OracleState((), 1, 1, 1, 60, 60, oracle), {}, {}, mask, 0, 0)


@pytest.mark.parametrize(
    ("lane", "oracle", "mask", "word"),
    [
        (Lane.PRICE, True, 0, "oracle_paused"),
        (Lane.PRICE, False, 15, ""),
        (Lane.LIQUIDATION, True, PAUSE_FUNDING, ""),
        (Lane.LIQUIDATION, False, PAUSE_LIQUIDATE, "liquidation_paused"),
        (Lane.FUNDING, False, PAUSE_FUNDING, "funding_paused"),
        (Lane.FUNDING, False, PAUSE_LIQUIDATE, ""),
        (Lane.SAFETY, True, 15, ""),
        (Lane.HOUSEKEEPING, True, 15, ""),
    ],
)
def test_pause__of_a_contract__concerns_what_it_would_refuse(lane: Lane, oracle: bool, mask: int, word: str) -> None:
    assert paused_for(lane, _state(oracle=oracle, mask=mask)) == word
    assert paused_for(lane, None) == ""


def test_switches__tell_everything_that_is_on_by_words_that_the_metric_knows(tmp_path: Path) -> None:
    boards = Boards()
    boards.states.put(DeploymentId("main"), _state(oracle=True, mask=15))
    boards.states.put(DeploymentId("other"), _state(oracle=True, mask=0))
    found = halt(tmp_path, FullDisk())
    found.order("the operator")
    (tmp_path / HALT_FILE).touch()
    causes = Switches(found, dry_run=True, boards=boards).causes()
    assert set(causes) == set(CAUSES)
    assert causes["oracle_paused"] == "paused on chain: main, other"
    assert causes["funding_paused"] == "paused on chain: main"
    assert pauses(_state(oracle=False, mask=0)) == ()
