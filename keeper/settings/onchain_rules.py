"""What must hold between `onchain` in keeper.yaml and the markets that take a source from there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from keeper.errors import ConfigError, FeedProtocolError
from keeper.settings.faults import Key, suggestion
from keeper.settings.index_settings import ReferenceSettings
from keeper.settings.market import MarketSettings, SourceSettings
from keeper.settings.models import CommonSettings
from keeper.settings.options import Complaint, Registries, build, examine


def onchain_kinds(common: CommonSettings, known: Registries) -> Iterator[Complaint]:
    """Kinds and options, each at its place."""
    if known.onchain is None:
        return
    for name, chosen in common.onchain.items():
        for found in examine(known.onchain, chosen.kind, chosen.options, "kind"):
            yield Complaint(("onchain", name, *found.keys), found.message)


def onchain_sources(market: MarketSettings, common: CommonSettings, known: Registries) -> Iterator[Complaint]:
    """Sources whose kind is a contract's: that it is there, of that kind, and may be as old as it gets."""
    for number, source in enumerate(market.sources):
        if source.kind in (known.onchain or {}) and (message := _fault(market, source, common, known)):
            yield Complaint(("sources", number, *message[0]), message[1])


def polled_sources(market: MarketSettings, known: Registries) -> Iterator[Complaint]:
    """References: that they exist, publish such pairs, and do not vote beside prices of now."""
    if known.polled is None:
        return
    for number, source in enumerate(market.sources):
        if source.kind in known.polled and not source.fallback:
            yield Complaint(
                ("sources", number),
                f"{source.kind} fixes once a day: let it vote with fallback: true, or hold the index"
                " against it with index.reference",
            )
        yield from _pair(("sources", number, "symbol"), source, known.polled)
    reference = market.index.reference
    if reference is None:
        return
    if reference.kind not in known.polled:
        yield Complaint(("index", "reference", "kind"), f"unknown kind{suggestion(reference.kind, known.polled)}")
    # One that never comes is no yardstick, and the index would stand alone in silence.
    yield from _pair(("index", "reference", "symbol"), reference, known.polled)


def _pair(
    keys: tuple[Key, ...], chosen: SourceSettings | ReferenceSettings, polled: Mapping[str, Any]
) -> Iterator[Complaint]:
    described = polled.get(chosen.kind)
    try:
        if described is not None:
            described.currencies(chosen.symbol)
    except FeedProtocolError as error:
        yield Complaint(keys, str(error))


def _fault(
    market: MarketSettings, source: SourceSettings, common: CommonSettings, known: Registries
) -> tuple[tuple[str, ...], str] | None:
    chosen = common.onchain.get(source.symbol)
    if chosen is None:
        return ("symbol",), f"not under `onchain` in keeper.yaml{suggestion(source.symbol, common.onchain)}"
    if chosen.kind not in (known.onchain or {}):
        return None  # told at its own place
    if chosen.kind != source.kind:
        return ("kind",), f"{source.symbol} is of kind {chosen.kind} in keeper.yaml"
    try:
        told_every_s = build(known.onchain or {}, chosen.kind, chosen.options, "onchain").told_every_s
    except ConfigError:
        return None  # told at its own place
    if told_every_s > (source.max_age_s or market.index.max_age_s):
        return (
            "max_age_s",
        ), f"{source.symbol} may properly be {told_every_s:g} s old: allow this source at least that"
    return None
