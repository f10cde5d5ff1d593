"""The global file, and the whole of what an operator configured."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from keeper.domain.ids import ChainId, DeploymentId, MarketId
from keeper.domain.transaction import Lane
from keeper.settings.base import Chosen, Model
from keeper.settings.fields import Count, Endpoint, FilePath, HttpUrl, Name, Seconds, StreamEndpoint, StreamUrl, Symbol
from keeper.settings.market import MarketSettings
from keeper.settings.spelling import ADDRESS


class ChainSettings(Model):
    """One EVM chain and how patiently to deal with it."""

    id: Count = Field(description="EIP-155 chain id. Every endpoint is checked against it.")
    rpc: tuple[Endpoint, ...] = Field(
        min_length=1,
        max_length=16,
        description="JSON-RPC endpoints, first preferred; `file:` and `cred:` keep keys out of here.",
    )
    send_to: tuple[Endpoint, ...] = Field(
        default=(),
        max_length=16,
        description="Further endpoints that are sent every transaction and asked nothing. Those of `rpc` are sent it too.",
    )
    streams: tuple[StreamEndpoint, ...] = Field(
        default=(),
        max_length=16,
        description="Websockets that announce new heads, so that they are polled less. What counts is read from `rpc`.",
    )
    requests_per_s: float | None = Field(
        default=None, gt=0, le=100_000, description="Most requests a second to each endpoint, if its plan has a limit."
    )
    plain_http: bool = Field(
        default=False, description="Allow http:// and ws:// to other machines (your own node in your own network)."
    )
    confirmations: Count = Field(default=1, le=1000, description="Blocks after which a transaction counts as done.")
    finality_blocks: Count = Field(
        default=64,
        le=1_000_000,
        description="Blocks that no reorganisation takes back any more. What is less deep is looked at again after one.",
    )
    orphan_after_blocks: Count = Field(
        default=12,
        le=1_000_000,
        description="A nonce that is consumed without a receipt of ours counts as used by somebody else after so many blocks.",
    )
    orphan_after_s: Seconds = Field(
        default=30.0, description="And not before so much time has passed: receipts may lag, and blocks may be quick."
    )
    poll_s: Seconds = Field(default=1.0, description="How often to ask for a new head.")
    max_fee_gwei: Count = Field(default=500, description="Never offer more for a unit of gas.")
    legacy_fees: bool = Field(
        default=False, description="The chain has no EIP-1559: transactions offer one gas price (EIP-155)."
    )
    bump_percent: int = Field(
        default=10, ge=10, le=400, description="Raise of a replacement; nodes demand at least 10."
    )
    bump_blocks: Count = Field(
        default=3, le=1000, description="Blocks that a transaction may wait before it is replaced."
    )

    sequencer_feed: str | None = Field(
        default=None,
        pattern=ADDRESS.pattern,
        description="On a rollup: Chainlink's uptime feed of its sequencer. While it is down nothing is priced or liquidated.",
    )
    sequencer_grace_s: Seconds = Field(
        default=3600.0, description="And for so long after it is up again: users must have had time to act."
    )

    @property
    def chain_id(self) -> ChainId:
        return ChainId(self.id)

    @property
    def max_fee_wei(self) -> int:
        return self.max_fee_gwei * 10**9


class DeploymentSettings(Chosen):
    """One protocol's contracts. Every other key is an option of the protocol, e.g. the addresses."""

    protocol: Name = Field(description="Protocol adapter, e.g. `reference`.")


def _names_a_file(key: str) -> bool:
    return key == "file" or key.endswith("_file")


def _located(base: Path, key: str, value: Any) -> Any:
    here = _names_a_file(key) and isinstance(value, str) and not value.startswith("cred:")
    return str(base / value) if here else value


class SignerSettings(Chosen):
    """One key. Every other key is an option of the kind, e.g. `file`."""

    kind: Name = Field(description="Signer adapter, e.g. `key_file`, `keystore`.")

    def public(self, base: Path) -> dict[str, str]:
        """Kind and files, relative to `base` where they lie below it."""
        files = {key: str(value) for key, value in self.options.items() if _names_a_file(key)}
        return {"kind": self.kind, **{key: name.removeprefix(f"{base}/") for key, name in files.items()}}

    def located(self, base: Path) -> SignerSettings:
        """With the options `file` and `*_file` made absolute from `base`; `cred:NAME` stays as it is."""
        options = {key: _located(base, key, value) for key, value in self.options.items()}
        return self.model_copy(update={"options": options})


