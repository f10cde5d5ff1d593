"""Signatures for a report from the keys of this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

from keeper.domain.ids import Address
from keeper.domain.report import PriceReport, Signature, SignedReport
from keeper.errors import SignerUnavailable
from keeper.ports.signer import ReportSigner


class LocalAttestor:
    """An Attestor over local report signers, asked in the order of their addresses.

    `authorised` gives the signers that the chain accepts for a report now; a signature of anybody else would make the
    contract refuse the whole batch (UnknownSigner).
    """

    def __init__(
        self, signers: Sequence[ReportSigner], authorised: Callable[[PriceReport], Collection[Address]]
    ) -> None:
        self._signers = {signer.address: signer for signer in sorted(signers, key=lambda signer: signer.address)}
        self._authorised = authorised

    async def collect(self, report: PriceReport, digest: bytes, need: int) -> SignedReport:
        """Exactly `need` signatures, in the order of the addresses: a further one would only cost gas.

        A signer that does not answer is replaced by the next. Raises SignerUnavailable when too few are left, and at
        once whatever else a signer raises (SignerRefused).
        """
        allowed = self._authorised(report)
        waiting = [signer for address, signer in self._signers.items() if address in allowed]
        collected: list[Signature] = []
        while len(collected) < need <= len(collected) + len(waiting):
            missing = need - len(collected)
            asked, waiting = waiting[:missing], waiting[missing:]
            collected.extend(await _signatures(asked, report, digest))
        if len(collected) < need:
            known = len([address for address in self._signers if address in allowed])
            problem = f"{len(collected)} of {need} signatures for round {report.round_id}"
            raise SignerUnavailable(f"{problem}: {known} of {len(self._signers)} local signers are authorised")
        return SignedReport(report, tuple(sorted(collected, key=lambda signature: signature.signer)))


class NobodySigns:
    """An Attestor for a replay: what would have been signed, without a key."""

    async def collect(self, report: PriceReport, digest: bytes, need: int) -> SignedReport:  # noqa: ARG002
        return SignedReport(report, ())


async def _signatures(signers: Sequence[ReportSigner], report: PriceReport, digest: bytes) -> list[Signature]:
    """Those of the signers that answered."""
    # A key in memory needs 60 µs, changing tasks takes longer; whoever is elsewhere is asked together with the others.
    near = [await _answer(signer, report, digest) for signer in signers if not signer.remote]
    far = [_answer(signer, report, digest) for signer in signers if signer.remote]
    answers = [*near, *(await asyncio.gather(*far))] if far else near
    return [answer for answer in answers if answer is not None]


async def _answer(signer: ReportSigner, report: PriceReport, digest: bytes) -> Signature | None:
    try:
        return await signer.sign_report(report, digest)
    except SignerUnavailable:
        return None
