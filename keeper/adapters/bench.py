"""Which sources sit out because we no longer understand them: a fold over good and bad frames."""

from __future__ import annotations

from dataclasses import dataclass, replace

from keeper.domain.time import SECOND, Timestamp


@dataclass(frozen=True, slots=True)
class BenchRules:
    """Benched after `limit` bad frames of the last `window`; readmitted after `readmit_s` of nothing but good ones."""

    window: int = 20
    limit: int = 5
    readmit_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Bench:
    """One source's record. `bad_bits` holds the last frames, newest lowest, 1 = bad."""

    bad_bits: int = 0
    benched: bool = False
    good_since: Timestamp | None = None


FRESH = Bench()


def judge(bench: Bench, good: bool, at: Timestamp, rules: BenchRules) -> Bench:
    """The record after one more frame."""
    bits = ((bench.bad_bits << 1) | (not good)) & ((1 << rules.window) - 1)
    if not bench.benched:
        return Bench(bits, benched=bits.bit_count() >= rules.limit)
    if not good:
        return Bench(bits, benched=True)
    since = at if bench.good_since is None else bench.good_since
    if at - since >= rules.readmit_s * SECOND:
        return FRESH
    return replace(bench, bad_bits=bits, good_since=since)
