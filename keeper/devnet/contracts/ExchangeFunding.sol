// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPriceOracle} from "./IPriceOracle.sol";
import {ExchangeBooks} from "./ExchangeBooks.sol";
import {PerpMath} from "./PerpMath.sol";

/// @title Funding between longs and shorts at the boundaries of the feed's interval.
abstract contract ExchangeFunding is ExchangeBooks {
    struct Due {
        uint40 boundary;
        uint40 intervals; // 0: nothing is due
        int64 premium;
        uint40 covered;
        int64 rate;
        uint96 mark;
        int256 cum;
        int128 snapS;
        uint40 snapV;
    }

    function settleFunding(uint32 marketId) external nonReentrant whenNotPaused(FUNDING) {
        if (!_isListedMarket(marketId)) revert UnknownMarket(marketId);
        uint40 dueAt = states[marketId].fundingAt + states[marketId].interval;
        if (!_accrue(marketId)) revert FundingNotDue(dueAt);
    }

    function settleFundingMany(uint32[] calldata marketIds_)
        external
        nonReentrant
        whenNotPaused(FUNDING)
        returns (uint256 settled)
    {
        if (marketIds_.length > MAX_MARKET) revert BatchSize(marketIds_.length);
        for (uint256 i = 0; i < marketIds_.length; i++) {
            if (_isListedMarket(marketIds_[i]) && _accrue(marketIds_[i])) settled++;
        }
    }

    function fundingDue(uint32 marketId)
        external
        view
        returns (uint40 boundary, uint40 k, int64 rate, uint96 mark, int256 cumNow)
    {
        if (!_isListedMarket(marketId)) revert UnknownMarket(marketId);
        if (paused & FUNDING != 0) return (states[marketId].fundingAt, 0, 0, 0, states[marketId].cum);
        Due memory due = _due(marketId);
        return (due.boundary, due.intervals, due.rate, due.mark, due.cum);
    }

    /// @dev Writes what is due, if funding is not paused. The same whoever calls, at any moment before the next boundary.
    function _accrue(uint32 marketId) internal returns (bool) {
        if (paused & FUNDING != 0) return false;
        return _settle(marketId, false);
    }

    /// @param waived at a rate of 0, for the time that funding was paused
    function _settle(uint32 marketId, bool waived) internal returns (bool) {
        Due memory due = _due(marketId);
        if (due.intervals == 0) return false;
        MarketState storage state = states[marketId];
        if (waived) {
            due.rate = 0;
            due.cum = state.cum;
        }
        state.fundingAt = due.boundary;
        state.snapS = due.snapS;
        state.snapV = due.snapV;
        state.cum = due.cum;
        emit FundingSettled(
            marketId,
            due.boundary,
            due.intervals,
            due.premium,
            due.covered,
            due.rate,
            due.mark,
            due.cum,
            due.snapS,
            due.snapV,
            msg.sender
        );
        return true;
    }

    function _cumNow(uint32 marketId) internal view returns (int256) {
        if (paused & FUNDING != 0) return states[marketId].cum;
        return _due(marketId).cum;
    }

    function _due(uint32 marketId) internal view returns (Due memory due) {
        MarketState storage state = states[marketId];
        uint40 time = uint40(block.timestamp);
        due.boundary = time - time % state.interval;
        due.cum = state.cum;
        if (due.boundary <= state.fundingAt) {
            due.boundary = state.fundingAt;
            return due;
        }
        uint40 window = due.boundary - state.fundingAt;
        due.intervals = window / state.interval;
        (due.snapS, due.snapV, due.mark) = IPriceOracle(oracle).premiumAt(marketId, due.boundary);
        due.covered = due.snapV - state.snapV;
        int256 premium = 2 * uint256(due.covered) >= window
            ? (int256(due.snapS) - state.snapS) / int256(uint256(due.covered))
            : int256(0);
        int256 rate = PerpMath.fundingRate(configs[marketId], premium, int256(uint256(state.interval)));
        due.premium = int64(premium);
        due.rate = int64(rate);
        due.cum += rate * int256(uint256(due.mark)) * int256(uint256(due.intervals));
    }
}
