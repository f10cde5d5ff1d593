"""Everything outside the keeper, for demos and tests: a chain, exchanges and traders on loopback."""