SENDER = "sender"
"""The wallet of every lane that names no other."""
LANES = tuple(lane.name.lower() for lane in Lane)


class SignersSettings(Model):
    """Report keys sign prices and hold no funds; senders pay gas and sign no prices. None at all: dry run."""

    reports: tuple[SignerSettings, ...] = Field(default=(), max_length=32)
    sender: SignerSettings | None = Field(default=None, description="The wallet that sends, for all lanes or the rest.")
    wallets: Mapping[Name, SignerSettings] = Field(
        default_factory=dict,
        description="Further wallets by a name of your own, for lanes that shall not wait for others.",
    )
    lanes: Mapping[Name, Name] = Field(
        default_factory=dict,
        description=f"Which wallet a lane sends with, e.g. `price: pusher`. Lanes: {', '.join(f'`{each}`' for each in LANES)}.",
    )

    @property
    def senders(self) -> Mapping[str, SignerSettings]:
        """Every sending key by its wallet's name."""
        return {**({} if self.sender is None else {SENDER: self.sender}), **self.wallets}

    def wallet_of(self, lane: Lane) -> str:
        return self.lanes.get(lane.name.lower(), SENDER)

    def located(self, base: Path) -> SignersSettings:
        reports = tuple(found.located(base) for found in self.reports)
        wallets = {name: found.located(base) for name, found in self.wallets.items()}
        sender = self.sender.located(base) if self.sender else None
        return self.model_copy(update={"reports": reports, "sender": sender, "wallets": wallets})

    def public(self, base: Path) -> dict[str, Any]:
        """Kinds and file names."""
        return {
            "reports": [signer.public(base) for signer in self.reports],
            "sender": self.sender.public(base) if self.sender else None,
            "wallets": {name: signer.public(base) for name, signer in self.wallets.items()},
            "lanes": dict(self.lanes),
        }


def sender_place(wallet: str) -> str:
    """Where the key of a wallet stands in keeper.yaml."""
    return "signers.sender" if wallet == SENDER else f"signers.wallets.{wallet}"


class ReportSettings(Model):
    ttl_s: Count = Field(
        default=20,
        le=3600,
        description="Seconds for which a signed batch may still be mined. Longer than every perp's `index.max_age_s`.",
    )


class VenueSettings(Model):
    """Other addresses for a venue than its own, and its key where it wants one."""

    url: StreamUrl | None = None
    rest_url: HttpUrl | None = None
    plain_http: bool = Field(default=False, description="Allow ws:// and http:// to other machines.")
    key_file: str | None = Field(
        default=None, description="File with the API key of a venue that asks for one (`pyth_hermes`), or `cred:NAME`."
    )

    def located(self, base: Path) -> VenueSettings:
        """With `key_file` made absolute from `base`; `cred:NAME` stays as it is."""
        return self.model_copy(update={"key_file": _located(base, "key_file", self.key_file)})


class OnchainSettings(Chosen):
    """A price that a contract on our chain holds. Every other key is an option of the kind."""

    kind: Name = Field(description="`chainlink`, `pyth` or `uniswap_v3`.")


class OpsSettings(Model):
    """Where /livez, /readyz, /metrics and /status are served."""

    host: str = Field(default="127.0.0.1", min_length=1, max_length=253)
    port: int = Field(default=9464, ge=0, le=65535, description="0 takes any free port.")
    expose: bool = Field(default=False, description="Allow an address other than loopback.")
    allowed_hosts: tuple[str, ...] = Field(
        default=(), description="Further Host names to answer to, e.g. the name that Prometheus scrapes."
    )


class AdminSettings(Model):
    socket: FilePath = Field(
        default=Path("keeper.sock"), description="Unix socket, in the runtime directory unless absolute."
    )


class TapeSettings(Model):
    """What venues and chain said, as it came in: for `keeper replay` and the raw messages behind a price."""

    max_mb: int = Field(
        default=256, ge=0, le=1_000_000, description="Size of the ring in the state directory; 0 keeps none."
    )


