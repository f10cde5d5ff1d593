"""The journal is lost while transactions wait: the keeper refuses to send, a command makes a new journal, and nothing happens
twice.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from keeper.devnet.configure import address_of
from keeper.devnet.demo.wallet import fund
from keeper.devnet.demo.world import journal_of
from tests.process.ledger import assert_nothing_twice, sender_receipts
from tests.process.stage import QUICK, QUICK_INTERVAL_S, KeeperProcess, Stage, stage
from tests.process.test_wallets import key_file, two_wallets

pytestmark = pytest.mark.timeout(240)

UNREADABLE = 65


async def counts(scene: Stage, own: str = "") -> tuple[int, int]:
    """A wallet's latest and pending nonce: the sender's, if no other is named."""
    own = own or address_of(scene.keys.sender)
    latest, pending = [await scene.rpc.call("eth_getTransactionCount", own, at) for at in ("latest", "pending")]
    return int(latest, 16), int(pending, 16)


async def killed_with_pending(scene: Stage, config: Path) -> tuple[int, str]:
    """A keeper with a price, and soon a settlement, in the pool of a node that mines nothing: its first nonce and hash."""
    keeper = await scene.keeper(config)
    await keeper.published()
    await scene.rpc.call("evm_setIntervalMining", 0)
    mined, _ = await counts(scene)
    scene.market.jump("BTC", 0.004)
    await keeper.until(
        lambda status: any(
            each["nonce"] == mined and each["state"] == "broadcast" for each in status["transactions"]["pending"]
        )
    )
    keeper.kill()
    await keeper.process.wait()
    with closing(sqlite3.connect(f"file:{journal_of(config.parent)}?mode=ro", uri=True)) as journal:
        (newest,) = journal.execute(
            "SELECT hash FROM attempt JOIN tx ON tx.id = tx_id WHERE nonce = ? ORDER BY position DESC", (mined,)
        ).fetchone()
    return mined, str(newest)


async def refused(scene: Stage, config: Path, words: str) -> None:
    code, printed = await scene.command("run", "--config", str(config))
    assert (code, words in printed, "keeper journal rebuild" in printed) == (UNREADABLE, True, True), printed
    assert "Traceback" not in printed


async def rebuilt(scene: Stage, config: Path, *words: str) -> tuple[int, str]:
    return await scene.command("journal", "rebuild", *words, "--config", str(config))


async def goes_on(scene: Stage, config: Path, taken: int) -> KeeperProcess:
    """A keeper on the new journal pushes and settles, and leaves nothing undone. Mined from when a node has so many."""
    lines = len(scene.keepers[-1].events())
    keeper = await scene.keeper(config)
    await keeper.until(
        lambda _status: (
            len({each["nonce"] for each in keeper.events()[lines:] if each["event"] == "tx.broadcast"}) >= taken
        )
    )
    await scene.rpc.call("evm_setIntervalMining", 1)
    before = (await keeper.published())["markets"]["BTC-USD"]["onchain"]["round_id"]
    scene.market.jump("BTC", -0.004)
    await keeper.until(lambda status: status["markets"]["BTC-USD"]["onchain"]["round_id"] > before, 40)
    await keeper.until(lambda _status: len(keeper.events("funding.settled")) >= 4, 60)
    await keeper.until(lambda status: not status["transactions"]["pending"], 40)
    assert await keeper.stop() == 0
    assert (await counts(scene))[0] == (await counts(scene))[1]
    assert not keeper.events("wallet.used_elsewhere")
    print(await assert_nothing_twice(scene, QUICK_INTERVAL_S))  # noqa: T201
    return keeper


def garbage(path: Path) -> None:
    path.write_bytes(b"whatever the disk gave back" * 4000)
    path.with_name(f"{path.name}-wal").unlink(missing_ok=True)


def gone(path: Path) -> None:
    for each in path.parent.glob("journal.sqlite*"):
        each.unlink()


@pytest.mark.parametrize(("destroy", "words"), [(garbage, "file is not a database"), (gone, "is gone")])
async def test_journal__destroyed_with_transactions_pending__is_adopted_by_cancelling_them(
    tmp_path: Path, destroy: Callable[[Path], None], words: str
) -> None:
    async with stage(tmp_path, listings=QUICK) as scene:
        config = scene.configure()
        mined, _ = await killed_with_pending(scene, config)
        _, pending = await counts(scene)
        destroy(journal_of(config.parent))
        await refused(scene, config, words)

        code, printed = await rebuilt(scene, config)
        assert code == 1, printed
        assert f"has {pending - mined} pending transactions of which nothing is known (nonce {mined}" in printed
        assert "nothing was changed" in printed
        code, printed = await rebuilt(scene, config, "--wait", "2s")
        assert code == 1, printed
        await refused(scene, config, words)

        code, printed = await rebuilt(scene, config, "--plunge")
        assert code == 0, printed
        assert f"{pending - mined} are to be cancelled" in printed
        aside = list((config.parent / "state").glob("journal.damaged-*.sqlite"))
        assert [each.read_bytes()[:8] for each in aside] == ([b"whatever"] if destroy is garbage else [])
        assert (await rebuilt(scene, config))[0] == 1, "what is sound is not rebuilt"
        await goes_on(scene, config, taken=pending - mined)
        own = address_of(scene.keys.sender)
        cancelled = [each for each in await sender_receipts(scene) if each["to"] == own]
        assert {each["nonce"] for each in cancelled} == set(range(mined, pending))


async def test_journal__destroyed__is_adopted_when_what_was_pending_is_mined(tmp_path: Path) -> None:
    async with stage(tmp_path, listings=QUICK) as scene:
        config = scene.configure()
        _, newest = await killed_with_pending(scene, config)
        garbage(journal_of(config.parent))
        waiting = asyncio.create_task(rebuilt(scene, config, "--wait", "60s"))
        await asyncio.sleep(0)
        await scene.rpc.call("evm_setIntervalMining", 1)
        code, printed = await waiting
        assert code == 0, printed
        assert "0 are to be cancelled, 0 are to be filled" in printed
        assert int((await scene.rpc.call("eth_getTransactionReceipt", newest))["status"], 16) == 1
        await goes_on(scene, config, taken=0)


async def test_journal__damaged_in_its_first_page__sends_the_same_bytes_again(tmp_path: Path) -> None:
    """The node has forgotten the transaction: only the journal's remains can bring it back, and no other takes its nonce."""
    async with stage(tmp_path, listings=QUICK) as scene:
        config = scene.configure()
        mined, newest = await killed_with_pending(scene, config)
        path = journal_of(config.parent)
        _checkpoint(path)
        with path.open("r+b") as file:
            file.write(bytes(4096))
        await scene.rpc.call("anvil_dropAllTransactions")
        await refused(scene, config, "file is not a database")
        code, printed = await rebuilt(scene, config)
        assert code == 0, printed
        assert "pending are known, 0 are to be cancelled, 0 are to be filled" in printed
        keeper = await goes_on(scene, config, taken=1)
        sent = [each["tx_hash"] for each in keeper.events("tx.broadcast") if each["nonce"] == mined]
        assert sent.count(newest) == 2, "before it was killed, and after it was saved"
        first = next(each for each in await sender_receipts(scene) if each["nonce"] == mined)
        assert first["transactionHash"] in {each["tx_hash"] for each in keeper.events("tx.signed")}


