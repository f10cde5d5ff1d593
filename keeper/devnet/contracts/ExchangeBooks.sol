// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPerpExchange} from "./IPerpExchange.sol";
import {IPriceOracle} from "./IPriceOracle.sol";
import {PerpMath} from "./PerpMath.sol";
import {Roles} from "./Roles.sol";

/// @title Storage, and the only two ways in which an account changes: its margin, or a move in a market.
abstract contract ExchangeBooks is IPerpExchange, Roles {
    struct StoredAccount {
        int128 margin;
        uint32 markets; // bit m - 1: holds a position in market m
        bool listed;
    }

    struct StoredPosition {
        int128 size;
        int128 quote;
        int256 cumEntry;
    }

    uint8 internal constant OPERATOR = 2;
    uint8 internal constant DELEVERAGER = 3;

    uint8 internal constant TRADE = 1;
    uint8 internal constant WITHDRAW = 2;
    uint8 internal constant LIQUIDATE = 4;
    uint8 internal constant FUNDING = 8;

    uint8 internal constant CAUSE_DEPOSIT = 1;
    uint8 internal constant CAUSE_WITHDRAW = 2;
    uint8 internal constant CAUSE_PENALTY = 3;
    uint8 internal constant CAUSE_REWARD = 4;
    uint8 internal constant CAUSE_COVER = 5;
    uint8 internal constant CAUSE_RESIDUE = 6;
    uint8 internal constant CAUSE_SKIM = 9;

    uint8 internal constant MOVED_TRADE = 1;
    uint8 internal constant MOVED_LIQUIDATED = 2;
    uint8 internal constant MOVED_TAKEN_OVER = 3;
    uint8 internal constant MOVED_DELEVERAGED = 4;

    uint32 internal constant MAX_MARKET = 32;
    uint256 internal constant MAX_POSITIONS = 8;

    address public immutable quoteToken;
    address public immutable oracle;

    uint8 public paused;
    bool private entered;
    uint32 internal highestMarket;
    uint32[] internal listedMarkets;
    mapping(uint32 => MarketConfig) internal configs;
    mapping(uint32 => MarketState) internal states;

    address[] internal accountList;
    mapping(address => StoredAccount) internal accounts;
    mapping(address => mapping(uint32 => StoredPosition)) internal positions;

    int128 internal sumMargin;
    int128 internal sumQuote;
    int128 internal sumClearing;
    uint128 internal fees;
    uint256 internal held;

    address[] internal collaterals;
    mapping(address => CollateralConfig) internal collateralConfigs;
    mapping(address => mapping(address => uint256)) internal collateralBalances;

    modifier nonReentrant() {
        _enter();
        _;
        entered = false;
    }

    modifier whenNotPaused(uint8 action) {
        _requireActive(action);
        _;
    }

    function _enter() private {
        if (entered) revert Reentrancy();
        entered = true;
    }

    function _requireActive(uint8 action) private view {
        if (paused & action != 0) revert ActionPaused(action);
    }

    function _changeMargin(address account, uint8 cause, int256 delta) internal {
        if (delta == 0) return;
        _list(account);
        int128 margin = PerpMath.to128(accounts[account].margin + delta);
        accounts[account].margin = margin;
        sumMargin = PerpMath.to128(sumMargin + delta);
        emit MarginChanged(account, cause, int128(delta), margin);
    }

    struct Move {
        address account;
        uint32 marketId;
        uint8 cause;
        int256 delta;
        int256 cash;
        uint256 fee;
    }

    /// @dev margin + quote changes by exactly cash - funding - fee.
    function _move(Move memory move) internal {
        _list(move.account);
        StoredPosition storage p = positions[move.account][move.marketId];
        MarketState storage state = states[move.marketId];
        int256 size = p.size;
        int256 funding = size == 0 ? int256(0) : PerpMath.owed(size, state.cum - p.cumEntry);
        (int256 quote, int256 realized) = PerpMath.fold(size, p.quote, move.delta, move.cash);
        int128 margin =
            PerpMath.to128(accounts[move.account].margin + realized - funding - PerpMath.toSigned(move.fee));
        sumMargin = PerpMath.to128(int256(sumMargin) + margin - accounts[move.account].margin);
        sumQuote = PerpMath.to128(int256(sumQuote) + quote - p.quote);
        sumClearing = PerpMath.to128(sumClearing + funding);
        state.clearing += funding;
        fees += uint128(move.fee);
        accounts[move.account].margin = margin;
        _countHolders(move.account, move.marketId, size, size + move.delta);
        p.size = PerpMath.to128(size + move.delta);
        p.quote = PerpMath.to128(quote);
        p.cumEntry = state.cum;
        emit PositionChanged(
            move.account,
            move.marketId,
            move.cause,
            int128(move.delta),
            PerpMath.to128(move.cash),
            PerpMath.to128(funding),
            uint128(move.fee),
            p.size,
            p.quote,
            state.cum,
            margin
        );
        if (p.size == 0) delete positions[move.account][move.marketId];
    }

    function _countHolders(address account, uint32 marketId, int256 size, int256 newSize) private {
        MarketState storage state = states[marketId];
        int256 longs = int256(uint256(state.openInterest));
        longs += (newSize > 0 ? newSize : int256(0)) - (size > 0 ? size : int256(0));
        state.openInterest = uint128(PerpMath.to128(longs));
        if (size == 0) {
            state.holders++;
            accounts[account].markets |= _bit(marketId);
        }
        if (newSize == 0) {
            state.holders--;
            accounts[account].markets &= ~_bit(marketId);
        }
    }

    /// @dev What rounding left over in a market that nobody holds belongs to the fund.
    function _sweep(uint32 marketId) internal {
        MarketState storage state = states[marketId];
        int256 residue = state.clearing;
        if (state.openInterest != 0 || residue == 0) return;
        if (residue < 0) revert Overflow();
        state.clearing = 0;
        sumClearing = PerpMath.to128(sumClearing - residue);
        emit FundingResidue(marketId, uint256(residue));
        _changeMargin(_engine(), CAUSE_RESIDUE, residue);
    }

    /// @dev The insurance fund, and the taker-over of liquidated positions. Not an immutable: each use would be 33 bytes.
    function _engine() internal view returns (address) {
        return address(this);
    }

    function _list(address account) internal {
        if (accounts[account].listed) return;
        accounts[account].listed = true;
        accountList.push(account);
    }

    function _isListedMarket(uint32 marketId) internal view returns (bool) {
        return states[marketId].interval != 0;
    }

    function _bit(uint32 marketId) internal pure returns (uint32) {
        return uint32(1) << (marketId - 1);
    }
}
