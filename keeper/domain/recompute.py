"""A published price computed again from its record alone, by the code that computed it, down to the last digit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keeper.domain.conversion import rates_of
from keeper.domain.evidence import canonical_json
from keeper.domain.guard import Held
from keeper.domain.ids import IndexId
from keeper.domain.index import IndexPrice, IndexSpec, Withheld
from keeper.domain.mark.method import MarkInputs
from keeper.domain.mark.references import references_of
from keeper.domain.market import MarketPlan, own_mid, reading_of
from keeper.domain.off_hours import SessionTurn, restored_session, session_turn
from keeper.domain.premium import impact_prices, premium_of, readable
from keeper.domain.pricing import price_component
from keeper.domain.provenance import session_record
from keeper.domain.quote import Depth
from keeper.domain.recall import Recalled


@dataclass(frozen=True, slots=True)
class Recomputed:
    """Scaled 1e18. `index` carries votes and refusals; mark and premium are None when it is withheld.

    `held` says why guard or condition hold it back: nothing that they held was published by our rules. `session`: what the
    record says of hours and book otherwise than calendar and book do.
    """

    index: IndexPrice | Withheld
    mark_e18: int | None
    premium_e18: int | None
    held: str = ""
    session: tuple[str, ...] = ()

    def differences(self, given: Recalled) -> tuple[str, ...]:
        """What the record's entry says otherwise."""
        if isinstance(self.index, Withheld):
            return (*self.session, f"the index is withheld ({self.index.reason.value}: {self.index.detail})")
        pairs = (
            ("index", given.index_e18, self.index.price_e18),
            ("mark", given.mark_e18, self.mark_e18),
            ("premium", given.premium_e18, self.premium_e18),
        )
        found = [f"{name} {told}, its inputs give {made}" for name, told, made in pairs if told != made]
        return (*self.session, *found, *([self.held] if self.held else ()))


def recompute(given: Recalled, plan: MarketPlan, specs: Sequence[IndexSpec]) -> Recomputed:
    """`specs` are those of the record's indices, rates before their users.

    Raises ValueError, KeyError or TypeError for a state that the mark's method did not write.
    """
    indices = _indices(given, specs)
    index, turn, faults = _in_session(given, plan, indices[plan.spec.id])
    if isinstance(index, Withheld):
        return Recomputed(index, None, None, session=faults)
    rates, book = rates_of(plan.spec, indices)[0], _book(given, plan)
    others = references_of(plan.references, given.quotes, plan.spec, rates, given.now)
    inputs = MarkInputs(given.market, index, book, given.trade, given.funding, given.now, others)
    _, mark = plan.mark.step(plan.mark.restore(given.mark_state), inputs)
    held = _held(given, plan, index, mark.price_e18, turn)
    return Recomputed(index, mark.price_e18, _premium(given, plan, index), held, faults)


def _indices(given: Recalled, specs: Sequence[IndexSpec]) -> Mapping[IndexId, IndexPrice | Withheld]:
    """Every fold that an index has is given its state before the step here."""
    return price_component(specs, given.quotes, given.last, given.now, given.states, given.traded, given.benched)


def _in_session(
    given: Recalled, plan: MarketPlan, index: IndexPrice | Withheld
) -> tuple[IndexPrice | Withheld, SessionTurn | None, tuple[str, ...]]:
    """What the session made of the index, by the plan's own calendar and from the recorded state.

    Hours and the middle of the own book are found anew: what the record says of them has to be the same.
    """
    told = given.session
    if plan.session is None and told is None:
        return index, None, ()
    if plan.session is None or told is None:
        return index, None, ("a session in only one of record and configuration",)
    before = restored_session(told["state_before"])
    turn = session_turn(plan.session, before, index, own_mid(plan, given.book, given.now), given.now)
    made = canonical_json(session_record(plan.session, turn))
    same = made == canonical_json(told)
    return turn.priced, turn, () if same else (f"session {canonical_json(told)}, found is {made}",)


def _book(given: Recalled, plan: MarketPlan) -> Depth | None:
    return given.book if readable(given.book, given.now, plan.book_max_age_ns) else None


def _premium(given: Recalled, plan: MarketPlan, index: IndexPrice) -> int:
    book, notional = _book(given, plan), plan.impact_notional_e18
    impact = impact_prices(book, notional) if book is not None and notional else None
    sample = None if impact is None else premium_of(impact, index.price_e18)
    return given.carried.step(sample, given.now, plan.premium_carry_ns)[1]


def _held(given: Recalled, plan: MarketPlan, index: IndexPrice, mark_e18: int, turn: SessionTurn | None) -> str:
    # Without a state before it nobody could say that guard or condition let it pass: nothing is published without both.
    if given.guard_before is None:
        return "its record tells nothing of the guard"
    if given.condition_before is None:
        return "its record tells nothing of the market's condition"
    verdict = plan.guard.step(given.guard_before, index, given.now)[1]
    if isinstance(verdict, Held):
        return f"the guard holds it: {verdict.reason.value}: {verdict.detail}"
    # A sequencer that is down holds publishing back by itself, so that a record is never made while it is.
    reading = reading_of(index, verdict, mark_e18, turn, None)
    state = plan.condition.step(given.condition_before, reading, given.now)
    causes = ", ".join(cause.value for cause in state.causes)
    return "" if state.publishes else f"the market's condition holds it: {state.condition.name}, {causes}"
