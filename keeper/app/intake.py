"""From the settings to the services that hear: feeds, heads, prices."""

from __future__ import annotations

import os
from collections.abc import Mapping

from keeper.adapters.feeds import feed_of
from keeper.adapters.onchain import ONCHAIN_SOURCES
from keeper.adapters.onchain.sequencer import sequencer_query, uptime_feed
from keeper.adapters.references import REFERENCES
from keeper.adapters.rpc_stream import HeadStream
from keeper.app.boards import Boards
from keeper.app.endpoints import stream_endpoints
from keeper.app.published import onchain, quote_service, references
from keeper.app.venues import venue_of
from keeper.app.world import World
from keeper.domain.ids import MarketId, source_id
from keeper.domain.index_methods import INDEX_METHODS
from keeper.domain.market import MarketPlan, by_component
from keeper.domain.pricing import components
from keeper.domain.sequencer import UNREAD
from keeper.ports.clock import Clock
from keeper.runtime.supervisor import Service, Supervisor
from keeper.services import pricing
from keeper.services.heads import HeadService, Pace
from keeper.services.pricing import PricingService
from keeper.services.quotes import QuoteService
from keeper.services.sequencer import KEY as SEQUENCER
from keeper.services.sequencer import SequencerService
from keeper.settings.models import Settings
from keeper.settings.specs import index_spec

_AGAIN_S = 10.0
"""A feed that a defect has ended starts again after so long."""


def feeds(settings: Settings, world: World, boards: Boards) -> dict[str, QuoteService]:
    """One service per venue, with every symbol that any market wants of it, and trades where an index goes by them. Raises ConfigError or KeyPermissionError."""
    wanted: dict[str, dict[str, None]] = {}
    traded: dict[str, set[str]] = {}
    for market in settings.markets:
        for source in market.sources if INDEX_METHODS[market.index.method].by_volume else ():
            traded.setdefault(source.kind, set()).add(source.symbol)
        for source in (*market.sources, *market.references):
            if source.kind in ONCHAIN_SOURCES or source.kind in REFERENCES:
                continue
            wanted.setdefault(source.kind, {})[source.symbol] = None
        if market.book is not None:
            wanted.setdefault(market.book.kind, {})[market.book.symbol] = None
    services: dict[str, QuoteService] = {}
    for kind, symbols in sorted(wanted.items()):
        venue = venue_of(settings, kind, trades=frozenset(traded.get(kind, ())))
        chosen = tuple(sorted(symbols))
        feed = feed_of(venue, chosen, world.clock, world.draws(kind), world.sessions(kind))
        asked = frozenset(source_id(kind, symbol) for symbol in chosen)
        service = quote_service(feed, asked, world, boards)
        services[service.name] = service
    return {**services, **onchain(settings, world, boards), **references(settings, world, boards)}


def listen(supervisor: Supervisor, service: QuoteService, clock: Clock) -> None:
    """Starts a feed. A defect in it ends it alone, and it starts again: a fault of one source never stops another."""
    supervisor.start(
        service.name, service, lambda _name, error: service.failed(error, clock.now(), _AGAIN_S), again_s=_AGAIN_S
    )


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
        streams=boards.announced,
    )
    services: list[Service] = [heads, world.chain, *_streams(settings, world, boards)]
    return {**{service.name: service for service in services}, **_sequencer(settings, world, boards)}


def _streams(settings: Settings, world: World, boards: Boards) -> list[Service]:
    draw = world.draws("streams").random
    return [
        HeadStream(endpoint, settings.chain.id, boards.announced, meter=world.meter, log=world.log, draw=draw)
        for endpoint in stream_endpoints(settings, os.environ)
    ]


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
) -> dict[str, PricingService]:
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
        boards.scores,
        boards.sequencer,
    )
    services: dict[str, PricingService] = {}
    for specs, priced in by_component(groups, tuple(plans.values())):
        service = PricingService(
            specs, priced, seen, world.journal.snapshots, world.clock, world.pulse, world.meter, world.log
        )
        services[service.name] = service
    return services
