"""Which methods the reference protocol charges exactly, and where a market's method contradicts what its chain charges by.

The contract sums the premium over time, averages it at the boundary and applies one of two forms; a keeper decides the
premium that it reports, and nothing else. A method is reached where its rate is one of these forms of that average.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from keeper.domain.exchange import FeedState, MarketParameters
from keeper.domain.feed import PREMIUM_DERIVED, PREMIUM_REPORTED
from keeper.domain.funding import DAY_S, EIGHT_HOURS_S, INTEREST_PER_8H, INTEREST_PER_INTERVAL
from keeper.domain.numbers import E18, text_of
from keeper.domain.rates.borrow import Borrow
from keeper.domain.rates.clamped_premium import ClampedPremium
from keeper.domain.rates.damper import Damper
from keeper.domain.rates.interest import InterestClamp
from keeper.domain.rates.method import FundingMethod
from keeper.domain.rates.premium_only import PremiumOnly
from keeper.domain.rates.pushed import Pushed
from keeper.domain.rates.twaps import TwoMeans
from keeper.domain.rates.velocity import Velocity
from keeper.domain.rates.votes import Votes
from keeper.domain.rates.window import SKIP, UNIFORM, Averaged


class Form(NamedTuple):
    """What market and feed on chain must say. `cap_e18` None: the method has no cap of its own."""

    kind: int
    premium_kind: int
    interest_e18: int
    clamp_e18: int
    cap_e18: int | None
    interval_s: int


_KINDS = {INTEREST_PER_8H: "interest per 8 h", INTEREST_PER_INTERVAL: "interest per interval"}
_PREMIUMS = {PREMIUM_REPORTED: "as reported (impact)", PREMIUM_DERIVED: "mark against index"}
_OTHER: tuple[tuple[type[Any], str], ...] = (
    (Damper, "the premium is damped at every instant, before it is averaged"),
    (Votes, "a median of votes is averaged, not the premium itself"),
    (Pushed, "it is a rate that is pushed, where a protocol takes one"),
    (TwoMeans, "two means of prices are compared, not a mean of premiums"),
    (Velocity, "the rate follows a pool's skew, which this protocol has not"),
    (Borrow, "it is a fee for a pool's use, which this protocol has not"),
)


def form_of(method: FundingMethod[Any]) -> Form | str:
    """The form that makes the reference protocol charge by `method`, or why none does."""
    for kind, reason in _OTHER:
        if isinstance(method, kind):
            return reason
    if not isinstance(method, Averaged):
        return "it is none of the forms that the contract knows"
    premium = {("impact", "index"): PREMIUM_REPORTED, ("mark", "index"): PREMIUM_DERIVED}.get(
        (method.sample, method.against)
    )
    if premium is None:
        return f"its samples ({method.sample} against {method.against}) are not what is reported or derived"
    if method.weights != UNIFORM or method.missing != SKIP or method.min_coverage_pct != 50:
        return "the contract weighs all time alike, leaves gaps out and wants half of it covered"
    if method.offset_s:
        return "the contract's boundaries are multiples of its interval"
    return _averaged(method, premium)


def _averaged(method: Averaged, premium: int) -> Form | str:
    if isinstance(method, ClampedPremium):
        return Form(INTEREST_PER_INTERVAL, premium, method.interest, method.clamp, method.cap, method.interval_s)
    if isinstance(method, InterestClamp):
        if method.max_change is not None or method.capped_interval_s:
            return "the contract limits no change and never switches its interval"
        if method.period_s != EIGHT_HOURS_S or method.multiplier != E18:
            return "the contract's premium is that of 8 h, unscaled"
        return Form(INTEREST_PER_8H, premium, method.interest, method.clamp, method.cap, method.interval_s)
    return _premium_only(method, premium) if isinstance(method, PremiumOnly) else "the contract has no such form"


def _premium_only(method: PremiumOnly, premium: int) -> Form | str:
    """Without a dead zone: kind 0 with a clamp of zero, or kind 1 with one that never cuts (a premium is at most 1)."""
    if method.least is not None or method.fresh != E18:
        return "the contract has no least rate and no memory of the last one"
    if method.low != (None if method.high is None else -method.high):
        return "the contract's cap is the same on both sides"
    if method.interest:
        return "the contract adds no interest outside its clamp"
    if method.period_s == EIGHT_HOURS_S:
        return Form(INTEREST_PER_8H, premium, 0, 0, method.high, method.interval_s)
    if method.period_s == DAY_S:
        return Form(INTEREST_PER_INTERVAL, premium, 0, E18, method.high, method.interval_s)
    return "the contract's premium is that of 8 h or of a day"


def contradictions(method: FundingMethod[Any], rules: MarketParameters, feed: FeedState) -> Iterator[str]:
    """In what the chain charges otherwise than the method, in words."""
    form = form_of(method)
    if isinstance(form, str):
        yield f"this protocol cannot charge by {method.name}: {form}"
        return
    if form.kind != rules.funding_kind:
        yield f"{method.name} is of the kind {_KINDS[form.kind]}, the chain of {_KINDS[rules.funding_kind]}"
    if form.premium_kind != feed.premium_kind:
        yield f"{method.name} takes the premium {_PREMIUMS[form.premium_kind]}, the chain {_PREMIUMS[feed.premium_kind]}"
    if form.interval_s != feed.interval_s:
        yield f"{method.name} charges every {form.interval_s} s, the chain every {feed.interval_s} s"
    yield from _figures(method.name, form, rules)


def _figures(name: str, form: Form, rules: MarketParameters) -> Iterator[str]:
    for word, wanted, held in (
        ("interest", form.interest_e18, rules.interest_e18),
        ("clamp", form.clamp_e18, rules.clamp_e18),
        ("cap", form.cap_e18, rules.cap_e18),
    ):
        if wanted is not None and wanted != held:
            yield f"{word} of {name} is {text_of(wanted)}, the chain's {text_of(held)}"
