// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

interface IMintable {
    function mint(address to, uint256 amount) external;
    function approve(address spender, uint256 amount) external returns (bool);
}

interface IDeposits {
    function deposit(address account, uint256 amount) external;
}

/// @title Many deposits in one transaction, so that a test chain has many events soon.
contract Depositor {
    /// @notice Deposits 1, 2, … `count` dollars for the accounts `first`, `first` + 1, … of which there are `accounts`.
    function fill(IMintable token, IDeposits exchange, uint160 first, uint160 accounts, uint160 count) external {
        token.mint(address(this), uint256(count) * (uint256(count) + 1) / 2 * 1e6);
        token.approve(address(exchange), type(uint256).max);
        for (uint160 i = 0; i < count; ++i) {
            exchange.deposit(address(first + i % accounts), (uint256(i) + 1) * 1e6);
        }
    }
}
