// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ExchangeValuation} from "./ExchangeValuation.sol";
import {PerpMath} from "./PerpMath.sol";

/// @title Matched trades, settled by the operator within the band around the mark and within margin.
abstract contract ExchangeTrading is ExchangeValuation {
    uint8 private constant PARTIES = 1;
    uint8 private constant SIZE = 2;
    uint8 private constant STALE = 3;
    uint8 private constant BAND = 4;
    uint8 private constant SMALL = 5;
    uint8 private constant MARKETS = 6;
    uint8 private constant MAX_NOTIONAL = 7;
    uint8 private constant MAX_OI = 8;
    uint8 private constant MARGIN = 9;
    uint8 private constant NOT_ENGINE = 10;

    uint256 private constant MAX_TRADES = 64;

    /// @dev One side of a trade.
    struct Side {
        address account;
        int256 delta;
        int256 cash;
        uint256 feeBps;
        bool reducing;
    }

    function settleTrades(Trade[] calldata trades) external nonReentrant whenNotPaused(TRADE) {
        if (!hasRole[OPERATOR][msg.sender]) revert NotOperator();
        if (trades.length == 0 || trades.length > MAX_TRADES) revert BatchSize(trades.length);
        for (uint256 i = 0; i < trades.length; i++) {
            uint8 reason = _trade(trades[i]);
            if (reason != 0) revert TradeRejected(i, reason);
        }
    }

    function _trade(Trade calldata t) private returns (uint8 reason) {
        reason = _checkTerms(t);
        if (reason != 0) return reason;
        _accrue(t.marketId);
        int256 cash = PerpMath.cashFor(t.takerDelta, t.price);
        Side memory taker = _side(t.marketId, t.taker, t.takerDelta, cash, configs[t.marketId].takerFeeBps);
        Side memory maker = _side(t.marketId, t.maker, -int256(t.takerDelta), -cash, configs[t.marketId].makerFeeBps);
        reason = _apply(t, taker);
        if (reason != 0) return reason;
        reason = _apply(t, maker);
        if (reason != 0) return reason;
        if (
            !(taker.reducing && maker.reducing)
                && states[t.marketId].openInterest > configs[t.marketId].maxOi
        ) return MAX_OI;
        reason = _checkAfter(taker);
        if (reason != 0) return reason;
        reason = _checkAfter(maker);
        if (reason != 0) return reason;
        _sweep(t.marketId);
    }

    function _checkTerms(Trade calldata t) private view returns (uint8) {
        if (t.maker == t.taker || t.maker == address(0) || t.taker == address(0)) return PARTIES;
        if (t.taker == _engine()) return NOT_ENGINE;
        if (!_isListedMarket(t.marketId)) return STALE;
        uint256 size = PerpMath.abs(t.takerDelta);
        if (size == 0 || size % configs[t.marketId].lot != 0) return SIZE;
        if (!_isFresh(t.marketId)) return STALE;
        uint256 mark = _mark(t.marketId);
        uint256 away = t.price > mark ? t.price - mark : mark - t.price;
        return away * PerpMath.BPS > configs[t.marketId].bandBps * mark ? BAND : 0;
    }

    function _side(uint32 marketId, address account, int256 delta, int256 cash, uint256 feeBps)
        private
        view
        returns (Side memory)
    {
        bool reducing = PerpMath.reduces(positions[account][marketId].size, delta);
        return Side(account, delta, cash, account == _engine() ? 0 : feeBps, reducing);
    }

    function _apply(Trade calldata t, Side memory side) private returns (uint8) {
        uint256 n = PerpMath.notional(side.delta, t.price);
        if (!side.reducing) {
            if (side.account == _engine()) return NOT_ENGINE;
            if (n < configs[t.marketId].minNotional) return SMALL;
            if (_heldMarkets(side.account) >= MAX_POSITIONS && positions[side.account][t.marketId].size == 0) {
                return MARKETS;
            }
        }
        uint256 fee = PerpMath.cdivU(n * side.feeBps, PerpMath.BPS);
        _move(Move(side.account, t.marketId, MOVED_TRADE, side.delta, side.cash, fee));
        if (side.reducing) return 0;
        uint256 held_ = PerpMath.notional(positions[side.account][t.marketId].size, _mark(t.marketId));
        return held_ > configs[t.marketId].maxNotional ? MAX_NOTIONAL : 0;
    }

    function _checkAfter(Side memory side) private view returns (uint8) {
        Valuation memory v = _valueOf(side.account);
        if (side.account == _engine()) return v.equity < 0 ? NOT_ENGINE : 0;
        if (_firstStale(side.account) != 0) return STALE;
        return v.equity < PerpMath.toSigned(side.reducing ? v.mm : v.im) ? MARGIN : 0;
    }

    function _heldMarkets(address account) private view returns (uint256 n) {
        for (uint32 left = accounts[account].markets; left != 0; left &= left - 1) {
            n++;
        }
    }
}
