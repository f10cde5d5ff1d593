"""`keeper explain` and `keeper verify`, from words to exit code."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from keeper.adapters.rpc import RpcChain
from keeper.app.admin import Refused
from keeper.app.exitcodes import FAILED, OK
from keeper.app.provenance.batches import Asked, Batch, asked, find, instant, of_records
from keeper.app.provenance.chainside import facts
from keeper.app.provenance.checks import Found, checks
from keeper.app.provenance.derivation import derivation
from keeper.app.provenance.frames import Seen, look_up, wanted_of
from keeper.app.provenance.sites import Sites
from keeper.app.provenance.tree import tree
from keeper.app.scrub import text
from keeper.domain.time import SECOND
from keeper.errors import KeeperError

_LONG_S = 60
_STYLES = {"ok": "green", "failed": "bold red", "unknown": "yellow"}


def explain(config: Path, state: Path | None, words: str, *, frames: bool, as_json: bool) -> int:
    """Raises Refused when nobody knows it."""
    sites = Sites.of(config, state)
    found = asyncio.run(_explained(sites, words, frames=frames))
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        if found["earlier_s"]:
            Console().print(Text(_age(found["earlier_s"]), style="yellow" if found["earlier_s"] >= _LONG_S else "dim"))
        Console().print(tree(found))
    return OK


def _age(seconds: float) -> str:
    whole = timedelta(seconds=round(seconds)) if seconds >= _LONG_S else timedelta(seconds=seconds)
    return f"the last that is recorded before then: decided {whole} earlier"


async def _explained(sites: Sites, words: str, *, frames: bool) -> dict[str, Any]:
    async with sites.chain() as chain:
        what = asked(words)
        batch = await find(sites, chain, what)
        told = await facts(chain, batch)
    found = derivation(batch, told, _frames(sites, batch) if frames else None)
    return {**found, "earlier_s": _earlier_s(what, batch)}


def _earlier_s(what: Asked, batch: Batch) -> float | None:
    """So long before the time asked for its market was decided; None when no time was."""
    decided = [int(each["now"]) for each in batch.documents if each["market"] == what.market]
    return round((what.at - decided[0]) / SECOND, 3) if decided else None


def verify(
    config: Path, state: Path | None, words: str, last: int | None, since: str, *, frames: bool, as_json: bool
) -> int:
    """1 when any check failed. Raises Refused when there is nothing to check."""
    sites = Sites.of(config, state)
    found = asyncio.run(_verified(sites, words, last, since, frames=frames))
    if as_json:
        rows = [{**_head(batch), "checks": [asdict(each) for each in result]} for batch, result in found]
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
    else:
        _show(Console(), found)
    return FAILED if any(each.status == "failed" for _, result in found for each in result) else OK


async def _verified(
    sites: Sites, words: str, last: int | None, since: str, *, frames: bool
) -> list[tuple[Batch, list[Found]]]:
    async with sites.chain() as chain:
        if words:
            batches = [await find(sites, chain, asked(words))]
        else:
            batches = await _several(sites, chain, instant(since) if since else 0, last)
        if not batches:
            raise Refused(f"no record of a published batch is kept at {sites.looked_at()}")
        return [(batch, await _judged(sites, chain, batch, frames=frames)) for batch in batches]


async def _several(sites: Sites, chain: RpcChain | None, since: int, last: int | None) -> list[Batch]:
    """The newest that were sent: a decision whose transaction never was is nothing published."""
    found: list[Batch] = []
    for root in _roots(sites, since):
        batch = await of_records(sites, chain, sites.by_root(root))
        mined = batch.shown.block_number if batch.shown is not None else batch.sent and batch.sent.receipt
        if mined is not None:
            found.append(batch)
        if last is not None and len(found) >= last:
            break
    return found


def _roots(sites: Sites, since: int) -> Iterator[str]:
    """Newest first."""
    seen: set[str] = set()
    for record in sites.since(since):
        if record.root is not None and record.root not in seen:
            seen.add(record.root)
            yield record.root


async def _judged(sites: Sites, chain: RpcChain | None, batch: Batch, *, frames: bool) -> list[Found]:
    result = list(checks(batch, await facts(chain, batch)))
    return [*result, _framed(_frames(sites, batch))] if frames and batch.records else result


def _frames(sites: Sites, batch: Batch) -> list[Seen]:
    wanted = [each for document in batch.documents for each in wanted_of(document)]
    if sites.tape is None:
        return [Seen(each) for each in wanted]
    try:
        return look_up(sites.tape, wanted)
    except KeeperError as error:
        return [Seen(each, fault=str(error)) for each in wanted]


def _framed(seen: Sequence[Seen]) -> Found:
    faults = [f"{each.wanted.source} {each.wanted.digest}: {each.fault}" for each in seen if each.fault]
    faults += [
        f"{each.wanted.source}: no message {each.wanted.digest} on the tape, which tells of that time: altered, or not taken"
        for each in seen
        if each.frame is None and each.covered and not each.fault
    ]
    gone = sum(each.frame is None and not each.covered for each in seen)
    if faults:
        return Found("frames", "failed", "; ".join(faults))
    if gone or not seen:
        return Found("frames", "unknown", f"{gone} of {len(seen)} messages are not on the tape any more")
    return Found("frames", "ok", f"{len(seen)} messages say what the records say")


def _head(batch: Batch) -> dict[str, Any]:
    return {"transaction": batch.tx_hash, "round_id": batch.round_id, "evidence": batch.root}


def _show(console: Console, found: Sequence[tuple[Batch, list[Found]]]) -> None:
    for batch, result in found:
        failed = [each.check for each in result if each.status == "failed"]
        unknown = [each.check for each in result if each.status == "unknown"]
        verdict = f"failed: {', '.join(failed)}" if failed else "verified"
        verdict += f"; not checked: {', '.join(unknown)}" if unknown else ""
        name = batch.tx_hash or "no transaction"
        console.print(Text(f"round {batch.round_id} {name}: {verdict}", style="bold red" if failed else "bold"))
        for each in result if failed or len(found) == 1 else (each for each in result if each.status != "ok"):
            console.print(Text(f"  {each.status:<8}{each.check:<12}{text(each.detail)}", style=_STYLES[each.status]))
    bad = sum(any(each.status == "failed" for each in result) for _, result in found)
    if len(found) > 1:
        console.print(Text(f"{len(found)} batches, {bad} failed", style="bold red" if bad else "bold"))
