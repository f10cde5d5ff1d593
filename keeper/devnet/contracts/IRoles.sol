// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice A two-step owner and the roles it hands out. Roles: 0 owner 1 guardian 2 operator 3 deleverager.
interface IRoles {
    event RoleSet(uint8 indexed role, address indexed account, bool granted);

    error NotOwner();
    error NotPendingOwner();
    error NotGuardian();
    error InvalidRole(uint8 role);

    function setRole(uint8 role, address account, bool granted) external;
    function transferOwnership(address newOwner) external;
    function acceptOwnership() external;

    function owner() external view returns (address);
    function pendingOwner() external view returns (address);
    function hasRole(uint8 role, address account) external view returns (bool);
}
