"""Transactions for people: the table of `keeper tx list`, and what an order did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from keeper.app.screen import Column, Fitted, shortened
from keeper.app.scrub import text
from keeper.domain.fees import GWEI
from keeper.services.outbox.rules import SCARCE

_DIM, _YELLOW, _RED, _GREEN = "dim", "yellow", "bold red", "green"
_STATES = {"queued": _DIM, "signed": _YELLOW, "cancelling": _YELLOW, "orphaned": _RED, "mined": _GREEN}
Row = Mapping[str, Any]
ETHER_WEI = 10**18


def listed(found: Row) -> RenderableType:
    """The whole screen: why nothing is sent, each wallet, each transaction."""
    head = [Text(text(each), style=_YELLOW) for each in (*_notes(found),)]
    rows = found["transactions"]
    names = {each["address"]: each["name"] for each in found["wallets"]}
    body = _table(rows, names) if rows else Text("nothing is pending")
    return Group(*head, *(Text(_wallet(each), style=_DIM) for each in found["wallets"]), body)


def told(done: Row) -> str:
    """What an order about one nonce did."""
    before = f"{gwei(done['before']['max_fee_wei'])} gwei (tip {gwei(done['before']['tip_wei'])})"
    if done["limit_wei"] is not None:
        limit, wanted = gwei(done["limit_wei"]), gwei(done["wanted_wei"])
        return (
            f"nonce {done['nonce']}: not replaced: it offers {before}, {wanted} gwei are needed, the limit is {limit}"
        )
    if done["short_wei"] is not None:
        need, have = ether(done["short_wei"]), ether(done["balance_wei"])
        return (
            f"nonce {done['nonce']}: not replaced: with everything under way it may cost {need} ether, "
            f"and the wallet has {have}"
        )
    after = f"{gwei(done['after']['max_fee_wei'])} gwei (tip {gwei(done['after']['tip_wei'])})"
    act = "an empty transfer takes its place" if done["purpose"] == "cancel" else "its fee is raised"
    return f"nonce {done['nonce']}: {act}: {before} → {after}, {done['hash']}, {done['answer'] or 'not sent yet'}"


def gwei(wei: int | None) -> str:
    return "" if wei is None else f"{wei / GWEI:.6g}"


def ether(wei: int) -> str:
    return f"{wei / ETHER_WEI:.6g}"


def _notes(found: Row) -> Iterable[str]:
    if found["note"]:
        yield found["note"]
    for cause, words in found["forbidden"].items():
        yield f"{cause}: {words}"


def _wallet(wallet: Row) -> str:
    paused = f", sends nothing new: {text(wallet['paused'])}" if wallet["paused"] else ""
    if wallet["paused"] == SCARCE:
        paused = ", what is queued does not fit the balance beside what is under way"
    nonces = f"nonce {wallet['next_nonce']} next, {wallet['mined_nonce']} mined"
    return f"wallet {wallet['name']} {wallet['address']} ({', '.join(wallet['lanes'])})  {nonces}  block {wallet['block']}{_funds(wallet)}{paused}"


def _funds(wallet: Row) -> str:
    balance = "unknown" if wallet["balance_wei"] is None else f"{ether(wallet['balance_wei'])}"
    runway = "" if wallet["runway_s"] is None else f", for {wallet['runway_s'] / 3600:.3g} h at this pace"
    return f"  {ether(wallet['reserved_wei'])} of {balance} ether reserved{runway}"


def _table(rows: Sequence[Row], names: Mapping[str, str]) -> Fitted:
    """With the wallet of each, by its name where that is known, when there are several."""
    several = len({each["wallet"] for each in rows} | names.keys()) > 1
    whose = Column("wallet", lambda each: text(names.get(each["wallet"], each["wallet"]) or ""), spare=2, least=12)
    columns = (whose, *_COLUMNS) if several else _COLUMNS
    return Fitted(columns, rows, lambda each: _STATES.get(each["state"], ""))


def _nonce(each: Row) -> str:
    return "" if each["nonce"] is None else str(each["nonce"])


def _tries(each: Row) -> str:
    return str(each["attempts"])


def _fee(each: Row) -> str:
    return gwei(each["max_fee_wei"])


def _tip(each: Row) -> str:
    return gwei(each["tip_wei"])


def _age(each: Row) -> str:
    return "" if each["age_s"] is None else f"{each['age_s']:.1f}"


def _blocks(each: Row) -> str:
    return "" if each["age_blocks"] is None else str(each["age_blocks"])


def _hash(each: Row) -> str:
    return f"{each['hash'][:12]}…" if each["hash"] else ""


def _key(each: Row) -> str:
    return shortened(text(each["key"] or each["intent_id"]), _LONGEST_KEY)


_LONGEST_KEY = 28
_COLUMNS = (
    Column("nonce", _nonce, is_number=True),
    Column("lane", lambda each: each["lane"], spare=1),
    Column("key", _key, least=18),
    Column("state", lambda each: each["state"]),
    Column("tries", _tries, spare=8, is_number=True),
    Column("gwei", _fee, spare=5, is_number=True),
    Column("tip", _tip, spare=10, is_number=True),
    Column("age s", _age, spare=3, is_number=True),
    Column("blocks", _blocks, spare=9, is_number=True),
    Column("hash", _hash, spare=6),
    Column("node said", lambda each: each["answer"] or "", spare=7),
    Column("next", lambda each: each.get("next") or "", spare=4),
)
