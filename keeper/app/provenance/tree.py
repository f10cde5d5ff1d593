"""The derivation as a tree on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text
from rich.tree import Tree

from keeper.app.scrub import text
from keeper.domain.evidence import canonical_json

Node = Mapping[str, Any]
_DIM, _RED, _YELLOW, _BOLD = "dim", "red", "yellow", "bold"
_LONGEST_FRAME = 600


def tree(found: Node) -> Tree:
    tx, batch = found["transaction"], found["batch"]
    root = Tree(_line("transaction", _BOLD) if tx is None else _transaction(tx))
    if tx is None:
        root.label = _line("no transaction is known", _YELLOW)
    pushed = root.add(_line(f"batch: round {batch['round_id']}, evidence {batch['evidence']}", _BOLD))
    if batch["signer_epoch"] is not None:
        quorum = "" if batch["quorum"] is None else f", quorum {batch['quorum']}"
        pushed.add(_line(f"signed by {', '.join(batch['signers'])}, epoch {batch['signer_epoch']}{quorum}"))
    if found["missing"]:
        pushed.add(_line(found["missing"], _YELLOW))
        for entry in batch["entries"]:
            words = f"{entry['market']}: index {entry['index']}, mark {entry['mark']}, premium {entry['premium']}"
            pushed.add(_line(words))
    for market in found["markets"]:
        _market(pushed, market)
    return root


def _line(words: str, style: str = "") -> Text:
    return Text(text(words), style=style)


def _transaction(tx: Node) -> Text:
    outcome = {1: "success", 0: "reverted", None: tx["state"] or "not mined"}[tx["status"]]
    where = "" if tx["block"] is None else f" in block {tx['block']}, {tx['gas_used']} gas"
    return _line(f"{tx['hash']}: {outcome}{where}, from {tx['from']} nonce {tx['nonce']} ({tx['told_by']})", _BOLD)


def _market(above: Tree, market: Node) -> None:
    words = (
        f"{market['market']}: index {market['index_price']}, mark {market['mark_price']}, premium {market['premium']}"
    )
    node = above.add(_line(words, _BOLD))
    version = "" if market["by_this_version"] else " (another version than this)"
    told = f"decided at {market['decided_at']} by {market['code']}{version}, configuration {market['config'][:12]}"
    node.add(_line(told, _DIM if market["by_this_version"] else _YELLOW))
    if market["index"] is not None:
        _index(node, market["index"], "index")
    _session(node, market["session"])
    _mark(node, market)
    _premium(node, market)
    _funding_method(node, market["funding_method"])
    _guard(node, market)
    _condition(node, market["condition_before"])
    _due(node, market["due"])


def _index(above: Tree, index: Node, word: str) -> None:
    method = f", {index['method']}" if index["method"] else ""
    value = index["price"] or f"withheld: {index['withheld']} ({index['detail']})"
    raw = "" if index["raw"] in (None, index["price"]) else f" ({index['raw']} before rounding)"
    flags = f" [{', '.join(index['flags'])}]" if index["flags"] else ""
    node = above.add(_line(f"{word} {index['id']} = {value}{raw}{method}{flags}", _YELLOW if flags else ""))
    if index["benched"]:
        node.add(_line(f"sits out: {', '.join(index['benched'])}", _YELLOW))
    for source in index["sources"]:
        _source(node, source)
    for quote, rate in index["conversions"].items():
        _index(node, rate, f"{quote} by")


def _session(above: Tree, session: Node | None) -> None:
    if session is None:
        return
    until = f" until {session['until']}" if session["until"] else ""
    close = f", last close {session['close']}" if session["close"] else ""
    book = f", own book {session['own_mid']}" if session["own_mid"] else ""
    off_hours = f", off hours {session['off_hours']}"
    above.add(_line(f"session {session['calendar']}: {session['phase']}{until}{off_hours}{close}{book}"))


def _source(above: Tree, source: Node) -> None:
    age = f", {source['age_ms']} ms old" if "age_ms" in source else ""
    sides = f" (bid {source['bid']}, ask {source['ask']}, last {source['last']})" if "bid" in source else ""
    if source["reason"]:
        detail = f": {source['detail']}" if source.get("detail") else ""
        words, style = f"{source['source']} refused, {source['reason']}{detail}{sides}{age}", _RED
    else:
        rate = f" at rate {source['rate']}" if source["rate"] else ""
        part = "" if source["share_pct"] is None else f" ({source['share_pct']:g} %)"
        traded = (
            "" if source["traded"] is None else f", traded {source['traded']['volume']} at {source['traded']['price']}"
        )
        weight = f", weight {source['weight']}{part}{traded}"
        words, style = f"{source['source']} {source['price']}{rate}{weight}{sides}{age}", ""
    node = above.add(_line(words, style))
    if "received_at" in source:
        venue = source["observed_at"] or "not told"
        node.add(_line(f"venue's time {venue}, received {source['received_at']}, message {source['frame']}", _DIM))
    _raw(node, source)


def _raw(node: Tree, told: Node) -> None:
    if "raw" in told:
        shown = "not on the tape" if told["raw"] is None else f"{told['raw_at']} {told['raw'][:_LONGEST_FRAME]}"
        node.add(_line(shown, _DIM))


def _mark(above: Tree, market: Node) -> None:
    mark = market["mark"]
    flags = f" [{', '.join(mark['flags'])}]" if mark["flags"] else ""
    node = above.add(_line(f"mark = {mark['price']}, {mark['method']}{flags}"))
    for name, value in mark["components"].items():
        node.add(_line(f"{name} {value}"))
    if (book := market["book"]) is not None:
        words = f"own book {book['source']}: bid {book['bid']}, ask {book['ask']}, {book['levels']} levels"
        _raw(node.add(_line(f"{words}, {book['age_ms']} ms old")), book)
    if (trade := market["trade"]) is not None:
        node.add(_line(f"own last trade {trade['price']}, {trade['age_ms']} ms old"))
    if (funding := market["funding"]) is not None:
        node.add(_line(f"estimated rate {funding['rate']} until {funding['boundary']}"))
    state = ", ".join(f"{name} {value}" for name, value in mark["state_before"].items())
    node.add(_line(f"state before: {state or 'none'}", _DIM))


def _funding_method(above: Tree, found: Node | None) -> None:
    if found is None:
        return
    flags = f" [{', '.join(found['flags'])}]" if found["flags"] else ""
    words = f"funding by {found['method']}: rate {found['rate']}, premium {found['premium']}, until {found['boundary']}{flags}"
    node = above.add(_line(words))
    state = "none" if found["state_before"] is None else canonical_json(found["state_before"])
    node.add(_line(f"state before: {state[:_LONGEST_FRAME]}", _DIM))


def _premium(above: Tree, market: Node) -> None:
    impact = market["impact"]
    how = f"carried {market['carried_premium']}" if impact is None else f"impact {impact['bid']} / {impact['ask']}"
    above.add(_line(f"premium = {market['premium']}, {how}"))


def _guard(above: Tree, market: Node) -> None:
    guard, gate = market["guard"], market["gate"]
    if guard is not None:
        verdict = (
            f"held, {guard['held']}" if guard["held"] else "passed" + (", confirmed" if guard["confirmed"] else "")
        )
        above.add(_line(f"guard: {verdict}, {guard['jump_bps']} bps from {guard['anchor'] or 'nothing'}"))
    for index, level in market["accepted"].items():
        above.add(_line(f"the operator vouched for {index} at {level}", _YELLOW))
    if gate is not None and gate["shut_by"]:
        above.add(_line(f"not to liquidate by: {', '.join(gate['shut_by'])}"))


def _condition(above: Tree, condition: Node | None) -> None:
    if condition is not None:
        since = f" since {condition['since']}" if condition["since"] else ""
        causes = f": {', '.join(condition['causes'])}" if condition["causes"] else ""
        words = f"condition before: {condition['condition']}{since}{causes}"
        above.add(_line(words, _DIM if condition["condition"] == "NORMAL" else _YELLOW))


def _due(above: Tree, due: Node | None) -> None:
    if due is None:
        return
    held = due["held"]
    before = "nothing" if held is None else f"index {held['index']}, mark {held['mark']} of round {held['round_id']}"
    node = above.add(_line(f"trigger: {due['trigger']}"))
    node.add(_line(f"the chain held {before}, seen at block {due['block']}"))
    limits = "" if due["limit_bps"] is None else f" (limits {due['limit_bps']} bps, {due['heartbeat_ms']} ms)"
    node.add(_line(f"moved {due['deviation_bps']} bps in {due['age_ms']} ms{limits}"))
