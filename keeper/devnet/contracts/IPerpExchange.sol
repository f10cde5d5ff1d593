// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRoles} from "./IRoles.sol";

/// @title Matched perpetual futures with an insurance fund, partial liquidation and deleveraging.
/// @notice Money: units of the quote token (6 decimals). Sizes: 1e18 = 1 base unit. Prices: 1e18 = 1 USD.
///         Rates: 1e18 = 100 %. Funding index: 1e36. bps = 1e-4. The exchange's own address is the ENGINE account, whose
///         margin is the insurance fund. Market m is priced by feed m of the oracle.
interface IPerpExchange is IRoles {
    struct Tier {
        uint64 floor; // notional in units; the first is 0
        uint16 mmrBps;
    }

    struct MarketConfig {
        uint128 lot; // sizes are multiples of it; never changes
        uint128 maxOi; // long open interest, base units
        uint64 minNotional;
        uint64 maxNotional;
        uint32 maxPriceAge;
        uint16 makerFeeBps;
        uint16 takerFeeBps;
        uint16 bandBps;
        uint16 imFactorBps;
        uint16 bufferBps;
        uint16 penaltyBps;
        uint16 liquidatorBps;
        uint8 fundingKind; // 0: interest per 8 h, 1: interest per interval
        int64 interest;
        uint64 clamp;
        uint64 cap;
        Tier[] tiers;
    }

    struct MarketState {
        uint32 interval; // 0: not listed
        uint40 fundingAt; // the last boundary settled
        int128 snapS; // premium sum and seconds covered at fundingAt
        uint40 snapV;
        int256 cum;
        int256 clearing;
        uint128 openInterest; // of the longs
        uint32 holders;
    }

    struct Trade {
        address maker;
        address taker;
        uint32 marketId;
        int128 takerDelta;
        uint96 price;
    }

    struct Request {
        address account;
        uint32 marketId;
        uint128 maxSize;
    }

    struct Position {
        uint32 marketId;
        int128 size;
        int128 quote; // signed entry cash; a long's is negative
        int256 cumEntry;
    }

    struct PositionView {
        uint32 marketId;
        int128 size;
        int128 quote;
        int256 cumEntry;
        int256 owed; // funding up to the boundaries due now; positive is a debit
    }

    struct CollateralView {
        address token;
        uint256 balance;
        uint256 value;
    }

    struct AccountView {
        address account;
        int256 margin;
        int256 cash;
        int256 equity; // E
        uint256 maintenance; // MM
        uint256 initial; // IM
        uint256 notional; // N
        PositionView[] positions;
        CollateralView[] collateral;
    }

    struct CollateralConfig {
        uint32 feed;
        uint8 decimals;
        uint16 haircutBps;
        uint32 maxPriceAge;
    }

    /// @dev cause: 1 deposit 2 withdraw 3 penalty 4 reward 5 cover 6 residue 7 seize 8 write-off 9 skim
    event MarginChanged(address indexed account, uint8 cause, int128 delta, int128 margin);
    event CollateralChanged(
        address indexed account, address indexed token, uint8 cause, int256 delta, uint256 balance
    );
    /// @dev cause: 1 trade 2 liquidated 3 taken over 4 deleveraged
    event PositionChanged(
        address indexed account,
        uint32 indexed marketId,
        uint8 cause,
        int128 delta,
        int128 cash,
        int128 funding,
        uint128 fee,
        int128 size,
        int128 quote,
        int256 cumEntry,
        int128 margin
    );
    event FundingResidue(uint32 indexed marketId, uint256 amount);
    event FundingSettled(
        uint32 indexed marketId,
        uint40 boundary,
        uint40 intervals,
        int64 premium,
        uint40 covered,
        int64 rate,
        uint96 mark,
        int256 cum,
        int128 snapS,
        uint40 snapV,
        address caller
    );
    event Liquidated(
        address indexed account,
        uint32 indexed marketId,
        address indexed liquidator,
        uint128 size,
        uint96 mark,
        int256 equity,
        uint256 maintenance,
        uint256 penalty,
        uint256 reward,
        uint256 loss
    );
    event LiquidationSkipped(address indexed account, uint32 indexed marketId, uint8 reason);
    event Deleveraged(
        address indexed bankrupt,
        address indexed counterparty,
        uint32 indexed marketId,
        uint128 size,
        uint96 mark,
        uint256 loss,
        uint256 cover
    );
    event FeesCollected(address indexed to, uint256 amount);
    event MarketConfigured(
        uint32 indexed marketId,
        MarketConfig config,
        uint32 interval,
        uint40 fundingAt,
        int128 snapS,
        uint40 snapV,
        int256 cum
    );
    event CollateralConfigured(
        address indexed token, uint32 feed, uint8 decimals, uint16 haircutBps, uint32 maxPriceAge
    );
    event PausedSet(uint8 paused);

