"""The table of incidents is what a run of them gives."""

from __future__ import annotations

from tests.incidents.__main__ import DOCUMENT, INCIDENTS, document


def test_document__of_the_incidents__is_their_run() -> None:
    """Renew it: make incidents"""
    assert DOCUMENT.read_text() == document()


def test_incident__each_file__has_its_line() -> None:
    named = {name.rpartition(".")[2] for name in (module.__name__ for module in INCIDENTS)}
    found = {path.stem for path in DOCUMENT.parents[1].glob("tests/incidents/test_*.py")} - {"test_table"}
    assert named == found
