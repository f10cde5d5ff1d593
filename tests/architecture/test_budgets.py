"""Small enough to read: a file in one sitting, a function at one look."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.code import ROOT, modules

MAX_FILE = 400
MAX_FUNCTION = 50


@pytest.mark.parametrize("path", list(modules()))
def test_module__any__stays_within_its_budget(path: str) -> None:
    lines = (ROOT / path).read_text().count("\n")
    assert lines <= MAX_FILE, f"{path} has {lines} lines"
    for node in ast.walk(modules()[path]):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= MAX_FUNCTION, f"{path}:{node.lineno}: {node.name} has {length} lines"


def test_broad_except__whole_package__stands_in_three_places_alone() -> None:
    """CONTRIBUTING.md: the command line, the fence of a market, one request to several endpoints."""
    found = [
        f"{path}:{node.lineno}"
        for path, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or _names(node.type) & {"Exception", "BaseException"})
        if not path.startswith("keeper/devnet/") and not _raises_again(node)
    ]
    assert len(found) <= 3, f"more than three broad excepts: {', '.join(found)}"


def _raises_again(handler: ast.ExceptHandler) -> bool:
    """Cleaning up and raising on swallows nothing."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def _names(node: ast.expr) -> set[str]:
    return {found.id for found in ast.walk(node) if isinstance(found, ast.Name)}
