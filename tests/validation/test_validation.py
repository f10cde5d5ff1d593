"""Every formula still gives what the venues published, and the document says what was found."""

from __future__ import annotations

import pytest

from tests.validation.checks import CHECKS
from tests.validation.row import Row
from tests.validation.table import DOCUMENT, document

ROWS = [row for check in CHECKS for row in check()]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.venue}: {row.formula}")
def test_row__against_recorded_observations__is_within_its_threshold(row: Row) -> None:
    assert row.holds, f"{row.venue}: largest error {row.worst} {row.unit}, threshold {row.threshold}"


def test_document__as_committed__is_what_make_validate_writes() -> None:
    assert DOCUMENT.read_text() == document(ROWS), "run `make validate`"
