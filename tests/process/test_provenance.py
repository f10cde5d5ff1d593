"""A real keeper's prices on a real chain: explained, verified, and every alteration by one digit found."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import os
import re
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from keeper.adapters.clock import SystemClock
from keeper.adapters.encoding.keccak import keccak
from keeper.adapters.evidence.archive import EvidenceArchive, EvidenceLimits
from keeper.adapters.journal import Journal
from keeper.adapters.protocols.reference import ReferencePerp
from keeper.adapters.signers.curve import signing_key
from keeper.adapters.signers.key_signer import KeySigner
from keeper.devnet.demo.wallet import Wallet
from keeper.domain.ids import Address, DeploymentId, Hash
from keeper.domain.report import SeenReport, SignedReport
from tests.canary import URL_SECRET, assert_kept
from tests.process.stage import REPOSITORY, KeeperProcess, Stage, stage
from tests.services.fakes import Desk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
CHAIN_ID = 31337


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(tmp_path) as found:
        yield found


class Published:
    """What a keeper pushed before it was stopped."""

    def __init__(self, world: Stage, config: Path) -> None:
        self.world, self.config = world, config
        self.state = config.parent / "state"

    async def json(self, verb: str, *words: str) -> tuple[int, Any]:
        code, said = await self.world.command(verb, *words, "--config", str(self.config), "--json")
        return code, json.loads(said) if said[:1] in "[{" else said

    async def failed(self, *words: str) -> set[str]:
        """Names of the checks that failed; the exit code says the same."""
        code, found = await self.json("verify", *words)
        names = {each["check"] for batch in found for each in batch["checks"] if each["status"] == "failed"}
        assert code == int(bool(names)), found
        return names

    def newest(self) -> str:
        """Hash of the last push that is mined."""
        with sqlite3.connect(self.state / "journal.sqlite") as connection:
            query = "SELECT receipt.tx_hash FROM receipt JOIN attempt ON attempt.hash = receipt.tx_hash"
            query += " WHERE attempt.intent_id IS NOT NULL ORDER BY receipt.block_number DESC"
            hashes = [row[0] for row in connection.execute(query)]
        return next(each for each in hashes if self._is_push(each))

    def _is_push(self, tx: str) -> bool:
        return self.seen(self.data(tx)) is not None

    def data(self, tx: str) -> bytes:
        with sqlite3.connect(self.state / "journal.sqlite") as connection:
            query = "SELECT data FROM intent JOIN attempt ON intent.id = attempt.intent_id WHERE attempt.hash = ?"
            return bytes(connection.execute(query, (tx,)).fetchone()[0])

    @property
    def perp(self) -> ReferencePerp:
        found = self.world.deployment
        return ReferencePerp(found.oracle, found.exchange, found.lens, CHAIN_ID)

    def seen(self, data: bytes) -> SeenReport | None:
        return self.perp.read_publish(data, DeploymentId("x"), {})

    def records(self, root: str) -> dict[str, str]:
        with closing(sqlite3.connect(self.state / "journal.sqlite")) as connection:
            return dict(connection.execute("SELECT leaf, json FROM decision WHERE root = ?", (root,)))

    def put(self, root: str, records: dict[str, str]) -> None:
        """These instead of what the journal has of that batch."""
        with closing(sqlite3.connect(self.state / "journal.sqlite")) as connection, connection:
            connection.execute("DELETE FROM decision WHERE root = ?", (root,))
            query = "INSERT INTO decision(leaf, kind, market, json, created_at, root) VALUES (?, 'price', ?, ?, ?, ?)"
            for leaf, text in records.items():
                document = json.loads(text)
                connection.execute(query, (leaf, document["market"], text, int(document["now"]), root))


async def several(keeper: KeeperProcess, pushes: int = 4) -> None:
    """Until it has pushed so often, by whatever trigger."""
    await keeper.until(lambda status: sum(status["markets"]["BTC-USD"]["pushes"].values()) >= pushes, timeout_s=60)


def often(settings: dict[str, Any], markets: dict[str, dict[str, Any]]) -> None:
    for each in markets.values():
        if "publish" in each:
            each["publish"]["deviation_bps"] = 1


async def published(world: Stage, pushes: int = 3) -> Published:
    config = world.configure(often)
    keeper = await world.keeper(config)
    await several(keeper, pushes)
    assert await keeper.stop() == 0
    return Published(world, config)


def digit(text: str) -> str:
    """The last digit of it, another."""
    return text[:-1] + ("1" if text[-1] != "1" else "2")


async def test_provenance__of_an_honest_keeper__is_whole_by_every_way_to_ask(world: Stage) -> None:
    config = world.configure(often)
    keeper = await world.keeper(config)
    await several(keeper)
    found = Published(world, config)
    code, running = await found.json("verify", "--last", "3", "--frames")
    assert code == 0, running
    # What came in the last second may not be on the tape yet.
    open_ = {each["check"] for batch in running for each in batch["checks"] if each["status"] != "ok"}
    assert (len(running), open_ - {"frames"}) == (3, set()), running
    assert await keeper.stop() == 0
    tx = found.newest()
    code, (batch,) = await found.json("verify", tx, "--frames")
    assert code == 0, batch
    assert {each["check"]: each["status"] for each in batch["checks"]} == dict.fromkeys(
        ("transaction", "receipt", "block", "event", "stored", "signatures", "records", "leaves", "root",
         "entries", "config", "prices", "frames"), "ok",
    )  # fmt: skip
    code, every = await found.json("verify", "--since", "2020-01-01")
    assert code == 0
    assert len(every) > 3
    code, told = await found.json("explain", tx, "--frames")
    assert code == 0
    market = told["markets"][0]
    assert all(each["raw"] for each in market["index"]["sources"])
    assert told["transaction"]["status"] == 1
    by_round = (await found.json("explain", str(told["batch"]["round_id"])))[1]
    assert by_round["proof"] == told["proof"]
    by_time = (await found.json("explain", f"{market['market']}@{_later(market['decided_at'])}"))[1]
    assert by_time["proof"] == told["proof"]
    code, drawn = await world.command("explain", tx, "--config", str(config))
    assert code == 0
    for words in (
        tx,
        f"index {market['market']} = ",
        "clamped_weighted_mean",
        "USDT by USDT-USD",
        "trigger: ",
        "median3",
        f"condition before: {market['condition_before']['condition']}",
    ):
        assert words in drawn
    code, drawn = await world.command("verify", tx, "--config", str(config))
    assert code == 0
    assert f"{tx}: verified" in drawn
    await _without_the_keeper(world, found, told)
    await _after_the_files_changed(world, found, tx)
    await _from_the_compressed_files(found, tx)


async def _from_the_compressed_files(found: Published, tx: str) -> None:
    desk = Desk()
    with Journal.open(found.state, SystemClock()) as journal:
        limits = EvidenceLimits(fresh_ns=0)
        path, directory = found.state / "journal.sqlite", found.state / "evidence"
        archive = EvidenceArchive(path, directory, journal.decisions, SystemClock(), desk.log, desk.meter, limits)
        assert await archive.put_away() > 3
    with closing(sqlite3.connect(found.state / "journal.sqlite")) as connection:
        assert connection.execute("SELECT COUNT(*) FROM decision").fetchone() == (0,)
    assert await found.failed(tx, "--frames") == set()
    assert await found.failed("--last", "2") == set()


def _later(decided_at: str) -> str:
    """A millisecond on: the text is cut to milliseconds."""
    whole, _, millis = decided_at.removesuffix("Z").partition(".")
    return f"{whole}.{int(millis) + 1:03d}" if int(millis) < 999 else f"{whole}.999999"


async def _without_the_keeper(world: Stage, found: Published, told: Any) -> None:
    """The script in docs says the same of it, and notices a digit."""
    file = world.directory / "price.json"
    records = told["proof"]["records"]
    mark = json.loads(records[0])["mark"]["price"]
    altered = told["proof"] | {"records": [records[0].replace(mark, digit(mark)), *records[1:]]}
    for document, ends in ((told, 0), (told | {"proof": altered}, 1)):
        file.write_text(json.dumps(document))
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(REPOSITORY / "docs" / "check_evidence.py"), str(file),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, complained = await process.communicate()
        assert process.returncode == ends, (said, complained)
    signers = {line.split()[-1].lower() for line in said.decode().splitlines() if line.startswith("signed by")}
    assert signers == set(told["batch"]["signers"])


async def _after_the_files_changed(world: Stage, found: Published, tx: str) -> None:
    """By the rules of then: the market's file says something else now, or nothing that can be read."""
    file = found.config.parent / "markets" / "BTC-USD.yaml"
    text = file.read_text()
    file.write_text(text.replace("max_deviation_bps: ", "max_deviation_bps: 1"))
    assert file.read_text() != text
    assert await found.failed(tx) == set()
    file.write_text("market: [")
    code, (batch,) = await found.json("verify", tx)
    statuses = {each["check"]: each["status"] for each in batch["checks"]}
    assert code == 0
    assert statuses["prices"] == statuses["leaves"] == statuses["root"] == "ok"
    assert statuses["receipt"] == "unknown"
    file.write_text(text)


