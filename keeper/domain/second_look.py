"""What is said of an index after it is computed: by a reference rate, and by the sources that had to vote for it."""

from __future__ import annotations

from dataclasses import replace

from keeper.domain.index import IndexFlag, IndexPrice, IndexSpec, Withheld, WithheldReason
from keeper.domain.index_state import IndexFold
from keeper.domain.numbers import deviation_bps, exceeds_bps, text_of
from keeper.domain.quote import Quote, Quotes
from keeper.domain.reference import ReferenceBand
from keeper.domain.screening import Rejected, Rejection
from keeper.domain.time import Timestamp


def looked_at(spec: IndexSpec, found: IndexPrice | Withheld, quotes: Quotes, now: Timestamp) -> IndexPrice | Withheld:
    """The same index, flagged or withheld. The reference stands among the rejected: it is evidence, and no vote."""
    if isinstance(found, IndexPrice) and spec.falls_back and _by_fallback(found):
        found = replace(found, flags=(*found.flags, IndexFlag.FALLBACK))
    band = spec.reference
    quote = None if band is None else quotes.get(band.source)
    if band is None or quote is None:
        return found
    detail = _too_old(band, quote, now)
    rate_e18 = quote.last_e18
    named = Rejection(band.source, Rejected.REFERENCE, detail or "what the index is held against", rate_e18)
    found = replace(found, rejected=(*found.rejected, named))
    if detail or not rate_e18 or isinstance(found, Withheld) or not _apart(found.price_e18, rate_e18, band):
        return found
    if not band.withhold:
        return replace(found, flags=(*found.flags, IndexFlag.REFERENCE))
    far = f"{text_of(found.price_e18)} is {deviation_bps(found.price_e18, rate_e18)} bps from {text_of(rate_e18)}"
    return Withheld(
        spec.id, WithheldReason.REFERENCE, far, now, found.inputs, found.rejected, _unmade(found.fold), found.benched
    )


def _by_fallback(index: IndexPrice) -> bool:
    return IndexFlag.HELD not in index.flags and any(vote.spec.fallback for vote in index.inputs)


def _unmade(fold: IndexFold | None) -> IndexFold | None:
    """No index was left by it: what is held later has the age of the one before."""
    if fold is None:
        return None
    return fold._replace(after=replace(fold.after, computed_at=fold.before.computed_at))


def _too_old(band: ReferenceBand, quote: Quote, now: Timestamp) -> str:
    at = quote.observed_at if quote.observed_at is not None else quote.received_at
    return "too old to be held against" if now - at > band.max_age_ns else ""


def _apart(price_e18: int, rate_e18: int, band: ReferenceBand) -> bool:
    return exceeds_bps(price_e18, rate_e18, band.max_bps)
