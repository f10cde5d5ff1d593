"""One published batch with all that is known of it: records, transaction, and what the chain shows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from keeper.adapters.evidence.segments import StoredRecord
from keeper.adapters.rpc import RpcChain
from keeper.adapters.rpc_codec import logs
from keeper.adapters.rpc_transactions import transaction
from keeper.app.admin import Refused
from keeper.app.provenance.sites import Sites, documents, read_push
from keeper.domain.chain import Call, SeenTransaction
from keeper.domain.ids import Hash
from keeper.domain.report import SeenReport
from keeper.domain.time import MILLISECOND, SECOND, Timestamp
from keeper.domain.transaction import Intent, TxRecord
from keeper.domain.validity import round_id
from keeper.errors import ConfigError, KeeperError
from keeper.ports.deployment import Deployment
from keeper.settings.archived import ArchivedConfig
from keeper.settings.faults import suggestion

_HASH = re.compile(r"0x[0-9a-f]{64}", re.ASCII)
_BEGINNING = re.compile(r"0x[0-9a-f]{8,64}", re.ASCII)
_SHORTEST = 10
_LONGEST_NUMBER = 19
_SHOWN = 80
_LATEST = 1 << 62
"""In the year 2116: with what is added to it, it still has the 63 bits of an index's integers."""


class Asked(NamedTuple):
    """What to look for: one of them is set."""

    tx: str = ""
    round_id: int = 0
    market: str = ""
    at: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """`records` with this `root`. `sent` is the journal's transaction, `shown` the chain's; `seen` its calldata, read."""

    root: str
    records: tuple[StoredRecord, ...]
    documents: Sequence[Mapping[str, Any]]
    config: ArchivedConfig | None
    config_fault: str
    config_altered: bool
    tx_hash: Hash | None
    sent: TxRecord | None
    shown: SeenTransaction | None
    deployment: Deployment | None
    seen: SeenReport | None

    @property
    def call(self) -> Call | None:
        """The chain's where it shows one."""
        if self.shown is not None:
            return self.shown.call
        return None if self.intent is None else self.intent.call

    @property
    def intent(self) -> Intent | None:
        """What the journal sent under this hash."""
        return _intent(self.sent, self.tx_hash)

    @property
    def round_id(self) -> int | None:
        if self.seen is not None:
            return self.seen.report.round_id
        return _round_of(self.documents[0]) if self.documents else None


def asked(words: str) -> Asked:
    """`0x…`, a round, or `MARKET@TIME`. Raises Refused."""
    words = words.strip().rstrip("…")
    if words.lower().startswith("0x"):
        if not _BEGINNING.fullmatch(words.lower()):
            raise Refused(f"{words}: write a transaction's hash, or at least its first {_SHORTEST} characters")
        return Asked(tx=words.lower())
    market, _, when = words.partition("@")
    if market and "@" in words:
        return Asked(market=market, at=instant(when))
    if words.isdecimal() and len(words) <= _LONGEST_NUMBER and int(words) * MILLISECOND < _LATEST:
        return Asked(round_id=int(words))
    raise Refused(
        f"{words[:_SHOWN]}: write a transaction's hash, MARKET@TIME such as BTC-USD@2026-01-31T12:00:00, or a round"
    )


def instant(text: str) -> int:
    """Nanoseconds of an ISO time (UTC unless it says otherwise) or of unix seconds or milliseconds. Raises Refused."""
    found = _LATEST
    if text.isdecimal() and len(text) <= _LONGEST_NUMBER:
        found = int(text) * (SECOND if len(text) < 12 else MILLISECOND)
    elif not text.isdecimal():
        with suppress(ValueError):
            at = datetime.fromisoformat(text)
            at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
            found = int(at.replace(microsecond=0).timestamp()) * SECOND + at.microsecond * 1_000
    if not 0 <= found < _LATEST:
        raise Refused(f"{text[:_SHOWN]}: write a time like 2026-01-31T12:00:00, or unix seconds")
    return found


async def find(sites: Sites, chain: RpcChain | None, what: Asked) -> Batch:
    """Raises Refused when nobody knows it."""
    if what.tx:
        return await _by_transaction(sites, chain, what.tx)
    if what.market:
        record = sites.by_market(what.market, what.at)
        if record is None:
            raise Refused(_unrecorded(sites, what.market))
        return await of_records(sites, chain, _fellows(sites, record))
    return await _by_round(sites, chain, what.round_id)


async def of_records(sites: Sites, chain: RpcChain | None, records: tuple[StoredRecord, ...]) -> Batch:
    """The batch of records that belong together, wherever it was sent."""
    told = documents(records)
    round_ = _round_of(told[0])
    sent = sites.sent(round_)
    hash_ = None if sent is None or sent.winner is None else sent.winner.hash
    if hash_ is None and chain is not None:
        hash_ = await _logged(sites, chain, round_, told) or (sent.attempts[-1].hash if sent else None)
    shown = await _shown(chain, hash_)
    return _batch(sites, records, hash_, sent, shown)