async def test_verify__evidence_altered_by_one_digit__is_found_however_it_is_covered_up(world: Stage) -> None:
    found = await published(world)
    tx = found.newest()
    seen = found.seen(found.data(tx))
    assert seen is not None
    root = "0x" + seen.report.evidence.hex()
    honest = found.records(root)
    (leaf, text), *others = honest.items()
    document = json.loads(text)
    mark, bid = document["entry"]["mark"], document["indices"][0]["inputs"][0]["bid"]

    async def failed(old: str, new: str, *words: str, covered: bool = False) -> set[str]:
        altered = text.replace(old, new, 1)
        assert altered != text
        found.put(root, dict([("0x" + keccak(altered.encode()).hex() if covered else leaf, altered), *others]))
        return await found.failed(tx, *words)

    assert await failed(f'"mark":"{mark}"', f'"mark":"{digit(mark)}"') == {"leaves", "root", "entries", "prices"}
    told = f'"bid":"{bid}"', f'"bid":"{digit(bid)}"'
    assert {"leaves", "root", "frames"} <= await failed(*told, "--frames") <= {"leaves", "root", "frames", "prices"}
    assert {"root"} <= await failed(*told, covered=True) <= {"root", "prices"}
    found.put(root, honest)
    assert await found.failed(tx, "--frames") == set()


