"""Everything about one transaction, for people: `keeper tx show`."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from keeper.app.scrub import text
from keeper.app.txtables import Row, ether, gwei

_DIM, _YELLOW, _GREEN = "dim", "yellow", "green"


def shown(found: Row) -> RenderableType:
    """Everything about one."""
    facts = Table(box=None, pad_edge=False, show_header=False)
    facts.add_column(style=_DIM)
    facts.add_column(overflow="fold")
    for name, value in _facts(found):
        facts.add_row(name, Text(text(value)))
    note = [Text(text(found["note"]), style=_YELLOW)] if found["note"] else []
    return Group(*note, facts, Text(), _attempts(found["made"])) if found["made"] else Group(*note, facts)


def _facts(found: Row) -> Iterable[tuple[str, str]]:
    yield "nonce", "none yet" if found["nonce"] is None else f"{found['nonce']} of {found['wallet']}"
    age = "" if found["age_blocks"] is None else f", {found['age_blocks']} blocks"
    yield "state", found["state"] + ("" if found["age_s"] is None else f", {found['age_s']:.1f} s{age}")
    if found.get("why"):
        yield "why", f"{found['next']}: {found['why']}" if found["next"] else found["why"]
    if (intent := found["intent"]) is not None:
        yield from _intent(intent)
    if (outcome := found.get("outcome")) is not None:
        reason = f": {outcome['reason']}" if outcome["reason"] else ""
        yield (
            "outcome",
            f"{outcome['state']}{reason}" + (f", failed {outcome['failures']}×" if outcome["failures"] else ""),
        )
    if (receipt := found["receipt"]) is not None:
        done = "success" if receipt["status"] == 1 else "reverted"
        fee = f"{receipt['gas_used']} gas at {gwei(receipt['gas_price_wei'])} gwei, {ether(receipt['fee_wei'])} ether"
        yield "receipt", f"{done} in block {receipt['block']}, {fee}, {receipt['hash']}"


def _intent(intent: Row) -> Iterable[tuple[str, str]]:
    yield "intent", intent["id"]
    yield "wants", f"{intent['lane']} {intent['key']} of deployment {intent['deployment']}"
    size = len(intent["data"]) // 2 - 1
    yield (
        "call",
        f"{intent['data'][:10]} on {intent['to']}, {size} bytes"
        + (f", {intent['value_wei']} wei" if intent["value_wei"] else ""),
    )
    yield "wanted", f"{intent['created_at']}" + (f", until {intent['deadline']}" if intent["deadline"] else "")


def _attempts(made: Iterable[Row]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("signed", "block", "purpose", "gwei", "tip", "gas", "sends", "last sent", "node said", "hash"):
        table.add_column(name, overflow="fold")
    for each in made:
        fees = (gwei(each["max_fee_wei"]), gwei(each["tip_wei"]), str(each["gas_limit"]), str(each["sends"]))
        answer = "mined" if each["mined"] else each["answer"] or ""
        row = (each["signed_at"], str(each["signed_block"]), each["purpose"], *fees, each["sent_at"] or "", answer)
        table.add_row(*(Text(text(cell), style=_GREEN if each["mined"] else "") for cell in (*row, each["hash"])))
    return table
