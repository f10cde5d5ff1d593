// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPriceOracle} from "./IPriceOracle.sol";
import {ExchangeFunding} from "./ExchangeFunding.sol";
import {PerpMath} from "./PerpMath.sol";

/// @title What an account is worth now, and whether its prices may be relied upon.
abstract contract ExchangeValuation is ExchangeFunding {
    struct Valuation {
        int256 cash;
        int256 equity;
        uint256 mm;
        uint256 im;
        uint256 notional;
    }

    /// @dev An older price no longer shields an account: a market is then valued at its last mark.
    uint256 private constant STALE_GRACE = 3600;
    uint256 private constant NO_PRICE = type(uint256).max;

    /// @dev At the stored marks, of whatever age, and with the funding due now.
    function _valueOf(address account) internal view returns (Valuation memory v) {
        v.cash = accounts[account].margin;
        v.equity = v.cash;
        uint32 left = accounts[account].markets;
        for (uint32 m = 1; left != 0; (m++, left >>= 1)) {
            if (left & 1 != 0) _addPosition(v, account, m);
        }
    }

    function _addPosition(Valuation memory v, address account, uint32 marketId) private view {
        StoredPosition storage p = positions[account][marketId];
        uint256 mark = _mark(marketId);
        int256 funding = PerpMath.owed(p.size, _cumNow(marketId) - p.cumEntry);
        uint256 n = PerpMath.notional(p.size, mark);
        (uint256 mm, uint256 im) =
            PerpMath.requirements(configs[marketId].tiers, configs[marketId].imFactorBps, n);
        v.cash -= funding;
        v.equity += PerpMath.value(p.size, mark) + p.quote - funding;
        v.mm += mm;
        v.im += im;
        v.notional += n;
    }

    /// @dev What the fund can pay now: never from open profit, never beyond its equity.
    function _available() internal view returns (uint256) {
        Valuation memory v = _valueOf(_engine());
        int256 least = v.cash < v.equity ? v.cash : v.equity;
        return least > 0 ? uint256(least) : 0;
    }

    /// @return mark the last one, whatever its age
    /// @return age NO_PRICE when oracle or feed are stopped
    function _price(uint32 marketId) internal view returns (uint96 mark, uint256 age) {
        uint40 observedAt;
        bool live;
        (, mark, observedAt,, live) = IPriceOracle(oracle).priceOf(marketId);
        age = live ? block.timestamp - observedAt : NO_PRICE;
    }

    function _mark(uint32 marketId) internal view returns (uint96 mark) {
        (mark,) = _price(marketId);
    }

    function _isFresh(uint32 marketId) internal view returns (bool) {
        (, uint256 age) = _price(marketId);
        return age <= configs[marketId].maxPriceAge;
    }

    /// @return the first of the account's markets without a fresh price, or 0
    function _firstStale(address account) internal view returns (uint32) {
        uint32 left = accounts[account].markets;
        for (uint32 m = 1; left != 0; (m++, left >>= 1)) {
            if (left & 1 != 0 && !_isFresh(m)) return m;
        }
        return 0;
    }

    /// @return the first market that forbids taking a position over in `marketId` now, or 0
    function _firstShielding(address account, uint32 marketId) internal view returns (uint32) {
        if (!_isFresh(marketId)) return marketId;
        uint32 left = accounts[account].markets;
        for (uint32 m = 1; left != 0; (m++, left >>= 1)) {
            if (left & 1 != 0 && m != marketId && !_isUsable(m)) return m;
        }
        return 0;
    }

    function _isUsable(uint32 marketId) private view returns (bool) {
        (, uint256 age) = _price(marketId);
        return age <= configs[marketId].maxPriceAge || (age > STALE_GRACE && age != NO_PRICE);
    }
}
