"""The mutations are changes, and what no test asserts survives them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation.plan import ROOT, TARGETS, drawn
from tests.mutation.sites import mutated, sites
from tests.mutation.trial import function_at


@pytest.mark.parametrize("part", TARGETS)
def test_changes__any_part__are_found_and_compile_to_something_else(part: str) -> None:
    chosen = drawn(30, 1, (part,))
    assert len(chosen) >= 10
    for site in chosen:
        code, _ = mutated(ROOT, site)
        assert code != function_at(site).__code__, site


@pytest.mark.parametrize("name", [name for names in TARGETS.values() for name in names])
def test_target__each__is_code_that_there_is(name: str) -> None:
    assert list((ROOT / "keeper/domain").glob(f"{name}.py"))


def test_draw__same_seed__same_places() -> None:
    assert drawn(20, 3) == drawn(20, 3) != drawn(20, 4)


def test_sites__a_function__each_place_once_and_no_annotations(tmp_path: Path) -> None:
    text = "def f(a: tuple[int, 3], b=2):\n    'Doc 1.'\n    return a + 1 if a < b else -b\n"
    (tmp_path / "one.py").write_text(text)
    said = [mutated(tmp_path, site)[1].split(":")[0] for site in sites(tmp_path, "one.py")]
    assert said == [
        "decides the other way",
        "compares otherwise",
        "compares otherwise",
        "computes otherwise",
        "counts otherwise",
        "loses its sign",
    ]


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.mutation", "--part", "transaction", "--seed", "5", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.slow
@pytest.mark.timeout(320)
def test_run__a_few_places_of_the_transactions__most_are_noticed() -> None:
    done = _run("--count", "6", "--tests", "tests/domain/transactions", "--least", "60")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_run__with_tests_of_something_else__names_what_nobody_noticed_and_fails() -> None:
    done = _run("--count", "2", "--tests", "tests/domain/pricing/test_quorum.py")
    assert done.returncode == 1
    assert done.stdout.count("unseen: keeper/domain/") == 2, done.stdout + done.stderr
