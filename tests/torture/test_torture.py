"""A sample of `make torture`: twelve places, two seeds each; and proof that the harness sees what it is there for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.torture.lane import Result
from tests.torture.matrix import run_all
from tests.torture.plan import Case
from tests.torture.report import complaint, counts, show

SAMPLE = (
    "during_reconcile",
    "after_sign",
    "before_commit",
    "after_commit",
    "after_broadcast_before_reply",
    "before_answer_saved",
    "before_receipt_saved",
    "after_receipt_saved",
    "before_confirm",
    "after_confirm",
    "at_bump_saved",
    "at_supersede_saved",
)
LANES = 2


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize(("contract", "seed"), [("counter", 101), ("probe", 102)])
async def test_keeper__killed_at_twelve_places__does_everything_once(tmp_path: Path, contract: str, seed: int) -> None:
    results = await _run([Case(contract, failpoint, seed) for failpoint in SAMPLE], tmp_path, "keeper")
    violated = [complaint(each) for each in results if each.verdict.violations]
    assert not violated, "\n".join(violated)
    assert sum(each.kills for each in results) >= len(SAMPLE)


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_naive_sender__killed_at_the_same_places__is_caught(tmp_path: Path) -> None:
    """Timing decides which kill hurts it: one in four does."""
    places = ("after_broadcast_before_reply", "at_bump_saved", "after_sign")
    for seed in range(102, 110):
        results = await _run([Case("probe", place, seed) for place in places], tmp_path / str(seed), "naive")
        if sum(counts(results)[4:6]):
            return
    raise AssertionError("not one of 24 kills made the naive sender double or lose anything")


async def _run(cases: list[Case], directory: Path, sender: str) -> list[Result]:
    results = await run_all(cases, directory, min(LANES, len(cases)), sender, lambda _: None)
    show(sender, results)
    return results
