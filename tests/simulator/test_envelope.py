"""Signed bytes are understood as eth-account meant them, and refused as go-ethereum refuses them."""

from __future__ import annotations

import pytest
import rlp
from eth_utils import keccak

from keeper.devnet.simulator.envelope import CURVE_ORDER, Undecodable, decode
from keeper.devnet.simulator.rules import PoolRules, intrinsic_gas, rpc_fault
from tests.simulator.bench import CHAIN_ID, GWEI, NOBODY, Signer

ALICE = Signer(1)


def decoded(raw: str, chain_id: int = CHAIN_ID):
    return decode(bytes.fromhex(raw[2:]), chain_id)


def test_decode__type_two__has_every_field() -> None:
    raw = ALICE.raw(7, 3 * GWEI, 90 * GWEI, value=5, gas=50_000, data="0x0102")
    tx = decoded(raw)
    assert (tx.sender, tx.nonce, tx.tip, tx.cap, tx.gas) == (ALICE.address, 7, 3 * GWEI, 90 * GWEI, 50_000)
    assert (tx.to, tx.value, tx.data, tx.kind, tx.chain_id) == (NOBODY, 5, b"\1\2", 2, CHAIN_ID)
    assert tx.hash == "0x" + keccak(bytes.fromhex(raw[2:])).hex()
    assert tx.cost == 50_000 * 90 * GWEI + 5


def test_decode__legacy__pays_its_gas_price_as_tip_and_cap() -> None:
    tx = decoded(ALICE.legacy(3, 40 * GWEI))
    assert (tx.sender, tx.kind, tx.tip, tx.cap, tx.chain_id) == (ALICE.address, 0, 40 * GWEI, 40 * GWEI, CHAIN_ID)
    assert tx.effective_tip(15 * GWEI) == 25 * GWEI


def test_decode__type_one__counts_its_access_list() -> None:
    tx = decoded(ALICE.listed(0, 40 * GWEI))
    assert (tx.sender, tx.kind, tx.access_list) == (ALICE.address, 1, ((NOBODY, ("0x" + "01" * 32,)),))
    assert intrinsic_gas(tx) == 21_000 + 2_400 + 1_900


def test_intrinsic_gas__of_a_creation__counts_words_and_bytes() -> None:
    tx = decoded(ALICE.raw(0, to="", gas=100_000, data="0x" + "00" * 32 + "ff"))
    assert tx.to is None
    assert intrinsic_gas(tx) == 53_000 + 2 * 2 + 32 * 4 + 16


@pytest.mark.parametrize("kind", ["raw", "legacy", "listed"])
def test_signature__for_another_chain__is_no_sender(kind: str) -> None:
    fees = () if kind == "raw" else (GWEI,)
    assert decoded(getattr(ALICE, kind)(0, *fees), 7).sender_fault == "invalid chain id for signer: have 31337 want 7"


def test_signature__with_the_high_s__is_no_sender() -> None:
    raw = bytes.fromhex(ALICE.raw(0)[2:])
    fields = rlp.decode(raw[1:])
    high = (CURVE_ORDER - int.from_bytes(fields[-1], "big")).to_bytes(32, "big")
    forged = b"\x02" + rlp.encode([*fields[:-1], high])
    assert decode(forged, CHAIN_ID).sender_fault == "invalid transaction v, r, s values"


def test_legacy__without_a_chain__is_refused_by_the_server() -> None:
    tx = decoded(ALICE.legacy(0, GWEI, chainId=None))
    assert tx.chain_id is None
    assert rpc_fault(tx, PoolRules()) == "only replay-protected (EIP-155) transactions allowed over RPC"


def test_fee__beyond_one_ether__is_refused_by_the_server() -> None:
    tx = decoded(ALICE.raw(0, GWEI, 200_000 * GWEI))
    assert rpc_fault(tx, PoolRules()) == "tx fee (4.20 ether) exceeds the configured cap (1.00 ether)"
    assert rpc_fault(tx, PoolRules(fee_cap_wei=None)) == ""


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"", "typed transaction too short"),
        (b"\x02", "typed transaction too short"),
        (b"\x05\xc0", "transaction type not supported"),
        (b"\x00\xc0", "transaction type not supported"),
        (b"\x02\xff\xff", "rlp: "),
        (b"\x02" + rlp.encode([b"\1"] * 3), "rlp: "),
        (b"\x02" + rlp.encode([b"\0\1"] * 12), "rlp: "),
        (b"\x02" + rlp.encode([[b""]] * 12), "rlp: "),
    ],
)
def test_bytes__that_are_no_transaction__are_refused(raw: bytes, text: str) -> None:
    with pytest.raises(Undecodable, match=text):
        decode(raw, CHAIN_ID)
