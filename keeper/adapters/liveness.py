"""Is a silent stream dead, or is its market quiet? Pure rules on what was heard and what REST says."""

from __future__ import annotations

from typing import Literal

from keeper.domain.quote import Quote

Verdict = Literal["quiet", "stalled", "unheard"]


def judge_silence(heard: Quote | None, probed: Quote, trade_driven: bool) -> Verdict:
    """`stalled` when REST states what the stream should have told us.

    A book-driven channel owes us every change of best bid, best ask or last. A trade-driven one owes us trades only:
    a newer trade time or another last price. `unheard` when there is nothing to compare with.
    """
    if heard is None:
        return "unheard"
    if trade_driven:
        moved = _differs(heard.last_e18, probed.last_e18) or _later(heard, probed)
    else:
        pairs = ((heard.bid_e18, probed.bid_e18), (heard.ask_e18, probed.ask_e18), (heard.last_e18, probed.last_e18))
        moved = any(_differs(old, new) for old, new in pairs)
    return "stalled" if moved else "quiet"


def unchanged(old: Quote, new: Quote) -> bool:
    """Whether `new` repeats `old` in everything that both state: REST and stream do not state the same fields."""
    for before, after in zip(old.content(), new.content(), strict=True):
        if before != after and before is not None and after is not None:
            return False
    return True


def _differs(old: int | None, new: int | None) -> bool:
    return old is not None and new is not None and old != new


def _later(heard: Quote, probed: Quote) -> bool:
    return heard.observed_at is not None and probed.observed_at is not None and probed.observed_at > heard.observed_at
