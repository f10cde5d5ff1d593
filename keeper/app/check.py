"""`keeper check`: everything that can be known before the first price is signed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping

import aiohttp

from keeper.adapters.clock import SystemClock
from keeper.app.check_chain import check_chain
from keeper.app.check_files import check_files, open_signers
from keeper.app.check_references import check_references
from keeper.app.check_venues import check_venues
from keeper.app.findings import Finding
from keeper.app.sessions import check_sessions
from keeper.settings.models import Settings


def check(settings: Settings, *, offline: bool, environ: Mapping[str, str] | None = None) -> list[Finding]:
    """Files first; then, unless `offline`, chain and venues. Blocks; changes nothing anywhere."""
    environ = os.environ if environ is None else environ
    signers, findings = open_signers(settings, environ)
    findings = [*check_files(settings, environ), *findings, *check_sessions(settings, SystemClock().now())]
    if offline:
        return findings
    return findings + asyncio.run(
        _online(settings, {name: signer.address for name, signer in signers.items()}, environ)
    )


async def _online(settings: Settings, addresses: Mapping[str, str], environ: Mapping[str, str]) -> list[Finding]:
    async with aiohttp.ClientSession(trust_env=False, cookie_jar=aiohttp.DummyCookieJar()) as session:
        chain, venues, references = await asyncio.gather(
            check_chain(settings, addresses, environ),
            check_venues(settings, session, environ),
            check_references(settings, session),
        )
    return [*chain, *venues, *references]
