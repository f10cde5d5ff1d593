// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// A token of any number of decimals that anybody may mint.
contract StageToken {
    uint8 public immutable decimals;
    mapping(address => uint256) public balanceOf;

    constructor(uint8 places) {
        decimals = places;
    }

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
        return true;
    }
}

interface IStagePool {
    function token0() external view returns (address);
    function token1() external view returns (address);
    function mint(address to, int24 low, int24 high, uint128 amount, bytes calldata data) external;
    function burn(int24 low, int24 high, uint128 amount) external;
    function swap(address to, bool zeroForOne, int256 amount, uint160 limit, bytes calldata data) external;
}

/// Gives and takes liquidity and swaps to a price; pays the pool by minting.
contract PoolTrader {
    function provide(IStagePool pool, int24 low, int24 high, uint128 amount) external {
        pool.mint(address(this), low, high, amount, "");
    }

    function withdraw(IStagePool pool, int24 low, int24 high, uint128 amount) external {
        pool.burn(low, high, amount);
    }

    function swapTo(IStagePool pool, bool zeroForOne, uint160 limit) external {
        pool.swap(address(this), zeroForOne, type(int256).max / 2, limit, "");
    }

    function uniswapV3MintCallback(uint256 owed0, uint256 owed1, bytes calldata) external {
        pay(owed0, owed1);
    }

    function uniswapV3SwapCallback(int256 delta0, int256 delta1, bytes calldata) external {
        pay(delta0 > 0 ? uint256(delta0) : 0, delta1 > 0 ? uint256(delta1) : 0);
    }

    function pay(uint256 owed0, uint256 owed1) private {
        if (owed0 > 0) StageToken(IStagePool(msg.sender).token0()).mint(msg.sender, owed0);
        if (owed1 > 0) StageToken(IStagePool(msg.sender).token1()).mint(msg.sender, owed1);
    }
}
