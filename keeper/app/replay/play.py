"""Plays a tape: feeds, prices and decisions by the code that runs live, and nothing that sends."""

from __future__ import annotations

import asyncio
import hashlib
import random
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from keeper.adapters.attestor import NobodySigns
from keeper.adapters.coordinator import AlwaysLeader
from keeper.adapters.journal import Journal
from keeper.adapters.onchain.feed import ONCHAIN
from keeper.adapters.references import REFERENCES
from keeper.adapters.rpc import RpcChain
from keeper.adapters.rpc_http import RpcEndpoint
from keeper.adapters.tape.lines import Line
from keeper.adapters.tape.playing import PlayingSession, VenueTape, venues_of
from keeper.adapters.tape.reader import TapeUnreadable, read
from keeper.app.boards import Boards, DeploymentBoards
from keeper.app.build import meter_of
from keeper.app.intake import feeds, listen, pricing_services
from keeper.app.replay.series import Said, Series
from keeper.app.replay.stage import Acts, ChainPlayer, CountingLog
from keeper.app.serve import deployment_of, publishing, settling
from keeper.app.sessions import plans_of
from keeper.app.world import World
from keeper.domain.ids import Address
from keeper.domain.time import SECOND, Timestamp
from keeper.domain.transaction import Intent
from keeper.runtime.mailbox import Mailbox
from keeper.runtime.pulse import Pulse
from keeper.runtime.supervisor import Service, Supervisor
from keeper.runtime.virtual import VirtualClock, run_virtual
from keeper.services.quotes import QuoteService
from keeper.settings.models import Settings

_INBOX = 256
_NOBODY = RpcEndpoint("http://127.0.0.1:9", "nobody")


@dataclass(frozen=True, slots=True)
class Replayed:
    """`hash` is that of every decision in its order; the same tape and configuration give the same one."""

    head: dict[str, object]
    start: Timestamp
    end: Timestamp
    frames: int
    series: Series
    live: Sequence[Said]
    acts: Sequence[tuple[int, Intent]]
    events: Counter[str]
    decisions: int
    hash: str


def replay(tape: Path, settings: Settings) -> Replayed:
    """Raises TapeUnreadable."""
    lines = list(read(tape))
    if len(lines) < 2:
        raise TapeUnreadable(f"{tape}: nothing was heard")
    with tempfile.TemporaryDirectory(prefix="keeper-replay-") as directory:
        return run_virtual(lambda: _play(lines, settings, Path(directory)))


async def _play(lines: Sequence[Line], settings: Settings, directory: Path) -> Replayed:
    head, start, end = lines[0].words[0], lines[0].at, max(found.at for found in lines)
    clock, log, boards = VirtualClock(start), CountingLog(), Boards()
    acts: dict[str, tuple[int, Intent]] = {}
    with Journal.open(directory, clock) as journal:
        for found in lines:
            if found.kind == "saved":
                journal.snapshots.save(str(found.words[0]), str(found.words[1]))
        world = _world(settings, clock, log, journal, venues_of(lines))
        series = Series(clock)
        boards.prices.follow(series.price)
        boards.underway.follow(series.report)
        signers = frozenset(Address(each) for each in head.get("signers") or _authorised(lines))
        await _run(_services(settings, world, boards, signers, acts, lines), clock, (end - start) / SECOND)
        decisions, fingerprint = _fingerprint(journal, directory, acts)
    frames = sum(found.kind in ("text", "data") for found in lines)
    taken = sorted(acts.values(), key=lambda each: (each[0], each[1].id))
    return Replayed(head, start, end, frames, series, _live(lines), taken, log.events, decisions, fingerprint)


def _world(
    settings: Settings, clock: VirtualClock, log: CountingLog, journal: Journal, venues: dict[str, VenueTape]
) -> World:
    meter = meter_of(settings)
    return World(
        clock,
        log,
        meter,
        Pulse(clock),
        journal,
        RpcChain([_NOBODY], settings.chain.id, meter=meter, log=log),
        lambda venue: lambda: PlayingSession(venues.get(venue) or VenueTape(), clock),  # type: ignore[arg-type, return-value]
        None,
        random.Random,
    )


def _services(
    settings: Settings,
    world: World,
    boards: Boards,
    signers: frozenset[Address],
    acts: dict[str, tuple[int, Intent]],
    lines: Sequence[Line],
) -> list[Service]:
    plans = plans_of(settings, world.clock.now())
    inbox: Mailbox[Intent] = Mailbox("intents:replay", _INBOX)
    taker, leader = Acts(inbox, world.clock, acts), AlwaysLeader()
    boards.slot.follow(lambda _deployment, intent: taker.note(intent))
    priced = pricing_services(settings, world, boards, plans).values()
    found: list[Service] = [ChainPlayer(lines, boards, world.clock, tuple(priced)), taker]
    # What contracts held and banks fixed is on the tape as it was read: a fix of the morning counts at noon.
    held = {f"quotes:{name}" for name in (ONCHAIN, *REFERENCES)}
    found += [feed for name, feed in feeds(settings, world, boards).items() if name not in held]
    found += priced
    for name in sorted(settings.deployments):
        deployment = deployment_of(settings, name)
        if deployment.markets:
            found.append(publishing(settings, world, boards, deployment, signers, NobodySigns(), leader))
            found.append(settling(world, boards, DeploymentBoards(), deployment, inbox, leader))
    return found


async def _run(services: Sequence[Service], clock: VirtualClock, seconds: float) -> None:
    supervisor = Supervisor()
    for service in services:
        if isinstance(service, QuoteService):
            listen(supervisor, service, clock)
        else:
            supervisor.start(service.name, service)
    try:
        await supervisor.watch(lambda: asyncio.sleep(seconds))
    finally:
        await supervisor.stop_all()


def _fingerprint(journal: Journal, directory: Path, acts: dict[str, tuple[int, Intent]]) -> tuple[int, str]:
    """SHA-256 over all that was decided, record by record, with the times of the decisions."""
    journal.decisions.find("")  # what is attached becomes readable
    digest, count = hashlib.sha256(), 0
    with sqlite3.connect(f"file:{directory}/journal.sqlite?mode=ro", uri=True) as connection:
        for row in connection.execute("SELECT leaf, kind, market, json, created_at FROM decision ORDER BY rowid"):
            digest.update("\0".join(map(str, row)).encode() + b"\n")
            count += 1
    for at, intent in acts.values():
        digest.update(f"{at} {intent.id} {intent.lane.name} {intent.key} {intent.call.data.hex()}\n".encode())
    return count, digest.hexdigest()


def _authorised(lines: Sequence[Line]) -> Sequence[str]:
    """Without keys of its own the recorder could sign nothing: a replay then does as if it held all that the oracle knows."""
    return next((found.words[1]["oracle"]["signers"] for found in lines if found.kind == "state"), ())


def _live(lines: Sequence[Line]) -> list[Said]:
    found: list[Said] = []
    for each in lines:
        if each.kind == "said":
            _, round_id, _, prices = each.words
            found += [Said(each.at, market, round_id, *map(int, numbers)) for market, numbers in prices.items()]
    return found
