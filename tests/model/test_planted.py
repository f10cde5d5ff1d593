"""The model finds what it is there to find."""

from __future__ import annotations

import sys

import pytest

from tests.model.episode import LENGTH, Failure, live, script
from tests.model.planted import PLANTED, Plant

MOST_STEPS = 100_000


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("plant", PLANTED, ids=lambda each: each.__name__)
def test_planted_defect__within_the_steps_of_ci__is_found_by_its_law(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    found, step = _first_failure()
    sys.stdout.write(f"{plant.__name__}: {found.breach} after {step} steps\n")
    assert found.breach.law in PLANTED[plant], str(found)


def _first_failure() -> tuple[Failure, int]:
    for number in range(MOST_STEPS // LENGTH):
        seed = f"planted.{number}"
        try:
            live(seed, script(seed))
        except Failure as found:
            return found, number * LENGTH + found.step
    pytest.fail(f"not found in {MOST_STEPS} steps")
