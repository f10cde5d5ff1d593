"""`python -m keeper.devnet.verify DIRECTORY`: exit code 0 when every check passes, 1 otherwise, 2 on a wrong call."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from keeper.devnet.verify import Recording, verify
from keeper.devnet.verify.summary import show, write_json


def main(arguments: list[str]) -> int:
    """Judges the run in the one directory given."""
    console = Console()
    if len(arguments) != 1 or not (Path(arguments[0]) / "run.json").is_file():
        console.print("usage: python -m keeper.devnet.verify DIRECTORY   (a run kept by `keeper demo`)")
        return 2
    directory = Path(arguments[0])
    outcomes, recording = verify(directory), Recording(directory)
    show(console, recording, outcomes)
    write_json(directory / "summary.json", recording, outcomes)
    return 0 if all(found.passed for found in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
