"""The index of 500 markets with 10 sources each, screened: integers against Decimal and statistics.median.

    python -m benchmarks.index

Both sides take the same quotes under the same rules in turns. Every price, every accepted source and every reason of a
refusal is compared, also with a peg lost and with all quotes old. Times are the thread's own, so that other programs
on the machine count less. Goal: at most 9 ms for all 500.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_FLOOR, Decimal, getcontext
from typing import NamedTuple

from benchmarks.figures import machine, verdict
from keeper.domain.ids import IndexId, SourceId
from keeper.domain.index import IndexPrice, IndexSpec, PegSpec, SourceSpec, Withheld
from keeper.domain.numbers import E18, decimal_of
from keeper.domain.pricing import components, price_component
from keeper.domain.quote import Quote
from keeper.domain.time import SECOND, Timestamp

MARKETS, SOURCES, TURNS, EACH, GOAL_MS = 500, 10, 25, 3, 9.0
ELSEWHERE_MS = 8.8
"""Connect's aggregator (Go, big.Float) for as many: measured on another day, without our screening by time and band."""
NOW = Timestamp(1_750_000_000 * SECOND)
USDT, CURRENCIES = IndexId("USDT-USD"), ("USD", "USDT")
Quotes = dict[SourceId, Quote]


def specs() -> tuple[IndexSpec, ...]:
    """One conversion component: the rate, and 499 indices of which every other source is quoted in it."""
    rate = IndexSpec(USDT, tuple(_source("USDT", no, "USD") for no in range(SOURCES)), min_quote_groups=1)
    pegs = {"USDT": PegSpec(USDT)}
    bases = [f"A{number:03d}" for number in range(1, MARKETS)]
    others = [
        IndexSpec(
            IndexId(f"{base}-USD"),
            tuple(_source(base, no, CURRENCIES[no % 2]) for no in range(SOURCES)),
            conversions=pegs,
        )
        for base in bases
    ]
    return components([rate, *others])[0]


def _source(base: str, number: int, quote: str) -> SourceSpec:
    return SourceSpec(SourceId(f"venue{number}:{base}{quote}"), quote)


def snapshot(indices: Sequence[IndexSpec], dice: random.Random, *, faulty: bool) -> Quotes:
    """One quote of each source. With `faulty` about one in twelve is unusable, and one market in ten is torn apart."""
    quotes: Quotes = {}
    for spec in indices:
        price = E18 if spec.id == USDT else int(E18 * 10 ** dice.uniform(-4, 5))
        torn_bps = 120 if faulty and dice.random() < 0.1 else 4
        for source in spec.sources:
            mid = price + price * dice.randrange(-100 * torn_bps, 100 * torn_bps + 1) // 10**6
            quote = _quote(source.source, mid, dice)
            quotes[source.source] = _spoiled(quote, dice) if faulty and dice.random() < 0.08 else quote
    for source in indices[1].sources[:8] if faulty else ():
        del quotes[source.source]
    return quotes


