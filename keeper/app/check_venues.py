"""Every symbol asked of its venue: is it listed, and does its price make sense beside the others?"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Iterable, Mapping

import aiohttp

from keeper.adapters.bench import BenchRules
from keeper.adapters.budget import Budget
from keeper.adapters.clock import SystemClock
from keeper.adapters.intake import Intake
from keeper.adapters.polling import RestClient
from keeper.adapters.sources import STREAM_VENUES
from keeper.app.findings import Finding, fail, misconfigured, ok, warn
from keeper.app.listening import Said, listen
from keeper.app.venues import venue_of
from keeper.domain.numbers import E18, text_of
from keeper.domain.quote import Depth, Quote
from keeper.errors import DataError, KeeperError, TransientError
from keeper.settings.market import BookSettings, MarketSettings, SourceSettings
from keeper.settings.models import Settings

TIMEOUT_S = 10.0
_MAX_BODY = 1 << 20
FAR_BPS = 2_000
"""A price further from the other venues' median than this is in another unit, not on another market."""

Answer = Said | None
"""The ticker, or what was heard, or why there is nothing; None where the venue has no ticker to ask."""


async def check_venues(settings: Settings, session: aiohttp.ClientSession, environ: Mapping[str, str]) -> list[Finding]:
    """Each venue is asked in its own order and pace, all venues at once."""
    asked = await asyncio.gather(*(_opened(settings, kind, session, environ) for kind in _kinds(settings)))
    answers = {source: answer for group in asked for source, answer in group.items()}
    return [finding for market in settings.markets for finding in _market(settings, market, answers)]


def client(settings: Settings, kind: str, session: aiohttp.ClientSession, environ: Mapping[str, str]) -> RestClient:
    described = venue_of(settings, kind, environ)
    intake = Intake(kind, lambda _seen: None, lambda _notice: None, 2.0, BenchRules())
    return RestClient(described, session, SystemClock(), Budget(described.limits), intake, TIMEOUT_S, _MAX_BODY)


def _kinds(settings: Settings) -> list[str]:
    return sorted({source.kind for source in _sources(settings)})


def _sources(settings: Settings) -> list[SourceSettings | BookSettings]:
    books = [market.book for market in settings.markets if market.book]
    wanted = [source for market in settings.markets for source in (*market.sources, *market.references)]
    return [*(source for source in wanted if source.kind in STREAM_VENUES), *books]


async def _opened(
    settings: Settings, kind: str, session: aiohttp.ClientSession, environ: Mapping[str, str]
) -> Mapping[str, Answer]:
    """A venue whose key cannot be read is not asked."""
    try:
        rest = client(settings, kind, session, environ)
    except KeeperError as error:
        return {source.id: str(error) for source in _sources(settings) if source.kind == kind}
    return await _asked(settings, kind, rest)


async def _asked(settings: Settings, kind: str, rest: RestClient) -> Mapping[str, Answer]:
    wanted = {source.id: source.symbol for source in _sources(settings) if source.kind == kind}
    answers = {source: await _ticker(rest, symbol) for source, symbol in wanted.items()}
    unasked = [wanted[source] for source, answer in answers.items() if answer is None]
    heard = await listen(rest.venue, unasked) if unasked else {}
    return {source: heard.get(source, answer) for source, answer in answers.items()}


async def _ticker(rest: RestClient, symbol: str) -> Answer:
    try:
        found = await rest.fetch(symbol)
    except TransientError as error:
        return f"~{error}"
    except DataError as error:
        return str(error)
    if found is None or isinstance(found, Quote):
        return found
    return f"not listed: {found.reason or found.kind}"


def _market(settings: Settings, market: MarketSettings, answers: Mapping[str, Answer]) -> list[Finding]:
    prices = _prices_e18(settings, market, market.sources, answers)
    middle = round(statistics.median(prices.values())) if prices else 0
    prices |= _prices_e18(settings, market, market.references, answers)
    asked = [source.id for source in (*market.sources, *market.references) if source.id in answers]
    found = [_source(market, source, answers[source], prices.get(source), middle) for source in asked]
    if market.book:
        found.append(_source(market, market.book.id, answers[market.book.id], None, 0))
    return found


def _prices_e18(
    settings: Settings, market: MarketSettings, sources: Iterable[SourceSettings], answers: Mapping[str, Answer]
) -> dict[str, int]:
    """In the market's own currency."""
    found: dict[str, int] = {}
    for source in sources:
        raw = _price_e18(answers.get(source.id), source)
        if raw and (price := raw * _rate_e18(settings, market, source.quote, answers) // E18):
            found[source.id] = price
    return found


def _rate_e18(settings: Settings, market: MarketSettings, quote: str, answers: Mapping[str, Answer]) -> int:
    """What the tickers of the conversion say. Without any: par where its band contains it, else 0."""
    conversion = market.conversions.get(quote)
    if conversion is None:
        return E18
    index = settings.market(conversion.index)
    if prices := _prices_e18(settings, index, index.sources, answers):
        return round(statistics.median(prices.values()))
    return E18 if conversion.low_e18 <= E18 <= conversion.high_e18 else 0


def _price_e18(answer: Answer, source: SourceSettings) -> int | None:
    if not isinstance(answer, Quote):
        return None
    raw = (answer.bid_e18 + answer.ask_e18) // 2 if answer.bid_e18 and answer.ask_e18 else answer.last_e18
    return raw * source.multiplier_e18 // E18 if raw else None


def _failed(market: MarketSettings, source: str, why: str) -> Finding:
    if why.startswith("~"):
        return fail(market.market, source, f"the venue did not answer: {why[1:]}")
    return misconfigured(market.market, source, why)


def _book(market: MarketSettings, source: str, heard: Depth) -> Finding:
    if not heard.bids or not heard.asks:
        return warn(market.market, source, "its book has an empty side")
    bid, ask = text_of(heard.bids[0].price_e18), text_of(heard.asks[0].price_e18)
    return ok(market.market, source, f"its book: {bid} bid, {ask} asked")


def _source(market: MarketSettings, source: str, answer: Answer, price: int | None, middle: int) -> Finding:
    if answer is None:
        return warn(market.market, source, "not checked: the venue has no ticker to ask")
    if isinstance(answer, Depth):
        return _book(market, source, answer)
    if isinstance(answer, str):
        return _failed(market, source, answer)
    if price is None:
        return (
            ok(market.market, source, "listed")
            if not middle
            else warn(market.market, source, "listed, without a price")
        )
    if abs(price - middle) * 10_000 > FAR_BPS * middle:
        far = f"{text_of(price)} beside a median of {text_of(middle)}: is `symbol` or `multiplier` wrong?"
        return misconfigured(market.market, source, far)
    return ok(market.market, source, text_of(price))
