"""The mempool alone: go-ethereum's rules, without sockets and without a chain."""

from __future__ import annotations

import random

import pytest

from keeper.devnet.simulator.pool import Pool
from keeper.devnet.simulator.rules import Account, Block, PoolRules
from tests.simulator.bench import GWEI, plain

RICH = Account(nonce=0, balance=10**24)
BLOCK = Block(base_fee=10 * GWEI, gas_limit=30_000_000)


def said(pool: Pool, tx: object, account: Account = RICH) -> str:
    refused = pool.add(tx, account)  # type: ignore[arg-type]
    return "" if refused is None else refused.message


def nonces(shelf: dict[str, list[object]], sender: str = "0xa") -> list[int]:
    return [tx.nonce for tx in shelf.get(sender, [])]  # type: ignore[attr-defined]


@pytest.fixture
def pool() -> Pool:
    return Pool(PoolRules(), BLOCK)


def test_add__same_transaction_again__is_already_known(pool: Pool) -> None:
    assert said(pool, plain(0)) == ""
    assert said(pool, plain(0)) == "already known"


@pytest.mark.parametrize(
    ("tip", "cap", "taken"),
    [
        (110, 1100, True),
        (109, 1100, False),
        (110, 1099, False),
        (100, 1100, False),
        (110, 1000, False),
        (200, 1000, False),
        (1000, 2000, True),
    ],
)
def test_replacement__of_tip_100_and_cap_1000__needs_a_tenth_on_both(
    pool: Pool, tip: int, cap: int, taken: bool
) -> None:
    assert said(pool, plain(0, 100, 1000)) == ""
    expected = "" if taken else "replacement transaction underpriced"
    assert said(pool, plain(0, tip, cap)) == expected
    assert len(pool) == 1
    assert pool.hashes() == [plain(0, tip, cap).hash if taken else plain(0, 100, 1000).hash]


def test_replacement__of_a_queued_one__needs_the_same(pool: Pool) -> None:
    assert said(pool, plain(5, 100, 1000)) == ""
    assert said(pool, plain(5, 109, 1100)) == "replacement transaction underpriced"
    assert said(pool, plain(5, 110, 1100)) == ""
    assert nonces(pool.queued()) == [5]


def test_replacement__ten_thousand_random_bumps__are_judged_by_the_rule(pool: Pool) -> None:
    """The rule without division: at least eleven tenths rounded down, and strictly higher."""
    chance = random.Random(4)
    taken = 0
    for number in range(10_000):
        if number % 1_000 == 0:
            pool = Pool(PoolRules(), BLOCK)  # has room for 6,144
        tip = chance.choice([1, 2, 9, 10, 11, chance.randint(1, 10**4), chance.randint(1, 10**11)])
        cap = tip + chance.choice([0, 1, chance.randint(0, 10**4), chance.randint(0, 10**11)])
        new_tip = max(1, tip * chance.randint(105, 115) // 100 + chance.randint(-2, 2))
        new_cap = max(new_tip, cap * chance.randint(105, 115) // 100 + chance.randint(-2, 2))
        assert said(pool, plain(0, tip, cap, f"0x{number}")) == ""
        must = all(new > old and 10 * new + 10 > 11 * old for new, old in ((new_tip, tip), (new_cap, cap)))
        answer = said(pool, plain(0, new_tip, new_cap, f"0x{number}", value=1))
        assert answer == ("" if must else "replacement transaction underpriced"), (tip, cap, new_tip, new_cap)
        taken += must
    assert 2_000 < taken < 8_000, "both answers must have been common"


def test_nonce__below_the_account__is_too_low(pool: Pool) -> None:
    assert said(pool, plain(4), Account(7, 10**24)) == "nonce too low: next nonce 7, tx nonce 4"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"tip": 0}, "transaction underpriced: gas tip cap 0, minimum needed 1"),
        ({"tip": 5, "cap": 4}, "max priority fee per gas higher than max fee per gas"),
        ({"gas": 20_999}, "intrinsic gas too low: gas 20999, minimum needed 21000"),
        ({"gas": 21_000, "data": b"\0\1"}, "intrinsic gas too low: gas 21000, minimum needed 21020"),
        ({"gas": 30_000_001}, "exceeds block gas limit"),
        (
            {"sender_fault": "invalid chain id for signer: have 1 want 2"},
            "invalid sender: invalid chain id for signer: have 1 want 2",
        ),
        ({"nonce": 2**64 - 1}, "nonce has max value"),
        ({"raw": b"x" * 131_073}, "oversized data: transaction size 131073, limit 131072"),
        ({"cap": 2**256}, "max fee per gas higher than 2^256-1"),
    ],
)
def test_transaction__that_can_never_be_valid__is_refused_as_by_geth(pool: Pool, fields: dict, text: str) -> None:
    assert said(pool, plain(**{"nonce": 0, **fields})) == text
    assert len(pool) == 0


