"""Checks of the evidence: every price on chain traced to records, and every number in them to what a venue sent."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from keeper.devnet.verify.exact import exact_index, exact_premium
from keeper.devnet.verify.journal import Batch, Record, batches, behind, is_canonical, records
from keeper.devnet.verify.outcome import Outcome, outcome
from keeper.devnet.verify.recording import Recording

E18 = 10**18
BEFORE_NS, AFTER_NS = 5 * 10**9, 10**9
"""How long before and after its receipt a tick may stand on the tape: a venue notes it when the last client has it."""
TRIGGERS = ("first", "deviation", "heartbeat", "ride_along")


@dataclass(frozen=True)
class Traced:
    """Batches with the records behind them, None where none were found."""

    recording: Recording
    journal: Path

    @cached_property
    def found(self) -> Sequence[tuple[Batch, Sequence[Record] | None]]:
        by_entry: dict[tuple[int, int, int, int], list[Record]] = {}
        for record in records(self.journal):
            by_entry.setdefault(record.entry, []).append(record)
        return [(batch, behind(batch, by_entry)) for batch in batches(self.recording)]

    @cached_property
    def records(self) -> Sequence[Record]:
        """The records behind every batch, each once."""
        by_leaf = {record.leaf: record for _, found in self.found for record in found or ()}
        return list(by_leaf.values())


def roots(traced: Traced) -> Outcome:
    """Evidence is never zero and is the root over records in the journal that say what the batch says."""
    findings = []
    for batch, found in traced.found:
        if not any(batch.evidence):
            findings.append(f"round {batch.round_id}: the evidence is zero")
        elif found is None:
            findings.append(f"round {batch.round_id}: no records in the journal give root 0x{batch.evidence.hex()}")
    for record in traced.records:
        if record.stored_leaf.lower() != "0x" + record.leaf.hex():
            findings.append(f"leaf {record.stored_leaf} is not the hash of its record")
        if not is_canonical(record):
            findings.append(f"leaf {record.stored_leaf} is not in canonical spelling")
    if not traced.found:
        findings.append("nothing was pushed")
    whole = sum(found is not None for _, found in traced.found)
    measured = f"{whole} of {len(traced.found)} batches, {len(traced.records)} records"
    return outcome("evidence-root", "root on chain == root of the journal's records", measured, findings)


def pushes(traced: Traced) -> Outcome:
    """How often each market was published, by what made it due."""
    names = {market["market_no"]: market["market"] for market in traced.recording.perps}
    updated = Counter(names.get(event["marketId"], "?") for event in traced.recording.named("PriceUpdated"))
    skipped = len(traced.recording.named("PriceSkipped"))
    triggers: dict[str, Counter[str]] = {name: Counter() for name in names.values()}
    for _, found in traced.found:
        for record in found or ():
            word = str(record.document.get("notes", {}).get("trigger"))
            triggers.setdefault(str(record.document["market"]), Counter())[word] += 1
    need = traced.recording.requirements.pushes
    findings = [f"{name}: {updated[name]} pushes" for name in names.values() if updated[name] < need]
    for name, counts in triggers.items():
        findings += [f"{name}: unknown trigger {word!r}" for word in counts if word not in TRIGGERS]
        if updated[name] > sum(counts.values()):
            findings.append(f"{name}: {updated[name] - sum(counts.values())} pushes without a recorded trigger")
    shown = "; ".join(
        f"{name} {updated[name]} ({', '.join(f'{word} {n}' for word, n in sorted(counts.items()))})"
        for name, counts in triggers.items()
    )
    numbers = {name: dict(counts) for name, counts in triggers.items()}
    measured = f"{shown}; {skipped} skipped by the oracle"
    return outcome("pushes", f"≥ {need} per market, each with its trigger", measured, findings, numbers)


class Tapes:
    """What each venue sent, findable by time."""

    def __init__(self, recording: Recording) -> None:
        self._ticks: dict[str, list[tuple[int, int, int, int]]] = {}
        for tick in recording.lines("tape"):
            prices = (scaled(tick["bid"]), scaled(tick["ask"]), scaled(tick["last"]))
            self._ticks.setdefault(f"{tick['venue']}:{tick['symbol']}", []).append((tick["t"], *prices))
        for ticks in self._ticks.values():
            ticks.sort()

    def near(self, source: str, at: int) -> Sequence[tuple[int, int, int, int]]:
        """(time, bid, ask, last) of what the source sent around `at`."""
        ticks = self._ticks.get(source, [])
        low = bisect_left(ticks, (at - BEFORE_NS, 0, 0, 0))
        return ticks[low : bisect_right(ticks, (at + AFTER_NS, 0, 0, 0))]


class OwnBook:
    """What the perp's own book and tape of trades showed."""

    def __init__(self, recording: Recording) -> None:
        self._tops = {
            (book["symbol"], *book["bids"][0], *book["asks"][0])
            for book in recording.lines("books")
            if book["bids"] and book["asks"]
        }
        self._trades = {(trade["symbol"], trade["price"], trade["size"]) for trade in recording.lines("trades")}

    def judged(self, document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """(source, what is wrong) of the record's book and last trade, where it has them."""
        book, trade = document.get("book"), document.get("trade")
        if book and book["bids"] and book["asks"]:
            top = (_symbol(book), *book["bids"][0], *book["asks"][0])
            yield book["source"], "" if top in self._tops else f"the book never showed bid {top[1]}, ask {top[3]}"
        if trade:
            known = (_symbol(trade), trade["price"], trade["size"]) in self._trades
            yield trade["source"], "" if known else f"nobody traded {trade['size']} at {trade['price']}"


def _symbol(stated: Mapping[str, Any]) -> str:
    return str(stated["source"]).partition(":")[2]


def scaled(text: str) -> int:
    """Exact, scaled by 1e18."""
    return int(Decimal(text).scaleb(18))


def inputs(traced: Traced) -> Outcome:
    """Every vote's quote stands on its venue's tape, and its price follows from it without anything in between."""
    tapes, documents = Tapes(traced.recording), {m["market"]: m for m in traced.recording.run["markets"]}
    shown = OwnBook(traced.recording)
    votes, blamed = 0, Counter[str]()
    examples: dict[str, str] = {}
    for record in traced.records:
        stated = ((vote["source"], problem) for vote, problem in _votes(record, tapes, documents))
        for source, problem in (*stated, *shown.judged(record.document)):
            votes += 1
            if problem:
                blamed[source] += 1
                examples.setdefault(source, problem)
    findings = [f"{source}: {blamed[source]} inputs, e.g. {examples[source]}" for source in blamed]
    if not votes:
        findings.append("no inputs were found")
    measured = f"{votes} inputs in {len(traced.records)} records, {sum(blamed.values())} false"
    numbers = {"inputs": votes, "false": dict(blamed)}
    return outcome("evidence-inputs", "every input as its venue sent it", measured, findings, numbers)


def _votes(
    record: Record, tapes: Tapes, documents: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Each vote of each index in the record, with what is wrong about it."""
    rates = {index["id"]: index["price"] for index in record.document["indices"]}
    for index in record.document["indices"]:
        document = documents.get(index["id"], {})
        designed = {f"{s['kind']}:{s['symbol']}": s for s in document.get("sources", ())}
        for vote in index["inputs"]:
            source = designed.get(vote["source"])
            if source is None:
                yield vote, f"{index['id']} has no such source"
                continue
            rate = rates.get(document.get("conversions", {}).get(source["quote"], ""))
            yield vote, _unsent(vote, tapes) or _misused(vote, source, rate)


def _unsent(vote: Mapping[str, Any], tapes: Tapes) -> str:
    """Whether the venue said so, around the time at which the keeper says it heard it."""
    sent = tapes.near(vote["source"], int(vote["received"]))
    stated = [(place, int(vote[key])) for place, key in enumerate(("bid", "ask", "last"), 1) if vote[key] is not None]
    if not stated:
        return "it states no price"
    if any(all(tick[place] == price for place, price in stated) for tick in sent):
        return ""
    return f"the venue never sent bid {_text(vote['bid'])}, ask {_text(vote['ask'])}, last {_text(vote['last'])}"


def _misused(vote: Mapping[str, Any], source: Mapping[str, Any], rate: str | None) -> str:
    """Whether the vote is the middle of what was sent, times the rate, with the designed weight."""
    if vote["bid"] is None or vote["ask"] is None:
        stated = int(vote["last"] or 0)
    else:
        stated = (int(vote["bid"]) + int(vote["ask"])) // 2
    price = stated if rate is None else stated * int(rate) // E18
    if vote["rate"] != rate:
        return f"rate {_text(vote['rate'])} is not the index's {_text(rate)}"
    if int(vote["price"]) != price:
        return f"price {_text(vote['price'])} does not follow from what was sent, {_text(str(price))} does"
    if int(vote["weight"]) != source["weight"]:
        return f"weight {vote['weight']} instead of {source['weight']}"
    return ""


def _text(number: str | None) -> str:
    return "none" if number is None else f"{Decimal(number).scaleb(-18).normalize():f}"


def results(traced: Traced) -> Outcome:
    """The index in every record follows from its votes, and entry and record say the same."""
    documents = {m["market"]: m for m in traced.recording.run["markets"]}
    findings = []
    for record in traced.records:
        for index in record.document["indices"]:
            if index["price"] is None:
                continue
            expected = exact_index(index["inputs"], documents[index["id"]]["index"])
            if int(index["price"]) != expected:
                findings.append(
                    f"{index['id']} at {record.document['now']}: {index['price']}, its votes give {expected}"
                )
        expected_premium = exact_premium(record.document, documents[record.document["market"]])
        if expected_premium is not None and record.entry[3] != expected_premium:
            findings.append(
                f"{record.document['market']} at {record.document['now']}: premium {record.entry[3]}, "
                f"the book gives {expected_premium}"
            )
        own = record.document["indices"][0]
        if record.entry[1:3] != (int(own["price"] or 0), int(record.document["mark"]["price"])):
            findings.append(f"{record.document['market']} at {record.document['now']}: entry and record differ")
    measured = f"{len(traced.records)} records"
    return outcome(
        "evidence-result", "index and premium recomputed from the inputs, to the last digit", measured, findings
    )
