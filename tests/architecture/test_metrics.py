"""The table of metrics, the code that feeds it and docs/metrics.md say the same."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from keeper.adapters.metric_table import METRICS, TABLE
from scripts.render_docs import metrics_document
from tests.architecture.code import ROOT, calls, dotted, modules

KINDS = {"count": "counter", "gauge": "gauge", "observe": "histogram"}


def _uses() -> Iterator[tuple[str, str, ast.Call]]:
    for path, tree in modules().items():
        for call in calls(tree):
            if isinstance(call.func, ast.Attribute) and call.func.attr in KINDS:
                owner = dotted(call.func.value).rpartition(".")[2]
                named = (
                    call.args
                    and isinstance(call.args[0], ast.Constant)
                    and str(call.args[0].value).startswith("keeper_")
                )
                if owner.endswith("meter") or named:
                    yield f"{path}:{call.lineno}", call.func.attr, call


def _names(call: ast.Call) -> list[str]:
    return [n.value for n in ast.walk(call.args[0]) if isinstance(n, ast.Constant) and isinstance(n.value, str)]


def test_metric__in_the_code__is_declared_with_its_kind_and_labels() -> None:
    for place, verb, call in _uses():
        for name in _names(call):
            assert name in METRICS, f"{place}: {name} is not in metric_table.py"
            assert METRICS[name].kind == KINDS[verb], f"{place}: {name} is a {METRICS[name].kind}"
            given = {word.arg for word in call.keywords} - {"amount", "value"}
            if None not in given:
                assert given == set(METRICS[name].labels), f"{place}: {name} has labels {METRICS[name].labels}"


def test_metric__declared__is_fed_by_some_code() -> None:
    """A metric that nobody sets is a graph that lies."""
    written = {text for path, tree in modules().items() if "metric_table" not in path for text in _texts(tree)}
    assert {metric.name for metric in TABLE} - written == set()


def _texts(tree: ast.Module) -> set[str]:
    return {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def test_documentation__of_the_metrics__is_their_table() -> None:
    """Renew it: make docs"""
    text = (ROOT / "docs/metrics.md").read_text()
    assert text == metrics_document(text)


def test_alerts__name_only_metrics_that_exist() -> None:
    text = (ROOT / "docs/alerts.md").read_text() + (ROOT / "docs/alerts.rules.yml").read_text()
    for name in set(re.findall(r"\bkeeper_[a-z_]+\b", text)):
        assert name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum") in METRICS, name
