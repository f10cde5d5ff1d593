"""One run of the demo from nothing to a verdict: world up, keeper up, scenario, keeper down, judgement, world down."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from keeper.adapters.clock import SystemClock
from keeper.devnet import table
from keeper.devnet.configure import UnknownSabotageError, address_of, sabotaged, write_config
from keeper.devnet.demo.play import Play
from keeper.devnet.demo.process import KeeperProcess
from keeper.devnet.demo.world import World, build, journal_of, save_world, seconds_between
from keeper.devnet.recorder import Recorder
from keeper.devnet.scenario import Timeline, moves, requirements, timeline
from keeper.devnet.storm import troubles, venue_faults
from keeper.devnet.verify import verify
from keeper.devnet.verify.recording import Recording
from keeper.devnet.verify.summary import show, write_json
from keeper.errors import KeeperError

PROGRESS_EVERY_S = 10.0
SHOWN_TROUBLES = 4
"""The newest, above the live table."""
AFTERMATH_S = 5.0
"""The fall counts as dealt with when so much time followed it."""


@dataclass(frozen=True, slots=True)
class Options:
    """`for_s` None runs until Ctrl-C. `keep`: the directory to leave behind; None removes everything."""

    for_s: float | None = None
    headless: bool = False
    sabotage: str | None = None
    seed: int = 1
    storm: bool = False
    keep: Path | None = None


@dataclass(slots=True)
class Ended:
    """How the keeper's life went. Times in ns."""

    ready_ns: int = 0
    stop_ns: int = 0
    ended_ns: int = 0
    exit_code: int | None = None
    early: bool = False
    hanging: int = 0


@dataclass(slots=True)
class Interrupts:
    """Ctrl-C and SIGTERM. `stop` while there is something to judge, else the whole run is cancelled and cleans up."""

    stop: asyncio.Event
    run: asyncio.Task[Any] | None
    judgeable: bool = False

    def heard(self) -> None:
        if self.judgeable and not self.stop.is_set():
            self.stop.set()
        elif self.run is not None:
            self.run.cancel()


@contextmanager
def _interrupts() -> Iterator[Interrupts]:
    found = Interrupts(asyncio.Event(), asyncio.current_task())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, found.heard)
    try:
        yield found
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def run(options: Options, console: Console) -> int:
    """Exit code: 0 when every check passed, 1 otherwise, 2 when an option makes no sense."""
    directory = options.keep or Path(tempfile.mkdtemp(prefix="keeper-demo-"))
    directory.mkdir(parents=True, exist_ok=True)
    if (directory / "run.json").exists():
        console.print(Text(f"{directory} already holds a run", style="red"))
        return 2
    try:
        with _interrupts() as interrupts:
            await _record(options, directory, console, interrupts)
    except UnknownSabotageError as error:
        console.print(Text(str(error), style="red"))
        return 2
    except (KeeperError, ExceptionGroup) as error:
        for reason in _reasons(error):
            console.print(Text(f"FAILED: {reason}", style="bold red"), soft_wrap=True)
        return 1
    else:
        return await _judged(options, directory, console)
    finally:
        if options.keep is None:
            shutil.rmtree(directory, ignore_errors=True)
        else:
            console.print(f"everything that was recorded: {directory}", soft_wrap=True, highlight=False)


async def _judged(options: Options, directory: Path, console: Console) -> int:
    outcomes, recording = await asyncio.to_thread(verify, directory), Recording(directory)
    write_json(directory / "summary.json", recording, outcomes)
    show(console, recording, outcomes)
    passed = all(found.passed for found in outcomes)
    if not passed and options.keep is None:
        console.print("the recording is gone; to look into it, run again and keep it", soft_wrap=True)
    return 0 if passed else 1


def _reasons(error: Exception) -> list[KeeperError]:
    """What went wrong, out of the task groups that it passed through. Anything unforeseen is raised again."""
    if isinstance(error, KeeperError):
        return [error]
    if isinstance(error, ExceptionGroup):
        return [reason for inner in error.exceptions for reason in _reasons(inner)]
    raise error


