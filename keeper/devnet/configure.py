"""The demo's rules on chain, and the configuration directory that its keeper is started with.

The documents here are the design: the verifier judges by them. A sabotage changes only what is written for the keeper.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from eth_account import Account
from ruamel.yaml import YAML

from keeper.devnet.deploy import BTC_RULES, ETH_RULES, Deployment, FeedParameters, MarketListing
from keeper.devnet.scenario import FUNDING_INTERVAL_S
from keeper.domain.exchange import MarketParameters, Tier

USD = 10**6
INSURANCE_UNITS = 2_000 * USD
"""Too small for what the whales will owe."""
TIERS = (Tier(0, 200), Tier(1_000_000 * USD, 300), Tier(5_000_000 * USD, 500))
SABOTAGES = ("no-liquidator", "falsify:VENUE")
FALSE_MULTIPLIER = "1.004"
_WEIGHTS = {"binance": 3, "coinbase": 2, "okx": 2, "bybit": 2}


def _rules(base: MarketParameters) -> MarketParameters:
    return replace(
        base,
        tiers=TIERS,
        im_factor_bps=12_500,
        penalty_bps=30,
        band_bps=300,
        max_price_age_s=30,
        max_notional_units=50_000_000 * USD,
    )


LISTINGS = (
    MarketListing(1, FeedParameters(FUNDING_INTERVAL_S, FUNDING_INTERVAL_S, premium_kind=1), _rules(BTC_RULES)),
    MarketListing(2, FeedParameters(FUNDING_INTERVAL_S, FUNDING_INTERVAL_S, premium_kind=0), _rules(ETH_RULES)),
)
"""Premiums of BTC are reported by the keeper, those of ETH derived by the oracle."""


class UnknownSabotageError(ValueError):
    """`--sabotage` does not know this word."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A symbol that a venue offers."""

    venue: str
    symbol: str
    base: str
    quote: str


@dataclass(frozen=True, slots=True)
class Keys:
    """Fresh for every run. Report keys hold no funds; the sender signs no prices."""

    deployer: bytes
    operator: bytes
    funder: bytes
    sender: bytes
    reports: tuple[bytes, ...]

    @classmethod
    def fresh(cls) -> Keys:
        one, two, three, four, *rest = (secrets.token_bytes(32) for _ in range(7))
        return cls(one, two, three, four, tuple(rest))


def address_of(key: bytes) -> str:
    text: str = Account.from_key(key).address.lower()
    return text


def market_documents(listings: Sequence[Listing], book_venue: str) -> list[dict[str, Any]]:
    """BTC-USD, ETH-USD and the USDT-USD index that converts for them, from what the venues offer."""
    perps = [
        _perp("BTC", 1, "impact", listings, book_venue),
        _perp("ETH", 2, "derived", listings, book_venue),
    ]
    return [*perps, _peg(listings)]


def _sources(base: str, quotes: Iterable[str], listings: Sequence[Listing]) -> list[dict[str, Any]]:
    offered = [listing for listing in listings if listing.base == base and listing.quote in quotes]
    return [
        {"kind": o.venue, "symbol": o.symbol, "quote": o.quote, "weight": _WEIGHTS.get(o.venue, 1)} for o in offered
    ]


def _perp(base: str, number: int, premium: str, listings: Sequence[Listing], book_venue: str) -> dict[str, Any]:
    return {
        "market": f"{base}-USD",
        "sources": _sources(base, ("USD", "USDT"), listings),
        "conversions": {"USDT": "USDT-USD"},
        "index": {
            "method": "clamped_weighted_mean",
            "clamp_bps": 50,
            "max_deviation_bps": 100,
            "min_sources": 3,
            "min_quote_groups": 2,
            "max_age_s": 5,
        },
        # The scenario's gap is a real move: it must be published at once, not held for confirmation.
        "guard": {"max_jump_bps": 400, "confirm_s": 1, "confirm_sources": 3, "confirm_quote_groups": 2},
        "deployment": "main",
        "market_no": number,
        "book": {"kind": book_venue, "symbol": f"{base}-USD"},
        "mark": {"method": "median3", "basis_window_s": 30, "max_basis_bps": 50},
        "funding": {"premium": premium, "sample_s": 1, "impact_notional": 10_000},
        "publish": {"deviation_bps": 10, "heartbeat_s": 10, "min_interval_s": 0.5},
        "liquidation": {"enabled": True, "max_batch": 20, "gate": {"max_mark_age_s": 15, "min_sources": 3}},
    }