def _fellows(sites: Sites, record: StoredRecord) -> tuple[StoredRecord, ...]:
    """Of one batch: before roots were kept, what was written at the same instant."""
    if record.root is not None:
        return sites.by_root(record.root)
    return tuple(found for found in sites.around(record.created_at) if found.created_at == record.created_at)


async def _by_round(sites: Sites, chain: RpcChain | None, round_: int) -> Batch:
    near = sites.around(round_ * MILLISECOND)
    found = [each for each in near if _round_of(documents([each])[0]) == round_]
    if found:
        return await of_records(sites, chain, _fellows(sites, found[0]))
    sent = sites.sent(round_)
    hash_ = sent.winner.hash if sent is not None and sent.winner is not None else None
    if hash_ is None and chain is not None:
        hash_ = await _logged(sites, chain, round_, ())
    if hash_ is None and sent is None:
        raise Refused(f"round {round_}: neither a record nor a transaction of it is known")
    return _batch(sites, (), hash_, sent, await _shown(chain, hash_))


async def _by_transaction(sites: Sites, chain: RpcChain | None, tx: str) -> Batch:
    sent = sites.named(tx)
    whole = Hash(tx) if _HASH.fullmatch(tx) else None
    if whole is None and sent is not None:
        shown_hash = sent.winner.hash if sent.winner is not None else sent.attempts[-1].hash
        whole = next((each.hash for each in sent.attempts if each.hash.startswith(tx)), shown_hash)
    shown = await _shown(chain, whole)
    if sent is None and shown is None:
        where = "the journal" if chain is None else "neither the journal nor an endpoint"
        raise Refused(f"{tx}: {where} knows {'nothing of it' if chain is None else 'it'}")
    return _batch(sites, (), whole, sent, shown)


def _batch(
    sites: Sites,
    records: tuple[StoredRecord, ...],
    hash_: Hash | None,
    sent: TxRecord | None,
    shown: SeenTransaction | None,
) -> Batch:
    """Puts together what belongs to the calldata; without one, to the records."""
    intent = _intent(sent, hash_)
    call = shown.call if shown is not None else None if intent is None else intent.call
    config, fault, altered = _config(sites, records)
    push = None if call is None else read_push(call.to, call.data, sites.deployments(config))
    if push is None and call is not None:
        raise Refused(f"{hash_}: a transaction that pushes no prices to an oracle of ours")
    if not records and push is not None:
        records = sites.by_root("0x" + push[1].report.evidence.hex())
        config, fault, altered = _config(sites, records)
    root = "0x" + push[1].report.evidence.hex() if push is not None else records[0].root or ""
    deployment, seen = (None, None) if push is None else push
    return Batch(root, records, documents(records), config, fault, altered, hash_, sent, shown, deployment, seen)


def _intent(sent: TxRecord | None, hash_: Hash | None) -> Intent | None:
    """A nonce may have been used for one round after another: the one with this hash."""
    if sent is None:
        return None
    return next((attempt.intent for attempt in sent.attempts if attempt.hash == hash_), sent.intent)


def _unrecorded(sites: Sites, market: str) -> str:
    known = sites.markets()
    if market in known or not known:
        return f"no record of {market} that was made then or before is kept at {sites.looked_at()}"
    return f"{market} is not a market here{suggestion(market.upper(), known)}"


def _config(sites: Sites, records: Sequence[StoredRecord]) -> tuple[ArchivedConfig | None, str, bool]:
    """What the records name; else why not, and whether it is kept and is not what it was."""
    if not records:
        return None, "no record names one", False
    named = str(documents(records)[0]["config"])
    try:
        found = sites.config(named)
    except ConfigError as error:
        return None, str(error), False
    except ValueError as error:
        return None, str(error), True
    return found, "" if found is not None else f"configuration {named[:12]} is not kept", False


async def _shown(chain: RpcChain | None, hash_: Hash | None) -> SeenTransaction | None:
    if chain is None or hash_ is None:
        return None
    try:
        return await transaction(chain, hash_)
    except KeeperError:
        return None


async def _logged(sites: Sites, chain: RpcChain, round_: int, told: Sequence[Mapping[str, Any]]) -> Hash | None:
    """The transaction that pushed a round, from the oracle's logs."""
    config = None
    if told:
        try:
            config = sites.config(str(told[0]["config"]))
        except (ConfigError, ValueError):
            config = None
    for deployment in sites.deployments(config):
        protocol = deployment.protocol
        where = {"fromBlock": hex(protocol.from_block), "toBlock": "latest", "address": protocol.oracle}
        try:
            found = logs(
                await chain.request("eth_getLogs", ({**where, "topics": list(protocol.pushed_topics(round_))},))
            )
        except (KeeperError, ValueError):
            continue
        if found:
            return found[-1].tx_hash
    return None


def _round_of(document: Mapping[str, Any]) -> int:
    """A record that does not tell was made in the millisecond of its round, or a little before."""
    due = document.get("due")
    return round_id(Timestamp(int(document["now"]))) if due is None else int(due["round"])
