"""Writes what documents repeat from the code: config/README.md and the table in docs/metrics.md."""

from __future__ import annotations

from pathlib import Path

from keeper.adapters.metric_table import TABLE, Metric
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


def main() -> None:
    (ROOT / "config/README.md").write_text(reference())
    path = ROOT / "docs/metrics.md"
    path.write_text(metrics_document(path.read_text()))


if __name__ == "__main__":
    main()
