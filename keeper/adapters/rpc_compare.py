"""Endpoints compared with one another: who lags, lies or tells another history is not read from until it agrees again."""

from __future__ import annotations

from collections.abc import Mapping

from keeper.adapters import rpc_codec as codec
from keeper.adapters.rpc_http import HttpEndpoint
from keeper.adapters.rpc_pool import EndpointPool
from keeper.domain.chain import BlockRef
from keeper.domain.endpoints import misplaced, outvoted, reference_head
from keeper.domain.ids import Hash
from keeper.ports.log import EventLog
from keeper.ports.meter import Meter

_SETTLED_BLOCKS = 16
"""So far below the head a reorganisation is not expected to reach, so that two hashes mean two histories."""
_PATIENCE_S = 2.0


async def compare(pool: EndpointPool, now_s: int, meter: Meter, log: EventLog) -> None:
    """Suspends endpoints that disagree and readmits those that agree again. Endpoints that are away have no say."""
    tips = await pool.each([("eth_getBlockByNumber", ("latest", False))], codec.block_ref, _PATIENCE_S)
    if len(tips) < 2:
        return
    faults = dict(misplaced(tips, now_s))
    present = {endpoint: tip for endpoint, tip in tips.items() if endpoint not in faults}
    faults |= outvoted(await _hashes(pool, present)) if present else {}
    there = reference_head(present or tips)
    for endpoint, tip in tips.items():
        meter.gauge("keeper_rpc_head_lag_blocks", there - tip.number, endpoint=endpoint.label)
        _judge(endpoint, faults.get(endpoint, ""), log)


async def _hashes(pool: EndpointPool, tips: Mapping[HttpEndpoint, BlockRef]) -> Mapping[HttpEndpoint, Hash]:
    settled = hex(max(0, min(tip.number for tip in tips.values()) - _SETTLED_BLOCKS))
    found = await pool.each([("eth_getBlockByNumber", (settled, False))], codec.block_ref, _PATIENCE_S)
    return {endpoint: block.hash for endpoint, block in found.items() if endpoint in tips}


def _judge(endpoint: HttpEndpoint, fault: str, log: EventLog) -> None:
    before, endpoint.suspended = endpoint.suspended, fault
    if fault and not before:
        log.warning("rpc.suspended", endpoint=endpoint.label, reason=fault)
    elif before and not fault:
        log.info("rpc.readmitted", endpoint=endpoint.label, reason=before)