def _quote(source: SourceId, mid: int, dice: random.Random) -> Quote:
    half, age = max(1, mid // 20_000), dice.randrange(3 * SECOND)
    seen = Timestamp(NOW - age) if dice.random() < 0.6 else None
    return Quote(source, Timestamp(NOW - age // 2), Timestamp(NOW - age), seen, mid - half, mid + half, None, None, mid)


def _spoiled(quote: Quote, dice: random.Random) -> Quote:
    """Old, ahead of time, crossed, wide with and without a last trade, one-sided, zero, or far off."""
    bid, ask = quote.bid_e18 or 1, quote.ask_e18 or 1
    last = quote.last_e18
    late, ahead = Timestamp(NOW - 30 * SECOND), Timestamp(NOW + 5 * SECOND)
    spoil: Sequence[Callable[[], Quote]] = (
        lambda: Quote(quote.source, late, late, late, bid, ask, None, None, last),
        lambda: Quote(quote.source, ahead, ahead, ahead, bid, ask, None, None, last),
        lambda: Quote(quote.source, NOW, NOW, NOW, ask + 1, bid, None, None, last),
        lambda: Quote(quote.source, NOW, NOW, NOW, bid * 19 // 20, ask, None, None, last),
        lambda: Quote(quote.source, NOW, NOW, NOW, bid * 19 // 20, ask, None, None, None),
        lambda: Quote(quote.source, NOW, NOW, NOW, bid, None, None, None, last),
        lambda: Quote(quote.source, NOW, NOW, NOW, None, None, None, None, 0),
        lambda: Quote(quote.source, NOW, NOW, NOW, bid * 103 // 100, ask * 103 // 100, None, None, last),
    )
    return dice.choice(spoil)()


# The same rules as a program on Decimal and statistics writes them.

ULP, TEN_THOUSAND = Decimal(1).scaleb(-18), Decimal(10_000)


class DecimalQuote(NamedTuple):
    received_at: int
    changed_at: int
    observed_at: int | None
    bid: Decimal | None
    ask: Decimal | None
    last: Decimal | None


class DecimalResult(NamedTuple):
    """`price` is None where the index is withheld."""

    price: Decimal | None
    accepted: tuple[str, ...]
    refused: frozenset[tuple[str, str]]


def in_decimals(quotes: Quotes) -> dict[SourceId, DecimalQuote]:
    def exact(value: int | None) -> Decimal | None:
        return None if value is None else decimal_of(value)

    return {
        source: DecimalQuote(
            quote.received_at,
            quote.changed_at,
            quote.observed_at,
            exact(quote.bid_e18),
            exact(quote.ask_e18),
            exact(quote.last_e18),
        )
        for source, quote in quotes.items()
    }


def floored(value: Decimal) -> Decimal:
    return value.quantize(ULP, ROUND_FLOOR)


def decimal_stated(quote: DecimalQuote, max_spread_bps: int) -> Decimal | str:
    if quote.bid is None or quote.ask is None:
        if quote.bid is not None or quote.ask is not None:
            return "wide"
        return "missing" if quote.last is None else quote.last if quote.last > 0 else "non_positive"
    if quote.bid <= 0 or quote.ask <= 0:
        return "non_positive"
    if quote.bid > quote.ask:
        return "crossed"
    mid = (quote.bid + quote.ask) / 2
    if (quote.ask - quote.bid) * TEN_THOUSAND <= max_spread_bps * mid:
        return floored(mid)
    return quote.last if quote.last is not None and quote.bid <= quote.last <= quote.ask else "wide"


def decimal_vote(
    spec: IndexSpec, source: SourceSpec, quote: DecimalQuote | None, rates: Mapping[str, Decimal | str], now: int
) -> Decimal | str:
    """The vote's price, or why it has none."""
    if quote is None:
        return "missing"
    times = [quote.received_at] if quote.observed_at is None else [quote.received_at, quote.observed_at]
    if max(times) > now + spec.max_skew_ns:
        return "future"
    if now - min(times) > source.max_age_ns:
        return "stale"
    if quote.observed_at is None and now - quote.changed_at > source.quiet_max_ns:
        return "stale"
    stated, rate = decimal_stated(quote, spec.max_spread_bps), rates.get(source.quote)
    if isinstance(stated, str) or rate is None:
        return stated
    price = rate if isinstance(rate, str) else floored(stated * rate)
    return price if isinstance(price, str) or price > 0 else "non_positive"


def decimal_band(spec: IndexSpec, votes: Mapping[SourceId, Decimal]) -> tuple[Decimal, Decimal]:
    """Centre, and the largest accepted distance from it: negative where nobody lies near the centre."""
    center = floored(statistics.median(votes.values()))
    distances = [abs(price - center) for price in votes.values()]
    near = floored(spec.max_deviation_bps * center / TEN_THOUSAND)
    if min(distances) > near:
        return center, Decimal(-1)
    spread = 3 * floored(statistics.median(distances))
    return center, min(max(near, spread), floored(spec.max_dispersion_bps * center / TEN_THOUSAND))


def decimal_index(
    spec: IndexSpec, quotes: Mapping[SourceId, DecimalQuote], rates: Mapping[str, Decimal | str], now: int
) -> DecimalResult:
    votes: dict[SourceId, Decimal] = {}
    refused = set()
    for source in spec.sources:
        vote = decimal_vote(spec, source, quotes.get(source.source), rates, now)
        if isinstance(vote, str):
            refused.add((str(source.source), vote))
        else:
            votes[source.source] = vote
    if len(votes) >= 3:
        center, width = decimal_band(spec, votes)
        far = [source for source, price in votes.items() if abs(price - center) > width]
        refused.update((str(source), "outlier") for source in far)
        votes = {source: price for source, price in votes.items() if source not in far}
    groups = {source.quote for source in spec.sources if source.source in votes}
    enough = len(votes) >= spec.min_sources and len(groups) >= spec.min_quote_groups
    price = floored(statistics.median(votes.values())) if enough else None
    return DecimalResult(price, tuple(votes), frozenset(refused))


def decimal_component(
    indices: Sequence[IndexSpec], quotes: Mapping[SourceId, DecimalQuote], now: int
) -> dict[IndexId, DecimalResult]:
    found: dict[IndexId, DecimalResult] = {}
    for spec in indices:
        found[spec.id] = decimal_index(spec, quotes, _decimal_rates(spec, found), now)
    return found


def _decimal_rates(spec: IndexSpec, found: Mapping[IndexId, DecimalResult]) -> dict[str, Decimal | str]:
    rates: dict[str, Decimal | str] = {}
    for quote, peg in spec.conversions.items():
        price = found[peg.index].price
        inside = price is not None and decimal_of(peg.low_e18) <= price <= decimal_of(peg.high_e18)
        rates[quote] = "unconverted" if price is None else price if inside else "peg"
    return rates


# ---- comparison


def outcome(priced: IndexPrice | Withheld) -> DecimalResult:
    price = decimal_of(priced.price_e18) if isinstance(priced, IndexPrice) else None
    refused = frozenset((str(each.source), each.reason.value) for each in priced.rejected)
    return DecimalResult(price, tuple(vote.source for vote in priced.inputs), refused)


def compare(indices: Sequence[IndexSpec], quotes: Quotes, now: Timestamp) -> tuple[int, int, int]:
    """(priced, withheld, refused quotes). Raises SystemExit at the first difference."""
    ours, theirs = price_component(indices, quotes, {}, now), decimal_component(indices, in_decimals(quotes), now)
    for index, priced in ours.items():
        if outcome(priced) != theirs[index]:
            raise SystemExit(f"{index} differs:\n{outcome(priced)}\n{theirs[index]}")
    withheld = sum(isinstance(priced, Withheld) for priced in ours.values())
    return len(ours) - withheld, withheld, sum(len(priced.rejected) for priced in ours.values())


def depegged(quotes: Quotes) -> Quotes:
    """USDT at 0.7."""
    fallen = {name: quote for name, quote in quotes.items() if ":USDTUSD" in name}
    down = {
        name: Quote(quote.source, NOW, NOW, NOW, E18 * 7 // 10 - 10**13, E18 * 7 // 10 + 10**13)
        for name, quote in fallen.items()
    }
    return {**quotes, **down}


def timed(work: Callable[[], object]) -> float:
    """Milliseconds of processor time."""
    begun = time.thread_time()
    work()
    return (time.thread_time() - begun) * 1e3


def measure(indices: Sequence[IndexSpec], quotes: Quotes) -> tuple[list[float], list[float]]:
    """ms for all markets, in turns: integers, Decimals."""
    decimals = in_decimals(quotes)
    ours, theirs = [], []
    for _ in range(TURNS):
        ours += [timed(lambda: price_component(indices, quotes, {}, NOW)) for _ in range(EACH)]
        theirs.append(timed(lambda: decimal_component(indices, decimals, NOW)))
    return ours, theirs


def main() -> int:
    getcontext().prec = 60  # exact: a price has up to 24 digits before and behind the point, a product twice as many
    indices, dice = specs(), random.Random(11)
    calm, faulty = (snapshot(indices, dice, faulty=bad) for bad in (False, True))
    print(f"{MARKETS} indices × {SOURCES} sources, screened, converted, median; {machine()}")
    for name, quotes, now in (
        ("calm", calm, NOW),
        ("faulty", faulty, NOW),
        ("USDT at 0.7", depegged(faulty), NOW),
        ("a minute later", faulty, Timestamp(NOW + 60 * SECOND)),
    ):
        priced, withheld, refused = compare(indices, quotes, now)
        print(f"  equal, {name}: {priced} priced, {withheld} withheld, {refused} quotes refused")
    print(
        f"{'ms for all':12}{'integers p50':>14}{'best':>8}{'Decimal p50':>14}{'best':>8}{'ratio':>9}{'best µs a market':>19}"
    )
    seen = {}
    for name, quotes in (("calm", calm), ("faulty", faulty)):
        ours, theirs = measure(indices, quotes)
        seen[name] = own = statistics.median(ours)
        ratio, best = statistics.median(theirs) / own, min(ours)
        print(
            f"{name:12}{own:14.2f}{best:8.2f}{statistics.median(theirs):14.1f}{min(theirs):8.1f}"
            f"{ratio:8.1f}x{1e3 * best / MARKETS:19.1f}"
        )
    print(f"Connect's aggregator, elsewhere: {ELSEWHERE_MS} ms for as many")
    met = seen["faulty"] <= GOAL_MS
    print(verdict(met, f"<= {GOAL_MS:.0f} ms", f"p50 {seen['faulty']:.2f} ms with faulty quotes"))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
