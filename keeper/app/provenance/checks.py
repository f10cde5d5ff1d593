"""What `keeper verify` finds about one published batch, each check by its name (docs/provenance.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from keeper import __version__
from keeper.adapters.encoding.keccak import keccak
from keeper.adapters.signers.curve import recovered
from keeper.app.provenance.batches import Batch
from keeper.app.provenance.chainside import ChainFacts
from keeper.app.sessions import session_rules
from keeper.domain.events import BatchPushed, PriceSkipped, PriceUpdated
from keeper.domain.evidence import canonical_json, leaf_of, merkle_root
from keeper.domain.feed import PREMIUM_REPORTED
from keeper.domain.ids import Address, IndexId
from keeper.domain.provenance import FORMAT
from keeper.domain.recall import recall
from keeper.domain.recompute import recompute
from keeper.domain.report import MarketPrice, SeenReport
from keeper.domain.time import MILLISECOND
from keeper.domain.validity import FRESH_NS
from keeper.errors import KeeperError
from keeper.settings.archived import ArchivedConfig

Status = Literal["ok", "failed", "unknown"]


@dataclass(frozen=True, slots=True)
class Found:
    """`unknown`: it could not be checked, and why."""

    check: str
    status: Status
    detail: str


def checks(batch: Batch, facts: ChainFacts) -> Iterator[Found]:
    yield _transaction(batch)
    yield from _chain(batch, facts)
    yield _signatures(batch, facts)
    if not batch.records:
        yield Found("records", "failed", f"no records with root {batch.root} are kept")
        return
    yield Found("records", "ok", f"{len(batch.records)} of {batch.root}")
    yield _leaves(batch)
    yield _root(batch)
    yield _entries(batch)
    yield _config(batch)
    yield _prices(batch)


def _told(check: str, faults: Sequence[str], detail: str) -> Found:
    return Found(check, "failed", "; ".join(faults)) if faults else Found(check, "ok", detail)


def _transaction(batch: Batch) -> Found:
    shown, check = batch.shown, "transaction"
    if shown is None:
        return Found(check, "unknown", "no node shows the transaction: its calldata is the journal's")
    if shown.rehashed is None:
        return Found(check, "unknown", "a kind of transaction that is not encoded here")
    faults = []
    if shown.rehashed != batch.tx_hash:
        faults.append("what the node shows does not have this hash")
    if batch.intent is not None and batch.intent.call.data != shown.call.data:
        faults.append("the node shows another calldata than the journal sent")
    return _told(check, faults, f"{batch.tx_hash} from {shown.sender}")


def _chain(batch: Batch, facts: ChainFacts) -> Iterator[Found]:
    receipt = facts.receipt
    if receipt is None:
        detail = facts.trouble.get("receipt", "")
        yield Found("receipt", "unknown" if detail else "failed", detail or "the transaction is not mined")
        return
    yield _told("receipt", [] if receipt.status == 1 else ["it reverted"], f"success in block {receipt.block_number}")
    canonical = facts.block is not None and facts.block.hash == receipt.block_hash
    now = "none" if facts.block is None else facts.block.hash
    yield _told("block", [] if canonical else [f"block {receipt.block_number} is {now} now"], receipt.block_hash)
    if batch.seen is not None:
        yield _events(batch.seen, facts)
        yield _stored(batch.seen, facts)


def _events(seen: SeenReport, facts: ChainFacts) -> Found:
    pushed = [event for event in facts.events if isinstance(event, BatchPushed)]
    wanted = (seen.report.round_id, "0x" + seen.report.evidence.hex())
    faults = []
    if wanted not in [(event.round_id, "0x" + event.evidence.hex()) for event in pushed]:
        faults.append(f"no BatchPushed of round {wanted[0]} with evidence {wanted[1]}")
    updated = {event.market_no: event for event in facts.events if isinstance(event, PriceUpdated)}
    skipped = _skipped(facts)
    for entry in seen.report.prices:
        event = updated.get(entry.market_no)
        if event is None and entry.market_no not in skipped:
            faults.append(f"{entry.market}: neither PriceUpdated nor PriceSkipped")
        elif event is None:
            continue
        elif (event.index_e18, event.mark_e18) != (entry.index_e18, entry.mark_e18):
            faults.append(f"{entry.market}: PriceUpdated says {event.index_e18}, {event.mark_e18}")
        elif _reported(facts, entry) and event.premium_e18 != entry.premium_e18:
            faults.append(f"{entry.market}: PriceUpdated says premium {event.premium_e18}")
    left_out = "".join(f", no. {no} skipped for reason {reason}" for no, reason in sorted(skipped.items()))
    return _told("event", faults, f"BatchPushed, {len(updated)} PriceUpdated{left_out}")


def _skipped(facts: ChainFacts) -> dict[int, int]:
    """Entries that the oracle refused, by market number, and its reason: it may take the others of a batch."""
    return {event.market_no: event.reason for event in facts.events if isinstance(event, PriceSkipped)}


def _reported(facts: ChainFacts, entry: MarketPrice) -> bool:
    """Whether the chain takes the batch's premium; else it derives one of its own."""
    feed = None if facts.state is None else facts.state.feeds.get(entry.market_no)
    return feed is not None and feed.premium_kind == PREMIUM_REPORTED