class EvidenceSettings(Model):
    """The records behind every published price, for `keeper explain` and `keeper verify`."""

    keep_days: Count = Field(default=30, le=3660, description="Age at which a record is forgotten.")
    max_mb: Count = Field(
        default=1024, le=1_000_000, description="Size of the compressed records; the oldest give way before that age."
    )


class LogSettings(Model):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = Field(
        default="auto", description="auto: console on a terminal, else JSON."
    )


class CommonSettings(Model):
    """What keeper.yaml holds besides the list of market files."""

    chain: ChainSettings
    deployments: Mapping[Name, DeploymentSettings] = Field(default_factory=dict)
    signers: SignersSettings = Field(default_factory=SignersSettings)
    report: ReportSettings = Field(default_factory=ReportSettings)
    venues: Mapping[Name, VenueSettings] = Field(default_factory=dict)
    onchain: Mapping[Symbol, OnchainSettings] = Field(
        default_factory=dict, description="By name: what a market takes as a source of that kind with this `symbol`."
    )
    ops: OpsSettings = Field(default_factory=OpsSettings)
    admin: AdminSettings = Field(default_factory=AdminSettings)
    log: LogSettings = Field(default_factory=LogSettings)
    tape: TapeSettings = Field(default_factory=TapeSettings)
    evidence: EvidenceSettings = Field(default_factory=EvidenceSettings)
    grace_s: Seconds = Field(default=20.0, description="How long a stop waits for transactions that are under way.")


_INDECISIVE = frozenset({"signers", "ops", "admin", "log", "tape", "evidence", "grace_s"})


class GlobalFile(CommonSettings):
    """keeper.yaml as written. Relative file names start from the directory of keeper.yaml."""

    state_dir: FilePath | None = Field(
        default=None, description="Journal and snapshots. Default: systemd's `$STATE_DIRECTORY`, else `state`."
    )
    markets: tuple[str, ...] = Field(min_length=1, description="Market files, globs allowed, relative to this file.")


class Settings(CommonSettings):
    """keeper.yaml and all market files, with paths made absolute. What the program is built from."""

    markets: tuple[MarketSettings, ...]
    file: Path
    state_dir: Path
    admin_socket: Path
    places: Mapping[str, str] = Field(default_factory=dict, repr=False)

    def where(self, field: str) -> str:
        """`ops.port`, and where in keeper.yaml it stands if it is written there: for messages."""
        return f"{self.places[field]}: {field}" if field in self.places else field

    @property
    def perps(self) -> tuple[MarketSettings, ...]:
        """Markets that are published, in the order of their names."""
        return tuple(market for market in self.markets if not market.is_index_only)

    def market(self, name: str) -> MarketSettings:
        """Raises KeyError."""
        return {market.market: market for market in self.markets}[name]

    def markets_of(self, deployment: DeploymentId) -> Mapping[MarketId, MarketSettings]:
        return {market.id: market for market in self.perps if market.deployment == deployment}

    def public(self) -> dict[str, Any]:
        """All settings by their names in YAML, without URLs' keys and directories; of signers kinds and file names."""
        hidden = {"file", "state_dir", "admin_socket", "places", "signers"}
        shown = self.model_dump(mode="json", by_alias=True, exclude=hidden)
        for venue in shown["venues"].values():
            if venue["key_file"] is not None:
                venue["key_file"] = venue["key_file"].removeprefix(f"{self.file.parent}/")
        return {**shown, "signers": self.signers.public(self.file.parent)}

    @property
    def decisive(self) -> str:
        """What prices and acts depend on in the public view, in one spelling: JSON with sorted keys and without spaces."""
        decisive = {key: value for key, value in self.public().items() if key not in _INDECISIVE}
        decisive["venues"] = {
            name: {key: value for key, value in venue.items() if key != "key_file"}
            for name, venue in decisive["venues"].items()
        }
        return json.dumps(decisive, sort_keys=True, separators=(",", ":"))

    @property
    def hash(self) -> str:
        """SHA-256 of `decisive`: what decisions name as their configuration."""
        return hashlib.sha256(self.decisive.encode()).hexdigest()