async def test_verify__signature_or_price_on_chain_altered_by_one_digit__is_found(world: Stage) -> None:
    found = await published(world)
    tx = found.newest()
    data, wallet = found.data(tx), Wallet(world.rpc, world.keys.funder, CHAIN_ID)
    seen = found.seen(data)
    assert seen is not None
    reverted = data[:-33] + bytes([data[-33] ^ 1]) + data[-32:]
    receipt = await wallet.send(found.perp.oracle, "0x" + reverted.hex(), 2_000_000)
    assert int(receipt["status"], 16) == 0
    assert {"receipt", "signatures"} <= await found.failed(receipt["transactionHash"])

    now_ms = time.time_ns() // 10**6
    entries = tuple(replace(each, mark_e18=each.mark_e18 + 1) for each in seen.report.prices)
    forged = replace(
        seen.report, prices=entries, round_id=now_ms, observed_at_s=now_ms // 1000, valid_until_s=now_ms // 1000 + 20
    )
    receipt = await wallet.send(found.perp.oracle, "0x" + (await _signed(world, found.perp, forged)).hex(), 2_000_000)
    assert int(receipt["status"], 16) == 1
    assert await found.failed(receipt["transactionHash"]) == {"entries"}
    assert await found.failed(tx) == set()


async def _signed(world: Stage, perp: ReferencePerp, report: Any) -> bytes:
    signers = [KeySigner(key, CHAIN_ID) for scalar in world.keys.reports if (key := signing_key(scalar)) is not None]
    made = [await signer.sign_report(report, perp.digest(report)) for signer in signers]
    return perp.publish(SignedReport(report, tuple(sorted(made, key=lambda each: each.signer))))[0].data


@pytest.mark.parametrize("part", ["signature", "price", "log"])
async def test_verify__a_node_that_shows_another_digit__is_found(world: Stage, part: str) -> None:
    found = await published(world)
    tx = found.newest()
    signed_at = len(found.data(tx)) - 20
    price_at = 4 + 2 * 32 + 6 * 32 + 32 + 2 * 32 - 3

    def lie(method: str, result: Any) -> Any:
        if method == "eth_getTransactionByHash" and part != "log":
            at = 2 + 2 * (signed_at if part == "signature" else price_at)
            shown = result["input"]
            return result | {"input": shown[:at] + digit(shown[at]) + shown[at + 1 :]}
        if method == "eth_getTransactionReceipt" and part == "log":
            changed = [
                each | {"data": each["data"][:120] + digit(each["data"][120]) + each["data"][121:]}
                for each in result["logs"]
            ]
            return result | {"logs": changed}
        return result

    async with lying(world.node.url, lie) as url:
        text = found.config.read_text()
        found.config.write_text(text.replace(f"{world.node.url}/", f"{url}/"))
        failed = await found.failed(tx)
        found.config.write_text(text)
    assert (
        failed
        >= {
            "signature": {"transaction", "signatures"},
            "price": {"transaction", "entries", "signatures"},
            "log": {"event"},
        }[part]
    )
    assert await found.failed(tx) == set()


