"""The drill as a picture: prices by quote group, errors, and when the engine said nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
from matplotlib.dates import ConciseDateFormatter
from matplotlib.figure import Figure

from keeper.domain.time import SECOND
from tests.drills.depeg import Look, Run

_EVERY = 10
"""Minutes per drawn point: of each span the worst."""
_FROM, _UNTIL = datetime(2023, 3, 10, tzinfo=UTC), datetime(2023, 3, 15, tzinfo=UTC)
_COLOURS = {"USD": "#111111", "USDT": "#2ca02c", "USDC": "#d62728"}


def draw(path: Path, seen: Run, blind: Run) -> None:
    mpl.rcParams.update({"svg.hashsalt": "depeg", "svg.fonttype": "none"})
    figure = Figure(figsize=(11, 9), layout="constrained")
    prices, errors, silence = figure.subplots(3, 1, sharex=True, height_ratios=(4, 4, 1))
    looks = [look for look in blind.looks if _FROM <= _instant(look) < _UNTIL]
    with_usd = [look for look in seen.looks if _FROM <= _instant(look) < _UNTIL]
    for group in ("USD", "USDT", "USDC"):
        points = with_usd[::_EVERY]
        prices.plot(
            [_instant(each) for each in points], [float(each.groups[group]) for each in points],
            label=f"BTC in {group}", color=_COLOURS[group], linewidth=1,
        )  # fmt: skip
    prices.set_title("The de-peg of USDC, March 2023: one bitcoin in three currencies")
    prices.set_ylabel("price, as quoted")
    for label, course, name, colour in (
        ("naive median, USDC taken for USD", with_usd, "naive median", "#d62728"),
        ("naive mean", with_usd, "naive mean", "#ff9896"),
        ("(a) published, USD venue among the sources", with_usd, "", "#111111"),
        ("(b) published, without any USD", looks, "", "#1f77b4"),
    ):
        times, values = _worst(course, name)
        errors.plot(times, values, label=label, color=colour, linewidth=1)
    errors.set_yscale("log")
    errors.set_ylim(0.001, 20)
    errors.set_ylabel("error against USD, %")
    silence.fill_between(
        [_instant(each) for each in looks], 0, 1, where=[each.published is None for each in looks],
        color="#1f77b4", step="post", linewidth=0,
    )  # fmt: skip
    silence.set_yticks([])
    silence.set_ylabel("(b) silent")
    prices.legend(loc="upper left", fontsize=8)
    errors.legend(loc="upper right", fontsize=8)
    for axes in (prices, errors):
        axes.grid(alpha=0.3)
    silence.xaxis.set_major_formatter(ConciseDateFormatter(silence.xaxis.get_major_locator()))
    figure.savefig(path, metadata={"Date": None})


def _worst(course: list[Look], naive: str) -> tuple[list[datetime], list[float]]:
    times, values = [], []
    for start in range(0, len(course), _EVERY):
        span = course[start : start + _EVERY]
        found = [
            look.error(price) for look in span if (price := look.naive[naive] if naive else look.published) is not None
        ]
        times.append(_instant(span[0]))
        values.append(100 * float(max(found)) if found else float("nan"))
    return times, [max(value, 0.001) for value in values]


def _instant(look: Look) -> datetime:
    return datetime.fromtimestamp(look.now / SECOND, UTC)
