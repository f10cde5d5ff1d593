// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPerpExchange} from "./IPerpExchange.sol";

/// @title The heavy views of the exchange, valued at one block.
interface IPerpLens {
    struct MarketView {
        uint32 marketId;
        IPerpExchange.MarketConfig config;
        IPerpExchange.MarketState state;
        int256 cumNow; // after the boundaries due now
        uint96 index;
        uint96 mark;
        uint40 observedAt;
        bool live; // neither oracle nor feed stopped, and a price exists
    }

    error TooManyAccounts(uint256 given, uint256 limit);

    function exchange() external view returns (address);
    /// @notice At most 500 accounts.
    function getAccounts(address[] calldata accounts)
        external
        view
        returns (IPerpExchange.AccountView[] memory views, uint256 blockNumber, uint256 timestamp);
    /// @notice At most 1024 accounts.
    /// @return bitmap bit i % 256 of word i / 256: E < MM, and not Stale in some market of the account
    function liquidatable(address[] calldata accounts) external view returns (uint256[] memory bitmap);
    function getMarkets() external view returns (MarketView[] memory);
}
