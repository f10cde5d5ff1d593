"""Where a function can be made slightly wrong, and how. One change at a time."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

Change = Callable[[], str]
"""Applied to the node that it was made for; says what it did."""

_COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_CALLED = {"min": "max", "max": "min", "any": "all", "all": "any", "cdiv": "fdiv", "fdiv": "cdiv", "tdiv": "fdiv"}


@dataclass(frozen=True, slots=True)
class Site:
    """The `number`-th change that can be made to one function."""

    path: str
    qualname: str
    first_line: int
    line: int
    number: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.qualname} #{self.number}"


def sites(root: Path, path: str) -> Iterator[Site]:
    """Every change in the functions of one file, in the order of the text."""
    tree = ast.parse((root / path).read_text())
    for qualname, function in functions(tree):
        for number, (node, _) in enumerate(_changes(function)):
            first = min([function.lineno, *(each.lineno for each in function.decorator_list)])
            yield Site(path, qualname, first, getattr(node, "lineno", function.lineno), number)


def mutated(root: Path, site: Site) -> tuple[CodeType, str]:
    """The function's code with the change in it, and the change in words."""
    tree = ast.parse((root / site.path).read_text())
    function = next(found for name, found in functions(tree) if name == site.qualname and _starts(found, site))
    node, change = list(_changes(function))[site.number]
    before = ast.unparse(node)
    said = change()
    module = compile(ast.fix_missing_locations(tree), str(root / site.path), "exec")
    return _code(module, site), f"{said}: {_short(before)} → {_short(ast.unparse(node))}"


def functions(tree: ast.AST, outer: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """Of the module and of its classes; what is nested in a function changes with it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef):
            yield outer + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{outer}{node.name}.")


def _starts(function: ast.FunctionDef, site: Site) -> bool:
    return min([function.lineno, *(each.lineno for each in function.decorator_list)]) == site.first_line


def _code(module: CodeType, site: Site) -> CodeType:
    waiting = [module]
    while waiting:
        code = waiting.pop()
        if code.co_qualname == site.qualname and code.co_firstlineno == site.first_line:
            return code
        waiting.extend(each for each in code.co_consts if isinstance(each, CodeType))
    raise LookupError(str(site))


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 60 else flat[:57] + "…"


def _changes(function: ast.FunctionDef) -> Iterator[tuple[ast.AST, Change]]:
    for statement in function.body:
        for node in _spoken(statement):
            for change in _of(node):
                yield node, change


def _spoken(statement: ast.AST) -> Iterator[ast.AST]:
    """Its nodes in the order of the text, without annotations, docstrings and the words of exceptions."""
    if isinstance(statement, ast.Raise) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    ):
        return
    yield statement
    for name, value in ast.iter_fields(statement):
        if name in ("annotation", "returns"):
            continue
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, ast.AST):
                yield from _spoken(each)


def _of(node: ast.AST) -> Iterator[Change]:
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        for other in _COMPARED.get(type(node.ops[0]), ()):
            yield _set(node.ops, 0, other(), "compares otherwise")
    elif isinstance(node, ast.BinOp) and type(node.op) in _COMPUTED and not isinstance(node.left, ast.JoinedStr):
        yield _replace(node, "op", _COMPUTED[type(node.op)](), "computes otherwise")
    elif isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield _replace(node, "op", other, "joins otherwise")
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield _replace(node, "op", ast.UAdd(), "loses its sign")
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield _replace(node, "operand", ast.UnaryOp(ast.Not(), node.operand), "is not denied")
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLED:
        yield _replace(node.func, "id", _CALLED[node.func.id], "calls another")
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        yield _replace(node, "test", ast.UnaryOp(ast.Not(), copy.deepcopy(node.test)), "decides the other way")
    elif isinstance(node, ast.Constant) and type(node.value) in (int, bool):
        yield _replace(
            node, "value", not node.value if isinstance(node.value, bool) else node.value + 1, "counts otherwise"
        )


def _replace(node: ast.AST, name: str, value: object, said: str) -> Change:
    def change() -> str:
        setattr(node, name, value)
        return said

    return change


def _set(values: list[ast.cmpop], at: int, value: ast.cmpop, said: str) -> Change:
    def change() -> str:
        values[at] = value
        return said

    return change
