// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRoles} from "./IRoles.sol";

abstract contract Roles is IRoles {
    uint8 internal constant OWNER = 0;
    uint8 internal constant GUARDIAN = 1;

    address public owner;
    address public pendingOwner;
    mapping(uint8 => mapping(address => bool)) public hasRole;

    modifier onlyOwner() {
        _requireOwner();
        _;
    }

    constructor(address firstOwner) {
        owner = firstOwner;
        emit RoleSet(OWNER, firstOwner, true);
    }

    function setRole(uint8 role, address account, bool granted) external onlyOwner {
        if (role == OWNER) revert InvalidRole(role);
        hasRole[role][account] = granted;
        emit RoleSet(role, account, granted);
    }

    function transferOwnership(address newOwner) external onlyOwner {
        pendingOwner = newOwner;
    }

    function acceptOwnership() external {
        if (msg.sender != pendingOwner) revert NotPendingOwner();
        emit RoleSet(OWNER, owner, false);
        owner = msg.sender;
        pendingOwner = address(0);
        emit RoleSet(OWNER, msg.sender, true);
    }

    function _requireOwner() internal view {
        if (msg.sender != owner) revert NotOwner();
    }

    function _requireGuardian() internal view {
        if (!hasRole[GUARDIAN][msg.sender] && msg.sender != owner) revert NotGuardian();
    }
}
