"""What each vote counts as: its price and weight after the outlier rule, group by group where the groups stand apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from keeper.domain.ids import SourceId
from keeper.domain.index_spec import IndexSpec
from keeper.domain.index_state import IndexState, Memory, Traded
from keeper.domain.numbers import E18
from keeper.domain.outlier_rules import Ballot, Judgement
from keeper.domain.outliers import reference, without_outliers
from keeper.domain.screening import PricedQuote, Rejected, Rejection
from keeper.domain.time import Timestamp


class Ruled(NamedTuple):
    """`kept` with their true prices, `ballots` what they count as, in the same order.

    `limited`: one of them was moved or counts less than it would.
    """

    kept: list[PricedQuote]
    ballots: list[Ballot]
    watched: Memory
    by_median: bool
    limited: bool = False


def averaged(
    inputs: Sequence[PricedQuote], traded: Mapping[SourceId, Traded], rejected: list[Rejection]
) -> list[PricedQuote]:
    """Votes at the average price of their source's trades; a source without trades is refused."""
    kept = []
    for vote in inputs:
        found = traded.get(vote.source)
        price = 0 if found is None else found.price_e18 * vote.spec.multiplier_e18 // E18
        price = price if vote.rate_e18 is None else price * vote.rate_e18 // E18
        if found is None or found.volume_e18 <= 0 or price <= 0:
            rejected.append(Rejection(vote.source, Rejected.MISSING, "no trades within the window"))
        else:
            kept.append(vote._replace(price_e18=price, stated_e18=found.price_e18))
    return kept


def ruled_on(
    spec: IndexSpec,
    inputs: list[PricedQuote],
    traded: Mapping[SourceId, Traded],
    rejected: list[Rejection],
    state: IndexState,
    now: Timestamp,
) -> Ruled:
    """The outlier rule's word on all of them, or on each quote group by itself; the refused join `rejected`."""
    kept: list[PricedQuote] = []
    ballots: list[Ballot] = []
    watched: dict[SourceId, Timestamp | None] = {}
    by_median = limited = False
    for members in _juries(spec):
        votes = [vote for vote in inputs if vote.source in members]
        known = {source: since for source, since in state.watched.items() if source in members}
        found = _judged(spec, votes, traded, rejected, replace(state, watched=known), now)
        counted = {ballot.source for ballot in found.kept}
        kept += [vote for vote in votes if vote.source in counted]
        ballots += found.kept
        watched.update(found.watched)
        by_median, limited = by_median or found.by_median, limited or found.limited
    return Ruled(kept, ballots, watched, by_median, limited)


def _juries(spec: IndexSpec) -> list[set[SourceId]]:
    """Sources that are judged by one another: all, or those of each quote group."""
    if not spec.method.by_group:
        return [{source.source for source in spec.sources}]
    groups: dict[str, set[SourceId]] = {}
    for source in spec.sources:
        groups.setdefault(source.quote, set()).add(source.source)
    return list(groups.values())


def _judged(
    spec: IndexSpec,
    votes: list[PricedQuote],
    traded: Mapping[SourceId, Traded],
    rejected: list[Rejection],
    state: IndexState,
    now: Timestamp,
) -> Judgement:
    cast = [Ballot(vote.source, vote.price_e18, _weight(spec, vote, traded)) for vote in votes]
    weighed = sorted(zip([ballot.price_e18 for ballot in cast], _say(spec, votes, cast), strict=True))
    if spec.outliers is None:
        near = {vote.source for vote in without_outliers(spec, votes, weighed, rejected)}
        return Judgement([ballot for ballot in cast if ballot.source in near])
    found = spec.outliers.judge(cast, reference(spec, weighed) if weighed else 0, state, now)
    prices = {ballot.source: ballot.price_e18 for ballot in cast}
    for source, detail in found.refused.items():
        rejected.append(Rejection(source, Rejected.OUTLIER, detail, prices[source]))
    return found


def _say(spec: IndexSpec, votes: Sequence[PricedQuote], cast: Sequence[Ballot]) -> list[int]:
    """What each has to say about where the centre is: no more than its cap, or one that claims much would be the centre."""
    weights = [ballot.weight for ballot in cast]
    capped = None if spec.caps is None else spec.caps.weights([vote.spec for vote in votes], weights)
    return weights if capped is None else capped


def _weight(spec: IndexSpec, vote: PricedQuote, traded: Mapping[SourceId, Traded]) -> int:
    """The configured, or the volume in base units; at least the smallest number: votes of no weight at all have no middle."""
    if not spec.method.by_volume:
        return vote.spec.weight
    return max(1, traded[vote.source].volume_e18 * E18 // vote.spec.multiplier_e18)
