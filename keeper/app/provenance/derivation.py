"""A published batch as a document: transaction, batch, and each market down to what its venues said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keeper import __version__
from keeper.app.provenance.batches import Batch
from keeper.app.provenance.chainside import ChainFacts
from keeper.app.provenance.checks import signers_of
from keeper.app.provenance.frames import Seen
from keeper.app.provenance.shares import Shares, shares_of
from keeper.app.txview import moment
from keeper.domain.market import MarketPlan
from keeper.domain.numbers import text_of
from keeper.domain.time import MILLISECOND, SECOND, Timestamp

Node = dict[str, Any]


def derivation(batch: Batch, facts: ChainFacts, frames: Sequence[Seen] | None) -> Node:
    """Prices as decimal texts, times in UTC, ages in milliseconds. `proof` is what anybody needs to check it alone."""
    held = {} if frames is None else {(each.wanted.source, each.wanted.digest): each for each in frames}
    return {
        "transaction": _transaction(batch, facts),
        "batch": _batch(batch, facts),
        "markets": [_market(document, batch, held) for document in batch.documents],
        "missing": "" if batch.records else f"no records with root {batch.root} are kept",
        "proof": _proof(batch),
    }


def _transaction(batch: Batch, facts: ChainFacts) -> Node | None:
    if batch.tx_hash is None:
        return None
    receipt, shown, sent = facts.receipt, batch.shown, batch.sent
    kept = receipt if receipt is not None else None if sent is None else sent.receipt
    return {
        "hash": batch.tx_hash,
        "from": shown.sender if shown is not None else None if sent is None else sent.wallet,
        "nonce": shown.nonce if shown is not None else None if sent is None else sent.nonce,
        "state": None if sent is None else sent.state.value,
        "block": None if kept is None else kept.block_number,
        "status": None if kept is None else kept.status,
        "gas_used": None if kept is None else kept.gas_used,
        "told_by": "the chain" if receipt is not None else "the journal",
    }


def _batch(batch: Batch, facts: ChainFacts) -> Node:
    seen, state = batch.seen, facts.state
    report = None if seen is None else seen.report
    return {
        "evidence": batch.root,
        "round_id": batch.round_id,
        "deployment": None if report is None else report.deployment,
        "observed_at_s": None if report is None else report.observed_at_s,
        "valid_until_s": None if report is None else report.valid_until_s,
        "signer_epoch": None if report is None else report.signer_epoch,
        "signers": [signer or "nobody" for signer in signers_of(batch)],
        "quorum": None if state is None else state.oracle.quorum,
        "entries": [
            {
                "market": price.market,
                "market_no": price.market_no,
                "index": text_of(price.index_e18),
                "mark": text_of(price.mark_e18),
                "premium": text_of(price.premium_e18),
            }
            for price in (report.prices if report is not None else ())
        ],
    }


def _proof(batch: Batch) -> Node:
    call, deployment = batch.call, batch.deployment
    return {
        "chain_id": None if deployment is None else deployment.chain_id,
        "oracle": None if call is None else call.to,
        "calldata": None if call is None else "0x" + call.data.hex(),
        "records": [record.text for record in batch.records],
    }


def _market(document: Mapping[str, Any], batch: Batch, frames: Mapping[Any, Seen]) -> Node:
    now, entry = int(document["now"]), document["entry"]
    plan = None if batch.config is None else batch.config.plans.get(document["market"])
    methods = {} if batch.config is None else {spec.id: _named(spec.method) for spec in batch.config.specs}
    converted = {} if batch.config is None else {spec.id: spec for spec in batch.config.specs}
    shares = (
        {}
        if batch.config is None
        else shares_of(document, batch.config.specs_of([e["id"] for e in document["indices"]]))
    )
    indices = [_index(each, now, methods, shares.get(each["id"], {}), frames) for each in document["indices"]]
    by_id = {each["id"]: each for each in indices}
    for each in indices:
        spec = converted.get(each["id"])
        pegs = {} if spec is None else {quote: peg.index for quote, peg in spec.conversions.items()}
        each["conversions"] = {quote: by_id[index] for quote, index in sorted(pegs.items()) if index in by_id}
    return {
        "market": document["market"],
        "decided_at": moment(Timestamp(now)),
        "index_price": _price(entry["index"]),
        "mark_price": _price(entry["mark"]),
        "premium": _price(entry["premium"]),
        "index": indices[0] if indices else None,
        "rates": indices[1:],
        "mark": _mark(document),
        "book": _book(document["book"], now, frames),
        "trade": _trade(document["trade"], now),
        "funding": _funding(document["funding"]),
        "funding_method": _funding_method(document.get("rates")),
        "impact": None if document["impact"] is None else {k: _price(v) for k, v in document["impact"].items()},
        "carried_premium": _price(document["carried"]["value"]),
        "accepted": {name: _price(level) for name, level in document.get("accepted", {}).items()},
        "guard": _guard(document.get("guard")),
        "condition_before": _condition(document.get("condition")),
        "gate": document.get("gate") and {"shut_by": document["gate"]["doubts"]},
        "due": _due(document.get("due"), plan),
        "session": _session(document.get("session")),
        "config": document["config"],
        "code": document["code"],
        "by_this_version": document["code"] == __version__,
    }


def _index(
    index: Mapping[str, Any], now: int, methods: Mapping[Any, str], shares: Shares, frames: Mapping[Any, Seen]
) -> Node:
    """`share_pct` is what a vote counted for, None where weights do not count or the rules of then are not kept."""
    traded = index["traded"]
    used = index["withheld"] is None
    votes = [
        {**_quote(vote, now, frames), "price": _price(vote["price"]), "rate": _price(vote["rate"]), "used": used,
         "weight": int(vote["weight"]), "share_pct": shares.get(vote["source"]), "reason": "",
         "traded": _traded(traded.get(vote["source"]))}
        for vote in index["inputs"]
    ]  # fmt: skip
    refused = [
        {**_quote(each["quote"] or {}, now, frames), "source": each["source"], "price": _price(each["price"]), "used": False,
         "rate": None, "weight": None, "share_pct": None, "reason": each["reason"], "detail": each["detail"],
         "traded": _traded(traded.get(each["source"]))}
        for each in index["rejected"]
    ]  # fmt: skip
    return {
        "id": index["id"],
        "method": methods.get(index["id"]),
        "price": _price(index["price"]),
        "raw": _price(index["raw"]),
        "flags": index["flags"],
        "withheld": index["withheld"],
        "detail": index["detail"],
        "last": _price(index["last"]),
        "benched": index.get("benched", []),
        "sources": votes + refused,
    }


def _traded(traded: Mapping[str, Any] | None) -> Node | None:
    return None if traded is None else {"price": _price(traded["price"]), "volume": _price(traded["volume"])}


def _quote(quote: Mapping[str, Any], now: int, frames: Mapping[Any, Seen]) -> Node:
    if not quote:
        return {}
    observed, received = quote["observed"], int(quote["received"])
    found = {
        "source": quote["source"],
        "bid": _price(quote["bid"]),
        "ask": _price(quote["ask"]),
        "last": _price(quote["last"]),
        "observed_at": None if observed is None else moment(Timestamp(int(observed))),
        "received_at": moment(Timestamp(received)),
        "age_ms": (now - int(observed or received)) // MILLISECOND,
        "frame": quote["frame"],
    }
    return found | _framed(quote, frames)


def _framed(stated: Mapping[str, Any], frames: Mapping[Any, Seen]) -> Node:
    seen = frames.get((stated["source"], stated["frame"]))
    if seen is None:
        return {}
    raw = None if seen.frame is None else seen.frame.decode(errors="backslashreplace")
    return {"raw": raw, "raw_at": None if seen.frame is None else moment(Timestamp(seen.at))}


def _mark(document: Mapping[str, Any]) -> Node:
    mark = document["mark"]
    return {
        "method": mark["method"],
        "price": _price(mark["price"]),
        "components": {name: _price(value) for name, value in mark["components"].items()},
        "flags": mark["flags"],
        "state_before": mark["state_before"],
    }


def _book(book: Mapping[str, Any] | None, now: int, frames: Mapping[Any, Seen]) -> Node | None:
    if book is None:
        return None
    return {
        "source": book["source"],
        "bid": _price(book["bids"][0][0]) if book["bids"] else None,
        "ask": _price(book["asks"][0][0]) if book["asks"] else None,
        "levels": len(book["bids"]) + len(book["asks"]),
        "age_ms": (now - int(book["observed"] or book["received"])) // MILLISECOND,
        "frame": book["frame"],
    } | _framed(book, frames)


def _trade(trade: Mapping[str, Any] | None, now: int) -> Node | None:
    if trade is None:
        return None
    age_ms = (now - int(trade["observed"] or trade["received"])) // MILLISECOND
    return {"price": _price(trade["price"]), "size": _price(trade["size"]), "age_ms": age_ms}


def _funding(funding: Mapping[str, Any] | None) -> Node | None:
    if funding is None:
        return None
    boundary = moment(Timestamp(int(funding["boundary"]) * SECOND))
    return {"rate": _price(funding["rate"]), "boundary": boundary, "interval_s": int(funding["interval"])}


def _funding_method(rates: Mapping[str, Any] | None) -> Node | None:
    if rates is None:
        return None
    return {
        "method": rates["method"],
        "rate": _price(rates["rate"]),
        "premium": _price(rates["premium"]),
        "flags": rates["flags"],
        "boundary": moment(Timestamp(int(rates["boundary"]) * SECOND)),
        "interval_s": int(rates["interval"]),
        "state_before": rates["state_before"],
    }


def _guard(guard: Mapping[str, Any] | None) -> Node | None:
    if guard is None:
        return None
    before = guard["state_before"]
    return {
        "held": guard["held"],
        "jump_bps": int(guard["jump_bps"]),
        "confirmed": guard["confirmed"],
        "anchor": _price(before["anchor"]),
        "passed_before": _price(before["passed"]),
    }


def _condition(condition: Mapping[str, Any] | None) -> Node | None:
    if condition is None:
        return None
    before = condition["state_before"]
    since = None if before["since"] is None else moment(Timestamp(int(before["since"])))
    return {"condition": before["condition"], "causes": before["causes"], "since": since}


def _session(session: Mapping[str, Any] | None) -> Node | None:
    if session is None:
        return None
    close = session["state_before"]["close"]
    return {
        "calendar": session["calendar"],
        "phase": session["phase"],
        "off_hours": session["off_hours"],
        "until": None if session["until"] is None else moment(Timestamp(int(session["until"]))),
        "close": None if close is None else _price(close[0]),
        "own_mid": _price(session["own_mid"]),
    }


def _due(due: Mapping[str, Any] | None, plan: MarketPlan | None) -> Node | None:
    if due is None:
        return None
    held = due["held"]
    rules = None if plan is None else plan.policy
    return {
        "trigger": due["trigger"],
        "deviation_bps": int(due["deviation_bps"]),
        "limit_bps": None if rules is None else rules.deviation_bps,
        "age_ms": int(due["age_ms"]),
        "heartbeat_ms": None if rules is None else rules.heartbeat_ns // MILLISECOND,
        "block": int(due["block"]),
        "held": held and {"index": _price(held["index"]), "mark": _price(held["mark"]), "round_id": int(held["round"])},
    }


def _named(method: Any) -> str:
    """By its name, whether it is one or has one."""
    return str(getattr(method, "name", method))


def _price(text: str | None) -> str | None:
    return None if text is None else text_of(int(text))
