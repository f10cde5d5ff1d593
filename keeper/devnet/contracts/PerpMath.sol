// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPerpExchange} from "./IPerpExchange.sol";

/// @title The formulas: multiply first, divide where written, and say how it rounds.
/// @notice Valuations round against the account, by at most one unit.
library PerpMath {
    uint256 internal constant BPS = 1e4;
    uint256 internal constant PRICE_SCALE = 1e30; // size x price -> units
    uint256 internal constant FUNDING_SCALE = 1e48; // size x funding index -> units
    int256 internal constant EIGHT_HOURS = 28_800;
    int256 internal constant DAY = 86_400;

    // ------------------------------------------------------------------ rounding

    /// @dev a / b towards minus infinity.
    function fdiv(int256 a, uint256 b) internal pure returns (int256 q) {
        q = a / int256(b);
        if (a < 0 && a % int256(b) != 0) q--;
    }

    /// @dev a / b towards plus infinity.
    function cdiv(int256 a, uint256 b) internal pure returns (int256 q) {
        q = a / int256(b);
        if (a > 0 && a % int256(b) != 0) q++;
    }

    function cdivU(uint256 a, uint256 b) internal pure returns (uint256 q) {
        q = a / b;
        if (a % b != 0) q++;
    }

    function abs(int256 a) internal pure returns (uint256) {
        return uint256(a < 0 ? -a : a);
    }

    function clamp(int256 x, int256 low, int256 high) internal pure returns (int256) {
        return x < low ? low : x > high ? high : x;
    }

    function to128(int256 a) internal pure returns (int128) {
        if (a > type(int128).max || a < type(int128).min) revert IPerpExchange.Overflow();
        return int128(a);
    }

    function toSigned(uint256 a) internal pure returns (int256) {
        if (a > uint256(type(int256).max)) revert IPerpExchange.Overflow();
        return int256(a);
    }

    // ------------------------------------------------------------------ positions

    function value(int256 size, uint256 price) internal pure returns (int256) {
        return fdiv(size * int256(price), PRICE_SCALE);
    }

    function notional(int256 size, uint256 price) internal pure returns (uint256) {
        return cdivU(abs(size) * price, PRICE_SCALE);
    }

    /// @dev The cash for a change of position by `delta`: received for selling, paid for buying.
    function cashFor(int256 delta, uint256 price) internal pure returns (int256) {
        return fdiv(-delta * int256(price), PRICE_SCALE);
    }

    /// @dev Positive is a debit.
    function owed(int256 size, int256 cumDelta) internal pure returns (int256) {
        return cdiv(size * cumDelta, FUNDING_SCALE);
    }

    function reduces(int256 size, int256 delta) internal pure returns (bool) {
        return (size > 0) != (delta > 0) && size != 0 && delta != 0 && abs(delta) <= abs(size);
    }

    /// @return newQuote the entry cash afterwards
    /// @return realized what goes to the margin; quote + cash == newQuote + realized
    function fold(int256 size, int256 quote, int256 delta, int256 cash)
        internal
        pure
        returns (int256 newQuote, int256 realized)
    {
        if (size == 0 || (size > 0) == (delta > 0)) return (quote + cash, 0);
        if (reduces(size, delta)) {
            int256 released = quote * int256(abs(delta)) / int256(abs(size));
            return (quote - released, released + cash);
        }
        int256 closing = cash * int256(abs(size)) / int256(abs(delta));
        return (cash - closing, quote + closing);
    }

    // ------------------------------------------------------------------ margin

    /// @dev Marginal, hence continuous at the floors. Units x bps.
    function weighted(IPerpExchange.Tier[] memory tiers, uint256 n) internal pure returns (uint256 w) {
        for (uint256 k = 0; k < tiers.length && tiers[k].floor < n; k++) {
            uint256 top = k + 1 < tiers.length && tiers[k + 1].floor < n ? tiers[k + 1].floor : n;
            w += tiers[k].mmrBps * (top - tiers[k].floor);
        }
    }

    /// @dev An account's sums. Begin with cash = equity = margin and add each position.
    struct Valuation {
        int256 cash;
        int256 equity; // E
        uint256 mm;
        uint256 im;
        uint256 notional; // N
    }

    function addPosition(
        Valuation memory v,
        IPerpExchange.Position memory p,
        int256 funding,
        uint256 mark,
        IPerpExchange.Tier[] memory tiers,
        uint256 imFactorBps
    ) internal pure {
        uint256 n = notional(p.size, mark);
        uint256 w = weighted(tiers, n);
        v.cash -= funding;
        v.equity += value(p.size, mark) + p.quote - funding;
        v.mm += cdivU(w, BPS);
        v.im += cdivU(w * imFactorBps, BPS * BPS);
        v.notional += n;
    }

    // ------------------------------------------------------------------ funding

    /// @param premium the average over the window, 0 when less than half of it is covered
    function fundingRate(IPerpExchange.MarketConfig storage config, int256 premium, int256 interval)
        internal
        view
        returns (int256 rate)
    {
        int256 c = int256(uint256(config.clamp));
        int256 cap = int256(uint256(config.cap));
        int256 interest = config.interest;
        if (config.fundingKind == 0) {
            rate = (premium + clamp(interest - premium, -c, c)) * interval / EIGHT_HOURS;
        } else {
            rate = clamp(premium, -c, c) * interval / DAY + interest;
        }
        return clamp(rate, -cap, cap);
    }

    // ------------------------------------------------------------------ liquidation

    struct Sizing {
        uint256 size; // S
        uint256 mark;
        int256 equity; // E
        uint256 mm; // MM of the account
        IPerpExchange.Tier[] tiers;
        uint256 bufferBps;
        uint256 penaltyBps;
        uint256 lot;
        uint256 minNotional;
    }

    /// @dev How much to close: all below half the maintenance margin, else what restores the buffer. The chord used here
    ///      lies above the convex tiers, so at least the buffer is restored.
    function liquidationSize(Sizing memory s) internal pure returns (uint256 x) {
        int256 mm = toSigned(s.mm);
        if (2 * s.equity < mm) return s.size;
        uint256 n = cdivU(s.size * s.mark, PRICE_SCALE);
        int256 missing = int256(cdivU(s.bufferBps * s.mm, BPS)) - s.equity;
        int256 gained = int256(s.bufferBps * cdivU(weighted(s.tiers, n), BPS) / BPS) - int256(cdivU(n * s.penaltyBps, BPS));
        if (gained <= missing) return s.size;
        x = cdivU(cdivU(s.size * uint256(missing), uint256(gained)), s.lot) * s.lot;
        if (x > s.size) x = s.size;
        if (cdivU((s.size - x) * s.mark, PRICE_SCALE) < s.minNotional) x = s.size;
    }

    /// @dev Equity after a take-over of `delta` at the mark: `equity`, or one unit less.
    function equityAfter(int256 equity, int256 size, int256 delta, int256 cash, uint256 mark)
        internal
        pure
        returns (int256)
    {
        return equity - value(size, mark) + value(size + delta, mark) + cash;
    }

    /// @dev The part of a hole that this take-over has to fill: all of it with the last position, else by notional.
    function lossShare(int256 equity1, bool last, uint256 closedNotional, uint256 totalNotional)
        internal
        pure
        returns (uint256)
    {
        if (equity1 >= 0) return 0;
        uint256 hole = uint256(-equity1);
        return last ? hole : cdivU(hole * closedNotional, totalNotional);
    }
}
