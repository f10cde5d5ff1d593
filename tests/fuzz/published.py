"""Readers of what is no venue's message: a bank's file, and the words that contracts answer. Each may raise its own error alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from eth_abi.abi import encode

from keeper.adapters.encoding.keccak import keccak
from keeper.adapters.onchain.chainlink import Chainlink, Facts
from keeper.adapters.onchain.pyth import Pyth
from keeper.adapters.onchain.sequencer import sequencer_query
from keeper.adapters.onchain.source import Known, Learnt, OnchainSource, Reading, Unusable, revert_words
from keeper.adapters.onchain.uniswap_v3 import Pair, UniswapV3
from keeper.adapters.references.ecb import Ecb
from keeper.domain.chain import BlockRef
from keeper.domain.ids import Address, Hash
from keeper.domain.sequencer import Sequencer
from keeper.domain.ticks import Decimals
from keeper.domain.time import SECOND
from keeper.errors import AbiMismatch, FeedProtocolError, Reverted
from tests.fuzz.mutate import spoiled

ECB = (Path(__file__).parents[1] / "references" / "ecb_2025-10-21.xml").read_bytes()
PAIRS = ("EUR/USD", "USD/EUR", "GBP/USD", "IDR/JPY")
NOW_S = 1_795_300_000
HEAD = BlockRef(7, Hash("0x" + "a" * 64), Hash("0x" + "b" * 64), NOW_S)
CONTRACT, TOKEN, OTHER = (Address("0x" + digit * 40) for digit in "123")
WORD = 32
WORDS = tuple(
    number.to_bytes(WORD, "big")
    for number in (
        0,
        1,
        6,
        18,
        36,
        37,
        255,
        256,
        2**31,
        2**63 - 1,
        2**63,
        2**255 - 1,
        2**255,
        2**256 - 1,
        NOW_S,
        NOW_S + 1,
    )
)


class Reader(NamedTuple):
    """`read` says what is wrong with what it made, or nothing. `own` is the one error that it may raise."""

    read: Callable[[bytes], str]
    samples: Sequence[bytes]
    own: type[Exception] = AbiMismatch
    spoil: Callable[[bytes, Sequence[bytes], Random], bytes] = spoiled


def reworded(frame: bytes, others: Sequence[bytes], rng: Random) -> bytes:
    """Whole words become others, or bytes whatever they become."""
    if rng.random() < 0.4 or len(frame) < WORD:
        return spoiled(frame, others, rng)
    words = [frame[at : at + WORD] for at in range(0, len(frame), WORD)]
    for _ in range(rng.choice((1, 1, 2, 4))):
        words[rng.randrange(len(words))] = rng.choice((*WORDS, rng.choice(words)))
    return b"".join(words)


def _bank(frame: bytes) -> str:
    fix = Ecb().read(frame)
    if not 915_148_800 <= fix.at // SECOND < 4_102_444_800:
        return f"a fix at {fix.at}, before the euro or after 2100"
    prices = [Ecb().price_e18(pair, fix) for pair in PAIRS]
    wrong = [n for n in (*fix.rates_e18.values(), *prices) if n is not None and (n < 0 or n.bit_length() > 200)]
    return f"numbers {wrong!r}"[:120] if wrong else ""


def _source(source: OnchainSource, known: Known, *sizes: int) -> Callable[[bytes], str]:
    """The frame holds the answers one after another: `sizes` in bytes of all but the last, which has the rest."""

    def read(frame: bytes) -> str:
        answers, start = [], 0
        for size in sizes:
            answers.append(frame[start : start + size])
            start += size
        return _sane(source, source.read(known, (*answers, frame[start:]), HEAD))

    return read


def _sane(source: OnchainSource, made: object) -> str:
    if isinstance(made, Learnt):
        return "" if source.calls(made.known) else "learnt what nothing is asked with"
    if isinstance(made, Unusable):
        return "" if made.reason.isidentifier() else f"reason {made.reason!r}"
    if not isinstance(made, Reading):
        return f"made {type(made).__name__}"
    if not 0 < made.price_e18 < 2**400:
        return f"a price of {made.price_e18}"
    return "" if abs(made.observed_at // SECOND - NOW_S) <= 90_000 else f"time {made.observed_at}"


def _refused(source: OnchainSource, known: Known) -> Callable[[bytes], str]:
    return lambda frame: _sane(source, source.read(known, (Reverted("refused", frame),), HEAD))


def _uptime(frame: bytes) -> str:
    said = sequencer_query(CONTRACT, HEAD, 3600).decode((frame,))
    return "" if isinstance(said, Sequencer) and (not said.trusted or said.since_s) else f"made {said!r}"


def _words(kinds: Sequence[str], *values: Any) -> bytes:
    return bytes(encode(kinds, values))


ROUND = _words(["uint80", "int256", "uint256", "uint256", "uint80"], 9, 64_000 * 10**8, NOW_S - 60, NOW_S - 50, 9)
FINE = ROUND[:WORD] + _words(["int256"], 64_000 * 10**36) + ROUND[2 * WORD :]
LINK, FEED = Chainlink(CONTRACT, heartbeat_s=3600), Pyth(CONTRACT, "0x" + "e6" * 32)
POOL = UniswapV3(CONTRACT, TOKEN, min_liquidity=1)
PRICE = _words(["int64", "uint64", "int32", "uint256"], 64_000 * 10**8, 10**8, -8, NOW_S - 3)
SUMS = _words(["int56[]", "uint160[]"], (10**9, 10**9 + 1800 * 69_000), (2**130, 2**130 + 2**100))
ERROR = keccak(b"Error(string)")[:4]
REVERTS = (
    ERROR + _words(["string"], "OLD"),
    ERROR + _words(["string"], "I"),
    keccak(b"Panic(uint256)")[:4] + _words(["uint256"], 17),
    keccak(b"PriceFeedNotFound()")[:4],
)


def _abi(read: Callable[[bytes], str], *samples: bytes) -> Reader:
    return Reader(read, samples, spoil=reworded)


PUBLISHED: Mapping[str, Reader] = {
    "ecb": Reader(_bank, (ECB,), FeedProtocolError),
    "chainlink:round": _abi(_source(LINK, Facts(8, None, 10**6, 10**14, True)), ROUND),
    "chainlink:36 decimals": _abi(_source(LINK, Facts(36, None, None, None, True)), FINE),
    "chainlink:proxied": _abi(
        _source(LINK, Facts(8, TOKEN, None, None, True), 5 * WORD), ROUND + _words(["address"], TOKEN)
    ),
    "chainlink:facts": _abi(_source(LINK, None, WORD), _words(["uint8", "address"], 8, TOKEN)),
    "chainlink:bounds": _abi(
        _source(LINK, Facts(8, TOKEN), WORD, WORD, WORD), _words(["int256"] * 4, 10**6, 10**14, 1, 10**20)
    ),
    "pyth": _abi(_source(FEED, None), PRICE),
    "pyth:refused": _abi(_refused(FEED, None), *REVERTS),
    "uniswap_v3:tokens": _abi(_source(POOL, None, WORD), _words(["address", "address"], TOKEN, OTHER)),
    "uniswap_v3:decimals": _abi(_source(POOL, Pair((TOKEN, OTHER), False), WORD), _words(["uint8", "uint8"], 18, 6)),
    "uniswap_v3:sums": _abi(_source(POOL, Pair((TOKEN, OTHER), False, Decimals(18, 6))), SUMS),
    "uniswap_v3:inverted": _abi(_source(POOL, Pair((OTHER, TOKEN), True, Decimals(36, 0))), SUMS),
    "uniswap_v3:refused": _abi(_refused(POOL, Pair((TOKEN, OTHER), False, Decimals(18, 6))), *REVERTS),
    "sequencer": _abi(
        _uptime, ROUND, _words(["uint80", "int256", "uint256", "uint256", "uint80"], 2, 0, NOW_S - 9_000, 1, 2)
    ),
    "revert words": _abi(lambda frame: "" * len(revert_words(Reverted("refused", frame))), *REVERTS),
}
