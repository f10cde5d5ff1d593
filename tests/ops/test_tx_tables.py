"""`keeper tx` reads a journal that nobody has open, and shows it to people."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from keeper.adapters.journal import Journal
from keeper.adapters.journal_reader import JournalReader
from keeper.app.admin import Refused
from keeper.app.screen import WIDE, screen
from keeper.app.txfacts import shown
from keeper.app.txlisting import Listing
from keeper.app.txorders import matches
from keeper.app.txtables import listed, told
from keeper.domain.chain import Call, Receipt
from keeper.domain.fees import GWEI, Fees
from keeper.domain.ids import Address, DeploymentId, Hash
from keeper.domain.time import SECOND, Timestamp
from keeper.domain.transaction import (
    Attempt,
    Intent,
    IntentState,
    Lane,
    Outcome,
    Purpose,
    TxRecord,
    TxState,
    intent_id,
)
from keeper.domain.txerrors import SendAnswer
from keeper.errors import KeeperError, StateCorrupt

OURS, OTHERS, CONTRACT = (Address("0x" + digit * 40) for digit in "abc")
NOW = Timestamp(1_795_300_000 * SECOND)


class Stopped:
    """A clock that stands: how slowly a test runs is not what it is about."""

    def now(self) -> Timestamp:
        return NOW


def intent(number: int) -> Intent:
    key = f"BTC-USD@{number}\x1b[31m"
    call = Call(CONTRACT, b"\x12\x34\x56\x78" + bytes(32), 0, 200_000)
    made = Timestamp(NOW - 10 * SECOND)
    return Intent(
        intent_id(1, CONTRACT, Lane.FUNDING, key), DeploymentId("main"), Lane.FUNDING, key, call, made, None, ()
    )


def record(nonce: int, wallet: Address = OURS, state: TxState = TxState.BROADCAST, attempts: int = 2) -> TxRecord:
    made = tuple(
        Attempt(
            hash=Hash(f"0x{nonce:030x}{place:02x}{wallet[-32:]}"),
            raw=b"raw",
            purpose=Purpose.BUMP if place else Purpose.CALL,
            intent=intent(nonce),
            fees=Fees((place + 2) * GWEI, GWEI),
            gas_limit=200_000,
            signed_at=Timestamp(NOW - 10 * SECOND),
            signed_block=7,
            answer=SendAnswer.ACCEPTED,
            sent_at=NOW,
            sends=1,
        )
        for place in range(attempts)
    )
    return TxRecord(1, wallet, nonce, state, made)


def mined(tx: TxRecord) -> TxRecord:
    receipt = Receipt(tx.attempts[0].hash, 1, 9, Hash("0x" + "9" * 64), 100_000, 2 * GWEI, ())
    return replace(tx, state=TxState.FINAL, receipt=receipt)


@pytest.fixture
def listing(tmp_path: Path) -> Listing:
    with Journal.open(tmp_path, Stopped()) as journal:
        journal.ledger.save(mined(record(3)))
        journal.ledger.save(record(4))
        journal.ledger.save(replace(record(5), state=TxState.CONFIRMED))
        journal.ledger.save(record(6))
        journal.ledger.save(record(4, OTHERS))
        journal.ledger.settle(Outcome(intent(3).id, Lane.FUNDING, "k", IntentState.REVERTED, NOW, reason="Paused"))
    return Listing((tmp_path / "keeper.sock",), (tmp_path / "elsewhere", tmp_path), Stopped())


def printed(what: object, width: int = 240) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(what)
    return out.getvalue()


WIDTHS = (60, 80, 120, 200)


def row_of(nonce: int, state: str, name: str) -> dict[str, object]:
    """As a running keeper tells it, with the longest that each column gets."""
    return {
        "wallet": OURS, "nonce": nonce, "lane": "liquidation", "key": f"0x{'ab' * 20}@{nonce}", "intent_id": "f" * 32,
        "state": state, "attempts": 12, "max_fee_wei": 123_456 * GWEI // 1000, "tip_wei": 1_500_000_001, "age_s": 86_400.5,
        "age_blocks": 7200, "hash": f"0x{nonce:064x}", "answer": name, "next": "supersede",
    }  # fmt: skip


ROWS = [
    row_of(123_456, "broadcast", "underpriced"),
    row_of(123_457, "cancelling", "already_known"),
    row_of(7, "orphaned", ""),
]
FOUND = {"note": "", "wallets": [], "forbidden": {}, "transactions": ROWS}


@pytest.mark.parametrize("width", WIDTHS)
def test_list__at_any_width__splits_no_cell_over_lines(width: int) -> None:
    lines = printed(listed(FOUND), width).splitlines()
    assert all(len(line) <= width for line in lines)
    head, *rows = [line.strip() for line in lines[: len(ROWS) + 1]]
    left_out = " ".join(line.strip() for line in lines[len(ROWS) + 1 :])
    assert head.split()[0] == "nonce"
    for row, found in zip(rows, ROWS, strict=True):
        words = row.split()
        assert words[0] == str(found["nonce"])
        assert str(found["state"]) in words
        for name, cell in (("lane", "liquidation"), ("age s", "86400.5"), ("gwei", "123.456"), ("next", "supersede")):
            assert (cell in words) == (name in head), (name, row)
    missing = left_out.removeprefix("no room for: ").split(", ") if left_out else []
    assert sorted([*re.split(r"\s{2,}", head), *missing]) == sorted(
        ["nonce", "lane", "key", "state", "tries", "gwei", "tip", "age s", "blocks", "hash", "node said", "next"]
    )
    assert bool(missing) == (width < 200)


@pytest.mark.parametrize("width", WIDTHS)
def test_show__at_any_width__has_whole_hashes_and_whole_words(listing: Listing, width: int) -> None:
    found = listing.one("3", "")
    lines = printed(shown(found), width).splitlines()
    assert all(len(line) <= width for line in lines)
    joined = "".join(line.strip() for line in lines)
    for attempt in found["made"]:
        assert attempt["hash"] in joined
        assert sum(attempt["hash"][:34] in line for line in lines) <= 2, "of the receipt and of the attempt"
        for words in (attempt["signed_at"], attempt["purpose"], str(attempt["gas_limit"])):
            assert any(words in line for line in lines), words


def test_screen__that_is_no_terminal__is_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", io.StringIO())
    monkeypatch.delenv("COLUMNS", raising=False)
    assert screen().width == WIDE
    monkeypatch.setenv("COLUMNS", "80")
    assert screen().width == 80


def test_list__of_a_journal__says_so_and_shows_what_is_pending(listing: Listing) -> None:
    found = listing.all(settled=False)
    assert found["note"].startswith("no keeper runs here: there is no socket at ")
    assert [(each["wallet"], each["nonce"]) for each in found["transactions"]] == [(OURS, 4), (OURS, 6), (OTHERS, 4)]
    assert [each["age_s"] for each in found["transactions"]] == [10.0, 10.0, 10.0]
    everything = listing.all(settled=True)["transactions"]
    assert sorted((each["wallet"], each["nonce"]) for each in everything) == sorted(
        [(OURS, 3), (OURS, 4), (OURS, 5), (OURS, 6), (OTHERS, 4)]
    )
    text = printed(listed(found))
    assert "journal.sqlite" in text
    assert "\x1b" not in text, "a key is foreign text"
    assert json.dumps(found)


@pytest.mark.parametrize("what", ["3", record(3).attempts[1].hash, record(3).attempts[0].hash[:34] + "…", intent(3).id])
def test_show__by_nonce_hash_or_intent__finds_it(listing: Listing, what: str) -> None:
    found = listing.one(what, "")
    assert (found["nonce"], found["state"]) == (3, "final")
    assert found["outcome"] == {"state": "reverted", "reason": "Paused", "failures": 1}
    text = printed(shown(found))
    for words in (
        "reverted: Paused, failed 1×",
        "success in block 9",
        "100000 gas at 2 gwei, 0.0002 ether",
        "bump",
        "mined",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("5000", "no nonce 5000; pending: 6, 4, 4"),
        ("0x1234", "of 8 characters at least"),
        ("f" * 32, "begins with " + "f" * 32),
        ("4", f"which --wallet? {OURS}, {OTHERS}"),
        ("%", "pending: 4, 4, 6"),
    ],
)
def test_show__of_something_else__names_what_there_is(listing: Listing, what: str, words: str) -> None:
    with pytest.raises(Refused) as refused:
        listing.one(what, "")
    assert words in str(refused.value)
    assert refused.value.exit_code == 1


def test_show__of_bytes_that_are_no_text__finds_nothing(listing: Listing) -> None:
    with pytest.raises(Refused, match="begins with 0x"):
        listing.one("0x" + "\udcff" * 9, "\udcff")


def test_show__with_the_wallet_named__chooses(listing: Listing) -> None:
    assert listing.one("4", OTHERS[:8].upper().replace("X", "x"))["wallet"] == OTHERS


def test_show__of_the_wrong_wallet__names_the_right_ones(listing: Listing) -> None:
    with pytest.raises(Refused, match=f"^not of wallet pusher, but of {OURS}, {OTHERS}: "):
        listing.one("4", "pusher")


def test_list__of_several_wallets__says_whose_each_is(listing: Listing) -> None:
    found = listing.all(settled=False)
    wallet = {"mined_nonce": 4, "next_nonce": 7, "block": 9, "paused": "", "lanes": ["price"]}
    funds = {"balance_wei": 10**18, "reserved_wei": 25 * 10**16, "runway_s": 5400}
    wallets = [
        {"name": name, "address": own, **wallet, **funds} for name, own in (("pusher", OURS), ("sender", OTHERS))
    ]
    text = printed(listed({**found, "wallets": wallets}))
    head, *table = [line for line in text.splitlines() if "wallet" in line or "BTC-USD" in line][1:]
    assert head.startswith(
        f"wallet pusher {OURS} (price)  nonce 7 next, 4 mined  block 9  0.25 of 1 ether reserved, for 1.5 h"
    )
    assert [line.split()[0] for line in table[-3:]] == ["pusher", "pusher", "sender"]
    scarce = printed(listed({**found, "wallets": [{**wallets[0], "paused": "balance_reserved"}]}))
    assert "what is queued does not fit the balance beside what is under way" in scarce
    unknown = {**wallets[0], "balance_wei": None, "runway_s": None}
    assert "0.25 of unknown ether reserved\n" in printed(listed({**found, "wallets": [unknown]})).replace(
        "  ", " "
    ).replace(" \n", "\n")


def test_reader__changes_nothing__while_the_keeper_writes(tmp_path: Path) -> None:
    with Journal.open(tmp_path, Stopped()) as journal:
        journal.ledger.save(record(1))
        reader = JournalReader(tmp_path / "journal.sqlite")
        assert [tx.nonce for tx in reader.unfinished()] == [1]
        journal.ledger.save(record(2))
        assert [tx.nonce for tx in reader.newest(1)] == [2]
        assert reader.by_nonce(2)[0] == record(2)
        assert reader.outcome("nobody") is None
    before = (tmp_path / "journal.sqlite").read_bytes()
    assert len(reader.unfinished()) == 2
    assert (tmp_path / "journal.sqlite").read_bytes() == before


def test_reader__of_a_file_that_is_no_journal__says_so(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").write_bytes(b"not a database, but long enough to be taken for one" * 100)
    with pytest.raises(StateCorrupt, match="cannot be read as a journal"):
        JournalReader(tmp_path / "journal.sqlite").unfinished()
    (tmp_path / "journal.sqlite").write_bytes(b"")
    with pytest.raises(StateCorrupt, match="no such table"):
        JournalReader(tmp_path / "journal.sqlite").unfinished()
    with pytest.raises(KeeperError, match="unable to open"):
        JournalReader(tmp_path / "missing.sqlite").unfinished()


def test_journal__that_never_was__is_said_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no keeper runs here, nor did one ever by this configuration"):
        Listing((tmp_path / "keeper.sock",), (tmp_path,), Stopped()).all(settled=False)


@pytest.mark.parametrize(
    ("what", "found"),
    [
        ("4", True),
        ("04", True),
        ("5", False),
        (record(4).attempts[1].hash, True),
        (intent(4).id[:8], True),
        ("", False),
    ],
)
def test_name__of_a_transaction__fits_or_not(what: str, found: bool) -> None:
    assert matches(record(4), what) is found


def test_told__of_the_limit__names_it_with_what_is_offered_and_needed() -> None:
    before = {"max_fee_wei": 30 * GWEI, "tip_wei": GWEI}
    limited = {"nonce": 7, "purpose": "bump", "before": before, "after": None, "hash": None, "answer": None}
    words = told({**limited, "limit_wei": 31 * GWEI, "wanted_wei": 33 * GWEI})
    assert words == "nonce 7: not replaced: it offers 30 gwei (tip 1), 33 gwei are needed, the limit is 31"


def test_told__of_funds__names_what_everything_may_cost_and_what_there_is() -> None:
    before = {"max_fee_wei": 30 * GWEI, "tip_wei": GWEI}
    kept = {"nonce": 7, "purpose": "bump", "before": before, "after": None, "hash": None, "answer": None}
    words = told({**kept, "limit_wei": None, "wanted_wei": None, "short_wei": 3 * 10**17, "balance_wei": 10**17})
    assert words == "nonce 7: not replaced: with everything under way it may cost 0.3 ether, and the wallet has 0.1"
