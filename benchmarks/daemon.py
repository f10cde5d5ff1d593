"""The whole keeper as `keeper run` builds it, with a connection of its own for every symbol.

    python -m benchmarks.daemon CONFIG [--library] [--no-tape]

With `--library` web3 and eth-account compute digest, signatures, calldata and transaction; all else stays. With `--no-tape`
nothing that is heard is kept.
"""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from keeper.adapters.attestor import LocalAttestor
from keeper.adapters.sources import BOOK_VENUES, STREAM_VENUES
from keeper.adapters.websocket import WebsocketFeed
from keeper.app import live
from keeper.app.boards import Boards
from keeper.app.build import build
from keeper.app.registries import REGISTRIES
from keeper.app.world import App, Keys, World
from keeper.runtime.supervisor import Service
from keeper.services.outbox.service import Outbox
from keeper.services.publishing import PublishingService
from keeper.services.quotes import QuoteService
from keeper.settings.load import load
from keeper.settings.models import Settings


def one_connection_each(settings: Settings, world: World, boards: Boards) -> dict[str, Service]:
    """Instead of up to a thousand symbols of a venue on one connection. Books share one."""
    sources = [(source.kind, source.symbol) for market in settings.markets for source in market.sources]
    books = [market.book.symbol for market in settings.markets if market.book is not None]
    perp: Any = BOOK_VENUES["perp"]
    wanted: list[tuple[Any, tuple[str, ...]]] = [
        (_venue(settings, kind, symbol), (symbol,)) for kind, symbol in sources
    ]
    wanted.append((perp(url=settings.venues["perp"].url), tuple(books)))
    services: dict[str, Service] = {}
    for venue, symbols in wanted:
        feed = WebsocketFeed(venue, symbols, world.clock, random.Random(1), world.sessions(venue.name))
        services[f"quotes:{venue.name}:{symbols[0]}"] = QuoteService(
            feed, boards.quotes, boards.books, boards.trades, boards.feeds, world.meter, world.log
        )
    return services


def _venue(settings: Settings, kind: str, symbol: str) -> Any:
    options = settings.venues[kind]
    venue: Any = STREAM_VENUES[kind]
    return venue(url=f"{options.url}/{symbol}", rest_url=options.rest_url)


def built(settings: Settings, keys: Keys, world: World, dry_run: bool) -> App:
    app = build(settings, keys, world, dry_run)
    app.intake = one_connection_each(settings, world, app.boards)
    return app


def with_libraries(settings: Settings, keys: Keys, world: World, dry_run: bool) -> App:
    from benchmarks.library_path import LibraryPerp, LibraryReporter, LibrarySender

    app = built(settings, keys, world, dry_run)
    (deployment,), (outbox,), boards = app.deployments, app.outboxes, app.boards
    perp: Any = deployment.protocol
    library = LibraryPerp(perp.oracle, perp.exchange, perp.lens, perp.chain_id, perp.from_block)
    reporters = [LibraryReporter(_key(signer), perp.chain_id, perp.oracle) for signer in settings.signers.reports]

    def authorised(_report: object) -> tuple[Any, ...]:
        state = boards.states.get(deployment.id)
        return state.oracle.signers if state is not None else ()

    publishing: Any = app.core[f"publishing:{deployment.id}"]
    assert isinstance(publishing, PublishingService)
    app.core[publishing.name] = replace(
        publishing,
        deployment=replace(deployment, protocol=library),
        attestor=LocalAttestor(reporters, authorised),
    )
    wallet = replace(outbox.wallet, signer=LibrarySender(_key(settings.signers.sender)))
    app.outboxes = (Outbox(wallet, outbox.prices, outbox.inbox, outbox.heads, outbox.pulse),)
    app.core[app.outboxes[0].name] = app.outboxes[0]
    return app


def _key(signer: Any) -> bytes:
    return bytes.fromhex(Path(signer.options["file"]).read_text().strip().removeprefix("0x"))


def main() -> None:
    setattr(live, "build", with_libraries if "--library" in sys.argv else built)  # noqa: B010 - not ours to set
    settings = load(Path(sys.argv[1]), REGISTRIES)
    if "--no-tape" in sys.argv:
        settings = settings.model_copy(update={"tape": settings.tape.model_copy(update={"max_mb": 0})})
    live.run(settings, dry_run=False)


if __name__ == "__main__":
    main()
