"""What can go wrong, by what to do about it.

A refusal of the keeper's own (an index withheld, a report held) is never an exception: it is a value with a reason.
"""

from __future__ import annotations


class KeeperError(Exception):
    """Root of everything this program raises on purpose."""

    exit_code = 1


class ConfigError(KeeperError):
    """The operator's words cannot be used. The message names file, line, field and the nearest valid choice."""

    exit_code = 78


class KeyPermissionError(KeeperError):
    """A key cannot be read, is readable by others, or is not allowed to act."""

    exit_code = 77


class AlreadyRunning(KeeperError):
    """Another keeper owns this state directory."""

    exit_code = 75


class TransientError(KeeperError):
    """The other side was busy or away: retried by policy, counted."""


class FeedDisconnected(TransientError):
    """A venue's connection ended or fell silent."""


class RateLimited(TransientError):
    """The other side asked us to slow down. `retry_after_s` is its own figure where it gave one."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RpcUnavailable(TransientError):
    """No usable answer from an RPC endpoint: refused, timed out, 5xx, unreadable."""


class SignerUnavailable(TransientError):
    """The signer did not answer."""


class FeeTooLow(TransientError):
    """The pool wants more than was offered."""


class DataError(KeeperError):
    """The other side said something we do not understand: never retried, counted, the source may be benched."""


class FeedProtocolError(DataError):
    """A venue's frame is not what its documentation says.

    `unpacked` is the frame's text where it came packed and could be unpacked, so that its symbols can still be found.
    """

    def __init__(self, message: str, unpacked: str = "") -> None:
        super().__init__(message)
        self.unpacked = unpacked


class AbiMismatch(DataError):
    """A contract's answer does not decode as its ABI says."""


class ChainInconsistent(DataError):
    """Two answers about the chain contradict each other."""


class WrongChain(DataError):
    """An endpoint serves another chain than the configured one."""

    exit_code = 78


class RpcError(DataError):
    """The node refused a request. `code` and `data` are the JSON-RPC error's."""

    def __init__(self, message: str, code: int = 0, data: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class TxError(KeeperError):
    """A decision failed on its way to, or on, the chain."""


class Reverted(TxError):
    """The contract refused. `data` is the revert data as the node gave it."""

    def __init__(self, message: str, data: bytes = b"") -> None:
        super().__init__(message)
        self.data = data


class NonceConflict(TxError):
    """The wallet's nonce was used by a transaction that is not ours."""


class InsufficientFunds(TxError):
    """The sending wallet cannot pay."""


class IntentExpired(TxError):
    """The act is no longer wanted."""


class Fatal(KeeperError):
    """Stop now."""


class SignerRefused(Fatal):
    """A signer's policy refused to sign."""


class StateCorrupt(Fatal):
    """The journal or a snapshot cannot be trusted."""

    exit_code = 65


class StateTooNew(StateCorrupt):
    """It is sound, and only a newer keeper can read it."""


class InvariantBroken(Fatal):
    """Something that must always hold does not."""
