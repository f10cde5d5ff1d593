"""What pricing remembers from tick to tick as text, for the process after this one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from keeper.domain.condition import restored_condition
from keeper.domain.ids import IndexId, MarketId
from keeper.domain.index_state import IndexState, restored_state
from keeper.domain.market import MarketFold, MarketPlan
from keeper.domain.off_hours import SessionFold, restored_session
from keeper.domain.rates.fold import RatePlan, RateState
from keeper.domain.time import Timestamp, to_seconds

Found = TypeVar("Found")

UNREADABLE = (ValueError, KeyError, TypeError, AttributeError)
"""What reading a foreign document may raise."""


class Remembered(NamedTuple):
    """`scores` as their own class writes them. `refused`: why a part of it is left out; the others go on."""

    markets: Mapping[MarketId, MarketFold]
    states: Mapping[IndexId, IndexState]
    last: Mapping[IndexId, int]
    scores: Mapping[str, Any] = MappingProxyType({})
    refused: tuple[str, ...] = ()
    at_s: int = 0
    halted: frozenset[MarketId] = frozenset()
    """Markets that a defect has halted."""
    rules: Mapping[IndexId, str] = MappingProxyType({})
    """The outlier rule that each of `states` is of."""


def snapshot(found: Remembered, plans: Sequence[MarketPlan], now: Timestamp) -> str:
    """Each mark stands beside the method that it is a state of, each funding window beside the method with all its options."""
    markets = sorted(found.markets.items())
    document = {
        "at_s": to_seconds(now),
        "conditions": {market: fold.condition.to_plain() for market, fold in markets},
        "halted": sorted(found.halted),
        "last": found.last,
        "marks": {market: fold.mark.to_plain() for market, fold in markets},
        "methods": {plan.market: plan.mark.name for plan in plans if plan.market in found.markets},
        "rate_options": {
            plan.market: _options(plan.rates, rates)
            for plan in plans
            if plan.rates is not None and plan.market in found.markets and (rates := found.markets[plan.market].rates)
        },
        "rates": {market: fold.rates.to_plain() for market, fold in markets if fold.rates},
        "rules": {index: found.rules[index] for index in sorted(found.states) if index in found.rules},
        "scores": found.scores,
        "sessions": {market: fold.session.to_plain() for market, fold in markets if fold.session.phase},
        "states": {index: state.to_plain() for index, state in sorted(found.states.items())},
    }
    return json.dumps(document, sort_keys=True)


def remembered(text: str, plans: Sequence[MarketPlan], known: Mapping[IndexId, str]) -> Remembered:
    """What still is of use: another mark method, or an index that is not `known`, begins anew. Raises one of UNREADABLE.

    `known` has the outlier rule of each index: what another one watched is not the same, and is forgotten.

    A part that cannot be read takes no other with it: each has its own fence.
    """
    document, refused = json.loads(text), list[str]()
    markets: dict[MarketId, MarketFold] = {}
    methods, sessions = document.get("methods", {}), document.get("sessions", {})
    for plan in plans:
        name = plan.market
        if name not in document["marks"]:
            continue
        mark = session = None
        if methods.get(name, plan.mark.name) == plan.mark.name:
            mark = _fenced(plan.mark.restore, document["marks"][name], refused)
        if name in sessions:
            session = _fenced(restored_session, sessions[name], refused)
        rates, why = _rates(plan, document.get("rates", {}).get(name), document.get("rate_options", {}).get(name))
        refused += why
        mark = plan.mark.start() if mark is None else mark
        markets[name] = MarketFold(mark, rates=rates, session=session or SessionFold())
    refused += _conditions(plans, document.get("conditions", {}), markets)
    states, rules = dict[IndexId, IndexState](), document.get("rules", {})
    for each, plain in document.get("states", {}).items():
        if each in known and (state := _fenced(restored_state, plain, refused)) is not None:
            same = rules.get(each, known[each]) == known[each]
            states[IndexId(each)] = state if same else replace(state, watched={})
    last = {IndexId(each): int(price) for each, price in document["last"].items() if each in known}
    halted = frozenset(plan.market for plan in plans if plan.market in document.get("halted", ()))
    at_s = int(document.get("at_s", 0))
    return Remembered(markets, states, last, document.get("scores", {}), tuple(refused), at_s, halted)


_ELSEWHERE = "see "


def elsewhere(name: str) -> str:
    """What stands under the other names that a snapshot may be looked for by."""
    return _ELSEWHERE + name


def where_of(text: str | None) -> str | None:
    """The name that `elsewhere` wrote; None for anything else."""
    return text.removeprefix(_ELSEWHERE) if text is not None and text.startswith(_ELSEWHERE) else None


def _fenced(restore: Callable[[Any], Found], plain: Any, refused: list[str]) -> Found | None:
    try:
        return restore(plain)
    except UNREADABLE as error:
        refused.append(repr(error))
        return None


def _conditions(plans: Sequence[MarketPlan], plain: Any, markets: dict[MarketId, MarketFold]) -> list[str]:
    """Their own fences: a condition that cannot be read takes no average with it, nor another market's."""
    refused = []
    for plan in plans:
        if plan.market in plain:
            fold = markets.get(plan.market) or MarketFold(plan.mark.start())
            try:
                markets[plan.market] = fold._replace(condition=restored_condition(plain[plan.market]))
            except UNREADABLE as error:
                refused.append(repr(error))
    return refused


def _rates(plan: MarketPlan, plain: Any, options: Any) -> tuple[RateState | None, list[str]]:
    """Its own fence: another funding method begins anew and leaves the mark's average alone.

    With other options the interval goes on and its samples do not: they are of another grid, or not the same number.
    """
    if plan.rates is None or plain is None:
        return None, []
    try:
        state = plan.rates.restore(plain)
    except UNREADABLE as error:
        return None, [repr(error)]
    if options not in (None, _options(plan.rates, state)):
        state = state._replace(window=plan.rates.versions.at(state.span.boundary_s).opened(None))
    return state, []


def _options(plan: RatePlan, state: RateState) -> str:
    """Of the version that the running interval is charged by, in one text."""
    return repr(plan.versions.at(state.span.boundary_s))