def _stored(seen: SeenReport, facts: ChainFacts) -> Found:
    if facts.state is None:
        return Found("stored", "unknown", facts.trouble.get("state", "the state was not asked for"))
    faults, later, skipped = [], [], _skipped(facts)
    for entry in seen.report.prices:
        if entry.market_no in skipped:
            continue
        feed = facts.state.feeds.get(entry.market_no)
        if feed is None or feed.round_id < seen.report.round_id:
            faults.append(f"{entry.market}: the oracle does not hold this round")
        elif feed.round_id > seen.report.round_id:
            later.append(entry.market)
        elif (feed.index_e18, feed.mark_e18) != (entry.index_e18, entry.mark_e18):
            faults.append(f"{entry.market}: the oracle holds {feed.index_e18}, {feed.mark_e18}")
    if later and not faults:
        return Found("stored", "unknown", f"{', '.join(later)}: a later round stood there by the end of the block")
    return _told("stored", faults, f"{len(seen.report.prices) - len(skipped)} as signed")


def _signatures(batch: Batch, facts: ChainFacts) -> Found:
    check = "signatures"
    if batch.seen is None or batch.deployment is None:
        return Found(check, "unknown", "no calldata is known")
    signers, faults = signers_of(batch), []
    if None in signers:
        faults.append("a signature recovers to nobody")
    if len(set(signers)) < len(signers):
        faults.append("one signer stands there twice")
    state = facts.state
    known = sorted(signer for signer in signers if signer is not None)
    if state is None:
        if faults or not signers:
            return _told(check, faults or ["there are none"], "")
        return Found(check, "unknown", f"by {', '.join(known)}; who was authorised then is not known: "
                     + facts.trouble.get("state", facts.trouble.get("receipt", "no block")))  # fmt: skip
    faults += [f"{signer} was not authorised" for signer in known if signer not in state.oracle.signers]
    if state.oracle.signer_epoch != batch.seen.report.signer_epoch:
        faults.append(f"epoch {batch.seen.report.signer_epoch}, the oracle was at {state.oracle.signer_epoch}")
    need = state.oracle.quorum
    if len(known) < need:
        faults.append(f"{len(known)} of {need}")
    return _told(check, faults, f"{', '.join(known)} of epoch {state.oracle.signer_epoch}, quorum {need}")


def signers_of(batch: Batch) -> list[Address | None]:
    if batch.seen is None or batch.deployment is None:
        return []
    digest = batch.deployment.protocol.digest(batch.seen.report)
    return [recovered(digest, r, vs) for r, vs in batch.seen.signatures]


def _leaves(batch: Batch) -> Found:
    faults = []
    for record, document in zip(batch.records, _in_order(batch), strict=True):
        if "0x" + leaf_of(record.text, keccak).hex() != record.leaf:
            faults.append(f"{record.market}: {record.leaf} is not the hash of its record")
        try:
            spelled = canonical_json(document)
        except ValueError as error:
            spelled = str(error)
        if spelled != record.text:
            faults.append(f"{record.market}: not in its one spelling")
    return _told("leaves", faults, f"{len(batch.records)} records")


