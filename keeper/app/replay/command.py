"""`keeper replay`: a summary, the hash of the decisions, and how they compare with what was published at the time."""

from __future__ import annotations

import json
import os
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from keeper.adapters.tape.reader import Damage
from keeper.app.replay.play import Replayed, replay
from keeper.app.replay.series import Said, Tick
from keeper.domain.ids import MarketId
from keeper.domain.numbers import BPS, decimal_of
from keeper.domain.time import SECOND, Timestamp
from keeper.errors import KeeperError, KeyPermissionError
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


class NoPlace(KeeperError):
    """The charts cannot be written where they are wanted."""


def run(tape: Path, settings: Settings, report: Path | None, *, verify: bool, as_json: bool) -> int:
    """1 when `verify` and what was published lies apart, or a part of the tape is lost. Raises NoPlace."""
    if report is not None:
        _require_place(report)
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
    return int(verify and (published == 0 or apart * _TOLERATED > published or bool(played.damaged)))


def _require_place(report: Path) -> None:
    """Before a replay of an hour, not after it."""
    if report.is_dir():
        raise NoPlace(f"--report {report}: that is a directory; name a file, such as {report / 'report.html'}")
    if not report.parent.is_dir():
        raise NoPlace(f"--report {report}: there is no directory {report.parent}")
    if not os.access(report if report.exists() else report.parent, os.W_OK):
        raise KeyPermissionError(f"--report {report}: this user may not write there")


def _compared(market: MarketId, played: Replayed) -> Compared:
    """Each with the prices of the process that published it: another's were its own."""
    found, ticks = [], played.series.ticks.get(market, [])
    for process in played.processes:
        said = [each for each in played.live if each.market == market and process.start <= each.at <= process.end]
        first = bisect_left(ticks, process.start, key=lambda tick: tick.at)
        last = bisect_right(ticks, process.end, key=lambda tick: tick.at)
        found.append(Compared(market, len(said), [each for each in said if not _is_near(each, ticks[first:last])]))
    return Compared(market, sum(each.published for each in found), [said for each in found for said in each.apart])


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
        "recorded_by": played.processes[0].head,
        "processes": [
            {"from": _time(each.start), "until": _time(each.end), "recorded_by": each.head} for each in played.processes
        ],
        "damaged": [
            {
                "file": str(each.file),
                "byte": each.at,
                "bytes": each.end - each.at,
                "lost_after": _time(each.after),
                "lost_before": None if each.before is None else _time(each.before),
            }
            for each in played.damaged
        ],
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
    seconds = sum(each.end - each.start for each in played.processes) / SECOND
    heard = f"{_time(played.start)} … {_time(played.end)}: {seconds:.1f} s, {played.frames} frames"
    console.print(heard, highlight=False)
    if len(played.processes) > 1:
        console.print(f"{len(played.processes)} processes wrote it, each is played by itself:", highlight=False)
        for process in played.processes:
            console.print(f"  {_time(process.start)} … {_time(process.end)}", highlight=False)
    for damage in played.damaged:
        console.print(Text(_told(damage), style="bold red"), soft_wrap=True)
    if any(process.head.get("config") != settings.hash for process in played.processes):
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


def _told(damage: Damage) -> str:
    until = "the end of that file" if damage.before is None else _time(damage.before)
    return (
        f"{damage.file} is damaged: {damage.end - damage.at} bytes from byte {damage.at} on cannot be read;"
        f" what was heard between {_time(damage.after)} and {until} is lost"
    )


def _time(at: Timestamp) -> str:
    return datetime.fromtimestamp(at / SECOND, UTC).isoformat(timespec="milliseconds")
