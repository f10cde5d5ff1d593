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
        Snapshot[] memory known = _newSnapshots();
        for (uint256 i = 0; i < trades.length; i++) {
            uint8 reason = _trade(known, trades[i]);
            if (reason != 0) revert TradeRejected(i, reason);
        }
    }

    function _trade(Snapshot[] memory known, Trade calldata t) private returns (uint8 reason) {
        if (t.maker == t.taker || t.maker == address(0) || t.taker == address(0)) return PARTIES;
        if (t.taker == _engine()) return NOT_ENGINE;
        if (!_isListedMarket(t.marketId)) return STALE;
        Snapshot memory s = _snapshot(known, t.marketId);
        reason = _checkTerms(s, t);
        if (reason != 0) return reason;
        _accrue(t.marketId);
        int256 cash = PerpMath.cashFor(t.takerDelta, t.price);
        Side memory taker = _side(t, t.taker, t.takerDelta, cash, s.config.takerFeeBps);
        Side memory maker = _side(t, t.maker, -int256(t.takerDelta), -cash, s.config.makerFeeBps);
        reason = _apply(s, t, taker);
        if (reason != 0) return reason;
        reason = _apply(s, t, maker);
        if (reason != 0) return reason;
        bool opening = !taker.reducing || !maker.reducing;
        if (opening && states[t.marketId].openInterest > s.config.maxOi) return MAX_OI;
        reason = _checkAfter(known, taker);
        if (reason != 0) return reason;
        reason = _checkAfter(known, maker);
        if (reason != 0) return reason;
        _sweep(t.marketId);
    }

    function _checkTerms(Snapshot memory s, Trade calldata t) private pure returns (uint8) {
        uint256 size = PerpMath.abs(t.takerDelta);
        if (size == 0 || size % s.config.lot != 0) return SIZE;
        if (!_isFresh(s)) return STALE;
        uint256 away = t.price > s.mark ? t.price - s.mark : s.mark - t.price;
        return away * PerpMath.BPS > s.config.bandBps * s.mark ? BAND : 0;
    }

    function _side(Trade calldata t, address account, int256 delta, int256 cash, uint256 feeBps)
        private
        view
        returns (Side memory)
    {
        bool reducing = PerpMath.reduces(positions[account][t.marketId].size, delta);
        return Side(account, delta, cash, account == _engine() ? 0 : feeBps, reducing);
    }

    function _apply(Snapshot memory s, Trade calldata t, Side memory side) private returns (uint8) {
        uint256 n = PerpMath.notional(side.delta, t.price);
        int256 newSize = positions[side.account][t.marketId].size + side.delta;
        if (!side.reducing) {
            if (side.account == _engine()) return NOT_ENGINE;
            if (n < s.config.minNotional) return SMALL;
            if (newSize == side.delta && _heldMarkets(side.account) >= MAX_POSITIONS) return MARKETS;
            if (PerpMath.notional(newSize, s.mark) > s.config.maxNotional) return MAX_NOTIONAL;
        }
        uint256 fee = PerpMath.cdivU(n * side.feeBps, PerpMath.BPS);
        _move(Move(side.account, t.marketId, MOVED_TRADE, side.delta, side.cash, fee));
        return 0;
    }

    function _checkAfter(Snapshot[] memory known, Side memory side) private view returns (uint8) {
        PerpMath.Valuation memory v = _valueOf(known, side.account);
        if (side.account == _engine()) return v.equity < 0 ? NOT_ENGINE : 0;
        if (_firstStale(known, side.account, 0) != 0) return STALE;
        return v.equity < PerpMath.toSigned(side.reducing ? v.mm : v.im) ? MARGIN : 0;
    }

    function _heldMarkets(address account) private view returns (uint256 n) {
        for (uint32 left = accounts[account].markets; left != 0; left &= left - 1) {
            n++;
        }
    }
}
