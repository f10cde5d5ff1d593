"""The API key of a venue: from its file to the request's header, and to nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from keeper.adapters.sources.pyth_hermes import PythHermes
from keeper.app.check import check
from keeper.app.registries import REGISTRIES
from keeper.app.venues import venue_of
from keeper.errors import ConfigError, KeyPermissionError
from keeper.settings.load import load
from keeper.settings.models import Settings
from tests.settings.examples import GLOBAL, INDEX, written

KEY = "s3cr3t-canary"
BTC = "e62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43"
HERMES = GLOBAL.replace("markets: [", "venues: {pyth_hermes: {key_file: hermes.key}}\nmarkets: [")


def settings_with(directory: Path, key: str | None, mode: int = 0o600, file: str = "hermes.key") -> Settings:
    directory.mkdir(parents=True, exist_ok=True)
    index = INDEX.replace("{kind: bitstamp, symbol: usdtusd}", f"{{kind: pyth_hermes, symbol: {BTC}}}")
    path = written(directory, keeper=HERMES.replace("hermes.key", file), USDT=index)
    if key is not None:
        (directory / "hermes.key").write_text(key)
        (directory / "hermes.key").chmod(mode)
    return load(path, REGISTRIES, {})


def test_key__in_a_file_beside_the_settings__reaches_the_header_and_no_view(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, f"{KEY}\n")
    assert settings.venues["pyth_hermes"].key_file == str(tmp_path / "hermes.key")
    venue = venue_of(settings, "pyth_hermes", {})
    assert isinstance(venue, PythHermes)
    for request in (venue.rest(BTC), venue.stream(venue.url, (BTC,))):
        assert request.headers == {"Authorization": f"Bearer {KEY}"}
        assert KEY not in request.url
    assert KEY not in f"{venue!r} {settings!r} {json.dumps(settings.public())} {venue.rest(BTC)!r}"
    assert settings.public()["venues"]["pyth_hermes"]["key_file"] == "hermes.key"


def test_key__as_a_credential_of_systemd__is_read_from_its_directory(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, KEY, file="cred:hermes.key")
    venue = venue_of(settings, "pyth_hermes", {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert isinstance(venue, PythHermes)
    assert venue.rest(BTC).headers == {"Authorization": f"Bearer {KEY}"}


def test_key__whose_file_it_is__changes_no_price_and_so_no_hash(tmp_path: Path) -> None:
    one = settings_with(tmp_path / "a", KEY)
    other = settings_with(tmp_path / "b", KEY, file="other.key")
    assert one.hash == other.hash


@pytest.mark.parametrize(
    ("key", "mode", "error", "reason"),
    [
        (None, 0o600, KeyPermissionError, "cannot be read"),
        (KEY, 0o644, KeyPermissionError, "chmod 600"),
        ("", 0o600, ConfigError, "one line"),
        (f"{KEY}\nHost: evil", 0o600, ConfigError, "one line"),
    ],
)
def test_key__that_cannot_be_used__is_refused_and_found_by_check(
    tmp_path: Path, key: str | None, mode: int, error: type[Exception], reason: str
) -> None:
    settings = settings_with(tmp_path, key, mode)
    with pytest.raises(error, match=reason) as refused:
        venue_of(settings, "pyth_hermes", {})
    assert KEY not in str(refused.value)
    (found,) = [row for row in check(settings, offline=True, environ={}) if row.subject == "venues.pyth_hermes"]
    assert found.status == "fail"
    assert found.code == (77 if error is KeyPermissionError else 78)
    assert KEY not in found.detail


def test_key__that_is_right__is_a_finding_too(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, KEY)
    (found,) = [row for row in check(settings, offline=True, environ={}) if row.subject == "venues.pyth_hermes"]
    assert found.status == "ok"
    assert KEY not in found.detail
