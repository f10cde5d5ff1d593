"""Bytes that contracts and nodes understand, from plans compiled once: Keccak, the contract ABI, EIP-712, EIP-1559."""
