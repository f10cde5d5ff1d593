"""Judges a finished run from its recording. Shares no code with the keeper: an error in one must not hide in the other.

`python -m keeper.devnet.verify DIRECTORY` judges a run that was kept once more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from keeper.devnet.verify import accuracy, acts, evidence, ledger, process, staleness
from keeper.devnet.verify.history import replay
from keeper.devnet.verify.outcome import Outcome, outcome
from keeper.devnet.verify.recording import Recording

__all__ = ["Outcome", "Recording", "verify"]


def verify(directory: Path) -> Sequence[Outcome]:
    """Every check of the recording in `directory`, in the order of the summary. A check that cannot run has failed."""
    recording = Recording(directory)
    detailed = frozenset(block for block, name in recording.views if name == "accounts")
    history = replay(recording, detailed)
    traced = evidence.Traced(recording, directory / recording.run["keeper"]["journal"])
    excused = tuple(recording.run["keeper"].get("excused", ()))
    checks: Sequence[tuple[str, Callable[[], Outcome]]] = (
        ("keeper-exit", lambda: process.exit_code(recording)),
        (
            "keeper-log",
            lambda: process.complaints(directory / recording.run["keeper"]["stderr"], excused, recording.away),
        ),
        ("transactions", lambda: process.transactions(recording)),
        ("pushes", lambda: evidence.pushes(traced)),
        ("evidence-root", lambda: evidence.roots(traced)),
        ("evidence-inputs", lambda: evidence.inputs(traced)),
        ("evidence-result", lambda: evidence.results(traced)),
        ("mark-accuracy", lambda: accuracy.mark_accuracy(recording, history)),
        ("price-age", lambda: staleness.price_age(recording)),
        ("funding-boundaries", lambda: acts.funding_boundaries(recording)),
        ("funding-rate", lambda: acts.funding_rates(recording, history)),
        ("liquidations", lambda: acts.liquidations(recording, history)),
        ("liquidation-latency", lambda: acts.liquidation_latency(recording, history)),
        ("liquidatable-view", lambda: ledger.lens_agrees(recording, history)),
        ("mirror", lambda: ledger.mirror_agrees(recording, history)),
        ("invariants", lambda: ledger.invariants(recording, history)),
    )
    return [_judged(name, check) for name, check in checks]


def _judged(name: str, check: Callable[[], Outcome]) -> Outcome:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - an unreadable recording is a failed check, and the others still tell
        return outcome(name, "can be judged", "it cannot", [f"{type(error).__name__}: {error}"])
