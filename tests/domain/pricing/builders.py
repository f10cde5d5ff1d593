"""Short ways to say quotes, specs and indices. Prices are given as decimal texts or numbers of dollars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import settings

from keeper.domain.ids import IndexId, MarketId, SourceId
from keeper.domain.index import INDEX_METHODS, IndexPrice, IndexSpec, PegSpec, PricedQuote, SourceSpec
from keeper.domain.mark.method import FundingEstimate, MarkInputs
from keeper.domain.numbers import parse_e18
from keeper.domain.quote import Depth, Level, Quote, Trade
from keeper.domain.time import SECOND, Timestamp

LAW = settings(deadline=None)
"""Of tests that state a law: examples may take their time on a busy machine."""
NOW = Timestamp(1_700_000_000 * SECOND)
BTC = IndexId("BTC-USD")
USDT = IndexId("USDT-USD")
OWN = SourceId("perp:BTC-USD")


def e18(value: str | int) -> int:
    return parse_e18(str(value))


def after(seconds: float, start: Timestamp = NOW) -> Timestamp:
    return Timestamp(start + round(seconds * SECOND))


def quote(
    source: str,
    price: str | int | None = None,
    *,
    bid: str | int | None = None,
    ask: str | int | None = None,
    last: str | int | None = None,
    at: Timestamp = NOW,
    observed: Timestamp | None = None,
    changed: Timestamp | None = None,
) -> Quote:
    """A quote received at `at`; `price` stands for a book with bid = ask."""
    bid, ask = (price, price) if price is not None else (bid, ask)
    return Quote(
        SourceId(source),
        at,
        at if changed is None else changed,
        observed,
        bid_e18=None if bid is None else e18(bid),
        ask_e18=None if ask is None else e18(ask),
        last_e18=None if last is None else e18(last),
    )


def board(*quotes: Quote) -> dict[SourceId, Quote]:
    return {each.source: each for each in quotes}


def spec(groups: Mapping[str, str], **options: object) -> IndexSpec:
    """BTC-USD over sources given as {name: quote currency}; the quorum of quote groups is one unless chosen."""
    sources = tuple(SourceSpec(SourceId(name), currency) for name, currency in groups.items())
    conversions = {"USDT": PegSpec(USDT, e18("0.98"), e18("1.02"))} if "USDT" in groups.values() else {}
    chosen: dict[str, object] = {"min_quote_groups": 1, "conversions": conversions} | options
    if isinstance(method := chosen.get("method"), str):
        chosen["method"] = INDEX_METHODS[method]()
    return IndexSpec(BTC, sources, **chosen)  # type: ignore[arg-type]


def usd(*names: str, **options: object) -> IndexSpec:
    return spec(dict.fromkeys(names, "USD"), **options)


def index(price: str | int, votes: Mapping[str, str | int] | None = None, at: Timestamp = NOW) -> IndexPrice:
    """An index at `price`, backed by votes given as {"a:USD": price}: the part after the colon is the quote group."""
    given = {"a:USD": price, "b:USD": price, "c:USDT": price} if votes is None else votes
    inputs = tuple(
        PricedQuote(
            SourceSpec(SourceId(name), name.partition(":")[2]), quote(name, value, at=at), e18(value), e18(value), None
        )
        for name, value in given.items()
    )
    return IndexPrice(BTC, e18(price), at, inputs)


def depth(
    bids: Sequence[tuple[str | int, str | int]], asks: Sequence[tuple[str | int, str | int]], at: Timestamp = NOW
) -> Depth:
    def side(levels: Sequence[tuple[str | int, str | int]]) -> tuple[Level, ...]:
        return tuple(Level(e18(price), e18(size)) for price, size in levels)

    return Depth(OWN, at, at, side(bids), side(asks))


def book(mid: str | int, half: str = "0.5", at: Timestamp = NOW) -> Depth:
    """One deep level on each side, `half` away from the mid."""
    center, away = e18(mid), e18(half)
    size = e18(1_000_000)
    return Depth(OWN, at, at, (Level(center - away, size),), (Level(center + away, size),))


def trade(price: str | int, at: Timestamp = NOW) -> Trade:
    return Trade(OWN, at, at, e18(price), e18(1))


def mark_inputs(
    spot: IndexPrice,
    own: Depth | None = None,
    last: Trade | None = None,
    funding: FundingEstimate | None = None,
    at: Timestamp = NOW,
) -> MarkInputs:
    return MarkInputs(MarketId("BTC-USD"), spot, own, last, funding, at)
