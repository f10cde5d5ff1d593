// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPriceOracle} from "./IPriceOracle.sol";
import {ExchangeFunding} from "./ExchangeFunding.sol";
import {PerpMath} from "./PerpMath.sol";

/// @title What an account is worth now, and whether its prices may be relied upon.
abstract contract ExchangeValuation is ExchangeFunding {
    /// @dev A market as it is during one call. None of it changes before the call ends: a settlement only writes cumNow.
    struct Snapshot {
        MarketConfig config;
        int256 cumNow;
        uint256 mark; // the last one, whatever its age
        uint256 age; // NO_PRICE when oracle or feed are stopped
    }

    /// @dev A price that is older shields no account any more: its market is then valued at the last mark.
    uint256 private constant STALE_GRACE = 3600;
    uint256 private constant NO_PRICE = type(uint256).max;

    /// @dev By market id; filled as markets are asked for.
    function _newSnapshots() internal view returns (Snapshot[] memory) {
        return new Snapshot[](highestMarket + 1);
    }

    function _snapshot(Snapshot[] memory known, uint32 marketId) internal view returns (Snapshot memory s) {
        s = known[marketId];
        if (s.config.lot != 0) return s;
        s.config = configs[marketId];
        s.cumNow = _cumNow(marketId);
        (, uint96 mark, uint40 observedAt,, bool live) = IPriceOracle(oracle).priceOf(marketId);
        s.mark = mark;
        s.age = live ? block.timestamp - observedAt : NO_PRICE;
    }

    /// @dev At the last marks, of whatever age, and with the funding due now.
    function _valueOf(Snapshot[] memory known, address account)
        internal
        view
        returns (PerpMath.Valuation memory v)
    {
        v.cash = accounts[account].margin;
        v.equity = v.cash;
        uint32 left = accounts[account].markets;
        for (uint32 m = 1; left != 0; (m++, left >>= 1)) {
            if (left & 1 == 0) continue;
            Snapshot memory s = _snapshot(known, m);
            Position memory p = _position(account, m);
            int256 funding = PerpMath.owed(p.size, s.cumNow - p.cumEntry);
            PerpMath.addPosition(v, p, funding, s.mark, s.config.tiers, s.config.imFactorBps);
        }
    }

    function _position(address account, uint32 marketId) internal view returns (Position memory) {
        StoredPosition storage p = positions[account][marketId];
        return Position(marketId, p.size, p.quote, p.cumEntry);
    }

    /// @dev What the fund can pay now: never from open profit, never beyond its equity.
    function _available(Snapshot[] memory known) internal view returns (uint256) {
        PerpMath.Valuation memory v = _valueOf(known, _engine());
        int256 least = v.cash < v.equity ? v.cash : v.equity;
        return least > 0 ? uint256(least) : 0;
    }

    function _isFresh(Snapshot memory s) internal pure returns (bool) {
        return s.age <= s.config.maxPriceAge;
    }

    /// @param graceFor a market other than this one may also be older than the grace; 0 for no grace at all
    /// @return the first of the account's markets, and of `graceFor`, whose price may not be relied upon, or 0
    function _firstStale(Snapshot[] memory known, address account, uint32 graceFor) internal view returns (uint32) {
        if (graceFor != 0 && !_isFresh(_snapshot(known, graceFor))) return graceFor;
        uint32 left = accounts[account].markets;
        for (uint32 m = 1; left != 0; (m++, left >>= 1)) {
            if (left & 1 == 0) continue;
            Snapshot memory s = _snapshot(known, m);
            bool excused = graceFor != 0 && m != graceFor && s.age > STALE_GRACE && s.age != NO_PRICE;
            if (!_isFresh(s) && !excused) return m;
        }
        return 0;
    }
}
