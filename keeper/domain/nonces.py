"""One wallet's nonces. The wallet is ours alone: a nonce that somebody else used is an alarm, not a retry."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Nonces:
    """`mined`: how many the chain has consumed. `next`: the lowest never used by us. `vacant`: below it, but free."""

    mined: int
    next: int
    vacant: tuple[int, ...] = ()

    @property
    def first_free(self) -> int:
        """Vacant ones go first: everything above a gap waits for it."""
        return self.vacant[0] if self.vacant else self.next


def opening(mined: int, pending: int, journal_next: int | None, vacant: tuple[int, ...] = ()) -> Nonces:
    """At start. Without a journal, what the node holds pending for this wallet is not ours to replace."""
    return Nonces(mined, max(mined, pending) if journal_next is None else journal_next, vacant)


def taken(nonces: Nonces, nonce: int) -> Nonces:
    """`nonce` is `first_free`, from now on in use."""
    if nonce in nonces.vacant:
        return replace(nonces, vacant=tuple(each for each in nonces.vacant if each != nonce))
    return replace(nonces, next=max(nonces.next, nonce + 1))


def given_back(nonces: Nonces, nonce: int) -> Nonces:
    """No signed bytes for `nonce` can ever be mined: the last one issued is simply not issued, others become vacant."""
    if nonce == nonces.next - 1:
        return replace(nonces, next=nonce)
    return replace(nonces, vacant=tuple(sorted({*nonces.vacant, nonce})))


def observed(nonces: Nonces, mined: int) -> tuple[Nonces, int]:
    """The chain's count now, and how many nonces beyond ours somebody else has used.

    A reorganisation that lowers the count does not lower `next`: the same bytes are sent again.
    """
    foreign = max(0, mined - nonces.next)
    vacant = tuple(each for each in nonces.vacant if each >= mined)
    return Nonces(mined, max(nonces.next, mined), vacant), foreign
