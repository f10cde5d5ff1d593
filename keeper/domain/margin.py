"""What an account is worth and must hold, exactly as the exchange computes it.

Rules: docs/reference-protocol.md, "Units and rounding" and "PerpExchange: accounts". Valuations round against the
account. One definition of liquidatable: a position exists and equity < maintenance; equality is healthy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from keeper.domain.account import Account, Position
from keeper.domain.exchange import ChainState, MarketParameters, Tier
from keeper.domain.feed import fresh, live
from keeper.domain.funding import cum_now, is_paused
from keeper.domain.numbers import BPS, MAX_PRICE_E18, cdiv, fdiv, tdiv

PRICE_SCALE = 10**30
"""size × price → units of the quote token."""
FUNDING_SCALE = 10**48
"""size × funding index → units of the quote token."""
STALE_GRACE_S = 3_600
"""A market without a price for longer than this shields its holders' other markets no more."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What one market's positions are valued by at one instant: the stored mark and the funding index after what is due.

    A liquidation needs a `fresh` mark in the market that it acts on, and a `passable` one in the account's others.
    """

    market_no: int
    parameters: MarketParameters
    mark_e18: int
    cum_e36: int
    fresh: bool
    passable: bool


Markets = Mapping[int, Terms]


@dataclass(frozen=True, slots=True)
class Health:
    """Of one account, in units of the quote token. `cash` is margin less funding owed."""

    cash: int
    equity: int
    maintenance: int
    initial: int
    notional: int


@dataclass(frozen=True, slots=True)
class Part:
    """One position's share in its account's health, in units; `value` is signed, `owed` a debit where positive."""

    value: int
    quote: int
    owed: int
    notional: int
    maintenance: int
    initial: int


def terms_of(state: ChainState, now_s: int) -> dict[int, Terms]:
    """Every listed market's terms in a block of `now_s`."""
    paused, found = is_paused(state), {}
    for number, market in state.markets.items():
        feed, limit = state.feeds[number], market.parameters.max_price_age_s
        is_fresh = fresh(feed, state.oracle, now_s, limit)
        passable = is_fresh or (live(feed, state.oracle) and now_s - feed.observed_at_s > STALE_GRACE_S)
        cum = cum_now(market, feed, now_s, paused)
        found[number] = Terms(number, market.parameters, feed.mark_e18, cum, is_fresh, passable)
    return found


def value(size_e18: int, price_e18: int) -> int:
    """Signed worth of a position, rounded down."""
    return fdiv(size_e18 * price_e18, PRICE_SCALE)


def notional(size_e18: int, price_e18: int) -> int:
    """Unsigned worth, rounded up."""
    return cdiv(abs(size_e18) * price_e18, PRICE_SCALE)


def owed(size_e18: int, delta_cum_e36: int) -> int:
    """Funding since an index difference: a debit rounded up, a credit (negative) rounded down."""
    return cdiv(size_e18 * delta_cum_e36, FUNDING_SCALE)


def tier_sum(tiers: Sequence[Tier], notional_units: int) -> int:
    """W: each tier's rate on the part of the notional inside it, in units × bps. Continuous at the floors."""
    total = 0
    for k, tier in enumerate(tiers):
        if notional_units <= tier.floor_units:
            break
        ceiling = tiers[k + 1].floor_units if k + 1 < len(tiers) else notional_units
        total += tier.mmr_bps * (min(notional_units, ceiling) - tier.floor_units)
    return total


def tier_offsets(tiers: Sequence[Tier]) -> tuple[int, ...]:
    """K per tier in units × bps, so that W(n) = max over tiers of mmr·n − K: floors and rates rise, so W is convex."""
    offsets, total, before = [], 0, 0
    for tier in tiers:
        total += tier.floor_units * (tier.mmr_bps - before)
        before = tier.mmr_bps
        offsets.append(total)
    return tuple(offsets)


def maintenance_of(parameters: MarketParameters, notional_units: int) -> int:
    return cdiv(tier_sum(parameters.tiers, notional_units), BPS)


def initial_of(parameters: MarketParameters, notional_units: int) -> int:
    return cdiv(tier_sum(parameters.tiers, notional_units) * parameters.im_factor_bps, BPS * BPS)


def part_of(position: Position, terms: Terms) -> Part:
    """One position at its market's terms."""
    worth = notional(position.size_e18, terms.mark_e18)
    weighted = tier_sum(terms.parameters.tiers, worth)
    return Part(
        value=value(position.size_e18, terms.mark_e18),
        quote=position.quote_units,
        owed=owed(position.size_e18, terms.cum_e36 - position.cum_entry_e36),
        notional=worth,
        maintenance=cdiv(weighted, BPS),
        initial=cdiv(weighted * terms.parameters.im_factor_bps, BPS * BPS),
    )


def parts_of(account: Account, markets: Markets) -> Iterator[tuple[int, Part]]:
    """Each position's part, with its market's number. Raises KeyError for a market that `markets` lacks."""
    for number, position in account.positions.items():
        yield number, part_of(position, markets[number])


