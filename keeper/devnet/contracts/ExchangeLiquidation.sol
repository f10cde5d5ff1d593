// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ExchangeValuation} from "./ExchangeValuation.sol";
import {PerpMath} from "./PerpMath.sol";

/// @title Taking positions over at the mark, partially first; deleveraging when the fund is empty.
abstract contract ExchangeLiquidation is ExchangeValuation {
    uint8 private constant SELF_OR_ENGINE = 1;
    uint8 private constant NO_POSITION = 2;
    uint8 private constant STALE = 3;
    uint8 private constant HEALTHY = 4;
    uint8 private constant SIZE_ZERO = 5;
    uint8 private constant FUND_SHORT = 6;

    uint256 private constant MAX_REQUESTS = 32;

    /// @dev Everything about one take-over before it happens.
    struct Plan {
        uint8 reason;
        uint32 staleMarket;
        uint256 size; // x
        int256 delta;
        int256 cash;
        int256 equity; // E
        uint256 mm;
        int256 equity1; // E1
        uint256 closedNotional;
        uint256 loss;
        uint256 available;
        Snapshot market;
    }

    function liquidate(address account, uint32 marketId, uint128 maxSize)
        external
        nonReentrant
        whenNotPaused(LIQUIDATE)
        returns (uint128 size)
    {
        Plan memory plan = _liquidate(_newSnapshots(), Request(account, marketId, maxSize));
        if (plan.reason == SELF_OR_ENGINE) revert SelfOrEngine();
        if (plan.reason == NO_POSITION) revert NoPosition();
        if (plan.reason == STALE) revert Stale(plan.staleMarket);
        if (plan.reason == HEALTHY) revert NotLiquidatable(plan.equity, plan.mm);
        if (plan.reason == SIZE_ZERO) revert SizeZero();
        if (plan.reason == FUND_SHORT) revert FundShort(plan.loss, plan.available);
        return uint128(plan.size);
    }

    function liquidateBatch(Request[] calldata requests)
        external
        nonReentrant
        whenNotPaused(LIQUIDATE)
        returns (bytes memory reasons)
    {
        if (requests.length == 0 || requests.length > MAX_REQUESTS) revert BatchSize(requests.length);
        reasons = new bytes(requests.length);
        uint256 done;
        Snapshot[] memory known = _newSnapshots();
        for (uint256 i = 0; i < requests.length; i++) {
            uint8 reason = _liquidate(known, requests[i]).reason;
            reasons[i] = bytes1(reason);
            if (reason == 0) done++;
            else emit LiquidationSkipped(requests[i].account, requests[i].marketId, reason);
        }
        if (done == 0) revert NothingLiquidated(reasons);
    }

    function previewLiquidation(address account, uint32 marketId)
        external
        view
        returns (uint8 reason, uint128 size, int256 equity, uint256 maintenance, uint256 loss, uint256 available)
    {
        Snapshot[] memory known = _newSnapshots();
        Plan memory plan = _plan(known, Request(account, marketId, type(uint128).max), address(0));
        return (plan.reason, uint128(plan.size), plan.equity, plan.mm, plan.loss, _available(known));
    }

    function _liquidate(Snapshot[] memory known, Request memory request) private returns (Plan memory plan) {
        if (_isListedMarket(request.marketId)) _accrue(request.marketId);
        plan = _plan(known, request, msg.sender);
        if (plan.reason != 0) return plan;
        _move(Move(request.account, request.marketId, MOVED_LIQUIDATED, plan.delta, plan.cash, 0));
        _move(Move(_engine(), request.marketId, MOVED_TAKEN_OVER, -plan.delta, -plan.cash, 0));
        (uint256 penalty, uint256 reward) = _settleOutcome(request, plan);
        emit Liquidated(
            request.account,
            request.marketId,
            msg.sender,
            uint128(plan.size),
            uint96(plan.market.mark),
            plan.equity,
            plan.mm,
            penalty,
            reward,
            plan.loss
        );
        _sweep(request.marketId);
    }

    function _settleOutcome(Request memory request, Plan memory plan)
        private
        returns (uint256 penalty, uint256 reward)
    {
        if (plan.equity1 < 0) {
            _cover(request.account, plan.loss);
            return (0, 0);
        }
        MarketConfig memory config = plan.market.config;
        penalty = PerpMath.cdivU(plan.closedNotional * config.penaltyBps, PerpMath.BPS);
        if (penalty > uint256(plan.equity1)) penalty = uint256(plan.equity1);
        reward = penalty * config.liquidatorBps / PerpMath.BPS;
        _changeMargin(request.account, CAUSE_PENALTY, -int256(penalty));
        _changeMargin(msg.sender, CAUSE_REWARD, int256(reward));
        _changeMargin(_engine(), CAUSE_PENALTY, int256(penalty - reward));
    }

    function _cover(address account, uint256 amount) private {
        _changeMargin(account, CAUSE_COVER, int256(amount));
        _changeMargin(_engine(), CAUSE_COVER, -int256(amount));
    }

    /// @dev The first reason against it, or all its figures.
    function _plan(Snapshot[] memory known, Request memory r, address caller)
        private
        view
        returns (Plan memory plan)
    {
        plan.reason = SELF_OR_ENGINE;
        if (r.account == _engine() || r.account == caller) return plan;
        int256 size = positions[r.account][r.marketId].size;
        plan.reason = NO_POSITION;
        if (size == 0) return plan;
        plan.reason = STALE;
        plan.staleMarket = _firstStale(known, r.account, r.marketId);
        if (plan.staleMarket != 0) return plan;
        PerpMath.Valuation memory v = _valueOf(known, r.account);
        (plan.equity, plan.mm) = (v.equity, v.mm);
        plan.reason = HEALTHY;
        if (v.equity >= PerpMath.toSigned(v.mm)) return plan;
        plan.reason = SIZE_ZERO;
        plan.market = _snapshot(known, r.marketId);
        plan.size = _wantedSize(plan.market, v, PerpMath.abs(size));
        uint256 most = r.maxSize - r.maxSize % plan.market.config.lot;
        if (most < plan.size) plan.size = most;
        if (plan.size == 0) return plan;
        _planTakeOver(plan, v, r.account, r.marketId, size);
        plan.available = plan.loss == 0 ? 0 : _available(known);
        plan.reason = plan.loss > plan.available ? FUND_SHORT : 0;
    }

    function _wantedSize(Snapshot memory s, PerpMath.Valuation memory v, uint256 size)
        private
        pure
        returns (uint256)
    {
        return PerpMath.liquidationSize(
            PerpMath.Sizing({
                size: size,
                mark: s.mark,
                equity: v.equity,
                mm: v.mm,
                tiers: s.config.tiers,
                bufferBps: s.config.bufferBps,
                penaltyBps: s.config.penaltyBps,
                lot: s.config.lot,
                minNotional: s.config.minNotional
            })
        );
    }

    /// @dev From plan.size and plan.market: the sides of the take-over, the equity after it and the loss it leaves.
    function _planTakeOver(
        Plan memory plan,
        PerpMath.Valuation memory v,
        address account,
        uint32 marketId,
        int256 size
    ) private view {
        uint256 mark = plan.market.mark;
        plan.delta = size > 0 ? -int256(plan.size) : int256(plan.size);
        plan.cash = PerpMath.cashFor(plan.delta, mark);
        plan.equity1 = PerpMath.equityAfter(v.equity, size, plan.delta, plan.cash, mark);
        plan.closedNotional = PerpMath.notional(plan.delta, mark);
        bool last = plan.delta == -size && accounts[account].markets == _bit(marketId);
        plan.loss = PerpMath.lossShare(plan.equity1, last, plan.closedNotional, v.notional);
    }

    // ------------------------------------------------------------------ deleveraging

    function deleverage(address bankrupt, address counterparty, uint32 marketId, uint128 size)
        external
        nonReentrant
        whenNotPaused(LIQUIDATE)
    {
        if (!hasRole[DELEVERAGER][msg.sender]) revert NotDeleverager();
        if (bankrupt == counterparty || counterparty == _engine()) revert InvalidParties();
        if (!_isListedMarket(marketId)) revert UnknownMarket(marketId);
        _accrue(marketId);
        Snapshot[] memory known = _newSnapshots();
        Plan memory plan;
        plan.size = size;
        plan.market = _snapshot(known, marketId);
        _checkPair(known, bankrupt, counterparty, marketId, size);
        PerpMath.Valuation memory v = _valueOf(known, bankrupt);
        _planTakeOver(plan, v, bankrupt, marketId, positions[bankrupt][marketId].size);
        if (plan.equity1 >= 0) revert NotBankrupt(plan.equity1);
        uint256 cover = bankrupt == _engine() ? 0 : _available(known);
        if (cover >= plan.loss) revert FundNotEmpty(plan.loss, cover);
        int256 cash = plan.cash + int256(plan.loss - cover);
        _move(Move(bankrupt, marketId, MOVED_DELEVERAGED, plan.delta, cash, 0));
        _move(Move(counterparty, marketId, MOVED_DELEVERAGED, -plan.delta, -cash, 0));
        _cover(bankrupt, cover);
        v = _valueOf(known, counterparty);
        if (v.equity < PerpMath.toSigned(v.mm)) revert CounterpartyUnhealthy(v.equity, v.mm);
        emit Deleveraged(
            bankrupt, counterparty, marketId, size, uint96(plan.market.mark), plan.loss, cover
        );
        _sweep(marketId);
    }

    function _checkPair(
        Snapshot[] memory known,
        address bankrupt,
        address counterparty,
        uint32 marketId,
        uint256 size
    ) private view {
        int256 b = positions[bankrupt][marketId].size;
        int256 c = positions[counterparty][marketId].size;
        if (b == 0 || c == 0 || (b > 0) == (c > 0)) revert NoPosition();
        if (size == 0 || size % known[marketId].config.lot != 0 || size > PerpMath.abs(b) || size > PerpMath.abs(c)) {
            revert InvalidSize();
        }
        uint32 stale = bankrupt == _engine() ? 0 : _firstStale(known, bankrupt, marketId);
        if (stale == 0) stale = _firstStale(known, counterparty, marketId);
        if (stale != 0) revert Stale(stale);
    }
}
