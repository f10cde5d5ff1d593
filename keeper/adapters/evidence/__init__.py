"""The records behind published prices: fresh ones in the journal, older ones in compressed files beside it."""
