"""A line that follows the run, and the table in the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.torture.lane import Result
from tests.torture.plan import FAILPOINTS

_HEAD = ("cases", "kills", "restarts", "unreached", "doubles", "losses", "gaps")


@dataclass
class Progress:
    total: int
    quiet: bool = False
    begun: float = field(default_factory=time.monotonic)
    done: int = 0
    violated: int = 0

    def __call__(self, result: Result) -> None:
        self.done += 1
        self.violated += bool(result.verdict.violations)
        if result.verdict.violations and not self.quiet:
            print(f"\r{complaint(result)}", flush=True)
        passed_s = time.monotonic() - self.begun
        left_s = passed_s / self.done * (self.total - self.done)
        line = f"{self.done}/{self.total} · {self.violated} violated · {passed_s:.0f} s, {left_s:.0f} s to go"
        if sys.stdout.isatty():
            print(f"\r{line} · {result.case.name:50}", end="", flush=True)
        elif self.done % 50 == 0 or self.done == self.total:
            print(line, flush=True)


def complaint(result: Result) -> str:
    words = "; ".join(result.verdict.violations)
    return f"{result.case.name}: {words}\n    seed {result.case.seed}; again: {result.case.command}\n    {result.directory}"


def counts(results: Sequence[Result]) -> tuple[int, ...]:
    verdicts = [each.verdict for each in results]
    return (
        len(results),
        sum(each.kills for each in results),
        sum(each.restarts for each in results),
        sum(not each.reached for each in results),
        sum(len(each.doubles) for each in verdicts),
        sum(len(each.losses) for each in verdicts),
        sum(len(each.gaps) for each in verdicts),
    )


def show(title: str, results: Sequence[Result]) -> None:
    """Failpoint × what happened. The last column is a figure of this machine and decides nothing."""
    print(f"\n── {title}; seeds {_seeds(results)}")
    print(f"{'failpoint':30}" + "".join(f"{word:>10}" for word in _HEAD) + f"{'first send':>12}")
    for failpoint in FAILPOINTS:
        chosen = [each for each in results if each.case.failpoint == failpoint]
        if chosen:
            print(_row(failpoint, chosen))
    print(_row("all", results), flush=True)


def _row(name: str, results: Sequence[Result]) -> str:
    sends = [seconds for each in results for seconds in each.first_send_s]
    worst = f"{max(sends):.2f} s" if sends else "–"
    return f"{name:30}" + "".join(f"{number:>10}" for number in counts(results)) + f"{worst:>12}"


def _seeds(results: Sequence[Result]) -> str:
    found = sorted({each.case.seed for each in results})
    return f"{found[0]}…{found[-1]}" if len(found) > 1 else str(found[0])
