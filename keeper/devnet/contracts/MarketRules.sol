// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPerpExchange} from "./IPerpExchange.sol";
import {PerpMath} from "./PerpMath.sol";

/// @title What a market's configuration must keep to.
library MarketRules {
    uint256 private constant MAX_TIERS = 10;
    uint64 private constant HIGHEST_NOTIONAL = 1e18;
    uint64 private constant HIGHEST_CAP = 4e16;
    uint16 private constant HIGHEST_MMR_BPS = 5000;
    uint16 private constant HIGHEST_FEE_BPS = 100;
    uint16 private constant LOWEST_BUFFER_BPS = 10_100;
    uint16 private constant LOWEST_IM_FACTOR_BPS = 12_500;

    function check(IPerpExchange.MarketConfig memory c) internal pure {
        bool ok = c.lot != 0 && c.lot <= uint128(type(int128).max) && c.maxNotional <= HIGHEST_NOTIONAL
            && c.maxPriceAge != 0 && c.bandBps <= PerpMath.BPS && c.liquidatorBps <= PerpMath.BPS
            && c.makerFeeBps <= HIGHEST_FEE_BPS && c.takerFeeBps <= HIGHEST_FEE_BPS && c.fundingKind <= 1
            && c.clamp <= c.cap && c.cap <= HIGHEST_CAP && c.bufferBps >= LOWEST_BUFFER_BPS
            && c.bufferBps <= c.imFactorBps && c.imFactorBps >= LOWEST_IM_FACTOR_BPS && c.tiers.length != 0
            && c.tiers.length <= MAX_TIERS;
        if (!ok || c.tiers[0].floor != 0 || c.penaltyBps >= c.tiers[0].mmrBps) revert IPerpExchange.InvalidConfig();
        for (uint256 k = 0; k < c.tiers.length; k++) {
            if (c.tiers[k].mmrBps > HIGHEST_MMR_BPS) revert IPerpExchange.InvalidConfig();
            if (k == 0) continue;
            bool rising = c.tiers[k].floor > c.tiers[k - 1].floor && c.tiers[k].mmrBps > c.tiers[k - 1].mmrBps;
            if (!rising) revert IPerpExchange.InvalidConfig();
        }
    }
}
