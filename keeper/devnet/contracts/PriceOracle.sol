// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IPriceOracle} from "./IPriceOracle.sol";
import {Roles} from "./Roles.sol";

/// @title m-of-n signed price batches with a premium accumulator and one checkpoint per feed.
contract PriceOracle is IPriceOracle, Roles {
    /// @dev Four words a feed: the first two are what a push reads and writes in any case.
    struct StoredFeed {
        uint96 index;
        uint96 mark;
        uint40 observedAt;
        bool frozen;
        uint8 premiumKind;
        // next word
        uint64 roundId;
        int64 premium;
        int128 acc;
        // next word
        uint40 covered;
        uint32 interval;
        uint32 hold;
        uint16 maxDeviationBps;
        uint16 maxSpreadBps;
        uint40 checkpointAt;
        uint40 checkpointCovered;
        // next word
        uint96 checkpointMark;
        int128 checkpointAcc;
    }

    uint8 private constant UNKNOWN = 1;
    uint8 private constant ZERO = 2;
    uint8 private constant FROZEN = 3;
    uint8 private constant OLD_ROUND = 4;
    uint8 private constant DEVIATION = 5;
    uint8 private constant SPREAD = 6;
    uint8 private constant PREMIUM = 7;

    uint256 private constant MAX_BATCH = 32;
    uint256 private constant MAX_SIGNERS = 32;
    uint256 private constant BPS = 1e4;
    int256 private constant ONE = 1e18;
    uint32 private constant DAY = 86_400;
    /// @dev secp256k1n / 2: a larger s is the mirror image of a valid signature (EIP-2).
    uint256 private constant MAX_S = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;

    bytes32 private constant MARKET_PRICE_TYPEHASH =
        keccak256("MarketPrice(uint32 marketId,uint96 index,uint96 mark,int64 premium)");
    bytes32 private constant BATCH_TYPEHASH = keccak256(
        "PriceBatch(uint64 roundId,uint40 observedAt,uint40 validUntil,uint32 signerEpoch,bytes32 evidence,"
        "MarketPrice[] prices)MarketPrice(uint32 marketId,uint96 index,uint96 mark,int64 premium)"
    );
    bytes32 private constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");

    bool public isPaused;
    uint8 private quorum;
    uint8 private superQuorum;
    uint32 private epoch;
    uint32 private maxAge;
    uint32 private maxValidity;
    address[] private signers;
    /// @dev Place in `signers` plus one, by epoch: replacing the signers leaves nothing of the old set.
    mapping(uint32 => mapping(address => uint8)) private places;

    uint32[] private ids;
    mapping(uint32 => StoredFeed) private feeds;

    constructor(
        address firstOwner,
        address[] memory firstSigners,
        uint8 firstQuorum,
        uint8 firstSuperQuorum,
        uint32 firstMaxAge,
        uint32 firstMaxValidity
    ) Roles(firstOwner) {
        _setSigners(firstSigners, firstQuorum, firstSuperQuorum);
        _setLimits(firstMaxAge, firstMaxValidity);
    }

    // ------------------------------------------------------------------ push

    function pushPrices(PriceBatch calldata batch, Signature[] calldata sigs) external returns (uint256 accepted) {
        _checkBatch(batch);
        (uint32 bitmap, uint256 have) = _checkSignatures(_digest(batch), sigs);
        if (have < quorum) revert QuorumNotReached(have, quorum);
        bool unbounded = have >= superQuorum;
        bytes memory reasons = new bytes(batch.prices.length);
        for (uint256 i = 0; i < batch.prices.length; i++) {
            MarketPrice calldata price = batch.prices[i];
            uint8 reason = _accept(batch.roundId, batch.observedAt, price, unbounded);
            reasons[i] = bytes1(reason);
            if (reason == 0) accepted++;
            else emit PriceSkipped(price.marketId, batch.roundId, reason);
        }
        if (accepted == 0) revert NothingAccepted(reasons);
        emit BatchPushed(
            batch.roundId, msg.sender, batch.observedAt, batch.signerEpoch, batch.evidence, bitmap, uint8(accepted)
        );
    }

    function _checkBatch(PriceBatch calldata batch) private view {
        if (isPaused) revert Paused();
        if (batch.prices.length == 0 || batch.prices.length > MAX_BATCH) revert BatchSize();
        if (batch.evidence == bytes32(0)) revert NoEvidence();
        if (batch.roundId / 1000 != batch.observedAt) revert RoundMismatch();
        if (batch.observedAt > block.timestamp) revert ReportFromFuture();
        if (block.timestamp - batch.observedAt > maxAge) revert ReportTooOld();
        if (block.timestamp > batch.validUntil || batch.validUntil > uint256(batch.observedAt) + maxValidity) {
            revert ReportExpired();
        }
        if (batch.signerEpoch != epoch) revert WrongEpoch();
    }

    function _checkSignatures(bytes32 digest, Signature[] calldata sigs)
        private
        view
        returns (uint32 bitmap, uint256 have)
    {
        mapping(address => uint8) storage placeOf = places[epoch];
        for (uint256 i = 0; i < sigs.length; i++) {
            uint8 place = placeOf[_recover(digest, sigs[i])];
            if (place == 0) revert UnknownSigner();
            uint32 bit = uint32(1) << (place - 1);
            if (bitmap & bit != 0) revert DuplicateSigner();
            bitmap |= bit;
            have++;
        }
    }

    /// @dev https://eips.ethereum.org/EIPS/eip-2098
    function _recover(bytes32 digest, Signature calldata sig) private pure returns (address signer) {
        uint256 s = uint256(sig.vs) & (type(uint256).max >> 1);
        if (s > MAX_S) revert MalformedSignature();
        uint8 v = 27 + uint8(uint256(sig.vs) >> 255);
        signer = ecrecover(digest, v, sig.r, bytes32(s));
        if (signer == address(0)) revert MalformedSignature();
    }

    function _accept(uint64 roundId, uint40 observedAt, MarketPrice calldata price, bool unbounded)
        private
        returns (uint8 reason)
    {
        StoredFeed storage feed = feeds[price.marketId];
        reason = _fault(feed, roundId, price, unbounded);
        if (reason != 0) return reason;
        int64 premium = _premiumOf(feed, price);
        if (premium > ONE || premium < -ONE) return PREMIUM;
        _accumulate(feed, observedAt);
        feed.index = price.index;
        feed.mark = price.mark;
        feed.observedAt = observedAt;
        feed.roundId = roundId;
        feed.premium = premium;
        emit PriceUpdated(
            price.marketId, roundId, observedAt, price.index, price.mark, premium, feed.acc, feed.covered
        );
    }

    function _fault(StoredFeed storage feed, uint64 roundId, MarketPrice calldata price, bool unbounded)
        private
        view
        returns (uint8)
    {
        if (feed.interval == 0) return UNKNOWN;
        if (price.index == 0 || price.mark == 0) return ZERO;
        if (feed.frozen) return FROZEN;
        if (roundId <= feed.roundId) return OLD_ROUND;
        if (unbounded) return 0;
        if (
            feed.roundId == 0 || _apart(price.index, feed.index, feed.maxDeviationBps)
                || _apart(price.mark, feed.mark, feed.maxDeviationBps)
        ) return DEVIATION;
        if (_apart(price.mark, price.index, feed.maxSpreadBps)) return SPREAD;
        return 0;
    }

    /// @dev Whether `a` is further than `bps` of `b` from `b`.
    function _apart(uint256 a, uint256 b, uint256 bps) private pure returns (bool) {
        return (a > b ? a - b : b - a) * BPS > bps * b;
    }

    function _premiumOf(StoredFeed storage feed, MarketPrice calldata price) private view returns (int64) {
        if (feed.premiumKind == 1) return price.premium;
        int256 index = int256(uint256(price.index));
        int256 derived = (int256(uint256(price.mark)) - index) * ONE / index;
        return int64(derived > ONE ? ONE : derived);
    }

    /// @dev Carries the sums on to `time`, and stores them as of the latest boundary if that has been passed since.
    function _accumulate(StoredFeed storage feed, uint40 time) private {
        uint40 boundary = time - time % feed.interval;
        if (feed.roundId == 0) {
            feed.checkpointAt = boundary;
            return;
        }
        if (boundary > feed.observedAt) {
            (feed.checkpointAcc, feed.checkpointCovered) = _sumsAt(feed, boundary);
            feed.checkpointAt = boundary;
            feed.checkpointMark = feed.mark;
        }
        (feed.acc, feed.covered) = _sumsAt(feed, time);
    }

    function _sumsAt(StoredFeed storage feed, uint40 time) private view returns (int128 acc, uint40 covered) {
        uint40 held = time - feed.observedAt;
        if (held > feed.hold) held = feed.hold;
        return (feed.acc + int128(feed.premium) * int128(uint128(held)), feed.covered + held);
    }

    // ------------------------------------------------------------------ administration

    function configureFeed(uint32 marketId, FeedConfig calldata config) external onlyOwner {
        StoredFeed storage feed = feeds[marketId];
        if (
            marketId == 0 || config.interval < 10 || config.interval > DAY || DAY % config.interval != 0
                || config.hold == 0 || config.premiumKind > 1
        ) revert InvalidFeed();
        if (feed.interval == 0) {
            feed.interval = config.interval;
            feed.hold = config.hold;
            ids.push(marketId);
        } else if (feed.interval != config.interval || feed.hold != config.hold) {
            // Sums already read for a boundary would no longer be what later sums continue.
            revert InvalidFeed();
        }
        feed.maxDeviationBps = config.maxDeviationBps;
        feed.maxSpreadBps = config.maxSpreadBps;
        feed.premiumKind = config.premiumKind;
        emit FeedConfigured(
            marketId,
            config.interval,
            config.hold,
            config.maxDeviationBps,
            config.maxSpreadBps,
            config.premiumKind
        );
    }

    function setSigners(address[] calldata newSigners, uint8 newQuorum, uint8 newSuperQuorum) external onlyOwner {
        _setSigners(newSigners, newQuorum, newSuperQuorum);
    }

    function setLimits(uint32 newMaxAge, uint32 newMaxValidity) external onlyOwner {
        _setLimits(newMaxAge, newMaxValidity);
    }

    function setPaused(bool paused) external {
        if (paused) _requireGuardian();
        else _requireOwner();
        isPaused = paused;
        emit PausedSet(paused);
    }

    function setFrozen(uint32 marketId, bool frozen) external {
        if (frozen) _requireGuardian();
        else _requireOwner();
        if (feeds[marketId].interval == 0) revert UnknownFeed(marketId);
        feeds[marketId].frozen = frozen;
        emit FrozenSet(marketId, frozen);
    }

    function _setSigners(address[] memory newSigners, uint8 newQuorum, uint8 newSuperQuorum) private {
        uint256 n = newSigners.length;
        if (n > MAX_SIGNERS || 2 * uint256(newQuorum) <= n || newQuorum > newSuperQuorum || newSuperQuorum > n) {
            revert InvalidSigners();
        }
        epoch++;
        mapping(address => uint8) storage placeOf = places[epoch];
        for (uint256 i = 0; i < n; i++) {
            address signer = newSigners[i];
            if (signer == address(0) || placeOf[signer] != 0) revert InvalidSigners();
            placeOf[signer] = uint8(i + 1);
        }
        signers = newSigners;
        quorum = newQuorum;
        superQuorum = newSuperQuorum;
        emit SignersSet(epoch, newSigners, newQuorum, newSuperQuorum);
    }

    function _setLimits(uint32 newMaxAge, uint32 newMaxValidity) private {
        if (newMaxAge == 0 || newMaxValidity == 0) revert InvalidLimits();
        maxAge = newMaxAge;
        maxValidity = newMaxValidity;
        emit LimitsSet(newMaxAge, newMaxValidity);
    }

    // ------------------------------------------------------------------ views

    function hashBatch(PriceBatch calldata batch) external view returns (bytes32) {
        return _digest(batch);
    }

    function domainSeparator() public view returns (bytes32) {
        return keccak256(
            abi.encode(
                DOMAIN_TYPEHASH, keccak256("PerpPriceOracle"), keccak256("1"), block.chainid, address(this)
            )
        );
    }

    /// @dev https://eips.ethereum.org/EIPS/eip-712
    function _digest(PriceBatch calldata batch) private view returns (bytes32) {
        bytes32[] memory hashes = new bytes32[](batch.prices.length);
        for (uint256 i = 0; i < hashes.length; i++) {
            hashes[i] = keccak256(abi.encode(MARKET_PRICE_TYPEHASH, batch.prices[i]));
        }
        bytes32 structHash = keccak256(
            abi.encode(
                BATCH_TYPEHASH,
                batch.roundId,
                batch.observedAt,
                batch.validUntil,
                batch.signerEpoch,
                batch.evidence,
                keccak256(abi.encodePacked(hashes))
            )
        );
        return keccak256(abi.encodePacked("\x19\x01", domainSeparator(), structHash));
    }

    function premiumAt(uint32 marketId, uint40 boundary)
        external
        view
        returns (int128 acc, uint40 covered, uint96 mark)
    {
        StoredFeed storage feed = _known(marketId);
        if (boundary % feed.interval != 0) revert NotABoundary(marketId, boundary);
        if (feed.roundId == 0) return (0, 0, 0);
        if (feed.observedAt < boundary) {
            (acc, covered) = _sumsAt(feed, boundary);
            return (acc, covered, feed.mark);
        }
        if (feed.checkpointAt != boundary) revert NoCheckpoint(marketId, boundary);
        return (feed.checkpointAcc, feed.checkpointCovered, feed.checkpointMark);
    }

    function fresh(uint32 marketId, uint32 oldest) external view returns (bool) {
        StoredFeed storage feed = feeds[marketId];
        return _live(feed) && block.timestamp - feed.observedAt <= oldest;
    }

    function priceOf(uint32 marketId)
        external
        view
        returns (uint96 index, uint96 mark, uint40 observedAt, uint64 roundId, bool live)
    {
        StoredFeed storage feed = feeds[marketId];
        return (feed.index, feed.mark, feed.observedAt, feed.roundId, _live(feed));
    }

    function intervalOf(uint32 marketId) external view returns (uint32) {
        return _known(marketId).interval;
    }

    function getFeed(uint32 marketId) external view returns (Feed memory) {
        StoredFeed storage feed = _known(marketId);
        return Feed({
            config: FeedConfig(
                feed.interval, feed.hold, feed.maxDeviationBps, feed.maxSpreadBps, feed.premiumKind
            ),
            frozen: feed.frozen,
            index: feed.index,
            mark: feed.mark,
            premium: feed.premium,
            observedAt: feed.observedAt,
            roundId: feed.roundId,
            acc: feed.acc,
            covered: feed.covered,
            checkpoint: Checkpoint(
                feed.checkpointAt, feed.checkpointAcc, feed.checkpointCovered, feed.checkpointMark
            )
        });
    }

    function feedIds() external view returns (uint32[] memory) {
        return ids;
    }

    function getSigners() external view returns (address[] memory, uint8, uint8, uint32) {
        return (signers, quorum, superQuorum, epoch);
    }

    function limits() external view returns (uint32, uint32) {
        return (maxAge, maxValidity);
    }

    function _known(uint32 marketId) private view returns (StoredFeed storage feed) {
        feed = feeds[marketId];
        if (feed.interval == 0) revert UnknownFeed(marketId);
    }

    function _live(StoredFeed storage feed) private view returns (bool) {
        return !isPaused && !feed.frozen && feed.roundId != 0;
    }
}
