"""The source of the package as syntax trees."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "keeper"


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the package by its path from the repository's root."""
    paths = sorted(path for path in PACKAGE.rglob("*.py") if "node_modules" not in path.parts)
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text(), str(path)) for path in paths}


@cache
def tracked() -> tuple[str, ...]:
    """Every file of the repository that is kept, or would be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return tuple(name for name in sorted(found.splitlines()) if (ROOT / name).is_file())


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def dotted(node: ast.expr) -> str:
    """`self.log.error` of the expression, as far as it is names and attributes."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def texts(node: ast.AST) -> Iterator[str]:
    """Every text constant below `node`."""
    return (found.value for found in ast.walk(node) if isinstance(found, ast.Constant) and isinstance(found.value, str))