async def test_journal__destroyed_with_two_wallets_under_way__both_are_adopted(tmp_path: Path) -> None:
    file = key_file(tmp_path / "pusher.key", key := secrets.token_bytes(32))
    async with stage(tmp_path, listings=QUICK) as scene:
        owners = {"sender": address_of(scene.keys.sender), "pusher": address_of(key)}
        await fund(scene.rpc, owners["pusher"])
        config = scene.configure(two_wallets(scene.node.url, file))
        keeper = await scene.keeper(config)
        await keeper.published()
        await keeper.until(lambda _status: bool(keeper.events("funding.settled")), 40)
        await scene.rpc.call("evm_setIntervalMining", 0)
        await _with_both_pending(scene, keeper)
        keeper.kill()
        await keeper.process.wait()
        before = {name: await counts(scene, own) for name, own in owners.items()}
        assert all(latest < pending for latest, pending in before.values())
        garbage(journal_of(config.parent))
        await refused(scene, config, "file is not a database")

        code, printed = await rebuilt(scene, config, "--plunge")
        assert code == 0, printed
        for name, (latest, pending) in before.items():
            found = f"{owners[name]}: {latest} nonces are mined, it goes on with {pending}; 0 pending are known, "
            assert f"{found}{pending - latest} are to be cancelled, 0 are to be filled" in printed

        lines = len(keeper.events())
        keeper = await scene.keeper(config)
        await keeper.until(lambda _status: _senders(keeper.events()[lines:]) == set(owners.values()))
        await scene.rpc.call("evm_setIntervalMining", 1)
        await keeper.until(
            lambda _status: {each["wallet"] for each in keeper.events("tx.cancelled")} == set(owners.values()), 40
        )
        settled = len(keeper.events("funding.settled"))
        await keeper.until(lambda _status: len(keeper.events("funding.settled")) > settled, 40)
        await keeper.until(lambda status: not status["transactions"]["pending"], 40)
        assert await keeper.stop() == 0
        assert not keeper.events("wallet.used_elsewhere")
        for own in owners.values():
            latest, pending = await counts(scene, own)
            assert latest == pending


async def _with_both_pending(scene: Stage, keeper: KeeperProcess) -> None:
    """Blocks one by one, until one of them has made a settlement due; then a price that no block takes."""
    while "sender" not in _wallets_pending(await keeper.status()):
        await scene.rpc.call("evm_mine")
        await asyncio.sleep(1)
    scene.market.jump("BTC", 0.004)
    await keeper.until(lambda status: _wallets_pending(status) == {"sender", "pusher"})


def _wallets_pending(status: dict[str, Any]) -> set[str]:
    """By name, those with something that a node has taken and no block."""
    return {each["wallet"] for each in status["transactions"]["pending"] if each["state"] == "broadcast"}


def _senders(events: list[dict[str, Any]]) -> set[str]:
    return {each["wallet"] for each in events if each["event"] == "tx.broadcast"}


async def test_rebuild__beside_a_running_keeper_or_with_a_sound_journal__changes_nothing(tmp_path: Path) -> None:
    async with stage(tmp_path) as scene:
        config = scene.configure()
        code, printed = await rebuilt(scene, config)
        assert (code, "no keeper ever ran" in printed) == (1, True), printed
        keeper = await scene.keeper(config)
        await keeper.published()
        code, printed = await rebuilt(scene, config, "--plunge")
        assert (code, "is held by process" in printed) == (75, True), printed
        assert await keeper.stop() == 0
        before = journal_of(config.parent).read_bytes()
        code, printed = await rebuilt(scene, config, "--plunge")
        assert (code, "is sound: there is nothing to rebuild" in printed) == (1, True), printed
        assert journal_of(config.parent).read_bytes() == before


def _checkpoint(path: Path) -> None:
    """As after a clean stop: the -wal is part of the database."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
