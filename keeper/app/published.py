"""Prices that somebody else has published: what contracts on our chain hold, and reference rates."""

from __future__ import annotations

from typing import Any

from keeper.adapters.onchain import ONCHAIN_SOURCES, OnchainSource
from keeper.adapters.onchain.feed import OnchainFeed
from keeper.adapters.references import REFERENCES, Reference
from keeper.adapters.references.feed import ReferenceFeed
from keeper.app.boards import Boards
from keeper.app.world import World
from keeper.domain.ids import SourceId, source_id
from keeper.ports.feed import QuoteFeed
from keeper.services.quotes import QuoteService
from keeper.settings.models import Settings, VenueSettings
from keeper.settings.options import build as build_option


def quote_service(feed: QuoteFeed, sources: frozenset[SourceId], world: World, boards: Boards) -> QuoteService:
    """`sources`: what the feed was asked for."""
    return QuoteService(feed, boards.quotes, boards.books, boards.trades, boards.feeds, world.meter, world.log, sources)


def onchain(settings: Settings, world: World, boards: Boards) -> dict[str, QuoteService]:
    """One service reads them all, once a block."""
    sources = onchain_sources(settings)
    if not sources:
        return {}
    feed = OnchainFeed(sources, world.chain, boards.blocks, world.clock)
    service = quote_service(feed, frozenset(sources), world, boards)
    return {service.name: service}


def onchain_sources(settings: Settings) -> dict[SourceId, OnchainSource]:
    """Those that some market takes."""
    return {
        source.id: build_option(
            ONCHAIN_SOURCES, source.kind, settings.onchain[source.symbol].options, f"onchain.{source.symbol}"
        )
        for market in settings.markets
        for source in market.sources
        if source.kind in ONCHAIN_SOURCES
    }


def references(settings: Settings, world: World, boards: Boards) -> dict[str, QuoteService]:
    """One service per publisher."""
    services: dict[str, QuoteService] = {}
    for kind, symbols in reference_symbols(settings).items():
        feed = ReferenceFeed(reference(settings, kind), symbols, world.clock, world.draws(kind), world.sessions(kind))
        service = quote_service(feed, frozenset(source_id(kind, symbol) for symbol in symbols), world, boards)
        services[service.name] = service
    return services


def reference_symbols(settings: Settings) -> dict[str, tuple[str, ...]]:
    """By the reference's name what markets want of it, as a source or as a yardstick."""
    wanted: dict[str, set[str]] = {}
    for market in settings.markets:
        asked = [(source.kind, source.symbol) for source in market.sources if source.kind in REFERENCES]
        if (held := market.index.reference) is not None:
            asked.append((held.kind, held.symbol))
        for kind, symbol in asked:
            wanted.setdefault(kind, set()).add(symbol)
    return {kind: tuple(sorted(symbols)) for kind, symbols in sorted(wanted.items())}


def reference(settings: Settings, kind: str) -> Reference:
    return build_option(REFERENCES, kind, _venue_options(settings.venues.get(kind)), f"venues.{kind}")


def _venue_options(overrides: VenueSettings | None) -> dict[str, Any]:
    if overrides is None:
        return {}
    given = {"url": overrides.url, "rest_url": overrides.rest_url}
    return {name: value for name, value in given.items() if value is not None}
