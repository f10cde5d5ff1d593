"""What a node's refusal of a transaction means, by its words: codes differ between clients, words hardly.

go-ethereum core/txpool/errors.go and core/error.go; Nethermind AcceptTxResult; Besu TransactionInvalidReason; Erigon
txpoolcfg; Arbitrum Nitro execution/gethexec; anvil foundry-rs/foundry crates/anvil/src/eth/error.rs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum


class SendAnswer(StrEnum):
    """A node's word on one signed transaction. UNKNOWN: it may or may not have been taken."""

    ACCEPTED = "accepted"
    ALREADY_KNOWN = "already_known"
    NONCE_TOO_LOW = "nonce_too_low"
    NONCE_GAP = "nonce_gap"
    REPLACEMENT_UNDERPRICED = "replacement_underpriced"
    UNDERPRICED = "underpriced"
    TIP_ABOVE_CAP = "tip_above_cap"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    ALREADY_RESERVED = "already_reserved"
    POOL_FULL = "pool_full"
    NODE_FEE_CAP = "node_fee_cap"
    FATAL = "fatal"
    UNKNOWN = "unknown"


_WORDS: Mapping[SendAnswer, tuple[str, ...]] = {
    SendAnswer.ALREADY_RESERVED: ("already reserved",),
    SendAnswer.ALREADY_KNOWN: (
        "already known",
        "(?<!un)known transaction",
        "already imported",
        "alreadyknown",
        "ownnoncealready",
    ),
    SendAnswer.NONCE_TOO_LOW: ("nonce too low", "nonce is too low", "oldnonce", "nonce has already been used"),
    SendAnswer.NONCE_GAP: ("nonce too high", "nonce is too high", "gapped[- ]nonce", "noncegap"),
    SendAnswer.REPLACEMENT_UNDERPRICED: ("replacement (?:transaction|tx) underpriced", "feetoolowtocompete"),
    SendAnswer.TIP_ABOVE_CAP: ("priority fee(?: per gas)? (?:higher|greater) than (?:the )?max fee",),
    SendAnswer.NODE_FEE_CAP: ("exceeds the configured cap",),
    SendAnswer.UNDERPRICED: (
        "underpriced",
        "(?:fee cap|max fee per gas) (?:is )?less than block base fee",
        "fee ?too ?low",
        "gas price below (?:configured )?minimum",
        "gas price too low",
    ),
    SendAnswer.INSUFFICIENT_FUNDS: ("insufficient ?funds", "insufficient balance", "upfront cost exceeds", "overdraft"),
    SendAnswer.POOL_FULL: (
        "pool is full",
        "pool full",
        "account limit exceeded",
        "future transaction tries to replace pending",
        "in-flight transaction limit",
        "queue full",
        "too many transactions",
    ),
    SendAnswer.FATAL: (
        "exceeds block gas limit",
        "intrinsic gas too (?:low|high)",
        "invalid sender",
        "negative value",
        "oversized data",
        "gas uint64 overflow",
        "max initcode size",
        "invalid (?:signature|chain ?id)",
        "transaction type not supported",
        "typed transaction too short",
        "only replay-protected",
        "nonce has max value",
        "higher than 2\\^256-1",
        "failed to decode",
        "execution reverted",
    ),
}
_PATTERNS = tuple((answer, re.compile("|".join(words), re.IGNORECASE)) for answer, words in _WORDS.items())
"""In this order: the first one that is found counts."""


def classify(message: str) -> SendAnswer:
    """Total: what no client is known to say is UNKNOWN, and an unknown outcome never frees a nonce."""
    return next((answer for answer, pattern in _PATTERNS if pattern.search(message)), SendAnswer.UNKNOWN)


_BEST_FIRST = (
    SendAnswer.ACCEPTED,
    SendAnswer.ALREADY_KNOWN,
    SendAnswer.NONCE_TOO_LOW,
    SendAnswer.REPLACEMENT_UNDERPRICED,
    SendAnswer.UNDERPRICED,
    SendAnswer.NONCE_GAP,
    SendAnswer.ALREADY_RESERVED,
    SendAnswer.INSUFFICIENT_FUNDS,
    SendAnswer.UNKNOWN,
    SendAnswer.POOL_FULL,
    SendAnswer.NODE_FEE_CAP,
    SendAnswer.TIP_ABOVE_CAP,
    SendAnswer.FATAL,
)


def rank(answer: SendAnswer) -> int:
    """Of several nodes' words on the same bytes the lowest counts. What frees a nonce counts only when all agree."""
    return _BEST_FIRST.index(answer)


def is_taken(answer: SendAnswer) -> bool:
    """The node has it."""
    return answer in (SendAnswer.ACCEPTED, SendAnswer.ALREADY_KNOWN)
