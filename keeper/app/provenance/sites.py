"""Where evidence, transactions and chain are looked for. A configuration that has faults by now still leaves the files."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keeper.adapters.evidence.reader import EvidenceReader
from keeper.adapters.evidence.segments import StoredRecord
from keeper.adapters.journal_reader import JournalReader
from keeper.adapters.prometheus import PrometheusMeter
from keeper.adapters.protocols import PROTOCOLS
from keeper.adapters.rpc import RpcChain
from keeper.adapters.rpc_http import RpcEndpoint
from keeper.app.admin import Refused
from keeper.app.endpoints import rpc_endpoints
from keeper.app.places import exists
from keeper.app.quiet import Quiet
from keeper.app.registries import REGISTRIES
from keeper.domain.ids import ChainId, DeploymentId, MarketId
from keeper.domain.report import SeenReport
from keeper.domain.transaction import TxRecord
from keeper.errors import ConfigError, KeeperError
from keeper.ports.deployment import Deployment
from keeper.ports.protocol import PerpProtocol
from keeper.settings.archived import ArchivedConfig, archived_config
from keeper.settings.load import load, state_directories
from keeper.settings.models import Settings
from keeper.settings.options import build

_JOURNAL = "journal.sqlite"


@dataclass(frozen=True, slots=True)
class Sites:
    """`settings` is None, and `trouble` says why, when the configuration of today cannot be read. `places`: where was looked."""

    settings: Settings | None
    trouble: str
    stores: tuple[EvidenceReader, ...]
    journals: tuple[JournalReader, ...]
    tape: Path | None
    places: tuple[Path, ...] = ()

    @classmethod
    def of(cls, config: Path, state: Path | None = None) -> Sites:
        """`state`: a state directory to look in instead, e.g. one copied from elsewhere. Raises Refused where there are no files."""
        settings, trouble = None, ""
        try:
            settings = load(config, REGISTRIES)
        except KeeperError as error:
            trouble = str(error)
        places = (state,) if state is not None else state_directories(config)
        found = [place for place in places if exists(place / _JOURNAL) or (place / "evidence").is_dir()]
        if not found and (settings is None or state is not None):
            also = f", and {trouble}" if trouble else ""
            raise Refused(f"no evidence at {', '.join(map(str, places))}{also}")
        journals = tuple(JournalReader(place / _JOURNAL) for place in found if (place / _JOURNAL).exists())
        tape = next((place / "tape" for place in found if (place / "tape").is_dir()), None)
        stores = tuple(EvidenceReader(place) for place in found)
        return cls(settings, trouble, stores, journals, tape, tuple(found or places))

    @asynccontextmanager
    async def chain(self) -> AsyncIterator[RpcChain | None]:
        """None without a readable configuration, or without its endpoints' keys."""
        endpoints: Sequence[RpcEndpoint] = ()
        with suppress(KeeperError):
            endpoints = () if self.settings is None else rpc_endpoints(self.settings, os.environ)
        if self.settings is None or not endpoints:
            yield None
            return
        chain = RpcChain(endpoints, self.settings.chain.id, meter=PrometheusMeter(), log=Quiet())
        async with chain:
            yield chain

    def config(self, named: str) -> ArchivedConfig | None:
        """None when it is not kept. Raises ConfigError when this version cannot read it, ValueError when each kept is another."""
        fault: ValueError | None = None
        for store in self.stores:
            try:
                if (text := store.config(named)) is not None:
                    return archived_config(text)
            except ValueError as error:
                fault = error
        if fault is not None:
            raise fault
        return None

    def markets(self) -> set[str]:
        """Those that prices are, or were, published of."""
        known = set() if self.settings is None else {str(market.id) for market in self.settings.perps}
        for named in (named for store in self.stores for named in store.configs()):
            with suppress(ConfigError, ValueError):
                found = self.config(named)
                known |= set() if found is None else set(map(str, found.plans))
        return known

    def looked_at(self) -> str:
        return ", ".join(map(str, self.places))

    def deployments(self, config: ArchivedConfig | None) -> Iterator[Deployment]:
        """Those of the record's own configuration first, then those of today's, then of any that is kept."""
        if config is not None:
            yield from _archived_deployments(config)
        if self.settings is not None:
            for name, chosen in self.settings.deployments.items():
                listed = self.settings.markets_of(DeploymentId(name)).items()
                numbers = {market.market_no: id_ for id_, market in listed if market.market_no is not None}
                yield _deployment(name, chosen.protocol, chosen.options, self.settings.chain.id, numbers)
        for named in (named for store in self.stores for named in store.configs()):
            with suppress(ConfigError, ValueError):
                if (found := self.config(named)) is not None:
                    yield from _archived_deployments(found)

    def by_root(self, root: str) -> tuple[StoredRecord, ...]:
        return next((found for store in self.stores if (found := store.by_root(root))), ())

    def by_market(self, market: str, at: int) -> StoredRecord | None:
        return next((found for store in self.stores if (found := store.by_market(market, at)) is not None), None)

    def around(self, at: int) -> tuple[StoredRecord, ...]:
        return next((found for store in self.stores if (found := store.around(at))), ())

    def since(self, at: int) -> Iterator[StoredRecord]:
        for store in self.stores:
            yield from store.since(at)

    def sent(self, round_id: int) -> TxRecord | None:
        """The journal's transaction of a round."""
        return next((tx for journal in self.journals for tx in journal.by_key(str(round_id))), None)

    def named(self, beginning: str) -> TxRecord | None:
        return next((tx for journal in self.journals for tx in journal.by_name(beginning)), None)


def _archived_deployments(config: ArchivedConfig) -> Iterator[Deployment]:
    for name, chosen in config.deployments.items():
        numbers = {plan.market_no: market for market, plan in config.plans.items() if plan.deployment == name}
        options = {key: value for key, value in chosen.items() if key != "protocol"}
        yield _deployment(name, str(chosen["protocol"]), options, config.chain_id, numbers)


def _deployment(
    name: str, kind: str, options: Mapping[str, Any], chain_id: int, markets: Mapping[int, MarketId]
) -> Deployment:
    protocol: PerpProtocol = build(PROTOCOLS, kind, options, f"deployments.{name}", chain_id=chain_id)
    return Deployment(DeploymentId(name), ChainId(chain_id), protocol, markets)


def read_push(to: str, data: bytes, known: Iterator[Deployment]) -> tuple[Deployment, SeenReport] | None:
    """The push that this calldata is, by the first deployment whose oracle it went to."""
    for deployment in known:
        if deployment.protocol.oracle == to:
            seen = deployment.protocol.read_publish(data, deployment.id, deployment.markets)
            if seen is not None:
                return deployment, seen
    return None


def documents(records: Sequence[StoredRecord]) -> list[dict[str, Any]]:
    """In the order of their markets' numbers. Raises Refused for a text that is no record."""
    try:
        found = [json.loads(record.text) for record in records]
        return sorted(found, key=lambda each: int(each["entry"]["no"]))
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(f"a record cannot be read: {error}") from None
