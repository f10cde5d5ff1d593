"""What files alone can show: keys, endpoints, directories."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from keeper.adapters.signers import open_signer
from keeper.adapters.signers.key_signer import KeySigner
from keeper.app.check_journal import check_journal
from keeper.app.endpoints import rpc_endpoints, stream_endpoints
from keeper.app.exitcodes import NO_PERMISSION
from keeper.app.findings import Finding, fail, failed_by, ok, warn
from keeper.app.places import require_state, signer_where
from keeper.app.venues import venue_of
from keeper.errors import KeeperError
from keeper.settings.models import Settings, SignerSettings, sender_place


def check_files(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    sources = sum(len(market.sources) for market in settings.markets)
    counts = f"{len(settings.perps)} perps, {len(settings.markets)} indices, {sources} sources"
    yield ok("configuration", "files", f"{counts}; hash {settings.hash[:16]}")
    yield _state_dir(settings)
    try:
        endpoints = (*rpc_endpoints(settings, environ), *stream_endpoints(settings, environ))
        yield ok("chain", "endpoints", ", ".join(endpoint.name for endpoint in endpoints))
    except KeeperError as error:
        yield failed_by("chain", "endpoints", error)
    for name in (name for name, venue in settings.venues.items() if venue.key_file is not None):
        try:
            venue_of(settings, name, environ)
            yield ok(f"venues.{name}", "key", str(settings.venues[name].key_file))
        except KeeperError as error:
            yield failed_by(f"venues.{name}", "key", error)


def _state_dir(settings: Settings) -> Finding:
    try:
        require_state(settings)
    except KeeperError as error:
        return failed_by("state_dir", "writable", error)
    return ok("state_dir", "writable", str(settings.state_dir))


def open_signers(settings: Settings, environ: Mapping[str, str]) -> tuple[dict[str, KeySigner], list[Finding]]:
    """Every key by its place in keeper.yaml, and what is wrong with them. A keystore takes its second."""
    found: dict[str, KeySigner] = {}
    findings: list[Finding] = []
    for place, signer in _places(settings):
        try:
            where = signer_where(settings, place)
            found[place] = open_signer(signer.kind, signer.options, settings.chain.id, where, environ=environ)
            findings.append(ok(place, "key", found[place].address))
        except KeeperError as error:
            findings.append(failed_by(place, "key", error))
    return found, [*findings, *_together(settings, found), *_journal(settings, found)]


def _places(settings: Settings) -> Iterator[tuple[str, SignerSettings]]:
    for number, signer in enumerate(settings.signers.reports):
        yield f"signers.reports[{number}]", signer
    for name, signer in settings.signers.senders.items():
        yield sender_place(name), signer


def _journal(settings: Settings, found: Mapping[str, KeySigner]) -> Iterator[Finding]:
    held = {signer.address for place, signer in found.items() if not place.startswith("signers.reports")}
    return check_journal(settings, held)


_REPORTS = "a report key must hold no funds and a key signs once for a quorum"
_SENDERS = "its nonces have one owner: name one wallet for the lanes of both"


def _together(settings: Settings, found: Mapping[str, KeySigner]) -> Iterator[Finding]:
    owners: dict[str, str] = {}
    for place, signer in found.items():
        other = owners.setdefault(signer.address, place)
        if other != place:
            why = _REPORTS if place.startswith("signers.reports") or other.startswith("signers.reports") else _SENDERS
            yield fail(place, "key apart", f"the same key as {other}: {why}", NO_PERMISSION)
    if not settings.signers.reports or not settings.signers.senders:
        yield warn("signers", "present", "without report keys and a sender only `keeper run --dry-run` works")
