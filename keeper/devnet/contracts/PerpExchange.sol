// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ExchangeLiquidation} from "./ExchangeLiquidation.sol";
import {ExchangeTrading} from "./ExchangeTrading.sol";
import {IPriceOracle} from "./IPriceOracle.sol";
import {MarketRules} from "./MarketRules.sol";
import {PerpMath} from "./PerpMath.sol";
import {Roles} from "./Roles.sol";

interface IToken {
    function decimals() external view returns (uint8);
    function balanceOf(address account) external view returns (uint256);
    function transfer(address to, uint256 amount) external returns (bool);
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
}

/// @title Money in and out, markets, pauses and the light views; the rules are in the contracts it inherits.
contract PerpExchange is ExchangeTrading, ExchangeLiquidation {
    constructor(address firstOwner, address quoteToken_, address oracle_) Roles(firstOwner) {
        if (IToken(quoteToken_).decimals() != 6) revert InvalidQuoteToken();
        quoteToken = quoteToken_;
        oracle = oracle_;
        _list(_engine());
    }

    // ------------------------------------------------------------------ money

    function deposit(address account, uint256 amount) external nonReentrant {
        if (account == address(0)) revert ZeroAddress();
        if (amount == 0) revert ZeroAmount();
        uint256 before = _balance();
        _callToken(abi.encodeCall(IToken.transferFrom, (msg.sender, address(this), amount)));
        uint256 received = _balance() - before;
        if (received != amount) revert TransferMismatch(amount, received);
        held += amount;
        _changeMargin(account, CAUSE_DEPOSIT, PerpMath.toSigned(amount));
    }

    function withdraw(address to, uint256 amount) external nonReentrant whenNotPaused(WITHDRAW) {
        if (to == address(0)) revert ZeroAddress();
        if (amount == 0) revert ZeroAmount();
        Snapshot[] memory known = _newSnapshots();
        uint32 stale = _firstStale(known, msg.sender, 0);
        if (stale != 0) revert Stale(stale);
        int256 engine = _valueOf(known, _engine()).equity;
        if (engine < 0) revert EngineUnderWater(engine);
        PerpMath.Valuation memory v = _valueOf(known, msg.sender);
        int256 free = v.equity - PerpMath.toSigned(v.im);
        if (v.cash < free) free = v.cash;
        if (PerpMath.toSigned(amount) > free) revert InsufficientMargin(free);
        if (amount > held) revert InsufficientLiquidity(held);
        held -= amount;
        _changeMargin(msg.sender, CAUSE_WITHDRAW, -int256(amount));
        _callToken(abi.encodeCall(IToken.transfer, (to, amount)));
    }

    function skim() external nonReentrant returns (uint256 amount) {
        amount = _balance() - held;
        held += amount;
        _changeMargin(_engine(), CAUSE_SKIM, PerpMath.toSigned(amount));
    }

    function collectFees(address to) external nonReentrant onlyOwner returns (uint256 amount) {
        if (to == address(0)) revert ZeroAddress();
        amount = fees;
        if (amount > held) revert InsufficientLiquidity(held);
        fees = 0;
        held -= amount;
        emit FeesCollected(to, amount);
        _callToken(abi.encodeCall(IToken.transfer, (to, amount)));
    }

    function _balance() private view returns (uint256) {
        return IToken(quoteToken).balanceOf(address(this));
    }

    /// @dev Tokens that return nothing are as good as those that return true.
    function _callToken(bytes memory data) private {
        (bool ok, bytes memory answer) = quoteToken.call(data);
        if (!ok || (answer.length != 0 && !abi.decode(answer, (bool)))) revert TransferFailed();
    }

    // ------------------------------------------------------------------ markets and pauses

    function configureMarket(uint32 marketId, MarketConfig memory config) external nonReentrant onlyOwner {
        MarketRules.check(config);
        if (_isListedMarket(marketId)) {
            if (configs[marketId].lot != config.lot) revert InvalidConfig();
            _accrue(marketId);
        } else {
            _listMarket(marketId);
        }
        configs[marketId] = config;
        MarketState storage state = states[marketId];
        emit MarketConfigured(
            marketId, config, state.interval, state.fundingAt, state.snapS, state.snapV, state.cum
        );
    }

    function _listMarket(uint32 marketId) private {
        if (marketId == 0 || marketId > MAX_MARKET) revert UnknownMarket(marketId);
        MarketState storage state = states[marketId];
        uint32 interval = IPriceOracle(oracle).intervalOf(marketId);
        uint40 time = uint40(block.timestamp);
        state.interval = interval;
        state.fundingAt = time - time % interval;
        (state.snapS, state.snapV,) = IPriceOracle(oracle).premiumAt(marketId, state.fundingAt);
        listedMarkets.push(marketId);
        if (marketId > highestMarket) highestMarket = marketId;
    }

    function pause(uint8 actions) external {
        _requireGuardian();
        paused |= actions;
        emit PausedSet(paused);
    }

    /// @notice Boundaries that passed while funding was paused are settled at a rate of 0.
    function unpause(uint8 actions) external nonReentrant onlyOwner {
        if (paused & actions & FUNDING != 0) {
            for (uint256 i = 0; i < listedMarkets.length; i++) {
                _settle(listedMarkets[i], true);
            }
        }
        paused &= ~actions;
        emit PausedSet(paused);
    }

    // ------------------------------------------------------------------ views

    function marketIds() external view returns (uint32[] memory) {
        return listedMarkets;
    }

    function getMarket(uint32 marketId) external view returns (MarketConfig memory, MarketState memory) {
        return (configs[marketId], states[marketId]);
    }

    function getAccount(address account) external view returns (int128 margin, Position[] memory list) {
        margin = accounts[account].margin;
        uint32 markets = accounts[account].markets;
        uint256 n;
        for (uint32 left = markets; left != 0; left &= left - 1) {
            n++;
        }
        list = new Position[](n);
        n = 0;
        for (uint32 m = 1; markets != 0; (m++, markets >>= 1)) {
            if (markets & 1 != 0) list[n++] = _position(account, m);
        }
    }

    function accountsPage(uint256 from, uint256 n) external view returns (address[] memory page) {
        uint256 end = from + n < accountList.length ? from + n : accountList.length;
        page = new address[](end > from ? end - from : 0);
        for (uint256 i = 0; i < page.length; i++) {
            page[i] = accountList[from + i];
        }
    }

    function collateralTokens() external view returns (address[] memory) {
        return collaterals;
    }

    function collateralConfig(address token) external view returns (CollateralConfig memory) {
        return collateralConfigs[token];
    }

    function collateralOf(address account, address token) external view returns (uint256) {
        return collateralBalances[account][token];
    }

    function totals() external view returns (uint256, int256, int256, int256, uint256, uint256) {
        return (accountList.length, sumMargin, sumQuote, sumClearing, fees, held);
    }

    function marketTotals(uint32 marketId) external view returns (uint256, uint256, int256, int256) {
        MarketState storage state = states[marketId];
        return (2 * uint256(state.openInterest), state.holders, state.clearing, state.cum);
    }
}
