"""The limit of one update: a mark that may move only so far at a time, however often it is looked at.

This belongs to a method, as HIP-3 markets have it (1 % per update), and what it gives may be published, flagged. It replaces no
guard: a jump of the index is still held until it is confirmed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from keeper.domain.mark.averages import optional
from keeper.domain.mark.method import Plain
from keeper.domain.numbers import BPS, cdiv, clamp
from keeper.domain.time import Timestamp


class Stride(NamedTuple):
    """`anchor_e18` is the last mark of the update before, `latest_e18` that of now; `at` is when it was made."""

    update: int | None = None
    anchor_e18: int | None = None
    latest_e18: int | None = None
    at: Timestamp | None = None

    def to_plain(self) -> dict[str, Any]:
        return {"anchor_e18": self.anchor_e18, "at": self.at, "latest_e18": self.latest_e18, "update": self.update}


def restored_stride(plain: Plain) -> Stride:
    """Raises KeyError or ValueError on a document that `to_plain` did not write."""
    if not plain:
        return Stride()
    at = optional(plain["at"])
    return Stride(
        optional(plain["update"]),
        optional(plain["anchor_e18"]),
        optional(plain["latest_e18"]),
        None if at is None else Timestamp(at),
    )


def begun_anew(start: Any, state: Any) -> Any:
    """A method's `start`, but for the limit of its next step, which stands as in its `state`."""
    if isinstance(state, Stride):
        return state
    names = getattr(start, "_fields", ())
    return (
        start._replace(**{name: begun_anew(getattr(start, name), getattr(state, name)) for name in names})
        if names
        else start
    )


class StrideLimit(NamedTuple):
    """`max_bps` of the mark before, per `every_ns`. A mark older than `keep_ns` limits nothing: nobody watched since."""

    max_bps: int
    every_ns: int
    keep_ns: int

    def open(self, before: Stride, now: Timestamp) -> Stride:
        """The update that `now` belongs to."""
        if before.at is None or abs(now - before.at) > self.keep_ns:
            return Stride(now // self.every_ns)
        if before.update == now // self.every_ns:
            return before
        return Stride(now // self.every_ns, before.latest_e18, before.latest_e18, before.at)

    def limited(self, stride: Stride, price_e18: int) -> int:
        """The price moved to within the limit of the anchor: |result − anchor| · 10⁴ ≤ limit · anchor."""
        if stride.anchor_e18 is None:
            return price_e18
        low = cdiv(stride.anchor_e18 * (BPS - self.max_bps), BPS)
        return clamp(price_e18, low, stride.anchor_e18 * (BPS + self.max_bps) // BPS)
