"""`make drills`: the de-peg of USDC in March 2023 through the engine, with its settings, and a plot of it.

    make drills                       prints the tables, renews docs/depeg.md and docs/depeg.svg
    make drills ARGS="--hours 48"     more of the tick tape

Exits 1 when a line does not hold.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import NamedTuple

from rich.console import Console
from rich.progress import track

from tests.drills import depeg, ticks
from tests.drills.depeg import Run, groups_apart
from tests.drills.minutes import KRAKEN, USD, USDC, USDT, minutes
from tests.drills.plot import draw
from tests.drills.ticks import Second

DOCS = Path(__file__).parents[2] / "docs"
BREAK_MINUTE = 14_330
"""2023-03-10 22:51 UTC, twenty minutes before the groups part."""


class Line(NamedTuple):
    what: str
    found: str
    wanted: str
    holds: bool


NAIVE = (Decimal("0.0675"), Decimal("0.0695"))
"""What rounds to 6.8 or 6.9 %, as it was measured before."""


HALF_TENTH = Decimal("0.0005")


def percent(value: Decimal) -> str:
    return f"{float(100 * value):.4g} %"


def at_least(what: str, found: Decimal, bound: Decimal) -> Line:
    return Line(what, percent(found), f"≥ {percent(bound)}", found >= bound)


def at_most(what: str, found: Decimal, bound: Decimal) -> Line:
    return Line(what, percent(found), f"≤ {percent(bound)}", found <= bound)


def rounds_to(what: str, found: Decimal, low: Decimal, high: Decimal) -> Line:
    """Within a range that ends where rounding would."""
    tenths = " or ".join(f"{100 * end:.1f}" for end in (low + HALF_TENTH, high - HALF_TENTH))
    return Line(what, percent(found), f"{percent(low)} to {percent(high)}: {tenths} when rounded", low <= found < high)


def reported(what: str, found: str) -> Line:
    return Line(what, found, "reported", True)


def none_of(what: str, found: int) -> Line:
    return Line(what, str(found), "0", found == 0)


def with_usd(run: Run) -> Iterator[Line]:
    yield at_least("(a) with the USD venue: published", run.availability, Decimal("0.99"))
    yield at_most("(a) largest error against it", run.worst(), Decimal("0.0035"))
    yield reported("(a) not published because", _reasons(run))
    for name in run.looks[0].naive:
        yield rounds_to(f"(a) {name}, largest error", run.worst_of(name), *NAIVE)


def without_usd(run: Run) -> Iterator[Line]:
    parted = [look for look in run.looks if groups_apart(look)]
    what = "(b) without it: minutes in which the groups disagree by more than 1 %"
    yield Line(what, str(len(parted)), "some", bool(parted))
    yield none_of("(b) of these published", sum(look.published is not None for look in parted))
    yield none_of("(b) of these open to liquidations", sum(look.gate_open for look in parted))
    yield reported("(b) published of all minutes", percent(run.availability))
    yield reported("(b) open to liquidations of all minutes", percent(run.open_share))
    yield reported("(b) error of what was published, median", percent(run.typical()))
    yield reported("(b) error of what was published, largest", percent(run.worst()))
    yield reported("(b) not published because", _reasons(run))


def _reasons(run: Run) -> str:
    found = Counter(look.reason for look in run.looks if look.published is None)
    return ", ".join(f"{why} {count}" for why, count in found.most_common()) or "never"


def by_ticks(seconds: Sequence[Second]) -> Iterator[Line]:
    errors = [each.error for each in seconds if each.error is not None]
    refused = Counter(reason for each in seconds for reason in each.refused)
    yield reported("ticks: seconds", str(len(seconds)))
    yield at_least("ticks: index there", Decimal(len(errors)) / len(seconds), Decimal("0.99"))
    yield reported("ticks: error against the true price, median", percent(median(errors)))
    yield at_most("ticks: error, largest", max(errors), Decimal("0.001"))
    shown = ", ".join(f"{why} in {count} s" for why, count in refused.most_common(4))
    yield Line("ticks: refused", shown or "nobody", "USDC while it is off its peg", refused["USDC peg"] > 0)


def document(lines: Sequence[Line]) -> str:
    rows = "".join(f"| {line.what} | {line.found} | {line.wanted} |\n" for line in lines)
    settings = "".join(f"- {name}: {value}\n" for name, value in depeg.SETTINGS.items())
    real = "".join(f"- {name}: {value}\n" for name, value in ticks.SETTINGS.items())
    return (
        "# The de-peg of USDC, March 2023\n\nWritten by `make drills`: 30,240 recorded minutes of BTC in USD, USDT and USDC "
        "(Binance.US) and USDC (Kraken), 2023-03-01 to 21, through index, guard, mark, condition, gate and the policy of publishing. "
        "*Published* is what the daemon would have sent, tick by tick, one a minute.\n\n"
        "(a) *with* the USD venue among the sources: a regression and no proof, because the groups' median often is that venue. "
        "(b) *without* it, and without any rate to USD: it is only the reference, and the engine must say nothing while its "
        "groups disagree.\n\n![prices, errors and silence](depeg.svg)\n\n"
        f"| | found | wanted |\n|---|---|---|\n{rows}\n## Settings of the drill\n\n{settings}\n"
        "## Settings of the tick tape\n\nThree companies, made ticks of the same shape (`tests/drills/ticks.py`), the settings "
        f"of a real market:\n\n{real}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="make drills")
    parser.add_argument("--hours", type=int, default=18, help="length of the tick tape")
    parser.add_argument("--check", action="store_true", help="write nothing")
    chosen, console = parser.parse_args(), Console()
    course = list(track(minutes(), "reading", total=30_240, console=console, disable=not console.is_terminal))
    seen, blind = depeg.play(course, (USD, USDT, USDC, KRAKEN)), depeg.play(course, (USDT, USDC, KRAKEN))
    window = ticks.smoothed(course[BREAK_MINUTE : BREAK_MINUTE + 60 * chosen.hours + 1])
    total = 60 * (len(window) - 1)
    tape = list(track(ticks.play(window), "ticks", total=total, console=console, disable=not console.is_terminal))
    lines = [*with_usd(seen), *without_usd(blind), *by_ticks(tape)]
    for name, value in {**depeg.SETTINGS, **ticks.SETTINGS}.items():
        console.print(f"{name}: {value}", highlight=False, soft_wrap=True)
    for line in lines:
        verdict = "[green]holds[/]" if line.holds else "[bold red]FAILS[/]"
        console.print(f"{verdict}  {line.what}: {line.found} ({line.wanted})", highlight=False, soft_wrap=True)
    if not chosen.check:
        (DOCS / "depeg.md").write_text(document(lines))
        draw(DOCS / "depeg.svg", seen, blind)
    return int(not all(line.holds for line in lines))


if __name__ == "__main__":
    sys.exit(main())
