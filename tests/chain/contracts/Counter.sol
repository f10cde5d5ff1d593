// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// What the transaction tests send to: a round that may only rise, a call that does nothing and one that is refused.
contract Counter {
    event Recorded(uint256 indexed round, uint256 count);

    error RoundNotNewer(uint256 given, uint256 last);
    error Refused();

    uint256 public round;
    uint256 public count;

    function record(uint256 newRound) external {
        if (newRound <= round) revert RoundNotNewer(newRound, round);
        round = newRound;
        count += 1;
        emit Recorded(newRound, count);
    }

    /// Succeeds without any effect.
    function pretend(uint256) external {}

    function refuse(uint256) external pure {
        revert Refused();
    }
}
