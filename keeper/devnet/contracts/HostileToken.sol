// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {QuoteToken} from "./QuoteToken.sol";

/// @title A quote token with switchable misbehaviour, for tests of the exchange's guards.
contract HostileToken is QuoteToken {
    uint256 public feeUnits;
    address private target;
    bytes private payload;
    /// @notice What the last call back was refused with; empty if it was not.
    bytes public callbackAnswer;

    /// @notice Every transferFrom delivers so many units less.
    function setFee(uint256 units) external {
        feeUnits = units;
    }

    /// @notice Every transfer calls back into `target_`.
    function setCallback(address target_, bytes calldata payload_) external {
        target = target_;
        payload = payload_;
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        super.transferFrom(from, to, amount - feeUnits);
        _callBack();
        return true;
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        super.transfer(to, amount);
        _callBack();
        return true;
    }

    function _callBack() private {
        if (target == address(0)) return;
        (bool ok, bytes memory answer) = target.call(payload);
        callbackAnswer = ok ? bytes("") : answer;
    }
}
