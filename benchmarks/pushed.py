"""What arrived at the node, read by other people's libraries, and what the journal says behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_abi.abi import decode
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from hexbytes import HexBytes

from benchmarks.library_path import TYPES, domain_of, message_of
from keeper.adapters.encoding.keccak import keccak
from keeper.adapters.evidence.reader import EvidenceReader
from keeper.domain.evidence import leaf_of, merkle_root
from keeper.domain.ids import Address, DeploymentId, MarketId, SourceId
from keeper.domain.index import IndexPrice
from keeper.domain.mark.method import MarkInputs
from keeper.domain.market import MarketPlan
from keeper.domain.pricing import components, price_component, rates_behind
from keeper.domain.recall import recall
from keeper.domain.report import MarketPrice, PriceReport
from keeper.settings.models import Settings
from keeper.settings.specs import index_spec, market_plan

_ARGUMENTS = ("(uint64,uint40,uint40,uint32,bytes32,(uint32,uint96,uint96,int64)[])", "(bytes32,bytes32)[]")
_LOW_255 = 2**255 - 1


@dataclass(frozen=True, slots=True)
class Pushed:
    report: PriceReport
    signer: str
    """Who signed the prices."""
    sender: str


def pushed(raw: bytes, chain_id: int, oracle: Address) -> Pushed:
    """A signed transaction read by eth-account and eth-abi. Raises ValueError on a second signature."""
    data = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()["data"]
    (round_id, seen_s, until_s, epoch, evidence, prices), ((r, vs),) = decode(_ARGUMENTS, bytes(data)[4:])
    entries = tuple(MarketPrice(MarketId(str(no)), no, index, mark, premium) for no, index, mark, premium in prices)
    report = PriceReport(DeploymentId(""), round_id, seen_s, until_s, epoch, evidence, entries)
    message = encode_typed_data(domain_of(chain_id, oracle), TYPES, message_of(report))
    packed = int.from_bytes(vs, "big")
    vrs = (27 + (packed >> 255), int.from_bytes(r, "big"), packed & _LOW_255)
    return Pushed(report, Account.recover_message(message, vrs=vrs).lower(), Account.recover_transaction(raw).lower())


Document = Mapping[str, Any]


def behind(journal: Path) -> dict[bytes, list[Document]]:
    """The records of each batch by the root over them: those of one tick, which one write put down."""
    groups: dict[tuple[str, int], list[tuple[bytes, Document]]] = {}
    for record in EvidenceReader(journal.parent).since(0):
        groups.setdefault(("", record.created_at), []).append((leaf_of(record.text, keccak), json.loads(record.text)))
    return {
        merkle_root([leaf for leaf, _ in group], keccak): [document for _, document in group]
        for group in groups.values()
    }


@dataclass(frozen=True, slots=True)
class Recomputed:
    """Recomputes a record's index and mark from what it says went in."""

    settings: Settings

    def differs(self, document: Document) -> str:
        """What is different, or nothing."""
        given = recall(document)
        plan = self._plans()[given.market]
        every = list(self._specs())
        wanted = {plan.spec.id, *rates_behind(every)[plan.spec.id]}
        specs = [spec for spec in every if spec.id in wanted]
        made = price_component(specs, given.quotes, given.last, given.now, given.states, given.traded)
        index = made[plan.spec.id]
        if not isinstance(index, IndexPrice) or index.price_e18 != given.index_e18:
            return f"{given.market}: index {index}, recorded {given.index_e18}"
        inputs = MarkInputs(given.market, index, given.book, given.trade, given.funding, given.now, given.references)
        _, mark = plan.mark.step(plan.mark.restore(given.mark_state), inputs)
        return "" if mark.price_e18 == given.mark_e18 else f"{given.market}: mark {mark}, recorded {given.mark_e18}"

    def _specs(self) -> Iterator[Any]:
        for group in components([index_spec(market) for market in self.settings.markets]):
            yield from group

    def _plans(self) -> Mapping[MarketId, MarketPlan]:
        return {market.id: market_plan(market) for market in self.settings.perps}


def received_at(document: Document, source: SourceId) -> int:
    """When the quote of `source` behind a record came, in ns since the epoch; 0 if it has none."""
    for index in document["indices"]:
        for vote in index["inputs"]:
            if vote["source"] == source:
                return int(vote["received"])
    return 0


def entries(documents: Sequence[Document]) -> set[tuple[int, int, int, int]]:
    return {
        tuple(int(document["entry"][name]) for name in ("no", "index", "mark", "premium"))  # type: ignore[misc]
        for document in documents
    }
