"""What must hold between fields, files and registries: faults that no single field can show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any
from urllib.parse import urlsplit

from keeper.domain.index_methods import INDEX_METHODS
from keeper.domain.operators import OPERATORS, operator_of
from keeper.domain.rates import FUNDING_METHODS
from keeper.domain.session import OffHours
from keeper.errors import ConfigError
from keeper.settings.closed_venues import unknown_venue
from keeper.settings.explain import written_names
from keeper.settings.faults import suggestion
from keeper.settings.fields import is_loopback, is_plain
from keeper.settings.index_rules import index_kinds, index_rules
from keeper.settings.mark_rules import mark_kinds, mark_rules
from keeper.settings.market import (
    FundingSettings,
    GuardSettings,
    MarketSettings,
    PublishSettings,
)
from keeper.settings.models import (
    LANES,
    SENDER,
    ChainSettings,
    CommonSettings,
    SignersSettings,
    VenueSettings,
    sender_place,
)
from keeper.settings.onchain_rules import onchain_kinds
from keeper.settings.options import Complaint, Registries, examine, refusal, under
from keeper.settings.safeguard_specs import condition_rules, score_rules
from keeper.settings.specs import gate, guard, publish_policy, rate_plan

PERP_KEYS = ("deployment", "market_no", "mark", "publish")
PERP_PARTS = frozenset(
    ("market_no", "guard", "book", "mark", "funding", "publish", "liquidation", "condition", "session", "asserts")
)
"""What an index alone has not: nothing is published of it that could be held or liquidated by."""


def market_rules(market: MarketSettings) -> Iterator[Complaint]:
    """Faults of one market file that need nothing but itself."""
    found = [*_enough_sources(market), *_same_source_twice(market), *_conversions(market), *index_kinds(market)]
    yield from found or _domain_rules(market)
    if market.is_index_only:
        for key in sorted(market.model_fields_set & PERP_PARTS):
            if getattr(market, key) is not None:
                yield Complaint(
                    (MarketSettings.model_fields[key].alias or key,),
                    "an index without `deployment` has no such part; name the deployment or remove it",
                )
    else:
        yield from _perp(market)


def _domain_rules(market: MarketSettings) -> Iterator[Complaint]:
    """What the domain itself refuses, in its words."""
    yield from index_rules(market)
    yield from _confirmation(market.guard) or refusal(("guard",), lambda: guard(market))
    if market.publish:
        yield from _pace(market.publish) or refusal(
            ("publish",), lambda: publish_policy(market.publish or PublishSettings())
        )
    if market.mark:
        yield from mark_rules(market, market.mark)
    if market.funding:
        yield from _funding(market, market.funding)
    if market.liquidation and not _confirmation(market.guard):  # the gate confirms by the same
        yield from refusal(("liquidation", "gate"), lambda: gate(market))
    yield from refusal(("condition",), lambda: condition_rules(market))
    yield from refusal(("scorecard",), lambda: score_rules(market))


def _confirmation(rules: GuardSettings) -> list[Complaint]:
    need, have = rules.confirm_quote_groups, rules.confirm_sources
    if need <= have:
        return []
    return [
        Complaint(
            ("guard", "confirm_quote_groups"), f"asks for {need} quote currencies at {have} sources (confirm_sources)"
        )
    ]


def _pace(rules: PublishSettings) -> list[Complaint]:
    if rules.min_interval_s < rules.heartbeat_s:
        return []
    return [
        Complaint(("publish", "min_interval_s"), f"must be shorter than heartbeat_s, which is {rules.heartbeat_s:g}")
    ]


def _funding(market: MarketSettings, rules: FundingSettings) -> Iterator[Complaint]:
    """Without a method its options are unknown keys; with one, each version must be one that the method takes."""
    if rules.method is None:
        known = [name for name in written_names(FundingSettings) if name != "options"]
        for key in rules.options:
            yield Complaint(("funding", key), f"unknown key{suggestion(key, known)}; options need `method`")
        if rules.versions:
            yield Complaint(("funding", "versions"), "versions of what? name a `method`")
        return
    found = list(under(("funding",), examine(FUNDING_METHODS, rules.method, rules.options, "method")))
    options = dict(rules.options)
    for number, version in enumerate(rules.versions if not found else ()):
        options |= version.options
        found += under(("funding", "versions", number), examine(FUNDING_METHODS, rules.method, options, "method"))
    yield from found or refusal(("funding", "versions"), lambda: rate_plan(market))


def _enough_sources(market: MarketSettings) -> Iterator[Complaint]:
    sources, groups = len(market.sources), len(market.quote_groups)
    operators = len({source.operator or operator_of(source.kind) for source in market.sources})
    wanted: list[tuple[tuple[str, ...], int, int, str]] = [
        (("index", "min_sources"), market.index.min_sources, sources, "sources"),
        (("index", "min_quote_groups"), market.index.min_quote_groups, groups, "quote currencies"),
        (("index", "min_operators"), market.index.min_operators, operators, "operators"),
        (("condition", "full_sources"), (market.condition and market.condition.full_sources) or 0, sources, "sources"),
    ]
    if not market.is_index_only:
        rules = market.guard
        wanted.append((("guard", "confirm_sources"), rules.confirm_sources, sources, "sources"))
        wanted.append((("guard", "confirm_quote_groups"), rules.confirm_quote_groups, groups, "quote currencies"))
    if market.liquidation:
        wanted.append((("liquidation", "gate", "min_sources"), market.liquidation.gate.min_sources, sources, "sources"))
    for keys, need, have, noun in wanted:
        if need > have:
            yield Complaint(keys, f"asks for {need} {noun} of the {have} that the file has")


def _same_source_twice(market: MarketSettings) -> Iterator[Complaint]:
    seen = set()
    for number, source in enumerate(market.sources):
        if source.id in seen:
            yield Complaint(("sources", number), f"{source.id} stands here twice: one venue would count double")
        seen.add(source.id)


def _conversions(market: MarketSettings) -> Iterator[Complaint]:
    method = INDEX_METHODS.get(market.index.method)
    for number, source in enumerate(market.sources):
        if source.quote not in (market.currency, *market.conversions) and not (method and method.by_group):
            yield Complaint(
                ("sources", number, "quote"),
                f"no conversion from {source.quote} to {market.currency}; add it to `conversions`",
            )
    for quote, conversion in market.conversions.items():
        if conversion.low_e18 >= conversion.high_e18:
            yield Complaint(("conversions", quote), "low must be below high")
        if conversion.index.partition(".")[0] != f"{quote}-{market.currency}":
            yield Complaint(("conversions", quote), f"{conversion.index} does not convert {quote} to {market.currency}")


def shared_rules(market: MarketSettings, common: CommonSettings) -> Iterator[Complaint]:
    """Faults of one market file beside keeper.yaml."""
    if market.is_index_only:
        return
    if market.deployment not in common.deployments:
        yield Complaint(("deployment",), f"unknown deployment{suggestion(str(market.deployment), common.deployments)}")
    if market.index.max_age_s >= common.report.ttl_s:
        yield Complaint(
            ("index", "max_age_s"),
            f"quotes must grow stale before a report expires: shorter than report.ttl_s, which is {common.report.ttl_s}",
        )


def _perp(market: MarketSettings) -> Iterator[Complaint]:
    for key in PERP_KEYS:
        if getattr(market, key) is None:
            yield Complaint((), f"{key} is missing: a market with a deployment needs {', '.join(PERP_KEYS)}")
    yield from _session(market)
    if market.funding and market.funding.premium != "derived" and market.book is None:
        yield Complaint(("funding", "premium"), "a premium from the own book needs `book`")


def _wants_trades(market: MarketSettings) -> bool:
    method = INDEX_METHODS.get(market.index.method)
    return method is not None and method.by_volume


def _trading(known: Registries) -> list[str]:
    """Venues that tell trades besides quotes."""
    return sorted(kind for kind, venue in (known.venues or {}).items() if getattr(venue, "gives_trades", False))


def market_kinds(market: MarketSettings, known: Registries) -> Iterator[Complaint]:
    """Names that must stand in a registry."""
    if known.venues is not None:
        every = [*known.venues, *(known.onchain or ()), *(known.polled or ())]
        for number, source in enumerate(market.sources):
            if source.kind not in every:
                yield Complaint(("sources", number, "kind"), unknown_venue(source.kind, every))
            elif _wants_trades(market) and source.kind not in _trading(known):
                yield Complaint(
                    ("sources", number, "kind"),
                    f"{source.kind} gives this keeper quotes and no trades, which method {market.index.method} goes by;"
                    f" trades come from {', '.join(_trading(known))}",
                )
        yield from mark_kinds(market, known.venues)
    yield from _calendar(market, known)
    if known.venues is not None:
        yield from _own_venue(market, known)
        books = known.venues if known.books is None else known.books
        if market.book and market.book.kind not in books:
            yield Complaint(("book", "kind"), unknown_venue(market.book.kind, books))


def _own_venue(market: MarketSettings, known: Registries) -> Iterator[Complaint]:
    """A name that nobody bears keeps no source out, and whoever wrote it believes that it does."""
    named = {source.operator for source in market.sources if source.operator}
    every = {
        *(known.venues or ()),
        *(known.books or ()),
        *(known.onchain or ()),
        *OPERATORS,
        *OPERATORS.values(),
        *named,
    }
    if market.own_venue is not None and market.own_venue not in every:
        yield Complaint(("own_venue",), unknown_venue(market.own_venue, every))


def _calendar(market: MarketSettings, known: Registries) -> Iterator[Complaint]:
    chosen = market.session
    if chosen is None or known.calendar is None:
        return
    try:
        known.calendar(chosen.calendar)
    except ConfigError as error:
        yield Complaint(("session", "calendar"), str(error))


def _session(market: MarketSettings) -> Iterator[Complaint]:
    chosen = market.session
    if chosen is None:
        return
    if chosen.off_hours is OffHours.OWN_BOOK and market.book is None:
        yield Complaint(("session", "off_hours"), "own_book needs `book`")
    if chosen.opening_sources > len(market.sources):
        yield Complaint(
            ("session", "opening_sources"), f"asks for {chosen.opening_sources} sources of the {len(market.sources)}"
        )
    for key in ("drift_half_life_s", "drift_band_bps"):
        if key in chosen.model_fields_set and chosen.off_hours is not OffHours.OWN_BOOK:
            yield Complaint(("session", key), "is of off_hours: own_book")


def common_rules(common: CommonSettings, known: Registries) -> Iterator[Complaint]:
    """Faults of keeper.yaml itself."""
    yield from _plain_endpoints(common)
    if not is_loopback(common.ops.host) and not common.ops.expose:
        yield Complaint(
            ("ops", "host"), "not a loopback address; set ops.expose: true if this page may be seen by others"
        )
    yield from _venues(common, known)
    yield from _deployments(common, known)
    yield from _signers(common, known)
    yield from onchain_kinds(common, known)
    yield from _lanes(common.signers)
    yield from _depths(common.chain)
    if "sequencer_grace_s" in common.chain.model_fields_set and common.chain.sequencer_feed is None:
        yield Complaint(("chain", "sequencer_grace_s"), "of which sequencer? set chain.sequencer_feed")


def _depths(chain: ChainSettings) -> Iterator[Complaint]:
    if "finality_blocks" in chain.model_fields_set and chain.finality_blocks < chain.confirmations:
        yield Complaint(("chain", "finality_blocks"), f"less than chain.confirmations, {chain.confirmations}")


def _plain_endpoints(common: CommonSettings) -> Iterator[Complaint]:
    for key in ("rpc", "send_to", "streams"):
        for number, endpoint in enumerate(getattr(common.chain, key)):
            if is_plain(endpoint.get_secret_value()) and not common.chain.plain_http:
                plain, secure = ("ws", "wss") if key == "streams" else ("http", "https")
                yield Complaint(
                    ("chain", key, number), f"{plain}:// to another machine; use {secure}://, or set chain.plain_http"
                )


def _venues(common: CommonSettings, known: Registries) -> Iterator[Complaint]:
    for name, venue in common.venues.items():
        every = {**(known.venues or {}), **(known.books or {}), **(known.polled or {})}
        if known.venues is not None and name not in every:
            yield Complaint(("venues", name), unknown_venue(name, every))
        for key in ("url", "rest_url"):
            if is_plain(getattr(venue, key) or "") and not venue.plain_http:
                yield Complaint(("venues", name, key), "unencrypted to another machine; use wss:// and https://")
        if is_dataclass(described := every.get(name)):
            yield from under(("venues", name), list(_of_a_venue(name, venue, described)))
            given = {key: value for key in ("url", "rest_url") if (value := getattr(venue, key)) is not None}
            yield from under(("venues", name), examine(every, name, given, "venue"))


def _of_a_venue(name: str, venue: VenueSettings, described: Any) -> Iterator[Complaint]:
    """What only some venues take: a scheme other than the venue's own transport has none to speak it."""
    own = {found.name: found.default for found in fields(described)}
    schemes = ("http", "https") if str(own.get("url", "")).startswith("http") else ("ws", "wss")
    if venue.url is not None and urlsplit(venue.url).scheme not in schemes:
        yield Complaint(("url",), f"write a URL that begins with {' or '.join(f'{s}://' for s in schemes)}")
    if venue.key_file is not None and "key" not in own:
        yield Complaint(("key_file",), f"{name} takes no key")


