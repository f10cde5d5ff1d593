"""Margin as the field computes it, for contracts of any kind: docs/margin.md.

The reference protocol's own arithmetic, exact to its contract, is `keeper.domain.margin`; nothing here replaces it. Money,
prices and sizes are integers scaled by 1e18. What is divided in between is an exact fraction, rounded once, at the end.
"""
