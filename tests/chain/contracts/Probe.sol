// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// Counts each call and refuses none: whoever sends twice is seen, because nothing here makes up for it.
contract Probe {
    event Acted(bytes32 indexed key, uint256 count);

    mapping(bytes32 key => uint256 count) public counts;

    function act(bytes32 key) external {
        counts[key] += 1;
        emit Acted(key, counts[key]);
    }
}