def _deployments(common: CommonSettings, known: Registries) -> Iterator[Complaint]:
    if known.protocols is None:
        return
    for name, deployment in common.deployments.items():
        found = examine(known.protocols, deployment.protocol, deployment.options, "protocol", chain_id=common.chain.id)
        yield from under(("deployments", name), found)


def _signers(common: CommonSettings, known: Registries) -> Iterator[Complaint]:
    if known.signers is None:
        return
    for number, signer in enumerate(common.signers.reports):
        yield from under(("signers", "reports", number), examine(known.signers, signer.kind, signer.options, "kind"))
    for name, signer in common.signers.senders.items():
        keys = tuple(sender_place(name).split("."))
        yield from under(keys, examine(known.signers, signer.kind, signer.options, "kind"))


def _lanes(signers: SignersSettings) -> Iterator[Complaint]:
    """Each lane has one wallet, and each wallet a lane."""
    if SENDER in signers.wallets:
        yield Complaint(("signers", "wallets", SENDER), "that is the name of signers.sender; choose another")
    for lane, wallet in signers.lanes.items():
        if lane not in LANES:
            yield Complaint(("signers", "lanes", lane), f"unknown lane{suggestion(lane, LANES)}")
        if wallet not in signers.senders:
            none = "; there is none yet: add `sender` or signers.wallets"
            known = suggestion(wallet, signers.senders) if signers.senders else none
            yield Complaint(("signers", "lanes", lane), f"unknown wallet{known}")
    bare = [lane for lane in LANES if lane not in signers.lanes]
    used = {*signers.lanes.values(), *([SENDER] if bare else [])}
    for name in signers.senders:
        if name not in used:
            keys = tuple(sender_place(name).split("."))
            yield Complaint(keys, "no lane sends with it; name it under signers.lanes, or remove it")
    if signers.wallets and signers.sender is None and bare:
        yield Complaint(("signers",), f"no wallet for {', '.join(bare)}; add `sender`, or name one under signers.lanes")


def conversion_rules(markets: Mapping[str, MarketSettings]) -> Iterator[tuple[str, Complaint]]:
    """Conversions whose index is missing or leads back to where it began, by the market that names it."""
    for name, market in markets.items():
        for quote, conversion in market.conversions.items():
            if conversion.index not in markets:
                yield (
                    name,
                    Complaint(
                        ("conversions", quote),
                        f"no market file for {conversion.index}{suggestion(conversion.index, markets)}",
                    ),
                )
            elif path := _way_back(markets, name, conversion.index):
                yield (
                    name,
                    Complaint(("conversions", quote), f"conversions run in a circle: {' → '.join((name, *path))}"),
                )


def _way_back(markets: Mapping[str, MarketSettings], goal: str, start: str) -> tuple[str, ...]:
    """The way from `start` to `goal` along conversions, or nothing."""
    ways: list[tuple[str, ...]] = [(start,)]
    seen = {start}
    while ways:
        way = ways.pop()
        if way[-1] == goal:
            return way
        for conversion in markets[way[-1]].conversions.values() if way[-1] in markets else ():
            if conversion.index not in seen:
                seen.add(conversion.index)
                ways.append((*way, conversion.index))
    return ()