async def _record(options: Options, directory: Path, console: Console, interrupts: Interrupts) -> None:
    """Plays the run; afterwards the directory holds a whole recording, and nothing is running any more."""
    parts, clock = timeline(options.for_s), SystemClock()
    recorder = Recorder(directory, clock)
    async with AsyncExitStack() as stack:
        stack.callback(recorder.close)
        world = await build(stack, recorder, clock, options.seed, parts, options.storm)
        documents = sabotaged(world.documents, options.sabotage)
        deposits = [(trader.address, trader.deposit_units) for trader in world.floor.traders]
        await world.bank.fund_accounts(deposits)
        endpoints = world.endpoints()
        path = write_config(directory / "config", documents, world.deployment, world.keys, endpoints)
        keeper = KeeperProcess(path, directory, f"http://127.0.0.1:{endpoints.ops_port}")
        stack.push_async_callback(keeper.stop)
        ended = Ended()
        async with _background(world, recorder):
            await _live(options, world, recorder, keeper, parts, console, ended, interrupts)
            await _dump(world, recorder, directory, options, parts, ended)


@asynccontextmanager
async def _background(world: World, recorder: Recorder) -> AsyncIterator[None]:
    """The world's own tasks, for as long as the body runs. Should one of them fail, so does the run."""
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(world.market.run(), name="market"),
            group.create_task(world.outlet.run(), name="outlet"),
            group.create_task(world.operator.run(), name="operator"),
            group.create_task(world.floor.run(), name="floor"),
            group.create_task(recorder.watch_blocks(world.rpc), name="blocks"),
        ]
        yield
        for task in tasks:
            task.cancel()


async def _live(
    options: Options,
    world: World,
    recorder: Recorder,
    keeper: KeeperProcess,
    parts: Timeline,
    console: Console,
    ended: Ended,
    interrupts: Interrupts,
) -> None:
    """From the keeper's start to its end; fills in `ended`. Raises KeeperFailedError when it never gets ready."""
    clock = SystemClock()
    await keeper.start()
    await keeper.wait_ready(world.session)
    ended.ready_ns = clock.now()
    interrupts.judgeable = True
    faults = venue_faults(parts.length_s, tuple(world.venues), _scarce(world), options.seed) if options.storm else ()
    befalls = troubles(parts.length_s, options.seed) if options.storm else ()
    course = moves(parts, tuple(world.market.start))
    play = Play(world, recorder, parts, course, faults, befalls, keeper)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(play.run()),
            group.create_task(recorder.watch_status(world.session, f"{keeper.ops_url}/status")),
            group.create_task(_show(options, world, recorder, console, ended)),
        ]
        died = group.create_task(keeper.ended())
        ended.early = await _until(options.for_s, interrupts.stop, died)
        ended.stop_ns = clock.now()
        recorder.note("phases", phase="stop")
        for task in tasks:
            task.cancel()
        ended.exit_code = await keeper.stop()
        ended.ended_ns = clock.now()


def _scarce(world: World) -> set[str]:
    """Who is needed to convert: without two of them most prices cannot be had."""
    converting = [document for document in world.documents if "market_no" not in document]
    return {source["kind"] for document in converting for source in document["sources"]}


async def _until(for_s: float | None, stop: asyncio.Event, died: asyncio.Task[int]) -> bool:
    """Waits for the first of time, interrupt and the keeper's death; true for the last."""
    async with asyncio.TaskGroup() as group:
        waits = [group.create_task(stop.wait())]
        if for_s is not None:
            waits.append(group.create_task(asyncio.sleep(for_s, True)))
        done, _ = await asyncio.wait([*waits, died], return_when=asyncio.FIRST_COMPLETED)
        for task in waits:
            task.cancel()
    return died in done


async def _show(options: Options, world: World, recorder: Recorder, console: Console, ended: Ended) -> None:
    """The live table, or a line every ten seconds."""
    if options.headless:
        told = 0
        while True:
            console.print(_progress(world, recorder, ended), soft_wrap=True, highlight=False)
            for line in (lines := _storm_lines(world))[told:]:
                console.print(f"  storm: {line}", soft_wrap=True, highlight=False)
            told = len(lines)
            await asyncio.sleep(PROGRESS_EVERY_S)
    header = (
        f"faults, moves, de-pegs: POST {world.control.url}/fault  /market  /depeg",
        "Ctrl-C ends the run with a verdict",
    )
    with Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
        while True:
            storm = [f"storm: {line}" for line in _storm_lines(world)[-SHOWN_TROUBLES:]]
            shown = table.render(recorder.latest_status, (*header, *storm), _figures(world, ended))
            live.update(shown, refresh=True)
            await asyncio.sleep(0.25)


