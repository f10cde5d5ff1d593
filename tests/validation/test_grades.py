"""What a mark method claims to be is what a row of the table shows."""

from __future__ import annotations

import re
from collections import defaultdict

import pytest

from keeper.domain.grade import Grade
from keeper.domain.mark import MARK_METHODS
from tests.validation.checks import CHECKS

_ORDER = (Grade.DOCUMENTED, Grade.CONSISTENT, Grade.REPRODUCED)
_CLAIMS = sorted(name for name, method in MARK_METHODS.items() if method.grade is not Grade.DOCUMENTED)


def shown() -> dict[str, set[Grade]]:
    """By method: the grades of the rows that name it in backquotes."""
    found: dict[str, set[Grade]] = defaultdict(set)
    for row in (row for check in CHECKS for row in check()):
        for name in re.findall(r"mark `(\w+)`", row.formula) if row.grade is not None else ():
            found[name].add(row.grade)
    return found


SHOWN = shown()


@pytest.mark.parametrize("name", _CLAIMS)
def test_method__that_claims_a_grade__has_a_row_of_it(name: str) -> None:
    """Its own, or that of a venue's name for the same form."""
    method = MARK_METHODS[name]
    grades = {grade for other, kind in MARK_METHODS.items() if issubclass(kind, method) for grade in SHOWN[other]}
    assert grades, f"no row names {name}"
    assert max(map(_ORDER.index, grades)) >= _ORDER.index(method.grade)


def test_rows__name_only_methods_that_exist() -> None:
    assert set(SHOWN) <= set(MARK_METHODS)
