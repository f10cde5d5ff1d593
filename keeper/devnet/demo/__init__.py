"""A whole perp exchange on loopback around a real keeper process: chain, contracts, venues, traders, and a judge."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rich.console import Console

from keeper.devnet.demo.run import Options, run

__all__ = ["main"]


def main(
    for_s: float | None = None,
    headless: bool = False,
    sabotage: str | None = None,
    seed: int = 1,
    storm: bool = False,
    keep: Path | None = None,
) -> int:
    """Runs the demo until `for_s` seconds after the keeper was ready, or Ctrl-C, and judges it.

    Exit code: 0 when every check passed, 1 naming each that did not, 2 when an option makes no sense, 130 when it was
    interrupted before there was anything to judge. `keep`: a new directory that the recording is left in.
    """
    try:
        return asyncio.run(run(Options(for_s, headless, sabotage, seed, storm, keep), Console()))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130