def test_funds__for_one_transaction__count_gas_at_the_cap_and_value(pool: Pool) -> None:
    cost = 21_000 * 100 * GWEI + 5
    text = f"insufficient funds for gas * price + value: balance {cost - 1}, tx cost {cost}, overshot 1"
    assert said(pool, plain(0, value=5), Account(0, cost - 1)) == text
    assert said(pool, plain(0, value=5), Account(0, cost)) == ""


def test_funds__for_all_pending_ones__are_not_overdrawn(pool: Pool) -> None:
    cost = 21_000 * 100 * GWEI
    account = Account(0, cost * 2 - 1)
    assert said(pool, plain(0), account) == ""
    text = f"insufficient funds for gas * price + value: balance {cost * 2 - 1}, queued cost {cost}, tx cost {cost}, overshot 1"
    assert said(pool, plain(1), account) == text


def test_funds__for_a_bump__count_the_difference(pool: Pool) -> None:
    cost = 21_000 * 100 * GWEI
    account = Account(0, cost * 2 + cost // 20)
    assert said(pool, plain(0), account) == ""
    assert said(pool, plain(1), account) == ""
    bump = cost // 10
    answer = said(pool, plain(1, 3 * GWEI, 110 * GWEI), account)
    assert answer.endswith(f"queued cost {2 * cost}, tx bumped {bump}, overshot {bump - cost // 20}")
    assert nonces(pool.pending()) == [0, 1], "the older attempt stays"


def test_gap__filled__promotes_what_waited(pool: Pool) -> None:
    for nonce in (2, 1, 4):
        assert said(pool, plain(nonce)) == ""
    assert (nonces(pool.pending()), nonces(pool.queued())) == ([], [1, 2, 4])
    assert pool.next_nonce("0xa", 0) == 0
    assert said(pool, plain(0)) == ""
    assert (nonces(pool.pending()), nonces(pool.queued())) == ([0, 1, 2], [4])
    assert pool.next_nonce("0xa", 0) == 3


def test_queue__beyond_64__loses_the_highest_nonces(pool: Pool) -> None:
    for nonce in range(1, 70):
        assert said(pool, plain(nonce)) == ""
    assert nonces(pool.queued()) == list(range(1, 65))
    assert len(pool) == 64


def test_pending__beyond_16__is_taken_while_the_pool_has_room(pool: Pool) -> None:
    for nonce in range(40):
        assert said(pool, plain(nonce)) == ""
    assert nonces(pool.pending()) == list(range(40))


def test_pending__beyond_16_in_a_full_pool__is_cut_at_the_longest() -> None:
    pool = Pool(PoolRules(global_slots=20, global_queue=100), BLOCK)
    for nonce in range(16):
        said(pool, plain(nonce))
    for nonce in range(5):
        said(pool, plain(nonce, sender="0xb"))
    assert (len(pool.pending()["0xa"]), len(pool.pending()["0xb"])) == (16, 5), "16 are guaranteed"
    said(pool, plain(16))
    assert len(pool.pending()["0xa"]) == 16
    assert pool.next_nonce("0xa", 0) == 16


def test_account_limit__as_other_pools_have_it__refuses_newcomers_and_not_replacements() -> None:
    pool = Pool(PoolRules(account_limit=2), BLOCK)
    assert [said(pool, plain(nonce)) for nonce in range(3)] == ["", "", "account limit exceeded: pooled 2 txs"]
    assert said(pool, plain(1, 3 * GWEI, 110 * GWEI)) == ""


def test_full__while_switched_on__refuses_newcomers(pool: Pool) -> None:
    said(pool, plain(0))
    pool.full = True
    assert said(pool, plain(1)) == "txpool is full"
    assert said(pool, plain(0, 3 * GWEI, 110 * GWEI)) == ""
    pool.full = False
    assert said(pool, plain(1)) == ""


def test_full__by_itself__makes_room_for_the_better_paying() -> None:
    pool = Pool(PoolRules(global_slots=2, global_queue=1), BLOCK)
    for place, tip in enumerate((3, 2, 4)):
        assert said(pool, plain(0, tip * GWEI, sender=f"0x{place}")) == ""
    assert said(pool, plain(0, 2 * GWEI, sender="0x9")) == "transaction underpriced"
    assert said(pool, plain(7, 9 * GWEI, sender="0x9")) == "future transaction tries to replace pending"
    assert said(pool, plain(0, 5 * GWEI, sender="0x9")) == ""
    assert sorted(pool.pending()) == ["0x0", "0x2", "0x9"]


def test_base_fee__above_the_cap__leaves_it_stuck_in_the_pool(pool: Pool) -> None:
    said(pool, plain(0, cap=20 * GWEI))
    pool.reset(Block(base_fee=21 * GWEI), {"0xa": RICH})
    assert pool.choose() == []
    assert pool.next_nonce("0xa", 0) == 1
    pool.reset(Block(base_fee=20 * GWEI), {"0xa": RICH})
    assert [tx.nonce for tx in pool.choose()] == [0]


def test_choice__by_effective_tip__keeps_each_sender_in_nonce_order(pool: Pool) -> None:
    said(pool, plain(0, 1 * GWEI))
    said(pool, plain(1, 9 * GWEI))
    said(pool, plain(0, 5 * GWEI, 12 * GWEI, sender="0xb"))  # worth 2 at a base fee of 10
    said(pool, plain(0, 2 * GWEI, sender="0xc"))  # worth as much, came later
    said(pool, plain(0, 3 * GWEI, sender="0xd"))
    chosen = [(tx.sender, tx.nonce) for tx in pool.choose()]
    assert chosen == [("0xd", 0), ("0xb", 0), ("0xc", 0), ("0xa", 0), ("0xa", 1)]


def test_choice__without_gas_left__passes_over_the_sender(pool: Pool) -> None:
    pool.block = Block(10 * GWEI, 100_000)
    said(pool, plain(0, 5 * GWEI, gas=60_000))
    said(pool, plain(0, 4 * GWEI, gas=50_000, sender="0xb"))
    said(pool, plain(1, 9 * GWEI, gas=21_000, sender="0xb"))
    said(pool, plain(0, 3 * GWEI, gas=40_000, sender="0xc"))
    assert [tx.sender for tx in pool.choose()] == ["0xa", "0xc"]


def test_reset__after_a_block__forgets_what_was_mined(pool: Pool) -> None:
    for nonce in range(3):
        said(pool, plain(nonce))
    pool.reset(BLOCK, {"0xa": Account(2, 10**24)})
    assert nonces(pool.pending()) == [2]
    assert pool.next_nonce("0xa", 2) == 3


def test_reset__with_an_emptied_account__drops_what_cannot_be_paid_and_queues_what_follows(pool: Pool) -> None:
    said(pool, plain(0, value=1))
    said(pool, plain(1, value=10**20))
    said(pool, plain(2, value=2))
    pool.reset(BLOCK, {"0xa": Account(0, 10**19)})
    assert (nonces(pool.pending()), nonces(pool.queued())) == ([0], [2])


def test_reset__after_a_reorg__takes_back_what_was_mined(pool: Pool) -> None:
    mined = [plain(0), plain(1)]
    said(pool, plain(2), Account(2, 10**24))
    pool.reset(BLOCK, {"0xa": RICH}, mined)
    assert nonces(pool.pending()) == [0, 1, 2]


def test_reset__after_a_reorg_that_loses_one__queues_what_stood_behind(pool: Pool) -> None:
    said(pool, plain(2), Account(2, 10**24))
    pool.reset(BLOCK, {"0xa": RICH}, [plain(1)])
    assert (nonces(pool.pending()), nonces(pool.queued())) == ([], [1, 2])
    assert pool.next_nonce("0xa", 0) == 0


def test_drop__in_the_middle__queues_what_stood_behind(pool: Pool) -> None:
    txs = [plain(nonce) for nonce in range(3)]
    for tx in txs:
        said(pool, tx)
    assert pool.drop(txs[1].hash)
    assert not pool.drop(txs[1].hash)
    assert (nonces(pool.pending()), nonces(pool.queued())) == ([0], [2])
    assert pool.next_nonce("0xa", 0) == 1


def test_any_history__of_twenty_thousand_steps__keeps_the_books(pool: Pool) -> None:
    """Pending is gapless from the account's nonce, nothing is in two places, nothing known is missing."""
    pool = Pool(PoolRules(global_slots=60, global_queue=30, account_queue=8, account_slots=4), BLOCK)
    chance = random.Random(11)
    accounts = {f"0x{number}": Account(0, 10**20) for number in range(8)}
    for _ in range(20_000):
        step(pool, chance, accounts)
        check(pool, accounts)


def step(pool: Pool, chance: random.Random, accounts: dict[str, Account]) -> None:
    kind = chance.random()
    if kind < 0.85:
        sender = chance.choice(list(accounts))
        nonce = accounts[sender].nonce + chance.choice([-1, 0, 0, 1, 2, 3, 5, 20])
        tip = chance.randint(1, 50)
        pool.add(plain(max(0, nonce), tip, tip * chance.randint(1, 9), sender, gas=10**6), accounts[sender])
    elif kind < 0.9 and len(pool):
        pool.drop(chance.choice(pool.hashes()))
    else:
        pool.block = Block(chance.randint(1, 200), 30_000_000)
        mined = pool.choose()[: chance.randint(0, 10)]
        for tx in mined:
            accounts[tx.sender] = Account(tx.nonce + 1, accounts[tx.sender].balance)
        back = mined if chance.random() < 0.3 else []
        for tx in reversed(back):
            accounts[tx.sender] = Account(tx.nonce, accounts[tx.sender].balance)
        poor = chance.choice(list(accounts))
        accounts[poor] = Account(accounts[poor].nonce, chance.choice([10**20, 10**8, 10**9]))
        pool.reset(pool.block, accounts, back)


def check(pool: Pool, accounts: dict[str, Account]) -> None:
    shelved = []
    for sender, txs in pool.pending().items():
        found = [tx.nonce for tx in txs]
        assert found == list(range(found[0], found[0] + len(found)))
        assert found[0] == accounts[sender].nonce
        assert pool.next_nonce(sender, accounts[sender].nonce) == found[-1] + 1
        shelved += [tx.hash for tx in txs]
    for sender, txs in pool.queued().items():
        assert txs[0].nonce >= accounts[sender].nonce
        shelved += [tx.hash for tx in txs]
    assert sorted(shelved) == sorted(pool.hashes())
    assert pool._shelves.slots == len(pool)
    for sender, shelf in pool._shelves.pending.items():
        assert shelf.cost == sum(tx.cost for tx in shelf.in_order()), sender
