"""A replay as one HTML file: per market the index, the mark, the venues and the pushes, as charts that need nothing else."""

from __future__ import annotations

import html
import io
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from keeper.app.replay.play import Replayed
from keeper.app.replay.series import Look, Said
from keeper.domain.ids import MarketId
from keeper.domain.time import SECOND
from keeper.errors import ConfigError

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Replay</title>
<style>body{{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#222}}
table{{border-collapse:collapse}}td,th{{padding:.2rem .8rem;text-align:right;border-bottom:1px solid #ddd}}
th:first-child,td:first-child{{text-align:left}}svg{{width:100%;height:auto}}code{{word-break:break-all}}</style>
<h1>Replay</h1><p>{about}</p>{table}{charts}<p>Hash of its decisions: <code>{hash}</code></p></html>
"""
_LINE = {"index": "#111111", "mark": "#d62728"}


def write(path: Path, played: Replayed) -> None:
    """Raises ConfigError where the drawing library is not installed."""
    try:
        import matplotlib as mpl
    except ImportError:
        raise ConfigError("charts need matplotlib: pip install 'perp-keeper[report]'") from None
    mpl.use("svg")
    charts = "".join(_section(market, looks, played) for market, looks in sorted(played.series.looks.items()))
    about = f"{_time(played.start)} to {_time(played.end)}, {played.frames} frames, {played.decisions} decisions."
    page = _PAGE.format(about=html.escape(about), table=_table(played), charts=charts, hash=played.hash)
    path.write_text(page, encoding="utf-8")


def _table(played: Replayed) -> str:
    head = "".join(f"<th>{name}" for name in ("market", "priced", "withheld", "pushes here", "published then"))
    return f"<table><tr>{head}{''.join(_rows(played))}</table>"


def _rows(played: Replayed) -> Iterator[str]:
    for market in sorted(played.series.looks):
        cells = (
            html.escape(market),
            played.series.priced.get(market, 0),
            played.series.withheld.get(market, 0),
            sum(said.market == market for said in played.series.said),
            sum(said.market == market for said in played.live),
        )
        yield "<tr>" + "".join(f"<td>{cell}" for cell in cells)


def _section(market: MarketId, looks: Sequence[Look], played: Replayed) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 8), layout="constrained")
    prices, distance, sources = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 1))
    times = [_instant(look.at) for look in looks]
    _prices(prices, times, looks, [said for said in played.series.said if said.market == market], played, market)
    _distances(distance, times, looks)
    _sources(sources, times, looks)
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    svg = drawn.getvalue()
    return f"<h2>{html.escape(market)}</h2>{svg[svg.index('<svg') :]}"


def _prices(
    axes: Any,
    times: Sequence[datetime],
    looks: Sequence[Look],
    pushes: Sequence[Said],
    played: Replayed,
    market: MarketId,
) -> None:
    for name, values in (("index", [look.spot for look in looks]), ("mark", [look.mark for look in looks])):
        axes.plot(times, [_float(value) for value in values], label=name, color=_LINE[name], linewidth=1.2)
    here = [_instant(said.at) for said in pushes]
    axes.plot(here, [said.mark_e18 / 1e18 for said in pushes], "v", label="pushed here", color="#1f77b4", markersize=5)
    then = [said for said in played.live if said.market == market]
    axes.plot(
        [_instant(said.at) for said in then], [said.mark_e18 / 1e18 for said in then],
        "o", label="published then", markerfacecolor="none", color="#2ca02c", markersize=6,
    )  # fmt: skip
    axes.set_ylabel("price")
    axes.legend(loc="upper left", fontsize=8)
    axes.grid(alpha=0.3)


def _distances(axes: Any, times: Sequence[datetime], looks: Sequence[Look]) -> None:
    """Each venue against the index, in basis points."""
    for venue in sorted({venue for look in looks for venue in look.venues}):
        values = [
            _float((look.venues[venue] / look.spot - 1) * 10_000)
            if look.spot and venue in look.venues
            else float("nan")
            for look in looks
        ]
        axes.plot(times, values, label=venue, linewidth=0.8)
    axes.axhline(0, color="#111111", linewidth=0.8)
    axes.set_ylabel("venue − index, bps")
    axes.legend(loc="upper left", fontsize=7, ncols=4)
    axes.grid(alpha=0.3)


def _sources(axes: Any, times: Sequence[datetime], looks: Sequence[Look]) -> None:
    axes.step(times, [len(look.venues) for look in looks], where="post", label="used", color="#2ca02c")
    axes.step(times, [len(look.refused) for look in looks], where="post", label="refused", color="#d62728")
    axes.fill_between(
        times, 0, 1, where=[look.spot is None for look in looks], transform=axes.get_xaxis_transform(),
        color="#d62728", alpha=0.15, step="post", label="withheld",
    )  # fmt: skip
    axes.set_ylabel("sources")
    axes.legend(loc="upper left", fontsize=8, ncols=3)
    axes.grid(alpha=0.3)


def _float(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _instant(at: int) -> datetime:
    return datetime.fromtimestamp(at / SECOND, UTC)


def _time(at: int) -> str:
    return _instant(at).isoformat(timespec="milliseconds")
