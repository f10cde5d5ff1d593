// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IRoles} from "./IRoles.sol";

/// @title Signed batches of index and mark prices, ordered per market.
/// @notice Prices: 1e18 = 1 USD. Premiums: 1e18 = 100 %. Times: seconds of block.timestamp. bps = 1e-4.
interface IPriceOracle is IRoles {
    struct MarketPrice {
        uint32 marketId;
        uint96 index;
        uint96 mark;
        int64 premium; // read only by feeds of premiumKind 1
    }

    struct PriceBatch {
        uint64 roundId; // unix milliseconds; roundId / 1000 == observedAt
        uint40 observedAt;
        uint40 validUntil;
        uint32 signerEpoch;
        bytes32 evidence; // Merkle root over the markets' provenance records
        MarketPrice[] prices; // 1...32
    }

    /// @dev EIP-2098 compact signature of the EIP-712 digest.
    struct Signature {
        bytes32 r;
        bytes32 vs;
    }

    struct FeedConfig {
        uint32 interval; // funding interval, 10...86400, divides 86400, fixed at the first configuration
        uint32 hold; // a price counts for at most so many seconds, fixed at the first configuration
        uint16 maxDeviationBps;
        uint16 maxSpreadBps;
        uint8 premiumKind; // 0 derived from mark and index, 1 reported in the batch
    }

    struct Checkpoint {
        uint40 boundary;
        int128 acc;
        uint40 covered;
        uint96 mark;
    }

    struct Feed {
        FeedConfig config;
        bool frozen;
        uint96 index;
        uint96 mark;
        int64 premium; // of the latest observation
        uint40 observedAt;
        uint64 roundId; // 0: no price yet
        int128 acc; // sum of premium x seconds up to observedAt
        uint40 covered; // seconds that acc covers
        Checkpoint checkpoint;
    }

    event BatchPushed(
        uint64 indexed roundId,
        address indexed submitter,
        uint40 observedAt,
        uint32 epoch,
        bytes32 evidence,
        uint32 signerBitmap,
        uint8 accepted
    );
    /// @dev The resulting state. `premium` is what counts from observedAt on, derived or reported: without it a reader of
    ///      logs could not extrapolate a feed of premiumKind 1 to the next boundary.
    event PriceUpdated(
        uint32 indexed marketId,
        uint64 roundId,
        uint40 observedAt,
        uint96 index,
        uint96 mark,
        int64 premium,
        int128 acc,
        uint40 covered
    );
    event PriceSkipped(uint32 indexed marketId, uint64 roundId, uint8 reason);
    event FeedConfigured(
        uint32 indexed marketId,
        uint32 interval,
        uint32 hold,
        uint16 maxDeviationBps,
        uint16 maxSpreadBps,
        uint8 premiumKind
    );
    event SignersSet(uint32 epoch, address[] signers, uint8 quorum, uint8 superQuorum);
    event LimitsSet(uint32 maxAge, uint32 maxValidity);
    event FrozenSet(uint32 indexed marketId, bool frozen);
    event PausedSet(bool paused);

    // Faults of a whole batch, in the order in which they are checked.
    error Paused();
    error BatchSize();
    error NoEvidence();
    error RoundMismatch();
    error ReportFromFuture();
    error ReportTooOld();
    error ReportExpired();
    error WrongEpoch();
    error MalformedSignature();
    error UnknownSigner();
    error DuplicateSigner();
    error QuorumNotReached(uint256 have, uint256 need);
    error NothingAccepted(bytes reasons);

    error InvalidFeed();
    error InvalidSigners();
    error InvalidLimits();
    error UnknownFeed(uint32 marketId);
    error NotABoundary(uint32 marketId, uint40 boundary);
    error NoCheckpoint(uint32 marketId, uint40 boundary);

    /// @return accepted how many of the batch's prices were taken over
    function pushPrices(PriceBatch calldata batch, Signature[] calldata sigs) external returns (uint256 accepted);

    // owner
    function configureFeed(uint32 marketId, FeedConfig calldata config) external;
    function setSigners(address[] calldata signers, uint8 quorum, uint8 superQuorum) external;
    function setLimits(uint32 maxAge, uint32 maxValidity) external;
    // guardian sets, only the owner clears
    function setPaused(bool paused) external;
    function setFrozen(uint32 marketId, bool frozen) external;

    // views
    /// @notice The EIP-712 digest that the signers sign.
    function hashBatch(PriceBatch calldata batch) external view returns (bytes32);
    function domainSeparator() external view returns (bytes32);
    /// @notice Premium sums up to `boundary`, a multiple of the feed's interval; (0, 0, 0) before the first price.
    function premiumAt(uint32 marketId, uint40 boundary)
        external
        view
        returns (int128 acc, uint40 covered, uint96 mark);
    function fresh(uint32 marketId, uint32 maxAge) external view returns (bool);
    /// @notice `live`: not paused, not frozen and has a price, whatever its age.
    function priceOf(uint32 marketId)
        external
        view
        returns (uint96 index, uint96 mark, uint40 observedAt, uint64 roundId, bool live);
    function intervalOf(uint32 marketId) external view returns (uint32);
    function getFeed(uint32 marketId) external view returns (Feed memory);
    function feedIds() external view returns (uint32[] memory);
    function getSigners()
        external
        view
        returns (address[] memory signers, uint8 quorum, uint8 superQuorum, uint32 epoch);
    function limits() external view returns (uint32 maxAge, uint32 maxValidity);
    function isPaused() external view returns (bool);
}
