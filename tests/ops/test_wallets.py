"""Which key sends what: from the settings to one outbox for each wallet, and the orders that have to say which."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from eth_account import Account

from keeper.adapters.clock import SystemClock
from keeper.adapters.journal import Journal
from keeper.app.build import open_keys
from keeper.app.check_files import open_signers
from keeper.app.registries import REGISTRIES
from keeper.app.sending import inboxes_of
from keeper.app.txorders import TxOrders
from keeper.app.world import Keys
from keeper.domain.fees import Fees
from keeper.domain.ids import Address, Hash
from keeper.domain.time import Timestamp
from keeper.domain.transaction import Attempt, Lane, Purpose, TxRecord, TxState
from keeper.errors import ConfigError
from keeper.settings.load import load
from keeper.settings.models import Settings
from tests.settings.examples import GLOBAL, written

REPORT, SENDER, PUSHER, CRANKER = "11" * 32, "22" * 32, "33" * 32, "44" * 32
WALLETS = """
  wallets:
    pusher: {kind: key_file, file: pusher.key}
    cranker: {kind: key_file, file: cranker.key}
  lanes: {price: pusher, funding: cranker, liquidation: cranker}"""


def settings(directory: Path, wallets: str = WALLETS, **keys: str) -> Settings:
    path = written(directory, keeper=GLOBAL.replace("file: sender.key}", "file: sender.key}" + wallets))
    for name, key in {"report": REPORT, "sender": SENDER, "pusher": PUSHER, "cranker": CRANKER, **keys}.items():
        (directory / f"{name}.key").write_text(key)
        (directory / f"{name}.key").chmod(0o600)
    return load(path, REGISTRIES, {})


def own(key: str) -> str:
    return str(Account.from_key(key).address).lower()


def test_keys__of_one_sender__send_every_lane(tmp_path: Path) -> None:
    keys = open_keys(settings(tmp_path, wallets=""), {})
    assert {keys.sender(lane).address for lane in Lane} == {own(SENDER)}  # type: ignore[union-attr]
    assert keys.lanes_of("sender") == frozenset(Lane)


def test_keys__of_several_wallets__send_what_the_settings_say__and_the_rest_is_the_senders(tmp_path: Path) -> None:
    found = settings(tmp_path)
    keys = open_keys(found, {})
    sent = {lane: keys.sender(lane).address for lane in Lane}  # type: ignore[union-attr]
    assert sent == {
        Lane.SAFETY: own(SENDER),
        Lane.PRICE: own(PUSHER),
        Lane.LIQUIDATION: own(CRANKER),
        Lane.FUNDING: own(CRANKER),
        Lane.HOUSEKEEPING: own(SENDER),
    }
    inboxes = inboxes_of(keys)
    assert inboxes[Lane.FUNDING] is inboxes[Lane.LIQUIDATION]
    assert len({inboxes[lane].name for lane in (Lane.PRICE, Lane.FUNDING, Lane.SAFETY)}) == 3
    assert found.public()["signers"]["lanes"] == {"price": "pusher", "funding": "cranker", "liquidation": "cranker"}
    assert found.public()["signers"]["wallets"]["pusher"] == {"kind": "key_file", "file": "pusher.key"}


def test_keys__none__then_there_is_an_inbox_all_the_same() -> None:
    assert len({inbox.name for inbox in inboxes_of(Keys(())).values()}) == 1
    assert Keys(()).sender(Lane.PRICE) is None


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"cranker": PUSHER}, "signers.wallets.cranker: the same key as signers.wallets.pusher"),
        ({"pusher": SENDER}, "signers.wallets.pusher: the same key as signers.sender: name one wallet for the lanes"),
        ({"pusher": REPORT}, "signers.wallets.pusher: a key that signs prices must not send"),
        ({"sender": REPORT}, "signers.sender: a key that signs prices must not send"),
    ],
)
def test_keys__one_under_two_names__are_refused_by_both_names(tmp_path: Path, keys: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        open_keys(settings(tmp_path, **keys), {})


def under_way(wallet: str, nonce: int, chain_id: int = 31337, state: TxState = TxState.BROADCAST) -> TxRecord:
    tx_hash = Hash("0x" + f"{nonce}{chain_id}".rjust(24, "0") + wallet[2:])
    attempt = Attempt(tx_hash, b"raw", Purpose.CANCEL, None, Fees(2, 1), 21_000, Timestamp(1), 1)
    return TxRecord(chain_id, Address(wallet), nonce, state, (attempt,))


def test_check__transactions_under_way_of_a_key_that_is_gone__are_named(tmp_path: Path) -> None:
    found = settings(tmp_path)
    assert "under way" not in {each.check for each in open_signers(found, {})[1]}
    with Journal.open(found.state_dir, SystemClock()) as journal:
        for tx in (
            *(under_way(ONE, nonce) for nonce in (1, 2)),
            under_way(ONE, 3, state=TxState.CONFIRMED),
            under_way(OTHER, 4, chain_id=1),
            under_way(own(PUSHER), 5),
        ):
            journal.ledger.save(tx)
        told = [each for each in open_signers(found, {})[1] if each.check == "under way"]
    assert [(each.subject, each.status) for each in told] == [("signers", "warn")]
    assert told[0].detail.startswith(f"2 transactions of {ONE}, which has no key here: bring its key back")
    (found.state_dir / "journal.sqlite").write_bytes(b"no database, but long enough to be taken for one" * 100)
    (broken,) = [each for each in open_signers(found, {})[1] if each.check == "journal"]
    assert (broken.status, broken.code) == ("fail", 65)


def outbox(role: str, address: str) -> Any:
    desk = SimpleNamespace(open={}, queue={}, block=0, short={})
    return SimpleNamespace(wallet=SimpleNamespace(role=role, address=Address(address), desk=desk), sender=None)


ONE, OTHER = "0x" + "a1" * 20, "0x" + "a2" * 20
BOTH = f"sender \\({ONE}\\), pusher \\({OTHER}\\)"


def orders(*outboxes: Any) -> TxOrders:
    clock: Any = None
    return TxOrders(outboxes, dict, clock)


@pytest.mark.parametrize("verb", ["tx_bump", "tx_cancel", "tx_show"])
async def test_order__about_a_nonce_with_several_wallets__asks_which(verb: str) -> None:
    both = orders(outbox("sender", ONE), outbox("pusher", OTHER))
    with pytest.raises(ConfigError, match=f"^which --wallet\\? {BOTH}$"):
        await both.verbs()[verb]({"nonce": "3", "what": "3"})
    with pytest.raises(ConfigError, match=f"^which --wallet\\? {BOTH}$"):
        await both.verbs()[verb]({"nonce": "3", "what": "3", "wallet": "0xa"})
    with pytest.raises(ConfigError, match=f"^no wallet pushr; the wallets are {BOTH}$"):
        await both.verbs()[verb]({"nonce": "3", "what": "3", "wallet": "pushr"})


@pytest.mark.parametrize("named", ["pusher", OTHER, OTHER[:4], OTHER.upper().replace("X", "x")])
async def test_show__with_the_wallet_named__looks_there_alone(named: str) -> None:
    both = orders(outbox("sender", ONE), outbox("pusher", OTHER))
    assert await both.show({"what": "3", "wallet": named}) is None


async def test_show__by_hash__looks_in_all_wallets__and_by_nonce_in_the_only_one() -> None:
    assert await orders(outbox("sender", ONE), outbox("pusher", OTHER)).show({"what": "0x" + "12" * 32}) is None
    assert await orders(outbox("sender", ONE)).show({"what": "3"}) is None
