"""How the first of the keeper's endpoints lies: each word of `keeper.devnet.storm.LIES` as faults of the simulator."""

from __future__ import annotations

from keeper.devnet.simulator import catalogue
from keeper.devnet.simulator.faults import Fault, FaultBoard
from keeper.devnet.simulator.record import SEND

REFUSALS = (
    "nonce too low: next nonce 9999, tx nonce 1",
    "already known",
    "insufficient funds for gas * price + value: balance 0, tx cost 1, overshot 1",
    "replacement transaction underpriced",
    "txpool is full",
)
DELAY_S = 0.7
NOBODYS_BLOCK = "0x" + "be" * 32


def tell(board: FaultBoard, lie: str, variant: int) -> None:
    """Nothing but this lie from now on; `variant` decides between its kinds, and how far behind a stale head is."""
    board.clear()
    for fault, methods in _faults(lie, variant):
        board.add(fault, methods=methods)


def _faults(lie: str, variant: int) -> list[tuple[Fault, tuple[str, ...] | None]]:
    if lie == "error texts":
        return _texts(variant)
    fault: Fault = {
        "stale head": catalogue.stale_head(variant),
        "no receipts": catalogue.null(),
        "fees ×100": catalogue.fee_outlier(),
        "wrong ids": catalogue.wrong_id(),
        "false receipts": _receipts(variant),
        "delays": catalogue.delay(DELAY_S),
    }[lie]
    return [(fault, tuple(catalogue.RECEIPT) if lie == "no receipts" else None)]


def _receipts(variant: int) -> Fault:
    """Of a block that never was, even for what nobody mined; or of the right block, with a failure that there was not."""
    if variant % 2:
        return catalogue.lying_receipt({"status": "0x0"})
    return catalogue.lying_receipt({"blockHash": NOBODYS_BLOCK}, invented=True)


def _texts(variant: int) -> list[tuple[Fault, tuple[str, ...] | None]]:
    refused = REFUSALS[variant % len(REFUSALS)]
    return [
        (catalogue.error(-32000, refused), (SEND,)),
        (catalogue.error(-32603, "internal error"), ("eth_call", "eth_estimateGas")),
        (catalogue.error(-32005, "query returned more than 10000 results"), ("eth_getLogs",)),
    ]
