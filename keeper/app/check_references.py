"""Every reference asked once: its fix, and each pair that a market wants of it."""

from __future__ import annotations

from datetime import UTC, datetime

import aiohttp

from keeper.adapters.references.feed import fetch_fix
from keeper.app.findings import Finding, fail, misconfigured, ok
from keeper.app.published import reference, reference_symbols
from keeper.domain.numbers import text_of
from keeper.domain.time import to_seconds
from keeper.errors import FeedDisconnected, FeedProtocolError
from keeper.settings.models import Settings


async def check_references(settings: Settings, session: aiohttp.ClientSession) -> list[Finding]:
    found: list[Finding] = []
    for kind, symbols in reference_symbols(settings).items():
        found += await _checked(settings, kind, symbols, session)
    return found


async def _checked(
    settings: Settings, kind: str, symbols: tuple[str, ...], session: aiohttp.ClientSession
) -> list[Finding]:
    described = reference(settings, kind)
    try:
        fix = await fetch_fix(described, session)
    except FeedDisconnected as error:
        return [fail(kind, "reference", f"it did not answer: {error}")]
    except FeedProtocolError as error:
        return [fail(kind, "reference", str(error))]
    day = f"{datetime.fromtimestamp(to_seconds(fix.at), UTC):%Y-%m-%d}"
    findings = []
    for symbol in symbols:
        try:
            price_e18 = described.price_e18(symbol, fix)
        except FeedProtocolError as error:
            findings.append(misconfigured(kind, symbol, str(error)))
            continue
        if price_e18:
            findings.append(ok(kind, symbol, f"{text_of(price_e18)} on {day}"))
        else:
            findings.append(misconfigured(kind, symbol, "it publishes no rate of this pair"))
    return findings
