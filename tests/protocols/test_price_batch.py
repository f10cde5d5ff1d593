"""The batch's digest and calldata against eth_account and eth_abi."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import eth_abi
import pytest
from eth_account.messages import _hash_eip191_message, encode_typed_data
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.adapters.encoding.keccak import keccak
from keeper.adapters.encoding.price_batch import PUSH_SIGNATURE, batch_plan
from keeper.adapters.protocols.reference import ReferencePerp
from keeper.domain.ids import Address, DeploymentId, MarketId
from keeper.domain.report import MarketPrice, PriceReport, Signature, SignedReport
from keeper.errors import AbiMismatch
from tests.protocols.strategies import addresses, reports, signatures, uints

_TYPES = {
    "EIP712Domain": [
        {"name": "name", "type": "string"},
        {"name": "version", "type": "string"},
        {"name": "chainId", "type": "uint256"},
        {"name": "verifyingContract", "type": "address"},
    ],
    "PriceBatch": [
        {"name": "roundId", "type": "uint64"},
        {"name": "observedAt", "type": "uint40"},
        {"name": "validUntil", "type": "uint40"},
        {"name": "signerEpoch", "type": "uint32"},
        {"name": "evidence", "type": "bytes32"},
        {"name": "prices", "type": "MarketPrice[]"},
    ],
    "MarketPrice": [
        {"name": "marketId", "type": "uint32"},
        {"name": "index", "type": "uint96"},
        {"name": "mark", "type": "uint96"},
        {"name": "premium", "type": "int64"},
    ],
}


def _typed_data(chain_id: int, oracle: Address, report: PriceReport) -> dict[str, Any]:
    return {
        "types": _TYPES,
        "primaryType": "PriceBatch",
        "domain": {"name": "PerpPriceOracle", "version": "1", "chainId": chain_id, "verifyingContract": oracle},
        "message": {
            "roundId": report.round_id,
            "observedAt": report.observed_at_s,
            "validUntil": report.valid_until_s,
            "signerEpoch": report.signer_epoch,
            "evidence": report.evidence,
            "prices": [
                {"marketId": p.market_no, "index": p.index_e18, "mark": p.mark_e18, "premium": p.premium_e18}
                for p in report.prices
            ],
        },
    }


@given(uints(64), addresses, reports.filter(lambda report: report.prices))
@settings(max_examples=40)
def test_digest__any_report__equals_eth_account(chain_id: int, oracle: Address, report: PriceReport) -> None:
    expected = _hash_eip191_message(encode_typed_data(full_message=_typed_data(chain_id, oracle, report)))
    assert batch_plan(chain_id, oracle).digest(report) == bytes(expected)


@given(reports, st.lists(signatures, max_size=5).map(tuple))
def test_calldata__any_signed_report__equals_eth_abi(report: PriceReport, signed: tuple[Signature, ...]) -> None:
    entries = [(p.market_no, p.index_e18, p.mark_e18, p.premium_e18) for p in report.prices]
    batch = (
        report.round_id,
        report.observed_at_s,
        report.valid_until_s,
        report.signer_epoch,
        report.evidence,
        entries,
    )
    types = ["(uint64,uint40,uint40,uint32,bytes32,(uint32,uint96,uint96,int64)[])", "(bytes32,bytes32)[]"]
    expected = eth_abi.encode(types, [batch, [(one.r, one.vs) for one in signed]])
    made = batch_plan(1, Address("0x" + "11" * 20)).calldata(SignedReport(report, signed))
    assert made == keccak(PUSH_SIGNATURE.encode())[:4] + expected


_PERP = ReferencePerp(*(Address("0x" + digit * 40) for digit in "123"), chain_id=1)
_PRICE = MarketPrice(MarketId("BTC-USD"), 1, 10**18, 10**18, 0)
_REPORT = PriceReport(DeploymentId("devnet"), 1_700_000_000_123, 1_700_000_000, 1_700_000_060, 1, bytes(32), (_PRICE,))


@pytest.mark.parametrize(
    "report",
    [
        replace(_REPORT, round_id=2**64),
        replace(_REPORT, observed_at_s=2**40),
        replace(_REPORT, valid_until_s=-1),
        replace(_REPORT, signer_epoch=2**32),
        replace(_REPORT, evidence=b"\1" * 31),
        replace(_REPORT, evidence=b"\1" * 33),
        replace(_REPORT, prices=(replace(_PRICE, market_no=2**32),)),
        replace(_REPORT, prices=(replace(_PRICE, index_e18=2**96),)),
        replace(_REPORT, prices=(replace(_PRICE, mark_e18=-1),)),
        replace(_REPORT, prices=(replace(_PRICE, premium_e18=2**63),)),
        replace(_REPORT, prices=(replace(_PRICE, premium_e18=-(2**63) - 1),)),
    ],
)
def test_batch__a_number_that_its_type_cannot_hold__is_refused_and_never_cut(report: PriceReport) -> None:
    plan = batch_plan(1, Address("0x" + "11" * 20))
    with pytest.raises(ValueError, match=r"fit|evidence"):
        plan.digest(report)
    with pytest.raises(ValueError, match=r"fit|evidence"):
        plan.calldata(SignedReport(report, ()))


def test_calldata__a_signature_of_65_bytes__is_refused() -> None:
    wrong = Signature(Address("0x" + "22" * 20), bytes(32), bytes(33))
    with pytest.raises(ValueError, match="EIP-2098"):
        batch_plan(1, Address("0x" + "11" * 20)).calldata(SignedReport(_REPORT, (wrong,)))


@given(reports, st.lists(signatures, max_size=5).map(tuple))
def test_read_publish__what_was_published__comes_back(report: PriceReport, signed: tuple[Signature, ...]) -> None:
    data = batch_plan(1, _PERP.oracle).calldata(SignedReport(report, signed))
    seen = _PERP.read_publish(data, report.deployment, {price.market_no: price.market for price in report.prices})
    assert seen is not None
    # The market's number is its name on chain: of two entries with one number the chain knows no names.
    assert [replace(price, market=MarketId("")) for price in seen.report.prices] == [
        replace(price, market=MarketId("")) for price in report.prices
    ]
    assert replace(seen.report, prices=()) == replace(report, prices=())
    assert seen.signatures == tuple((one.r, one.vs) for one in signed)


def test_read_publish__anything_else__is_none_or_refused() -> None:
    data = batch_plan(1, _PERP.oracle).calldata(SignedReport(_REPORT, ()))
    assert _PERP.read_publish(b"", _REPORT.deployment, {}) is None
    assert _PERP.read_publish(b"\1" + data[1:], _REPORT.deployment, {}) is None
    with pytest.raises(AbiMismatch):
        _PERP.read_publish(data[:-32], _REPORT.deployment, {})
