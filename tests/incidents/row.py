"""The line of an incident in docs/incidents.md, with figures from the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NamedTuple

from tests.incidents.stage import Look


class Row(NamedTuple):
    """`keeper` says in words what it does, `error` how far its published prices lay from the honest range."""

    incident: str
    happened: str
    keeper: str
    published: str
    error: str
    naive: str


def row(incident: str, happened: str, keeper: str, looks: Sequence[Look]) -> Row:
    """`looks` are those during the incident."""
    there = sum(look.published is not None for look in looks)
    return Row(
        incident, happened, keeper,
        f"{there} of {len(looks)} ticks{_reasons(looks)}",
        percent(worst(looks)) if there else "—",
        f"mean {percent(worst_mean(looks))}, median {percent(worst_median(looks))}",
    )  # fmt: skip


def worst(looks: Iterable[Look]) -> Decimal:
    """Largest error of what was published."""
    return max(look.error(look.published) for look in looks)


def worst_mean(looks: Iterable[Look]) -> Decimal:
    return max(look.error(look.naive_mean) for look in looks)


def worst_median(looks: Iterable[Look]) -> Decimal:
    return max(look.error(look.naive_median) for look in looks)


def percent(share: Decimal) -> str:
    """Two significant digits; from twice the price on as a factor."""
    if share >= 1:
        return f"×{float(1 + share):.3g}"
    return "0" if share == 0 else f"{float(100 * share):.2g} %"


def _reasons(looks: Sequence[Look]) -> str:
    found = Counter(look.reason for look in looks if look.published is None)
    return "".join(f"; {why} {count}" for why, count in found.most_common())
