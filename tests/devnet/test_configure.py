"""The configuration that the demo writes is one that the keeper accepts, and a sabotage changes what it says and no more."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from keeper.app.registries import REGISTRIES
from keeper.devnet.configure import (
    Endpoints,
    Keys,
    Listing,
    UnknownSabotageError,
    address_of,
    market_documents,
    sabotaged,
    write_config,
)
from keeper.devnet.deploy import Deployment
from keeper.devnet.venues import DEMO_VENUES
from keeper.settings.load import load

OFFERED = [
    Listing(name, symbol, listing.base, listing.quote)
    for name, venue in DEMO_VENUES.items()
    for symbol, listing in venue.listings.items()
]
DEPLOYMENT = Deployment(31337, 5, *("0x" + digit * 40 for digit in "12345"), (1, 2))  # type: ignore[arg-type]
ENDPOINTS = Endpoints(
    "http://127.0.0.1:8545",
    {
        **{name: {"url": "ws://127.0.0.1:1/x", "rest_url": "http://127.0.0.1:1"} for name in DEMO_VENUES},
        "perp": {"url": "ws://127.0.0.1:1/book"},
    },
    9999,
)


@pytest.mark.parametrize("sabotage", [None, "no-liquidator", "falsify:okx"])
def test_config__as_written__is_accepted_by_the_keeper(tmp_path: Path, sabotage: str | None) -> None:
    documents = market_documents(OFFERED, "perp")
    path = write_config(tmp_path / "config", sabotaged(documents, sabotage), DEPLOYMENT, Keys.fresh(), ENDPOINTS)
    settings = load(path, REGISTRIES, {})
    assert [market.market for market in settings.perps] == ["BTC-USD", "ETH-USD"]
    assert settings.state_dir == tmp_path / "config" / "state"
    for market in settings.perps:
        assert market.quote_groups == {"USD", "USDT"}
        assert market.liquidation is not None
        assert market.liquidation.enabled == (sabotage != "no-liquidator")
        altered = {source.kind for source in market.sources if source.multiplier_e18 != 10**18}
        assert altered == ({"okx"} if sabotage == "falsify:okx" else set())


def test_config__keys__are_fresh_and_readable_by_the_owner_alone(tmp_path: Path) -> None:
    keys = Keys.fresh()
    documents = market_documents(OFFERED, "perp")
    path = write_config(tmp_path / "config", documents, DEPLOYMENT, keys, ENDPOINTS)
    files = sorted((path.parent / "keys").iterdir())
    assert [file.name for file in files] == ["report-0", "report-1", "report-2", "sender"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE((path.parent / "keys").stat().st_mode) == 0o700
    assert files[-1].read_text().strip() == "0x" + keys.sender.hex()
    others = {keys.deployer, keys.operator, keys.funder, keys.sender, *keys.reports, *Keys.fresh().reports}
    assert len({address_of(key) for key in others}) == 10


def test_sabotage__none__leaves_the_design_alone() -> None:
    documents = market_documents(OFFERED, "perp")
    assert sabotaged(documents, None) == documents
    sabotaged(documents, "no-liquidator")
    assert documents == market_documents(OFFERED, "perp")


@pytest.mark.parametrize("word", ["", "nothing", "falsify", "falsify:", "falsify:nowhere", "no-liquidator:okx"])
def test_sabotage__word_that_nobody_knows__is_refused(word: str) -> None:
    with pytest.raises(UnknownSabotageError, match="no-liquidator, falsify:VENUE"):
        sabotaged(market_documents(OFFERED, "perp"), word)
