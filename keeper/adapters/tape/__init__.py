"""What came in, as it came in: kept in a bounded ring, read again by a replay."""
