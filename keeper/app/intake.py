"""From the settings to the services that hear: feeds, heads, prices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keeper.adapters.onchain import ONCHAIN_SOURCES, OnchainSource
from keeper.adapters.onchain.feed import OnchainFeed
from keeper.adapters.onchain.sequencer import sequencer_query, uptime_feed
from keeper.adapters.references import REFERENCES, Reference
from keeper.adapters.references.feed import ReferenceFeed
from keeper.adapters.sources import BOOK_VENUES, STREAM_VENUES
from keeper.adapters.websocket import WebsocketFeed
from keeper.app.boards import Boards
from keeper.app.world import World
from keeper.domain.ids import MarketId, SourceId
from keeper.domain.market import MarketPlan, by_component
from keeper.domain.pricing import components
from keeper.domain.sequencer import UNREAD
from keeper.runtime.supervisor import Service
from keeper.services import pricing
from keeper.services.heads import HeadService, Pace
from keeper.services.pricing import PricingService
from keeper.services.quotes import QuoteService
from keeper.services.sequencer import KEY as SEQUENCER
from keeper.services.sequencer import SequencerService
from keeper.settings.models import Settings, VenueSettings
from keeper.settings.options import build as build_option
from keeper.settings.specs import index_spec


def feeds(settings: Settings, world: World, boards: Boards) -> dict[str, Service]:
    """One service per venue, with every symbol that any market wants of it."""
    wanted: dict[str, dict[str, None]] = {}
    for market in settings.markets:
        for source in market.sources:
            if source.kind in ONCHAIN_SOURCES or source.kind in REFERENCES:
                continue
            wanted.setdefault(source.kind, {})[source.symbol] = None
        if market.book is not None:
            wanted.setdefault(market.book.kind, {})[market.book.symbol] = None
    services: dict[str, Service] = {}
    for kind, symbols in sorted(wanted.items()):
        registry = STREAM_VENUES if kind in STREAM_VENUES else BOOK_VENUES
        venue = build_option(registry, kind, _venue_options(settings.venues.get(kind)), f"venues.{kind}")
        feed = WebsocketFeed(venue, tuple(sorted(symbols)), world.clock, world.draws(kind), world.sessions(kind))
        service = QuoteService(feed, boards.quotes, boards.books, boards.trades, boards.feeds, world.meter, world.log)
        services[service.name] = service
    return {**services, **_onchain(settings, world, boards), **_references(settings, world, boards)}


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


def _references(settings: Settings, world: World, boards: Boards) -> dict[str, Service]:
    services: dict[str, Service] = {}
    for kind, symbols in reference_symbols(settings).items():
        feed = ReferenceFeed(reference(settings, kind), symbols, world.clock, world.draws(kind), world.sessions(kind))
        service = QuoteService(feed, boards.quotes, boards.books, boards.trades, boards.feeds, world.meter, world.log)
        services[service.name] = service
    return services


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


def _onchain(settings: Settings, world: World, boards: Boards) -> dict[str, Service]:
    sources = onchain_sources(settings)
    if not sources:
        return {}
    feed = OnchainFeed(sources, world.chain, boards.blocks, world.clock)
    service = QuoteService(feed, boards.quotes, boards.books, boards.trades, boards.feeds, world.meter, world.log)
    return {service.name: service}


def _venue_options(overrides: VenueSettings | None) -> dict[str, Any]:
    if overrides is None:
        return {}
    given = {"url": overrides.url, "rest_url": overrides.rest_url}
    return {name: value for name, value in given.items() if value is not None}


def chain_services(settings: Settings, world: World, boards: Boards) -> dict[str, Service]:
    pace = Pace(poll_min_s=min(0.1, settings.chain.poll_s), poll_max_s=settings.chain.poll_s)
    heads = HeadService(
        settings.chain.id,
        world.chain,
        boards.heads,
        boards.blocks,
        world.clock,
        world.log,
        world.meter,
        world.pulse,
        pace,
    )
    return {heads.name: heads, world.chain.name: world.chain, **_sequencer(settings, world, boards)}


def _sequencer(settings: Settings, world: World, boards: Boards) -> dict[str, Service]:
    if settings.chain.sequencer_feed is None:
        return {}
    feed, grace_s = uptime_feed(settings.chain.sequencer_feed), round(settings.chain.sequencer_grace_s)
    boards.sequencer.put(SEQUENCER, UNREAD)
    service = SequencerService(
        lambda head: sequencer_query(feed, head, grace_s),
        world.chain,
        boards.blocks,
        boards.sequencer,
        world.meter,
        world.log,
    )
    return {service.name: service}


def pricing_services(
    settings: Settings, world: World, boards: Boards, plans: Mapping[MarketId, MarketPlan]
) -> dict[str, Service]:
    """One service per component of the conversion graph."""
    groups = components([index_spec(market) for market in settings.markets])
    seen = pricing.Boards(
        boards.quotes,
        boards.books,
        boards.trades,
        boards.states,
        boards.paused,
        boards.indices,
        boards.prices,
        boards.sequencer,
    )
    services: dict[str, Service] = {}
    for specs, priced in by_component(groups, tuple(plans.values())):
        service = PricingService(
            specs, priced, seen, world.journal.snapshots, world.clock, world.pulse, world.meter, world.log
        )
        services[service.name] = service
    return services