@asynccontextmanager
async def lying(upstream: str, lie: Callable[[str, Any], Any]) -> AsyncIterator[str]:
    """A node whose results `lie` may change."""

    async def handle(request: web.Request) -> web.Response:
        asked = await request.json()
        async with session.post(upstream, json=asked) as answer:
            said = await answer.json(content_type=None)
        calls, answers = (asked, said) if isinstance(asked, list) else ([asked], [said])
        by_id = {call["id"]: call["method"] for call in calls}
        for each in answers:
            if each.get("result") is not None:
                each["result"] = lie(by_id[each["id"]], each["result"])
        return web.json_response(said)

    app = web.Application()
    app.router.add_post("/", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    async with aiohttp.ClientSession() as session:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


async def test_verify__a_message_on_the_tape_altered_by_one_digit__is_found(world: Stage) -> None:
    found = await published(world)
    tx = found.newest()
    code, told = await found.json("explain", tx, "--frames")
    assert code == 0
    raw = told["markets"][0]["index"]["sources"][0]["raw"]
    (tape,) = (found.state / "tape").iterdir()
    whole = gzip.decompress(tape.read_bytes()).decode()
    spelled = json.dumps(raw, ensure_ascii=False)[1:-1]
    at = max(place for place, letter in enumerate(spelled) if letter.isdigit())
    altered = whole.replace(spelled, spelled[:at] + digit(spelled[at]) + spelled[at + 1 :])
    assert altered != whole
    tape.write_bytes(gzip.compress(altered.encode()))
    assert await found.failed(tx, "--frames") == {"frames"}
    tape.unlink()
    code, (batch,) = await found.json("verify", tx, "--frames")
    assert code == 0
    assert batch["checks"][-1]["status"] == "unknown"


async def test_explain__what_nobody_knows__one_sentence(world: Stage) -> None:
    found = await published(world, pushes=1)
    for what, said in (
        ("0x" + "1" * 64, "neither the journal nor an endpoint knows it"),
        ("BTC-USD@2001-01-01", "no record of BTC-USD"),
        ("BTC-USD@noon", "write a time"),
        ("12345", "neither a record nor a transaction"),
        ("rubbish", "write a transaction's hash"),
    ):
        code, told = await found.json("explain", what)
        assert code != 0
        assert said in told
    code, told = await found.json("explain", "BTC-USD@2090-01-01")
    assert code == 0
    assert told["earlier_s"] > 365 * 86_400
    code, drawn = await world.command("explain", "BTC-USD@2090-01-01", "--config", str(found.config))
    assert code == 0
    assert re.match(r"the last that is recorded before then: decided \d+ days", drawn), drawn[:300]


@pytest.mark.parametrize("spoil", ["altered", "random"])
async def test_verify__stored_configuration_altered__fails(world: Stage, spoil: str) -> None:
    found = await published(world, pushes=1)
    (file,) = (found.state / "evidence" / "config").iterdir()
    text = gzip.decompress(file.read_bytes()).decode()
    number = text.index('"max_age_s":') + len('"max_age_s":')
    altered = text[:number] + ("7" if text[number] != "7" else "8") + text[number + 1 :]
    file.write_bytes(gzip.compress(altered.encode()) if spoil == "altered" else os.urandom(500))
    assert await found.failed(found.newest()) == {"config"}
    code, printed = await world.command("verify", found.newest(), "--config", str(found.config))
    assert code == 1
    assert "failed: config" in printed
    assert ("does not have the hash" if spoil == "altered" else "is damaged") in " ".join(printed.split())


async def test_reload__records_name_the_configuration_that_priced_them(world: Stage) -> None:
    config = world.configure(often)
    keeper = await world.keeper(config)
    await keeper.published("BTC-USD")
    file = config.parent / "markets" / "BTC-USD.yaml"
    before = (await keeper.status())["config"]
    file.write_text(file.read_text().replace("heartbeat_s: ", "heartbeat_s: 1"))
    code, said = await world.command("ctl", "reload", "--config", str(config))
    assert code == 0, said
    after = (await keeper.until(lambda status: status["config"] != before))["config"]
    await several(keeper, 12)
    assert await keeper.stop() == 0
    found = Published(world, config)
    with sqlite3.connect(found.state / "journal.sqlite") as connection:
        named = [json.loads(row[0])["config"] for row in connection.execute("SELECT json FROM decision ORDER BY rowid")]
    assert set(named) == {before, after}
    assert named == sorted(named, key=[before, after].index)
    for each in (before, after):
        text = gzip.decompress((found.state / "evidence" / "config" / f"{each}.json.gz").read_bytes())
        assert hashlib.sha256(text).hexdigest() == each
        assert_kept(text.decode(), (*world.secrets, URL_SECRET.encode()))
    assert await found.failed("--last", "20") == set()
    assert Hash(found.newest())
    assert Address(found.perp.oracle)
