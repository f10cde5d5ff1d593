"""Signatures against eth_account, and what they mean to a contract."""

from __future__ import annotations

from pathlib import Path

import pytest
from eth_account import Account
from eth_keys.datatypes import Signature as LibrarySignature
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.adapters.encoding.addresses import checksum
from keeper.adapters.signers import curve, open_signer
from keeper.adapters.signers.curve import signing_key
from keeper.adapters.signers.key_signer import KeySigner
from keeper.domain.chain import Call
from keeper.domain.ids import Address, DeploymentId
from keeper.domain.report import PriceReport
from keeper.errors import SignerRefused
from keeper.ports.signer import UnsignedTransaction

_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_REPORT = PriceReport(DeploymentId("devnet"), 1, 0, 60, 1, bytes(32), ())
scalars = st.integers(1, _ORDER - 1)


def _signer(scalar: int, chain_id: int = 1) -> KeySigner:
    key = signing_key(scalar.to_bytes(32, "big"))
    assert key is not None
    return KeySigner(key, chain_id)


@given(scalars, st.binary(min_size=32, max_size=32))
@settings(deadline=None)
async def test_sign_report__any_key_and_digest__equals_eth_account_and_recovers(scalar: int, digest: bytes) -> None:
    signer, account = _signer(scalar), Account.from_key(scalar.to_bytes(32, "big"))
    made = await signer.sign_report(_REPORT, digest)
    library = account.unsafe_sign_hash(digest)
    vs = int.from_bytes(made.vs, "big")
    parity, s = vs >> 255, vs & (2**255 - 1)
    assert (made.signer, int.from_bytes(made.r, "big"), s, parity + 27) == (
        account.address.lower(),
        library.r,
        library.s,
        library.v,
    )
    assert s <= _ORDER // 2
    recovered = LibrarySignature(vrs=(parity, library.r, s)).recover_public_key_from_msg_hash(digest)
    assert recovered.to_address() == made.signer
    assert curve.recovered(digest, made.r, made.vs) == made.signer
    assert curve.recovered(digest, made.r, (vs ^ 1 << 255).to_bytes(32, "big")) != made.signer


@pytest.mark.parametrize(("r", "vs"), [(0, 0), (0, 1), (1, 0), (_ORDER, 1), (2**256 - 1, 2**256 - 1)])
def test_recovered__no_signature__is_nobodys(r: int, vs: int) -> None:
    assert curve.recovered(bytes(32), r.to_bytes(32, "big"), vs.to_bytes(32, "big")) is None


@given(scalars, st.integers(1, 2**60), st.integers(0, 2**60), st.binary(max_size=200), st.integers(0, 2**100))
@settings(deadline=None, max_examples=50)
async def test_sign_transaction__legacy__equals_eth_account(
    scalar: int, chain_id: int, nonce: int, data: bytes, price: int
) -> None:
    account, to = Account.from_key(scalar.to_bytes(32, "big")), Address("0x" + "5a" * 20)
    unsigned = UnsignedTransaction(chain_id, nonce, Call(to, data, 7), 500_000, price, price, legacy=True)
    signed = await _signer(scalar, chain_id).sign_transaction(unsigned)
    wanted = {"chainId": chain_id, "nonce": nonce, "to": checksum(to), "value": 7, "data": data, "gas": 500_000}
    library = account.sign_transaction({**wanted, "gasPrice": price})
    assert signed.raw == bytes(library.raw_transaction)
    assert signed.hash.removeprefix("0x") == library.hash.hex().removeprefix("0x")


@given(scalars, st.integers(1, 2**60), st.integers(0, 2**60), st.binary(max_size=200), st.integers(0, 2**100))
@settings(deadline=None, max_examples=50)
async def test_sign_transaction__any_key_and_call__equals_eth_account(
    scalar: int, chain_id: int, nonce: int, data: bytes, fee: int
) -> None:
    account = Account.from_key(scalar.to_bytes(32, "big"))
    to = Address("0x" + "5a" * 20)
    signed = await _signer(scalar, chain_id).sign_transaction(
        UnsignedTransaction(chain_id, nonce, Call(to, data), 500_000, fee, fee // 2)
    )
    library = account.sign_transaction(
        {
            "type": 2,
            "chainId": chain_id,
            "nonce": nonce,
            "to": checksum(to),
            "value": 0,
            "data": data,
            "gas": 500_000,
            "maxFeePerGas": fee,
            "maxPriorityFeePerGas": fee // 2,
        }
    )
    assert (signed.raw, signed.hash) == (bytes(library.raw_transaction), library.hash.to_0x_hex())


async def test_sign_transaction__for_another_chain__is_refused() -> None:
    call = Call(Address("0x" + "5a" * 20), b"")
    with pytest.raises(SignerRefused, match="signs for chain 1, not 10"):
        await _signer(7).sign_transaction(UnsignedTransaction(10, 0, call, 21_000, 1, 1))


async def test_signer__opened_from_a_file__has_one_address_for_both_uses(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(f"{7:064x}")
    path.chmod(0o600)
    signer = open_signer("key_file", {"file": str(path)}, 1, "s", environ={})
    raw = (await signer.sign_transaction(UnsignedTransaction(1, 0, Call(signer.address, b""), 21_000, 1, 1))).raw
    assert (
        Account.recover_transaction(raw).lower()
        == signer.address
        == (await signer.sign_report(_REPORT, bytes(32))).signer
    )
