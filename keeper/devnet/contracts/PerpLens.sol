// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPerpExchange} from "./IPerpExchange.sol";
import {IPerpLens} from "./IPerpLens.sol";
import {IPriceOracle} from "./IPriceOracle.sol";
import {PerpMath} from "./PerpMath.sol";

/// @title Reads each market once and values many accounts against it, with the exchange's own formulas.
contract PerpLens is IPerpLens {
    struct Snapshot {
        int256 cumNow;
        uint256 mark;
        bool fresh;
        bool usable; // fresh, or so old that it shields nobody any more
        uint256 imFactorBps;
        IPerpExchange.Tier[] tiers;
    }

    uint256 private constant STALE_GRACE = 3600;
    uint256 private constant MAX_VIEWS = 500;
    uint256 private constant MAX_BITS = 1024;

    address public immutable exchange;
    address private immutable oracle;

    constructor(address exchange_) {
        exchange = exchange_;
        oracle = IPerpExchange(exchange_).oracle();
    }

    function getAccounts(address[] calldata accounts)
        external
        view
        returns (IPerpExchange.AccountView[] memory views, uint256 blockNumber, uint256 timestamp)
    {
        if (accounts.length > MAX_VIEWS) revert TooManyAccounts(accounts.length, MAX_VIEWS);
        Snapshot[] memory snapshots = _snapshots();
        views = new IPerpExchange.AccountView[](accounts.length);
        for (uint256 i = 0; i < accounts.length; i++) {
            views[i] = _view(accounts[i], snapshots);
        }
        return (views, block.number, block.timestamp);
    }

    function liquidatable(address[] calldata accounts) external view returns (uint256[] memory bitmap) {
        if (accounts.length > MAX_BITS) revert TooManyAccounts(accounts.length, MAX_BITS);
        Snapshot[] memory snapshots = _snapshots();
        bitmap = new uint256[]((accounts.length + 255) / 256);
        for (uint256 i = 0; i < accounts.length; i++) {
            if (_canBeLiquidated(accounts[i], snapshots)) bitmap[i / 256] |= 1 << (i % 256);
        }
    }

    function getMarkets() external view returns (MarketView[] memory views) {
        uint32[] memory ids = IPerpExchange(exchange).marketIds();
        views = new MarketView[](ids.length);
        for (uint256 i = 0; i < ids.length; i++) {
            views[i].marketId = ids[i];
            (views[i].config, views[i].state) = IPerpExchange(exchange).getMarket(ids[i]);
            (,,,, views[i].cumNow) = IPerpExchange(exchange).fundingDue(ids[i]);
            (views[i].index, views[i].mark, views[i].observedAt,, views[i].live) =
                IPriceOracle(oracle).priceOf(ids[i]);
        }
    }

    /// @dev By market id.
    function _snapshots() private view returns (Snapshot[] memory snapshots) {
        uint32[] memory ids = IPerpExchange(exchange).marketIds();
        uint32 highest;
        for (uint256 i = 0; i < ids.length; i++) {
            if (ids[i] > highest) highest = ids[i];
        }
        snapshots = new Snapshot[](highest + 1);
        for (uint256 i = 0; i < ids.length; i++) {
            snapshots[ids[i]] = _snapshot(ids[i]);
        }
    }

    function _snapshot(uint32 marketId) private view returns (Snapshot memory s) {
        (IPerpExchange.MarketConfig memory config,) = IPerpExchange(exchange).getMarket(marketId);
        (,,,, s.cumNow) = IPerpExchange(exchange).fundingDue(marketId);
        (, uint96 mark, uint40 observedAt,, bool live) = IPriceOracle(oracle).priceOf(marketId);
        uint256 age = block.timestamp - observedAt;
        s.mark = mark;
        s.fresh = live && age <= config.maxPriceAge;
        s.usable = s.fresh || (live && age > STALE_GRACE);
        s.imFactorBps = config.imFactorBps;
        s.tiers = config.tiers;
    }

    function _view(address account, Snapshot[] memory snapshots)
        private
        view
        returns (IPerpExchange.AccountView memory v)
    {
        (int128 margin, IPerpExchange.Position[] memory list) = IPerpExchange(exchange).getAccount(account);
        PerpMath.Valuation memory sums;
        (sums.cash, sums.equity) = (margin, margin);
        v.account = account;
        v.margin = margin;
        v.positions = new IPerpExchange.PositionView[](list.length);
        for (uint256 i = 0; i < list.length; i++) {
            IPerpExchange.Position memory p = list[i];
            Snapshot memory s = snapshots[p.marketId];
            int256 owed = PerpMath.owed(p.size, s.cumNow - p.cumEntry);
            PerpMath.addPosition(sums, p, owed, s.mark, s.tiers, s.imFactorBps);
            v.positions[i] = IPerpExchange.PositionView(p.marketId, p.size, p.quote, p.cumEntry, owed);
        }
        (v.cash, v.equity) = (sums.cash, sums.equity);
        (v.maintenance, v.initial, v.notional) = (sums.mm, sums.im, sums.notional);
    }

    function _canBeLiquidated(address account, Snapshot[] memory snapshots) private view returns (bool) {
        if (account == exchange) return false;
        IPerpExchange.AccountView memory v = _view(account, snapshots);
        if (v.equity >= PerpMath.toSigned(v.maintenance)) return false;
        bool someFresh;
        for (uint256 i = 0; i < v.positions.length; i++) {
            Snapshot memory s = snapshots[v.positions[i].marketId];
            if (!s.usable) return false;
            if (s.fresh) someFresh = true;
        }
        return someFresh;
    }
}
