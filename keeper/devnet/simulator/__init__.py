"""A chain that misbehaves on request: go-ethereum's mempool and faulty endpoints in front of anvil.

`async with simulated(session) as sim:` gives `sim.endpoints[0].url`, `sim.endpoints[0].faults.add(drop_reply())`,
`await sim.mine()`, `sim.pool`, `sim.record.sent()`.
"""

from __future__ import annotations

from keeper.devnet.simulator.reorg import Fate
from keeper.devnet.simulator.rules import PoolRules
from keeper.devnet.simulator.world import Simulator, SimulatorOptions, simulated

__all__ = ["Fate", "PoolRules", "Simulator", "SimulatorOptions", "simulated"]
