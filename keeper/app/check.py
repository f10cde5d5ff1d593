"""`keeper check`: everything that can be known before the first price is signed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from keeper.adapters.clock import SystemClock
from keeper.app.check_chain import check_chain
from keeper.app.check_files import check_files, open_signers
from keeper.app.check_references import check_references
from keeper.app.check_table import show
from keeper.app.check_venues import check_venues
from keeper.app.findings import Finding, unsettled
from keeper.app.registries import REGISTRIES
from keeper.app.sessions import check_sessions
from keeper.settings.faults import SettingsRefused
from keeper.settings.load import load
from keeper.settings.models import Settings


def command(config: Path, *, offline: bool, as_json: bool) -> int:
    """Prints what was found and returns the exit code. Raises SettingsRefused, unless a program reads the answer."""
    try:
        findings = check(load(config, REGISTRIES), offline=offline)
    except SettingsRefused as refused:
        if not as_json:
            raise
        findings = unsettled(refused)
    return show(findings, as_json=as_json)


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
