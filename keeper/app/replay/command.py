"""`keeper replay`: a summary, the hash of the decisions, and how they compare with what was published at the time."""

from __future__ import annotations

import json
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from keeper.app.replay.play import Replayed, replay
from keeper.app.replay.series import Said, Tick
from keeper.domain.ids import MarketId
from keeper.domain.numbers import BPS, decimal_of
from keeper.domain.time import SECOND, Timestamp
from keeper.settings.models import Settings

_NEAR_NS = SECOND
_SLACK_BPS = 1
"""A replay looks at other instants than the keeper did: within a second around, the prices may have moved this far more."""
_TOLERATED = 20
"""One published price in so many may lie apart: an average that has just seen enough of its window jumps a tick sooner or later."""


class Compared(NamedTuple):
    """Published prices of one market: how many, and those that no replayed price within a second comes near."""

    market: MarketId
    published: int
    apart: Sequence[Said]


def run(tape: Path, settings: Settings, report: Path | None, *, verify: bool, as_json: bool) -> int:
    played = replay(tape, settings)
    compared = [_compared(market, played) for market in sorted(played.series.looks)]
    if report is not None:
        from keeper.app.replay.report import write

        write(report, played)
    if as_json:
        sys.stdout.write(json.dumps(_document(played, compared), indent=2) + "\n")
    else:
        _show(Console(), played, compared, settings)
    published, apart = sum(each.published for each in compared), sum(len(each.apart) for each in compared)
    return int(verify and (published == 0 or apart * _TOLERATED > published))


def _compared(market: MarketId, played: Replayed) -> Compared:
    said = [each for each in played.live if each.market == market]
    ticks = played.series.ticks[market]
    return Compared(market, len(said), [each for each in said if not _is_near(each, ticks)])


def _is_near(said: Said, ticks: Sequence[Tick]) -> bool:
    first = bisect_left(ticks, said.at - _NEAR_NS, key=lambda tick: tick.at)
    last = bisect_right(ticks, said.at + _NEAR_NS, key=lambda tick: tick.at)
    around = ticks[max(0, first - 1) : last + 1]
    indices, marks = [tick.index_e18 for tick in around], [tick.mark_e18 for tick in around]
    return bool(around) and _within(said.index_e18, indices) and _within(said.mark_e18, marks)


def _within(value_e18: int, found: Sequence[int]) -> bool:
    slack = value_e18 * _SLACK_BPS // BPS
    return min(found) - slack <= value_e18 <= max(found) + slack


def _document(played: Replayed, compared: Sequence[Compared]) -> dict[str, Any]:
    series = played.series
    return {
        "from": _time(played.start),
        "until": _time(played.end),
        "recorded_by": played.head,
        "frames": played.frames,
        "decisions": played.decisions,
        "acts": [f"{intent.lane.name.lower()} {intent.key}" for _, intent in played.acts],
        "markets": {
            each.market: {
                "priced": series.priced.get(each.market, 0),
                "withheld": series.withheld.get(each.market, 0),
                "pushes": sum(said.market == each.market for said in series.said),
                "published_then": each.published,
                "apart": len(each.apart),
            }
            for each in compared
        },
        "events": dict(sorted(played.events.items())),
        "hash": played.hash,
    }


def _show(console: Console, played: Replayed, compared: Sequence[Compared], settings: Settings) -> None:
    seconds = (played.end - played.start) / SECOND
    console.print(
        f"{_time(played.start)} … {_time(played.end)}: {seconds:.1f} s, {played.frames} frames", highlight=False
    )
    if played.head.get("config") != settings.hash:
        console.print(
            "[yellow]the tape was made under another configuration: prices may differ from those of the time[/]"
        )
    table = Table("market", "priced", "withheld", "pushes", "published then", "apart")
    for each in compared:
        row = (played.series.priced.get(each.market, 0), played.series.withheld.get(each.market, 0))
        pushes = sum(said.market == each.market for said in played.series.said)
        table.add_row(each.market, *map(str, (*row, pushes, each.published, len(each.apart))))
    console.print(table)
    for said in (said for each in compared for said in each.apart[:5]):
        console.print(
            f"apart: {said.market} round {said.round_id}: mark {decimal_of(said.mark_e18):f}", highlight=False
        )
    console.print(
        f"{played.decisions} decisions, {len(played.acts)} acts, hash {played.hash}", highlight=False, soft_wrap=True
    )


def _time(at: Timestamp) -> str:
    return datetime.fromtimestamp(at / SECOND, UTC).isoformat(timespec="milliseconds")
