"""Everything about one transaction, for people: `keeper tx show`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

from keeper.app.screen import Column, Fitted, listed
from keeper.app.scrub import text
from keeper.app.txtables import Row, ether, gwei

_YELLOW, _GREEN = "yellow", "green"


def shown(found: Row) -> RenderableType:
    """Everything about one."""
    note = [Text(text(found["note"]), style=_YELLOW)] if found["note"] else []
    facts = listed((name, text(value)) for name, value in _facts(found))
    return Group(*note, facts, Text(), Attempts(found["made"])) if found["made"] else Group(*note, facts)


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


@dataclass(frozen=True, slots=True)
class Attempts:
    """A line for each where there is room for whole hashes; else each by itself, its hash over the full width."""

    made: Sequence[Row]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = Fitted(_COLUMNS, self.made, _style)
        if table.width(_COLUMNS) <= options.max_width:
            yield table
            return
        for each in self.made:
            yield Text(f"{each['purpose']}, {_answer(each) or 'no answer'}", style=_style(each))
            yield listed(_one(each))
            yield Text(text(each["hash"]), style=_style(each), overflow="fold")


def _one(each: Row) -> Iterable[tuple[str, str]]:
    yield "signed", f"{each['signed_at']} at block {each['signed_block']}"
    yield "fees", f"{gwei(each['max_fee_wei'])} gwei (tip {gwei(each['tip_wei'])}), {each['gas_limit']} gas"
    yield "sent", f"{each['sends']}×" + (f", last {each['sent_at']}" if each["sent_at"] else "")


def _style(each: Row) -> str:
    return _GREEN if each["mined"] else ""


def _answer(each: Row) -> str:
    return text("mined" if each["mined"] else each["answer"] or "")


_COLUMNS = (
    Column("signed", lambda each: each["signed_at"]),
    Column("block", lambda each: str(each["signed_block"])),
    Column("purpose", lambda each: each["purpose"]),
    Column("gwei", lambda each: gwei(each["max_fee_wei"])),
    Column("tip", lambda each: gwei(each["tip_wei"])),
    Column("gas", lambda each: str(each["gas_limit"])),
    Column("sends", lambda each: str(each["sends"])),
    Column("last sent", lambda each: each["sent_at"] or ""),
    Column("node said", _answer),
    Column("hash", lambda each: text(each["hash"])),
)
