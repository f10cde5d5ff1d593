"""The hot path of publishing: digest and calldata of one price batch, straight from the report.

A price's four ABI words are also its EIP-712 encodeData, so both forms share them. Raises ValueError for a report that
the contract's types cannot hold.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache

from keeper.adapters.encoding.eip712 import domain_separator, type_hash
from keeper.adapters.encoding.keccak import keccak
from keeper.domain.ids import Address
from keeper.domain.report import MarketPrice, PriceReport, Signature, SignedReport

PRICE_TYPE = "MarketPrice(uint32 marketId,uint96 index,uint96 mark,int64 premium)"
BATCH_TYPE = (
    "PriceBatch(uint64 roundId,uint40 observedAt,uint40 validUntil,uint32 signerEpoch,bytes32 evidence,"
    "MarketPrice[] prices)" + PRICE_TYPE
)
PUSH_SIGNATURE = "pushPrices((uint64,uint40,uint40,uint32,bytes32,(uint32,uint96,uint96,int64)[]),(bytes32,bytes32)[])"
PUSH_SELECTOR = keccak(PUSH_SIGNATURE.encode())[:4]

_PRICE_HASH = type_hash(PRICE_TYPE)
_BATCH_HASH = type_hash(BATCH_TYPE)
_PRICE = struct.Struct(">28xI20xIQ20xIQqqqq")
"""uint32 · uint96 in two parts · uint96 in two parts · int64 with its sign extended over three more parts."""
_HEAD = struct.Struct(">24xQ27xBI27xBI28xI32s")
"""uint64 · uint40 in two parts, twice · uint32 · bytes32."""
_WORD = 32
_PRICE_SIZE = 4 * _WORD
_BATCH_HEAD_SIZE = 6 * _WORD
_LOW_32 = 2**32 - 1
_LOW_64 = 2**64 - 1
_ARGUMENTS_SIZE = 2 * _WORD


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """Everything that does not change from batch to batch. `prefix` is 0x1901 and the domain separator."""

    prefix: bytes

    def digest(self, report: PriceReport) -> bytes:
        """The 32 bytes that signers sign."""
        prices = b"".join([keccak(_PRICE_HASH + _price_words(price)) for price in report.prices])
        return keccak(self.prefix + keccak(_BATCH_HASH + _head_words(report) + keccak(prices)))

    def calldata(self, signed: SignedReport) -> bytes:
        """pushPrices(batch, signatures)."""
        report = signed.report
        count = len(report.prices)
        signatures_at = _ARGUMENTS_SIZE + _BATCH_HEAD_SIZE + _WORD + count * _PRICE_SIZE
        return b"".join(
            (
                PUSH_SELECTOR,
                _word(_ARGUMENTS_SIZE),
                _word(signatures_at),
                _head_words(report),
                _word(_BATCH_HEAD_SIZE),
                _word(count),
                *[_price_words(price) for price in report.prices],
                _word(len(signed.signatures)),
                *[_signature_words(signature) for signature in signed.signatures],
            )
        )


@lru_cache(maxsize=64)
def batch_plan(chain_id: int, oracle: Address) -> BatchPlan:
    return BatchPlan(b"\x19\x01" + domain_separator("PerpPriceOracle", "1", chain_id, oracle))


def _word(value: int) -> bytes:
    return value.to_bytes(_WORD, "big")


def _price_words(price: MarketPrice) -> bytes:
    index, mark, premium = price.index_e18, price.mark_e18, price.premium_e18
    sign = -1 if premium < 0 else 0
    try:
        return _PRICE.pack(
            price.market_no, index >> 64, index & _LOW_64, mark >> 64, mark & _LOW_64, sign, sign, sign, premium
        )
    except struct.error as error:
        raise ValueError(f"{price} does not fit (uint32, uint96, uint96, int64)") from error


def _head_words(report: PriceReport) -> bytes:
    seen, until, evidence = report.observed_at_s, report.valid_until_s, report.evidence
    try:
        if len(evidence) != _WORD:
            raise ValueError(f"{len(evidence)} bytes of evidence where 32 are due")
        return _HEAD.pack(
            report.round_id, seen >> 32, seen & _LOW_32, until >> 32, until & _LOW_32, report.signer_epoch, evidence
        )
    except struct.error as error:
        raise ValueError(f"round {report.round_id} does not fit (uint64, uint40, uint40, uint32)") from error


def _signature_words(signature: Signature) -> bytes:
    if len(signature.r) != _WORD or len(signature.vs) != _WORD:
        raise ValueError("a compact signature is twice 32 bytes (EIP-2098)")
    return signature.r + signature.vs
