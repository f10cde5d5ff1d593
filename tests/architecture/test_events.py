"""docs/events.md lists what the keeper logs, and a person who is called gets advice."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.architecture.code import ROOT, calls, dotted, modules

LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
NEED_ADVICE = {"error", "exception", "critical"}
EVENT = re.compile(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*")
ROW = re.compile(r"^\| `([a-z_.]+)` \| ([a-z]+) \|", re.MULTILINE)
DOCUMENTED = dict(ROW.findall((ROOT / "docs/events.md").read_text()))


def _log_calls() -> Iterator[tuple[str, ast.Call]]:
    for path, tree in modules().items():
        if path.startswith("keeper/devnet/"):
            continue
        for call in calls(tree):
            if isinstance(call.func, ast.Attribute) and call.func.attr in LEVELS:
                owner = dotted(call.func.value).rpartition(".")[2]
                if owner.endswith("log"):
                    yield f"{path}:{call.lineno}", call


def _named_events() -> set[str]:
    """Events of calls that choose one from a table: the texts of module-level names that contain EVENT."""
    found = set()
    for tree in modules().values():
        for node in tree.body:
            targets = (
                node.targets
                if isinstance(node, ast.Assign)
                else [node.target]
                if isinstance(node, ast.AnnAssign)
                else []
            )
            if any(isinstance(target, ast.Name) and "EVENT" in target.id for target in targets):
                found |= {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    return {text for text in found if EVENT.fullmatch(text)}


def _events() -> set[str]:
    literal = {
        arm.value
        for _, call in _log_calls()
        for arm in ast.walk(call.args[0])
        if isinstance(arm, ast.Constant) and isinstance(arm.value, str) and EVENT.fullmatch(arm.value)
    }
    return literal | _named_events()


def test_events__in_the_code__are_those_in_the_documentation() -> None:
    assert _events() - DOCUMENTED.keys() == set(), "add these to docs/events.md"
    assert DOCUMENTED.keys() - _events() == set(), "these are no longer logged"


def test_levels__in_the_documentation__are_those_of_the_code() -> None:
    for place, call in _log_calls():
        assert isinstance(call.func, ast.Attribute)
        level = "error" if call.func.attr == "exception" else call.func.attr
        if isinstance(call.args[0], ast.Constant):
            event = call.args[0].value
            assert DOCUMENTED.get(event, level) == level, f"{place}: {event} is documented as {DOCUMENTED[event]}"


def test_event_name__any_literal__is_noun_and_past_verb() -> None:
    for place, call in _log_calls():
        first = call.args[0] if call.args else None
        assert first is not None, f"{place}: an event has a name"
        if isinstance(first, ast.Constant):
            assert EVENT.fullmatch(str(first.value)), f"{place}: {first.value!r} is not noun.past_verb"


def test_error__in_the_code__carries_advice() -> None:
    """A keyword `advice`, written out: what a person can do about it."""
    for place, call in _log_calls():
        assert isinstance(call.func, ast.Attribute)
        if call.func.attr in NEED_ADVICE:
            assert "advice" in {word.arg for word in call.keywords}, f"{place}: no advice"
