"""A keeper for perpetual-futures protocols: prices, funding and liquidations."""

__version__ = "0.1.0"
