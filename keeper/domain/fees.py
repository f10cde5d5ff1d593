"""EIP-1559 fees: what to offer first, what a replacement must offer, and when not to offer more.

A pool replaces a transaction only when both fields rise (go-ethereum core/txpool/legacypool/list.go, `Add`): each must be
strictly greater and at least ⌊old · 110 / 100⌋. The update rule is that of Optimism's op-service/txmgr, with the strict
increase that it omits for an old tip of zero. All amounts are wei per gas.
"""

from __future__ import annotations

from dataclasses import dataclass

from keeper.domain.chain import FeeMarket

GWEI = 10**9
TRANSFER_GAS = 21_000


@dataclass(frozen=True, slots=True)
class Fees:
    max_fee_wei: int
    tip_wei: int


@dataclass(frozen=True, slots=True)
class FeeRules:
    """`ceiling_wei` is never exceeded. A bump also stays within `limit_multiplier` times what the market asks for,
    except below `limit_floor_wei`: a fixed maximum alone leaves the keeper without a voice just when it matters.
    """

    min_tip_wei: int = GWEI // 1000
    ceiling_wei: int = 500 * GWEI
    limit_multiplier: int = 5
    limit_floor_wei: int = 100 * GWEI
    bump_percent: int = 10


@dataclass(frozen=True, slots=True)
class FeeLimit:
    """No bump: the same bytes are published again. `wanted_wei` would have been needed, `limit_wei` is allowed."""

    wanted_wei: int
    limit_wei: int


def fee_cap(base_fee_wei: int, tip_wei: int) -> int:
    """Covers a base fee that doubles, which takes six full blocks in a row."""
    return tip_wei + 2 * base_fee_wei


def threshold(value: int, percent: int) -> int:
    """Least value with which a pool replaces `value`: max(⌈value · (100 + percent) / 100⌉, value + 1)."""
    return max(-(-value * (100 + percent) // 100), value + 1)


def opening(market: FeeMarket, rules: FeeRules) -> Fees:
    """What a first attempt offers, within the ceiling."""
    tip_wei = max(market.tip_wei, rules.min_tip_wei)
    max_fee_wei = min(fee_cap(market.base_fee_wei, tip_wei), rules.ceiling_wei)
    return Fees(max_fee_wei, min(tip_wei, max_fee_wei))


def replacement(old: Fees, tip_wei: int, base_fee_wei: int, percent: int) -> Fees:
    """Least fees that follow the market and replace `old` in a pool that asks for `percent` more."""
    least = Fees(threshold(old.max_fee_wei, percent), threshold(old.tip_wei, percent))
    new_cap_wei = fee_cap(base_fee_wei, tip_wei)
    if tip_wei >= least.tip_wei:
        return Fees(max(new_cap_wei, least.max_fee_wei), tip_wei)
    if new_cap_wei >= least.max_fee_wei:
        return Fees(max(fee_cap(base_fee_wei, least.tip_wei), least.max_fee_wei), least.tip_wei)
    return least


def bump(old: Fees, market: FeeMarket, rules: FeeRules) -> Fees | FeeLimit:
    """The next fee level for the same nonce, or the reason to publish the old bytes again.

    Where the market asks for more than the limit, the offer stays at the limit while that still replaces `old`.
    """
    tip_wei = max(market.tip_wei, rules.min_tip_wei)
    wanted = replacement(old, tip_wei, market.base_fee_wei, rules.bump_percent)
    least = Fees(threshold(old.max_fee_wei, rules.bump_percent), threshold(old.tip_wei, rules.bump_percent))
    limit_wei = limit(market, rules)
    if least.max_fee_wei > limit_wei:
        return FeeLimit(wanted.max_fee_wei, limit_wei)
    return Fees(min(wanted.max_fee_wei, limit_wei), max(least.tip_wei, min(wanted.tip_wei, limit_wei)))


def limit(market: FeeMarket, rules: FeeRules) -> int:
    """Highest fee cap that a bump may reach at this market."""
    asked_wei = fee_cap(market.base_fee_wei, max(market.tip_wei, rules.min_tip_wei))
    return min(rules.ceiling_wei, max(rules.limit_multiplier * asked_wei, rules.limit_floor_wei))


def highest(levels: tuple[Fees, ...]) -> Fees:
    """Field by field: whatever the pool holds of these, more than this replaces it. `levels` is not empty."""
    return Fees(max(each.max_fee_wei for each in levels), max(each.tip_wei for each in levels))
