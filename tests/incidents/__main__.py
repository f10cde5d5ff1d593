"""`make incidents`: what went wrong elsewhere, played to this engine. Prints the table and renews docs/incidents.md."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.incidents import (
    test_back_dated_frames,
    test_clock_skew,
    test_dai_2020,
    test_frozen_feed,
    test_gdax_2017,
    test_kraken_vwap,
    test_luna_2022,
    test_mango_2022,
    test_pyth_2021,
    test_skrw_2019,
    test_usde_2025,
)
from tests.incidents.row import Row

DOCUMENT = Path(__file__).parents[2] / "docs/incidents.md"
INCIDENTS = (
    test_gdax_2017,
    test_skrw_2019,
    test_dai_2020,
    test_pyth_2021,
    test_luna_2022,
    test_mango_2022,
    test_usde_2025,
    test_frozen_feed,
    test_kraken_vwap,
    test_clock_skew,
    test_back_dated_frames,
)
HEADS = ("incident", "what happened", "what the keeper does", "price there", "largest error", "naive error")


def rows() -> list[Row]:
    return [module.line() for module in INCIDENTS]


def document() -> str:
    body = "".join("| " + " | ".join(each) + " |\n" for each in rows())
    return (
        "# Incidents\n\nWritten by `make incidents`: prices that went wrong elsewhere, played tick by tick through index, guard, mark "
        "and gate, and where a parser or a connection is what failed, as a tape of the venues' own frames through a keeper's replay. "
        "Each is a file of `tests/incidents/`, with its date, its source and what is asserted. The courses of prices are made after the "
        "figures that were published, not recorded.\n\n"
        "*Price there*: ticks of the incident with a price that may be published; else the reason. *Largest error*: of these, from the range "
        "of honest prices. *Naive*: mean and median of everything that was said last, however old, at par. A median is as good as the "
        "keeper against one liar; it knows no age, no quorum and no unit.\n\n"
        f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}\n{body}"
    )


def main() -> int:
    console, table = Console(), Table(*HEADS)
    for each in rows():
        table.add_row(*each)
    console.print(table)
    DOCUMENT.write_text(document())
    return 0


if __name__ == "__main__":
    sys.exit(main())
