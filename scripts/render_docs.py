"""Writes what documents repeat from the code: config/README.md, the tables in docs/metrics.md and docs/funding-methods.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from keeper.adapters.metric_table import TABLE, Metric
from keeper.domain.feed import PREMIUM_DERIVED, PREMIUM_REPORTED
from keeper.domain.rates import FUNDING_METHODS
from keeper.domain.rates.method import FundingMethod
from keeper.domain.rates.reach import Form, form_of
from keeper.settings.reference import reference

ROOT = Path(__file__).parents[1]
MARK = "<!-- table -->\n"


def metric_row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels) or "none"
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.meaning} |\n"


def metrics_document(text: str) -> str:
    """`text` with everything between its two marks replaced by the table."""
    before, _, after = text.split(MARK)
    rows = "".join(metric_row(metric) for metric in TABLE)
    return f"{before}{MARK}| metric | kind | labels | meaning |\n|---|---|---|---|\n{rows}{MARK}{after}"


def funding_row(method: type[FundingMethod[Any]]) -> str:
    found = form_of(method())
    premium = {PREMIUM_REPORTED: "reported", PREMIUM_DERIVED: "derived"}
    reached = f"**yes**: kind {found.kind}, {premium[found.premium_kind]} premium" if isinstance(found, Form) else found
    words = (method.formula, method.grade, reached, impact_of(method), method.source)
    return f"| `{method.name}` | {' | '.join(words)} |\n"


def impact_of(method: type[FundingMethod[Any]]) -> str:
    """What to set as `funding.impact_notional`; none where the method samples no impact prices."""
    if not (method.impact_notional or getattr(method(), "sample", "").startswith("impact")):
        return "none"
    return method.impact_notional or "not in our sources"


def funding_document(text: str) -> str:
    """`text` with everything between its two marks replaced by the table of methods."""
    before, _, after = text.split(MARK)
    rows = "".join(funding_row(method) for method in FUNDING_METHODS.values())
    titles = (
        "method",
        "formula",
        "grade",
        "reference protocol, with the method's own constants",
        "impact notional",
        "source",
    )
    head = f"| {' | '.join(titles)} |\n{'|---' * len(titles)}|\n"
    return f"{before}{MARK}{head}{rows}{MARK}{after}"


def main() -> None:
    (ROOT / "config/README.md").write_text(reference())
    path = ROOT / "docs/metrics.md"
    path.write_text(metrics_document(path.read_text()))
    path = ROOT / "docs/funding-methods.md"
    path.write_text(funding_document(path.read_text()))


if __name__ == "__main__":
    main()
