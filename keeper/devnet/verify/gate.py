"""When the keeper's liquidation gate was open, by its own words, sampled several times a second."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

from keeper.devnet.verify.recording import Recording


class GateLog:
    """A market counts as open from a sample that says so until one that does not, and before the first sample."""

    def __init__(self, recording: Recording) -> None:
        self._names = [market["market"] for market in recording.perps]
        self._samples: dict[str, list[tuple[int, bool]]] = {name: [] for name in self._names}
        for status in recording.lines("status"):
            if recording.ready_ns <= status["t"] <= recording.stop_ns:
                for name in self._names:
                    market = (status["status"].get("markets") or {}).get(name) or {}
                    is_open = (market.get("gate") or {}).get("open")
                    if is_open is not None:
                        self._samples[name].append((status["t"], bool(is_open)))

    def open_at(self, market: str, at_ns: int) -> bool:
        samples = self._samples[market]
        place = bisect_right(samples, (at_ns, True)) - 1
        return place < 0 or samples[place][1]

    def closed_ms(self) -> dict[str, int]:
        """Time from each sample that says closed to the next sample."""
        return {
            name: sum((b[0] - a[0]) // 1_000_000 for a, b in pairwise(samples) if not a[1])
            for name, samples in self._samples.items()
        }