    error NotOperator();
    error NotDeleverager();
    error ActionPaused(uint8 action);
    error Reentrancy();
    error BatchSize(uint256 size);
    error InvalidQuoteToken();
    error InvalidConfig();
    error UnknownMarket(uint32 marketId);
    error ZeroAddress();
    error ZeroAmount();
    error Overflow();

    error TransferMismatch(uint256 expected, uint256 received);
    error TransferFailed();
    error InsufficientMargin(int256 available);
    error EngineUnderWater(int256 equity);
    error InsufficientLiquidity(uint256 held);

    /// @dev reason: 1 Parties 2 Size 3 Stale 4 Band 5 Small 6 Markets 7 MaxNotional 8 MaxOi 9 Margin 10 Engine
    error TradeRejected(uint256 index, uint8 reason);
    error FundingNotDue(uint40 dueAt);

    // reasons 1...6 of a liquidation, by name
    error SelfOrEngine();
    error NoPosition();
    error Stale(uint32 marketId);
    error NotLiquidatable(int256 equity, uint256 maintenance);
    error SizeZero();
    error FundShort(uint256 loss, uint256 available);
    error NothingLiquidated(bytes reasons);

    error InvalidParties();
    error InvalidSize();
    error NotBankrupt(int256 equity);
    error FundNotEmpty(uint256 loss, uint256 available);
    error CounterpartyUnhealthy(int256 equity, uint256 maintenance);

    // money
    function deposit(address account, uint256 amount) external;
    function withdraw(address to, uint256 amount) external;
    function skim() external returns (uint256 amount);
    function collectFees(address to) external returns (uint256 amount);

    // trading, operator only
    function settleTrades(Trade[] calldata trades) external;

    // funding, anyone
    function settleFunding(uint32 marketId) external;
    function settleFundingMany(uint32[] calldata marketIds) external returns (uint256 settled);

    // liquidation, anyone; deleveraging, role DELEVERAGER
    function liquidate(address account, uint32 marketId, uint128 maxSize) external returns (uint128 size);
    /// @return reasons one byte an entry, 0 for what was liquidated
    function liquidateBatch(Request[] calldata requests) external returns (bytes memory reasons);
    function deleverage(address bankrupt, address counterparty, uint32 marketId, uint128 size) external;

    // owner
    function configureMarket(uint32 marketId, MarketConfig calldata config) external;
    function unpause(uint8 actions) external;
    // guardian or owner; bits: 1 trade 2 withdraw 4 liquidate, deleverage and seize 8 funding
    function pause(uint8 actions) external;

    // views
    function quoteToken() external view returns (address);
    function oracle() external view returns (address);
    function paused() external view returns (uint8);
    function marketIds() external view returns (uint32[] memory);
    function getMarket(uint32 marketId) external view returns (MarketConfig memory config, MarketState memory state);
    /// @notice As stored: funding due or accrued since cumEntry is not applied.
    function getAccount(address account) external view returns (int128 margin, Position[] memory positions);
    function accountsPage(uint256 from, uint256 n) external view returns (address[] memory);
    function collateralTokens() external view returns (address[] memory);
    function collateralConfig(address token) external view returns (CollateralConfig memory);
    function collateralOf(address account, address token) external view returns (uint256);
    /// @notice `boundary` is the one that a settlement now would reach (k = 0: the last one settled).
    function fundingDue(uint32 marketId)
        external
        view
        returns (uint40 boundary, uint40 k, int64 rate, uint96 mark, int256 cumNow);
    /// @notice `reason` is 0, or why `liquidate` with a free maxSize would fail now (1 only for ENGINE).
    function previewLiquidation(address account, uint32 marketId)
        external
        view
        returns (uint8 reason, uint128 size, int256 equity, uint256 maintenance, uint256 loss, uint256 available);
    /// @notice O(1) and as stored: unsettled funding is not applied.
    function totals()
        external
        view
        returns (
            uint256 accounts,
            int256 sumMargin,
            int256 sumQuote,
            int256 sumClearing,
            uint256 fees,
            uint256 held
        );
    function marketTotals(uint32 marketId)
        external
        view
        returns (uint256 sumAbsSize, uint256 holders, int256 clearing, int256 cum);
}