def _in_order(batch: Batch) -> list[Mapping[str, Any]]:
    by_market = {str(document["market"]): document for document in batch.documents}
    return [by_market.get(record.market, {}) for record in batch.records]


def _root(batch: Batch) -> Found:
    root = "0x" + merkle_root([leaf_of(record.text, keccak) for record in batch.records], keccak).hex()
    return _told("root", [] if root == batch.root else [f"the records give {root}, the batch says {batch.root}"], root)


def _entries(batch: Batch) -> Found:
    if batch.seen is None:
        return Found("entries", "unknown", "no calldata is known")
    recorded = {int(document["entry"]["no"]): document["entry"] for document in batch.documents}
    faults = [f"no. {no} is in the records and not in the batch" for no in recorded.keys() - _numbers(batch.seen)]
    for price in batch.seen.report.prices:
        entry = recorded.get(price.market_no)
        faults += [f"{price.market} has no record"] if entry is None else list(_apart(price, entry))
    faults += [fault for document in batch.documents for fault in _elsewhen(document, batch.seen.report.round_id)]
    return _told("entries", sorted(faults), f"{len(recorded)} as recorded")


def _elsewhen(document: Mapping[str, Any], round_: int) -> Iterator[str]:
    """A record of another time: computed again it gives its price all the same, and none of this round."""
    due, market = document.get("due"), document["market"]
    if due is not None and int(due["round"]) != round_:
        yield f"{market}: its record is of round {due['round']}"
    away_ns = abs(round_ * MILLISECOND - int(document["now"]))
    if away_ns > FRESH_NS + MILLISECOND:
        yield f"{market}: it was computed {away_ns // MILLISECOND} ms away from its round"


def _numbers(seen: SeenReport) -> set[int]:
    return {price.market_no for price in seen.report.prices}


def _apart(price: MarketPrice, entry: Mapping[str, Any]) -> Iterator[str]:
    stated = {"index": price.index_e18, "mark": price.mark_e18, "premium": price.premium_e18}
    for name, number in stated.items():
        if number != int(entry[name]):
            yield f"{price.market}: {name} {number} in the batch, {entry[name]} in the record"


def _config(batch: Batch) -> Found:
    others = {str(document["config"]) for document in batch.documents}
    if batch.config is None:
        return Found("config", "failed" if batch.config_altered else "unknown", batch.config_fault)
    if others != {batch.config.hash}:
        return Found("config", "failed", f"its records name {', '.join(sorted(each[:12] for each in others))}")
    return Found("config", "ok", batch.config.hash)


def _prices(batch: Batch) -> Found:
    if batch.config is None:
        return Found("prices", "unknown", f"cannot be computed without its configuration: {batch.config_fault}")
    formats = {str(document.get("format")) for document in batch.documents} - {str(FORMAT)}
    if formats:
        return Found(
            "prices", "unknown", f"records of format {', '.join(sorted(formats))}, this version computes {FORMAT}"
        )
    faults = []
    for document in batch.documents:
        try:
            found = _recomputed(document, batch.config)
        except (KeeperError, KeyError, ValueError, TypeError, AttributeError) as error:
            found = [f"{type(error).__name__}: {error}"]
        faults += [f"{document.get('market')}: {each}" for each in found]
    versions = {str(document.get("code")) for document in batch.documents} - {__version__}
    other = f", by this version {__version__}; recorded by {', '.join(sorted(versions))}" if versions else ""
    return _told("prices", faults, f"{len(batch.documents)} markets, to the last digit{other}")


def _recomputed(document: Mapping[str, Any], config: ArchivedConfig) -> Sequence[str]:
    given = recall(document)
    plan = config.plans.get(given.market)
    if plan is None:
        return ["its configuration has no such market"]
    if int(document["entry"]["no"]) != plan.market_no:
        return [f"entry no. {document['entry']['no']}, its market has no. {plan.market_no}"]
    specs = config.specs_of([IndexId(index["id"]) for index in document["indices"]])
    plan = replace(plan, session=session_rules(config.markets[given.market], given.now))
    return recompute(given, plan, specs).differences(given)
