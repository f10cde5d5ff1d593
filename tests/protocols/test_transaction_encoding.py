"""RLP and EIP-1559 bytes against the rlp library and eth_account."""

from __future__ import annotations

import pytest
import rlp
from eth_account import Account
from eth_account.typed_transactions import TypedTransaction
from hypothesis import example, given
from hypothesis import strategies as st

from keeper.adapters.encoding.addresses import checked_address, checksum
from keeper.adapters.encoding.keccak import check_keccak, keccak, pycryptodome_keccak, pysha3_keccak
from keeper.adapters.encoding.rlp import rlp_bytes, rlp_int, rlp_list
from keeper.adapters.encoding.transaction import fields, raw_transaction, signing_payload
from keeper.adapters.rpc_transactions import seen_transaction
from keeper.domain.chain import Call
from keeper.domain.ids import Address
from keeper.errors import ConfigError
from keeper.ports.signer import UnsignedTransaction
from tests.protocols.strategies import addresses, uints

_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

transactions = st.builds(
    UnsignedTransaction,
    uints(63),
    uints(63),
    st.builds(Call, addresses, st.binary(max_size=300), uints(256)),
    uints(63),
    uints(256),
    uints(256),
)


@given(st.lists(st.one_of(st.binary(max_size=80), st.integers(0, 2**256 - 1)), max_size=20))
@example([b"", b"\0", b"\x7f", b"\x80", bytes(55), bytes(56), bytes(1024), 0, 1, 127, 128, 256])
def test_rlp__any_items__equal_the_library(items: list[bytes | int]) -> None:
    ours = [rlp_bytes(item) if isinstance(item, bytes) else rlp_int(item) for item in items]
    assert rlp_list(b"".join(ours)) == rlp.encode(items)


def _library_form(unsigned: UnsignedTransaction) -> dict[str, object]:
    return {
        "type": 2,
        "chainId": unsigned.chain_id,
        "nonce": unsigned.nonce,
        "to": checksum(unsigned.call.to),
        "value": unsigned.call.value_wei,
        "data": unsigned.call.data,
        "gas": unsigned.gas_limit,
        "maxFeePerGas": unsigned.max_fee_wei,
        "maxPriorityFeePerGas": unsigned.tip_wei,
    }


@given(transactions, st.integers(1, _ORDER - 1))
def test_transaction__any_fields_and_key__equals_eth_account(unsigned: UnsignedTransaction, secret: int) -> None:
    account = Account.from_key(secret.to_bytes(32, "big"))
    signed = account.sign_transaction(_library_form(unsigned))
    encoded = fields(unsigned)
    assert keccak(signing_payload(encoded)) == TypedTransaction.from_dict(_library_form(unsigned)).hash()
    assert raw_transaction(encoded, signed.v, signed.r, signed.s) == bytes(signed.raw_transaction)


@pytest.mark.parametrize(("parity", "s"), [(2, 1), (27, 1), (0, 0), (0, _ORDER // 2 + 1), (1, _ORDER - 1)])
def test_raw_transaction__a_signature_that_nodes_refuse__is_not_encoded(parity: int, s: int) -> None:
    call = Call(Address("0x" + "11" * 20), b"")
    with pytest.raises(ValueError, match="canonical"):
        raw_transaction(fields(UnsignedTransaction(1, 0, call, 21_000, 1, 1)), parity, 1, s)


def test_fields__a_short_address_or_a_negative_number__is_refused() -> None:
    with pytest.raises(ValueError, match="not an address"):
        fields(UnsignedTransaction(1, 0, Call(Address("0x11"), b""), 21_000, 1, 1))
    with pytest.raises(OverflowError):
        fields(UnsignedTransaction(1, -1, Call(Address("0x" + "11" * 20), b""), 21_000, 1, 1))


@given(st.binary(max_size=500))
def test_keccak__any_input__both_libraries_agree(data: bytes) -> None:
    assert keccak(data) == pysha3_keccak()(data) == pycryptodome_keccak()(data)


def test_check_keccak__a_library_that_pads_as_sha3__is_refused() -> None:
    import hashlib

    check_keccak()
    with pytest.raises(ConfigError, match="Keccak-256"):
        check_keccak(lambda data: hashlib.sha3_256(data).digest())


def test_checked_address__eip_55_vectors__are_accepted_in_every_uniform_case() -> None:
    """The vectors of https://eips.ethereum.org/EIPS/eip-55."""
    for text in (
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ):
        assert checksum(checked_address(text)) == text
        assert checked_address(text.lower()) == checked_address("0x" + text[2:].upper()) == text.lower()
    with pytest.raises(ValueError, match="EIP-55"):
        checked_address("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD")
    with pytest.raises(ValueError, match="20-byte"):
        checked_address("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeA")


@given(st.integers(1, _ORDER - 1), transactions, st.booleans())
def test_seen_transaction__as_a_node_shows_it__hashes_to_itself_and_no_other(
    scalar: int, unsigned: UnsignedTransaction, legacy: bool
) -> None:
    account = Account.from_key(scalar.to_bytes(32, "big"))
    form = _library_form(unsigned)
    if legacy:
        form = {key: form[key] for key in ("chainId", "nonce", "to", "value", "data", "gas")} | {"gasPrice": 7}
    signed = account.sign_transaction(form)
    shown = {
        "hash": signed.hash.to_0x_hex(), "from": account.address, "to": unsigned.call.to, "blockNumber": None,
        "input": "0x" + unsigned.call.data.hex(), "value": hex(unsigned.call.value_wei), "nonce": hex(unsigned.nonce),
        "gas": hex(unsigned.gas_limit), "chainId": hex(unsigned.chain_id), "type": "0x0" if legacy else "0x2",
        "gasPrice": "0x7", "maxFeePerGas": hex(unsigned.max_fee_wei), "maxPriorityFeePerGas": hex(unsigned.tip_wei),
        "v": hex(signed.v), "r": hex(signed.r), "s": hex(signed.s),
    }  # fmt: skip
    seen = seen_transaction(shown)
    assert seen.rehashed == seen.hash
    for changed in ({"value": hex(unsigned.call.value_wei ^ 1)}, {"input": shown["input"] + "00"}, {"s": "0x0"}):
        assert seen_transaction(shown | changed).rehashed not in (None, seen.hash)
    assert seen_transaction(shown | {"type": "0x3"}).rehashed is None