def health_in(account: Account, markets: Markets) -> Health:
    """Raises KeyError for a position in a market that `markets` lacks: an unknown market must not look healthy."""
    cash = equity = account.margin_units
    maintenance = initial = total = 0
    for _, part in parts_of(account, markets):
        cash -= part.owed
        equity += part.value + part.quote - part.owed
        maintenance += part.maintenance
        initial += part.initial
        total += part.notional
    return Health(cash, equity, maintenance, initial, total)


def health(account: Account, state: ChainState, now_s: int) -> Health:
    """Health in a block of `now_s`, with the funding due then. For many accounts: `terms_of` once, then `health_in`."""
    return health_in(account, terms_of(state, now_s))


def is_liquidatable(account: Account, markets: Markets) -> bool:
    """A position exists and E < MM. Whether prices are fresh, and whether it is ENGINE, is the liquidation's matter."""
    found = health_in(account, markets)
    return bool(account.positions) and found.equity < found.maintenance


def liquidatable(account: Account, state: ChainState, now_s: int) -> bool:
    return is_liquidatable(account, terms_of(state, now_s))


def alarm_price(account: Account, market_no: int, markets: Markets) -> int | None:
    """The liquidation price, other markets fixed, exact to the last digit.

    A long's is the highest mark at which the account is liquidatable, a short's the lowest; None if there is no such
    mark in 1 … 2⁹⁶−1, or no such position. W is the maximum of its tiers' lines, so the binding tier needs no search.
    """
    position = account.positions.get(market_no)
    if position is None:
        return None
    rest, others = _rest(account, market_no, markets)
    tiers = markets[market_no].parameters.tiers
    lines = [(tier.mmr_bps, offset) for tier, offset in zip(tiers, tier_offsets(tiers), strict=True)]
    if position.size_e18 > 0:
        return _long_alarm(position.size_e18, lines, others - rest)
    return _short_alarm(-position.size_e18, lines, rest - others)


def bankruptcy_price(account: Account, market_no: int, markets: Markets) -> int | None:
    """Where equity falls below 0, other markets fixed: a long's highest such mark, a short's lowest; else None."""
    position = account.positions.get(market_no)
    if position is None:
        return None
    rest, _ = _rest(account, market_no, markets)
    if position.size_e18 > 0:
        return _at_most(cdiv(-rest * PRICE_SCALE, position.size_e18) - 1)
    return _at_least(fdiv(rest * PRICE_SCALE, -position.size_e18) + 1)


def moved(account: Account, market_no: int, delta_e18: int, cash_units: int, cum_e36: int) -> Account:
    """The account after a size change and its cash, with funding settled at `cum_e36`.

    margin + quote changes by exactly cash − funding. Reducing realises the entry cash pro rata; crossing zero closes
    with the closing share of the cash and opens with the rest.
    """
    held = account.positions.get(market_no, Position(0, 0, cum_e36))
    size, quote = held.size_e18, held.quote_units
    margin = account.margin_units - owed(size, cum_e36 - held.cum_entry_e36)
    if size == 0 or (size > 0) == (delta_e18 > 0):
        quote += cash_units
    elif abs(delta_e18) <= abs(size):
        released = tdiv(quote * abs(delta_e18), abs(size))
        quote, margin = quote - released, margin + released + cash_units
    else:
        closing = tdiv(cash_units * abs(size), abs(delta_e18))
        margin, quote = margin + quote + closing, cash_units - closing
    positions = {number: other for number, other in account.positions.items() if number != market_no}
    if size + delta_e18:
        positions[market_no] = Position(size + delta_e18, quote, cum_e36)
    return Account(account.address, margin, dict(sorted(positions.items())), account.last)


def _rest(account: Account, market_no: int, markets: Markets) -> tuple[int, int]:
    """Equity without the position's value at mark, and the other markets' maintenance."""
    found, own = health_in(account, markets), part_of(account.positions[market_no], markets[market_no])
    return found.equity - own.value, found.maintenance - own.maintenance


def _long_alarm(size_e18: int, lines: Sequence[tuple[int, int]], need: int) -> int | None:
    """Healthy ⇔ v − ⌈W(n)/1e4⌉ ≥ need, with v = ⌊size·p⌋ and n = v, or v + 1 where the division leaves a rest."""
    inexact = max(cdiv(BPS * need + rate - offset, BPS - rate) for rate, offset in lines)
    exact = max(cdiv(BPS * need - offset, BPS - rate) for rate, offset in lines)
    price = min(MAX_PRICE_E18, cdiv(inexact * PRICE_SCALE, size_e18) - 1)
    whole, rest = divmod(size_e18 * price, PRICE_SCALE)
    return _at_most(price - 1 if rest == 0 and whole >= exact else price)


def _short_alarm(size_e18: int, lines: Sequence[tuple[int, int]], room: int) -> int | None:
    """Healthy ⇔ n + ⌈W(n)/1e4⌉ ≤ room, with n = ⌈size·p⌉."""
    highest = min(fdiv(BPS * room + offset, BPS + rate) for rate, offset in lines)
    return _at_least(fdiv(highest * PRICE_SCALE, size_e18) + 1)


def _at_most(price_e18: int) -> int | None:
    return min(price_e18, MAX_PRICE_E18) if price_e18 >= 1 else None


def _at_least(price_e18: int) -> int | None:
    return max(price_e18, 1) if price_e18 <= MAX_PRICE_E18 else None
