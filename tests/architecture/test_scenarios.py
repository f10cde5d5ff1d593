"""The thirty-five scenarios of sending are tests of their names, and docs/reliability.md lists just those."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from tests.architecture.code import ROOT

NUMBERS = {f"T{number:02}" for number in range(1, 36)}
NAME = re.compile(r"test_(t\d\d)__[a-z]\w+__\w+")
ROW = re.compile(r"^\| (T\d\d) \| [^|]+ \| ([^|]+) \| [^|]+ \|$", re.MULTILINE)


def _tests() -> Mapping[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted((ROOT / "tests/scenarios").glob("test_*.py")):
        for name in _named(path):
            named = NAME.fullmatch(name)
            assert named, f"{path.name}: {name} names no scenario"
            found[named[1].upper()].add(name)
    for path in sorted((ROOT / "tests/process").glob("test_*.py")):
        for named in filter(None, map(NAME.fullmatch, _named(path))):
            found[named[1].upper()].add(named[0])
    return found


def _named(path: Path) -> list[str]:
    functions = [
        each for each in ast.parse(path.read_text()).body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return [each.name for each in functions if each.name.startswith("test_")]


def test_scenario__each_of_the_thirty_five__is_a_test_of_its_name() -> None:
    assert _tests().keys() == NUMBERS


def test_table__in_the_documentation__names_the_tests_that_there_are() -> None:
    rows = ROW.findall((ROOT / "docs/reliability.md").read_text())
    assert [number for number, _ in rows] == sorted(NUMBERS)
    assert {number: set(re.findall(r"`(\w+)`", names)) for number, names in rows} == _tests()
