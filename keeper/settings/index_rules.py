"""What must hold within the part of a market file that prices its index."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from keeper.domain.index_methods import INDEX_METHODS
from keeper.domain.ladder import LADDERS, Rung
from keeper.domain.operators import operator_of
from keeper.domain.outlier_rules import OUTLIER_RULES
from keeper.errors import ConfigError
from keeper.settings.explain import written_names
from keeper.settings.faults import Key, suggestion
from keeper.settings.index_settings import IndexSettings, OutlierSettings
from keeper.settings.index_specs import BAND, index_spec, ladder
from keeper.settings.market import MarketSettings
from keeper.settings.options import Complaint, examine


def index_kinds(market: MarketSettings) -> Iterator[Complaint]:
    """Names and options that do not exist, each at its own place."""
    yield from _method(market)
    yield from _outliers(market.index.outliers)
    chosen = market.index.ladder
    if chosen is not None and chosen.like not in LADDERS:
        yield Complaint(("index", "ladder", "like"), f"unknown ladder{suggestion(chosen.like, LADDERS)}")


def _method(market: MarketSettings) -> Iterator[Complaint]:
    """A key that is neither the index's own nor an option of its method is most likely misspelt."""
    rules = market.index
    if rules.method not in INDEX_METHODS:
        yield Complaint(("index", "method"), f"unknown method{suggestion(rules.method, INDEX_METHODS)}")
        return
    own = _options(rules.method)
    known = [*own, *(name for name in written_names(type(rules)) if name != "options")]
    if unknown := [key for key in rules.options if key not in own]:
        for key in unknown:
            owners = [name for name in INDEX_METHODS if key in _options(name)]
            hint = f"; it is an option of {', '.join(owners)}" if owners else suggestion(key, known)
            yield Complaint(("index", key), f"unknown key for method {rules.method}{hint}")
        return
    yield from _under(("index",), examine(INDEX_METHODS, rules.method, rules.options, "method"))


def _options(method: str) -> list[str]:
    return [found.name for found in dataclasses.fields(INDEX_METHODS[method])]  # type: ignore[arg-type]


def _outliers(chosen: OutlierSettings | None) -> Iterator[Complaint]:
    if chosen is None:
        return
    place = ("index", "outliers")
    if chosen.rule == BAND:
        for key in chosen.options:
            yield Complaint((*place, key), "the band has no options here: set max_deviation_bps and max_dispersion_bps")
    elif chosen.rule not in OUTLIER_RULES:
        yield Complaint((*place, "rule"), f"unknown rule{suggestion(chosen.rule, [BAND, *OUTLIER_RULES])}")
    else:
        yield from _under(place, examine(OUTLIER_RULES, chosen.rule, chosen.options, "rule"))


def index_rules(market: MarketSettings) -> Iterator[Complaint]:
    """Choices that contradict one another, in the domain's words where it refuses them itself."""
    found = [*_ladder(market), *_own_venue(market), *_two_rules(market), *_of_nothing(market.index)]
    yield from found
    if found:
        return
    try:
        index_spec(market)
    except (ValueError, ConfigError) as error:
        yield _placed(market, str(error))


def _placed(market: MarketSettings, message: str) -> Complaint:
    """At the part that the message begins with, where the file has it; else at the whole index."""
    part, _, rest = message.removeprefix(f"{market.market}: ").partition(": ")
    if getattr(market.index, part, None) is None:
        return Complaint(("index",), message)
    return Complaint(("index", part), rest)


def _ladder(market: MarketSettings) -> Iterator[Complaint]:
    chosen = market.index.ladder
    try:
        made = ladder(chosen)
    except ValueError as error:
        yield Complaint(("index", "ladder"), str(error))
        return
    if chosen is None:
        return
    if chosen.hold_max_s is not None and not made.holds:
        yield Complaint(("index", "ladder", "hold_max_s"), "no rung holds the last index")
    for name in ("two", "one"):
        if getattr(chosen, f"{name}_reach_bps") is not None and getattr(made, name) is not Rung.NEAR_LAST:
            yield Complaint(("index", "ladder", f"{name}_reach_bps"), f"is of {name}: near_last")


def _own_venue(market: MarketSettings) -> Iterator[Complaint]:
    if market.own_venue is None:
        return
    owner = operator_of(market.own_venue)
    for number, source in enumerate(market.sources):
        if source.kind == market.own_venue or owner in (source.operator, operator_of(source.kind)):
            yield Complaint(
                ("sources", number, "kind"),
                f"{source.kind} belongs to own_venue {market.own_venue}: an index must not rest on its own exchange",
            )


def _two_rules(market: MarketSettings) -> Iterator[Complaint]:
    """The band's limits beside another rule say nothing; whoever wrote them believes that they do."""
    chosen = market.index.outliers
    if chosen is None or chosen.rule == BAND:
        return
    for key in ("max_deviation_bps", "max_dispersion_bps"):
        if key in market.index.model_fields_set:
            yield Complaint(("index", key), f"is of rule `{BAND}`; the rule of this index is {chosen.rule}")


def _of_nothing(rules: IndexSettings) -> Iterator[Complaint]:
    """Limits of two sources that do not make a price, and caps without a limit."""
    for key in ("pair_bps", "pair_last_bps"):
        if key in rules.model_fields_set and not rules.allow_two:
            yield Complaint(("index", key), "is of allow_two: true")
    if rules.caps is not None and all(limit is None for _, limit in rules.caps):
        yield Complaint(("index", "caps"), "of what? set venue_bps, operator_bps or quote_group_bps")


def _under(keys: tuple[Key, ...], found: list[Complaint]) -> Iterator[Complaint]:
    for complaint in found:
        yield Complaint((*keys, *complaint.keys), complaint.message)