def _storm_lines(world: World) -> list[str]:
    """What befell so far, in the order in which it began; nothing in the calm demo."""
    opened, now = world.floor.opened_ns, SystemClock().now()
    if world.weather is None or opened is None:
        return []
    return [each.line(opened, now) for each in world.weather.befell]


def _figures(world: World, ended: Ended) -> Mapping[str, object]:
    """What the keeper cannot know."""
    counts = world.operator.counts
    return {
        "running": f"{seconds_between(ended.ready_ns, SystemClock().now()):.0f} s",
        "true BTC": f"{world.market.usd('BTC'):,.2f}",
        "true ETH": f"{world.market.usd('ETH'):,.2f}",
        "trades": counts.settled,
        "rejected": sum(counts.rejected.values()),
    }


def _progress(world: World, recorder: Recorder, ended: Ended) -> str:
    figures = ", ".join(f"{name} {value}" for name, value in _figures(world, ended).items())
    markets = recorder.latest_status.get("markets") or {}
    marks = ", ".join(f"{name} {table.price_text((market or {}).get('mark'))}" for name, market in markets.items())
    return f"block {recorder.head}: {figures}; marks {marks or 'none yet'}"


async def _dump(
    world: World, recorder: Recorder, directory: Path, options: Options, parts: Timeline, ended: Ended
) -> None:
    """Everything that is read afterwards, and run.json last of all: it makes the recording whole."""
    sender = address_of(world.keys.sender)
    counts = [int(await world.rpc.call("eth_getTransactionCount", sender, at), 16) for at in ("pending", "latest")]
    ended.hanging = counts[0] - counts[1]
    last = int(await world.rpc.call("eth_blockNumber"), 16)
    await _another_block(world, last)
    accounts = await recorder.save_chain(world.rpc, world.addresses, world.deployment.block_number, last)
    save_world(recorder, world)
    recorder.close()
    document = _run_document(world, directory, options, parts, ended)
    text = json.dumps({**document, "accounts": list(accounts)}, indent=1)
    (directory / "run.json").write_text(text + "\n", encoding="utf-8")


async def _another_block(world: World, last: int) -> None:
    """Until the chain is past `last`: a block that was just mined may not have all its logs yet."""
    head = last
    while head == last:
        await asyncio.sleep(0.1)
        head = int(await world.rpc.call("eth_blockNumber"), 16)


def _run_document(world: World, directory: Path, options: Options, parts: Timeline, ended: Ended) -> Mapping[str, Any]:
    watched_s = seconds_between(ended.ready_ns, ended.stop_ns)
    traded_s = 0.0 if world.floor.opened_ns is None else seconds_between(world.floor.opened_ns, ended.stop_ns)
    fell = parts.crash_end_s is not None and traded_s >= parts.crash_end_s + AFTERMATH_S
    counts = world.operator.counts
    return {
        **world.addresses,
        "seed": options.seed,
        "storm": options.storm,
        "opened_ns": world.floor.opened_ns,
        "troubles": [] if world.weather is None else [asdict(each) for each in world.weather.befell],
        "duration_s": round(watched_s, 1),
        "timeline": asdict(parts),
        "requirements": asdict(requirements(watched_s, fell)),
        "markets": list(world.documents),
        "keeper": {
            "ready_ns": ended.ready_ns,
            "stop_ns": ended.stop_ns,
            "ended_ns": ended.ended_ns,
            "ended_early": ended.early,
            "exit_code": ended.exit_code,
            "hanging": ended.hanging,
            "sender": address_of(world.keys.sender),
            "journal": str(journal_of(directory / "config").relative_to(directory)),
            "stderr": "keeper.stderr",
            "excused": ["feed.benched"] if options.storm else [],
        },
        "operator": {"settled": counts.settled, "reverted": counts.reverted, "rejected": dict(counts.rejected)},
        "withdrawals": dict(world.bank.counts),
    }
