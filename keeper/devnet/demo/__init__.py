"""A whole perp exchange on loopback around a real keeper process: chain, contracts, venues, traders, and a judge."""
