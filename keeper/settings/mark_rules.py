"""What must hold within the part of a market file that makes its mark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from keeper.domain.mark import MARK_METHODS
from keeper.domain.mark.three_markets import ThreeMarkets
from keeper.ports.venue import PerpetualVenue
from keeper.settings.closed_venues import unknown_venue
from keeper.settings.market import MarketSettings, MarkSettings, SourceSettings
from keeper.settings.options import Complaint, examine, refusal, under
from keeper.settings.specs import mark_method, mark_options

_OF_A_VOTE = frozenset(("operator", "fallback"))
"""What a quorum, a cap or `own_venue` asks of a source: a reference votes for no index."""


def mark_kinds(market: MarketSettings, venues: Mapping[str, Any]) -> Iterator[Complaint]:
    for number, source in enumerate(market.references):
        yield from under(("mark", "references", number), list(_perpetual(source, venues)))


def mark_rules(market: MarketSettings, mark: MarkSettings) -> Iterator[Complaint]:
    options = mark_options(mark)
    found = list(under(("mark",), examine(MARK_METHODS, mark.method, options, "method")))
    if mark.step_s is not None and not mark.max_step_bps and "step_s" not in options:
        yield Complaint(("mark", "step_s"), "an update of what size? set max_step_bps")
    yield from found or refusal(("mark",), lambda: mark_method(market.market, mark))
    yield from _references(market)


def _references(market: MarketSettings) -> Iterator[Complaint]:
    method = MARK_METHODS.get(market.mark.method) if market.mark else None
    if market.references and method is not None and not issubclass(method, ThreeMarkets):
        yield Complaint(("mark", "references"), f"{method.name} does not look at other venues' perpetuals; remove them")
    for number, source in enumerate(market.references):
        if source.quote not in (market.currency, *market.conversions):
            yield Complaint(
                ("mark", "references", number, "quote"),
                f"no conversion from {source.quote} to {market.currency}; add it to `conversions`",
            )
        for key in sorted(source.model_fields_set & _OF_A_VOTE):
            yield Complaint(("mark", "references", number, key), "is of a source of the index")
        if source.id in [spot.id for spot in market.sources]:
            yield Complaint(
                ("mark", "references", number), f"{source.id} is a source of the index, not another perpetual"
            )


def _perpetual(source: SourceSettings, venues: Mapping[str, Any]) -> Iterator[Complaint]:
    """A spot book taken for a perpetual is wrong by the whole basis, and looks like a price all the same."""
    if source.kind not in venues:
        yield Complaint(("kind",), unknown_venue(source.kind, venues))
        return
    described = venues[source.kind]
    if not issubclass(described, PerpetualVenue):
        own, perpetual = f"{source.kind}_perp", [kind for kind in venues if issubclass(venues[kind], PerpetualVenue)]
        choice = f"did you mean {own}?" if own in venues else f"perpetuals come from {', '.join(sorted(perpetual))}"
        yield Complaint(("kind",), f"{source.kind} gives this keeper spot books alone; {choice}")
    elif (nearest := described.perpetual(source.symbol)) != source.symbol:
        yield Complaint(("symbol",), f"{source.symbol} is no perpetual at {source.kind}; write it as {nearest}")