def _peg(listings: Sequence[Listing]) -> dict[str, Any]:
    return {
        "market": "USDT-USD",
        "sources": _sources("USDT", ("USD",), listings),
        "index": {"method": "median", "max_deviation_bps": 100, "min_sources": 3, "max_age_s": 10},
    }


def sabotaged(documents: Sequence[Mapping[str, Any]], sabotage: str | None) -> list[dict[str, Any]]:
    """The documents as the keeper gets them. Raises UnknownSabotageError."""
    changed = [deepcopy(dict(document)) for document in documents]
    if sabotage is None:
        return changed
    word, _, venue = sabotage.partition(":")
    perps = [document for document in changed if "market_no" in document]
    if word == "no-liquidator" and not venue:
        for document in perps:
            document["liquidation"]["enabled"] = False
        return changed
    touched = [s for document in perps for s in document["sources"] if s["kind"] == venue]
    if word != "falsify" or not touched:
        raise UnknownSabotageError(f"{sabotage!r} is not one of {', '.join(SABOTAGES)}, or nobody lists at that venue")
    for source in touched:
        source["multiplier"] = FALSE_MULTIPLIER
    return changed


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the keeper finds the world. `venues` are options by name: `url`, and `rest_url` where there is REST.

    `rpc` is the preferred endpoint of the chain, `more_rpc` those after it.
    """

    rpc: str
    venues: Mapping[str, Mapping[str, str]]
    ops_port: int
    more_rpc: tuple[str, ...] = ()


def write_config(
    directory: Path,
    documents: Sequence[Mapping[str, Any]],
    deployment: Deployment,
    keys: Keys,
    endpoints: Endpoints,
) -> Path:
    """keeper.yaml, one file per market and the keys (mode 0600) under `directory`; the answer is keeper.yaml."""
    (directory / "markets").mkdir(parents=True)
    for document in documents:
        _write_yaml(directory / "markets" / f"{document['market']}.yaml", document)
    reports = [_write_key(directory, f"report-{n}", key) for n, key in enumerate(keys.reports)]
    sender = _write_key(directory, "sender", keys.sender)
    path = directory / "keeper.yaml"
    _write_yaml(path, _global_document(directory, deployment, reports, sender, endpoints))
    return path


def _global_document(
    directory: Path, deployment: Deployment, reports: Sequence[str], sender: str, endpoints: Endpoints
) -> dict[str, Any]:
    return {
        "state_dir": str(directory / "state"),
        "chain": {
            "id": deployment.chain_id,
            "rpc": [endpoints.rpc, *endpoints.more_rpc],
            "poll_s": 0.1,
            "confirmations": 1,
        },
        "deployments": {
            "main": {
                "protocol": "reference",
                "oracle": deployment.oracle,
                "exchange": deployment.exchange,
                "lens": deployment.lens,
                "from_block": deployment.block_number,
            }
        },
        "signers": {
            "reports": [{"kind": "key_file", "file": path} for path in reports],
            "sender": {"kind": "key_file", "file": sender},
        },
        "venues": {name: dict(options) for name, options in endpoints.venues.items()},
        "ops": {"port": endpoints.ops_port},
        "admin": {"socket": str(directory / "keeper.sock")},
        "log": {"level": "info", "format": "json"},
        "markets": ["markets/*.yaml"],
    }


def _write_key(directory: Path, name: str, key: bytes) -> str:
    """Made with its mode: it is never readable by others, not for a moment."""
    path = directory / "keys" / name
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("0x" + key.hex() + "\n")
    return str(path)


def _write_yaml(path: Path, document: Mapping[str, Any]) -> None:
    yaml = YAML()
    yaml.default_flow_style = False
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(dict(document), file)
