"""Which acts the contracts refuse while they are paused."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from keeper.domain.exchange import PAUSE_FUNDING, PAUSE_LIQUIDATE, ChainState
from keeper.domain.transaction import Lane

ORACLE_PAUSED = "oracle_paused"
_ACTIONS: Mapping[Lane, tuple[int, str]] = MappingProxyType(
    {Lane.LIQUIDATION: (PAUSE_LIQUIDATE, "liquidation_paused"), Lane.FUNDING: (PAUSE_FUNDING, "funding_paused")}
)


def paused_for(lane: Lane, state: ChainState | None) -> str:
    """Why every act of this lane would revert now, or an empty text: also before the chain was first read."""
    if state is None:
        return ""
    if lane is Lane.PRICE:
        return ORACLE_PAUSED if state.oracle.paused else ""
    action, word = _ACTIONS.get(lane, (0, ""))
    return word if state.pause_mask & action else ""


def pauses(state: ChainState) -> tuple[str, ...]:
    """Everything that is paused now, by the same words."""
    return tuple(word for lane in Lane if (word := paused_for(lane, state)))
